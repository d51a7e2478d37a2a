"""Tells the chats which of their answers were read aloud: a worker appends the events to the log.

The event's id is always the same, so that repeating it is harmless.
"""

import hashlib

from asgiref.sync import sync_to_async
from django.db.models import Q

from chat import events as ev
from chat.files import objects, uploads
from chat.files.speaking.states import audio_of
from chat.folding import fold_answer
from chat.models import Chat, Reply, Speech, StoredFile
from streams.log import get_log


async def tell_all() -> None:
    """Append the speeches that logs still have to get. The end of the answer comes first."""
    untold = Speech.objects.filter(
        is_untold=True, file__state=StoredFile.State.READY, file__chat__isnull=False
    ).select_related("file__owner")
    for row in [row async for row in untold.order_by("created_at")]:
        # What the last worker has left of the sentences.
        await sync_to_async(objects.erase_except)(row.file_id, objects.ORIGINAL)
        if await Reply.objects.filter(id=row.reply_id, outbox__isnull=False).aexists():
            continue
        assert row.file.chat_id is not None
        if await Chat.objects.filter(id=row.file.chat_id, owner=row.file.owner).aexists():
            await _tell(row)


async def _tell(row: Speech) -> None:
    file, chat_id, stream = row.file, str(row.file.chat_id), row.file.owner.stream
    answer = (await fold_answer(get_log(), stream, chat_id, str(row.reply_id))).message
    if answer is None:
        return
    digest, event_id = hashlib.sha256(str(answer.text).encode()).hexdigest(), f"{file.id}:spoken"
    if row.estimated:
        # The model spoke it. If the answer was continued since, it is told again, as its beginning.
        event_id = f"{event_id}:{digest[:16]}"
    elif digest != row.text_sha256:
        # The answer was continued, so this is the speech of an earlier text.
        await sync_to_async(uploads.erase_rows)(Q(id=row.file_id))
        return
    event = ev.MessageAudio(message=str(row.reply_id), **audio_of(row))
    await get_log().append(stream, [ev.log_event(chat_id, event, event_id)])
    if row.estimated:
        await get_log().sounds.erase(stream, str(file.id))
    # Otherwise its chat has moved to another log meanwhile, which may not have the event.
    still = Speech.objects.filter(file_id=row.file_id, file__owner=file.owner_id)
    await still.aupdate(is_untold=False)
