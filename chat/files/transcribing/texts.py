"""The transcripts of sound, for prompts."""

import asyncio
import uuid
from collections.abc import Sequence

from django.db.models import QuerySet

from chat.models import Transcript

# An answer waits so long for a transcript that its model needs. Then it begins without.
WAIT_S = 60.0
LOOK_EVERY_S = 0.3
State = Transcript.State


async def transcripts_of(file_ids: Sequence[str]) -> dict[str, str]:
    """The transcripts of these files, by their ids; those without one are missing."""
    if not file_ids:
        return {}
    done = _rows(file_ids, State.DONE)
    return {str(row.file_id): row.text async for row in done}


async def wait_for_transcripts(file_ids: Sequence[str]) -> None:
    """Wait until none of these files waits for its transcript, but not for long."""
    if not file_ids:
        return
    for _ in range(int(WAIT_S / LOOK_EVERY_S)):
        if not await _rows(file_ids, State.WAITING).aexists():
            return
        await asyncio.sleep(LOOK_EVERY_S)


def _rows(file_ids: Sequence[str], state: str) -> QuerySet[Transcript]:
    ids = [uuid.UUID(file_id) for file_id in file_ids]
    return Transcript.objects.filter(file_id__in=ids, state=state)
