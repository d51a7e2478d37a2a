"""The rows of a spoken answer. Sync.

A `Speech` in the state `live`, with its file, exists before the first sound does. So the sound is
counted, erased with the chat, and stored by some worker however the answer ends.
"""

import uuid

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext

from accounts.models import User
from chat.files import uploads
from chat.files.speaking.orders import wake
from chat.llm.stream.sound_data import BYTES_PER_S
from chat.models import Chat, Reply, Speech, StoredFile
from streams.errors import FencedError

HEADER_BYTES = 44  # of a WAV
MAX_SOUND_BYTES = 600 * BYTES_PER_S
# With less room, the answer is only written.
MIN_SOUND_BYTES = 30 * BYTES_PER_S
State = Speech.State


def file_id_of(reply: Reply) -> uuid.UUID:
    """The id of the sound. An answer that was continued before it had any gets another one."""
    return uuid.uuid5(reply.id, f"spoken:{reply.continued_after_attempt or 0}")


def begin(reply: Reply, model: str) -> Speech | None:
    """The speech of an answer that a model is going to speak; a repetition returns the same one.

    None if it is only written: because there is no room, because its owner has continued an answer
    whose sound is complete, or because it was read aloud before. Raises FencedError if the chat is
    no longer this owner's.
    """
    with transaction.atomic():
        # Locked, as for an upload: files together must not exceed the quota.
        owner = User.objects.select_for_update().filter(id=reply.chat.owner_id).first()
        chat = Chat.objects.select_for_update().filter(id=reply.chat_id, owner=owner).first()
        if owner is None or chat is None:
            raise FencedError(str(reply.id))
        if Speech.objects.filter(reply_id=reply.id).exists():
            return unfinished(reply).filter(file_id=file_id_of(reply)).first()
        size = _room_for(owner)
        if size is None:
            return None
        file = StoredFile.objects.create(
            id=file_id_of(reply),
            owner=owner,
            chat=chat,
            name=uploads.clean_name(gettext("Spoken answer") + ".wav"),
            size_bytes=0,
            state=StoredFile.State.CHECKING,
            stored_bytes=size,
        )
        return Speech.objects.create(
            file=file,
            reply_id=reply.id,
            model=model,
            voice=settings.SPEAKING_VOICE,
            state=State.LIVE,
            estimated=True,
        )


def _room_for(owner: User) -> int | None:
    """The bytes to reserve: those of the longest sound, or what is left."""
    most = MAX_SOUND_BYTES + HEADER_BYTES
    if uploads.has_room(owner, most):
        return most
    left = uploads.quota_of(owner) - uploads.stored_bytes_of(owner)
    return left if left >= MIN_SOUND_BYTES else None


def unfinished(reply: Reply) -> QuerySet[Speech]:
    """The speech of an answer whose sound is not stored yet, at most one."""
    rows = Speech.objects.filter(reply_id=reply.id, state=State.LIVE).select_related("file")
    return rows.filter(file__state=StoredFile.State.CHECKING)


def after_end(reply: Reply) -> None:
    """The answer has ended: have its sound stored. An answer that was continued has its sound told
    again, because the log's readers forget it when the text goes on."""
    spoken = Speech.objects.filter(reply_id=reply.id, estimated=True)
    if reply.continued_after_attempt is not None:
        spoken.filter(state=State.DONE).update(is_untold=True)
    if spoken.exists():
        wake()
