"""The transcriptions of sound, for prompts."""

import asyncio
import uuid
from collections.abc import Sequence

from django.db.models import QuerySet

from chat.models import Transcription

# An answer waits so long for a transcription that its model needs. Then it begins without.
WAIT_S = 60.0
LOOK_EVERY_S = 0.3
State = Transcription.State


async def transcriptions_of(file_ids: Sequence[str]) -> dict[str, str]:
    """The transcriptions of these files, by their ids; those without one are missing."""
    if not file_ids:
        return {}
    done = _rows(file_ids, State.DONE)
    return {str(row.file_id): row.text async for row in done}


async def wait_for_transcriptions(file_ids: Sequence[str]) -> None:
    """Wait until none of these files waits for its transcription, but not for long."""
    if not file_ids:
        return
    for _ in range(int(WAIT_S / LOOK_EVERY_S)):
        if not await _rows(file_ids, State.WAITING).aexists():
            return
        await asyncio.sleep(LOOK_EVERY_S)


def _rows(file_ids: Sequence[str], state: str) -> QuerySet[Transcription]:
    ids = [uuid.UUID(file_id) for file_id in file_ids]
    return Transcription.objects.filter(file_id__in=ids, state=state)
