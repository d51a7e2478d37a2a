"""Tells the chats what is said in their sound: a worker appends the transcriptions to the log.

A sound may get its transcription before a message has it, or after. The event's id is always the
same, so that repeating it is harmless.
"""

from django.utils import timezone

from chat import events as ev
from chat.models import Chat, Reply, StoredFile, Transcription
from streams.log import get_log


async def tell_all() -> None:
    """Append the transcriptions that logs still have to get. The message comes first: those whose
    message may not be in the log yet are left for the next run."""
    untold = Transcription.objects.filter(
        is_untold=True, file__state=StoredFile.State.READY, file__chat__isnull=False
    ).select_related("file__owner")
    for row in [row async for row in untold.order_by("created_at")]:
        file = row.file
        assert file.chat_id is not None
        if await Reply.objects.filter(chat=file.chat_id, outbox__isnull=False).aexists():
            continue
        if await Chat.objects.filter(id=file.chat_id, owner=file.owner).aexists():
            chat_id, file_id = str(file.chat_id), str(row.file_id)
            event = ev.FileTranscribed(file=file_id, text=row.text)
            logged = ev.log_event(chat_id, event, f"{file_id}:transcribed")
            await get_log().append(file.owner.stream, [logged])
            await Chat.objects.filter(id=chat_id).aupdate(search_due_at=timezone.now())
            await _note_told(row)


async def _note_told(row: Transcription) -> None:
    """The file still belongs to the same person: otherwise its chat has moved to another log, which
    may not have the event."""
    still = Transcription.objects.filter(file_id=row.file_id, file__owner=row.file.owner_id)
    await still.aupdate(is_untold=False)
