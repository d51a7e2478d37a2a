"""Orders that an answer is read aloud: once for its text, the model and the voice. Sync."""

import hashlib
import uuid
from collections.abc import Sequence
from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts import limits
from accounts.models import User
from accounts.sockets import wake_workers
from chat.chats import own_chat
from chat.errors import MessageNotFound
from chat.files import uploads
from chat.files.errors import FileStorageFull
from chat.files.local_speech.english import is_english
from chat.files.speaking.errors import (
    SpeechEmpty,
    SpeechLanguage,
    SpeechTooLong,
    SpeechUnavailable,
)
from chat.files.speaking.means import Voice, voice_for
from chat.files.speaking.sentences import Sentence, sentences_of
from chat.models import Reply, Speech, StoredFile

WAKE_ON = "speech"
# About ten minutes.
MAX_CHARS = 9_000
MAX_ANSWER_CHARS = 200_000
# A minute of speech is about 900 characters, and 2.9 MB in the usual form (24 kHz).
BYTES_PER_CHAR = 3_200
NAME_CHARS = 60
# How long what a failed one has made is kept for the next request.
FAILED_FOR = timedelta(days=1)
State = Speech.State


def own_reply(owner: User, chat_id: uuid.UUID, reply_id: uuid.UUID) -> Reply:
    """Raises ChatNotFound, MessageNotFound."""
    reply: Reply | None = own_chat(owner, chat_id).replies.filter(id=reply_id).first()
    if reply is None:
        raise MessageNotFound
    return reply


def speech_of(reply: Reply) -> Speech | None:
    """The speech of an answer, unless it was deleted."""
    rows = Speech.objects.filter(reply=reply).exclude(file__state=StoredFile.State.ERASED)
    return rows.select_related("file").first()


def order(owner: User, reply: Reply, text: str) -> Speech:
    """The speech of this answer, whose text is `text`. A repetition makes nothing new, and begins
    one that failed again.

    Raises SpeechUnavailable, SpeechLanguage, SpeechEmpty, SpeechTooLong, LimitReached,
    FileStorageFull.
    """
    voice = voice_for(owner)
    digest = hashlib.sha256(text.encode()).hexdigest()
    known = speech_of(reply)
    if known is not None and known.estimated and known.state != State.FAILED:
        return known  # The model spoke it. That was paid for, and counts as its speech.
    if known is not None and known.text_sha256 == digest:
        # What is there can be heard even if nothing reads aloud any more.
        if known.state == State.DONE and (voice is None or _is_by(known, voice)):
            return known
        if known.state == State.WAITING and voice is not None and _is_by(known, voice):
            return known
    if voice is None:
        raise SpeechUnavailable
    if voice.is_local and not is_english(text):
        raise SpeechLanguage
    sentences = _sentences(text)
    limits.take_speech(owner)
    with transaction.atomic():
        # Locked, so that two requests do not order two, and uploads do not exceed the quota.
        User.objects.select_for_update().get(id=owner.id)
        known = speech_of(reply)
        if known is None or known.text_sha256 != digest or not _is_by(known, voice):
            known = _create(owner, reply, voice, sentences, digest)
        elif known.state == State.FAILED:
            _begin_again(owner, known, sentences)
        wake()
    return known


def _is_by(row: Speech, voice: Voice) -> bool:
    return (row.model, row.voice) == (voice.model.id, voice.name)


def _sentences(text: str) -> list[Sentence]:
    if len(text) > MAX_ANSWER_CHARS:
        raise SpeechTooLong
    sentences = sentences_of(text)
    if not sentences:
        raise SpeechEmpty
    if _characters(sentences) > MAX_CHARS:
        raise SpeechTooLong
    return sentences


def _characters(sentences: Sequence[Sentence]) -> int:
    return sum(len(sentence.words) for sentence in sentences)


def _create(
    owner: User, reply: Reply, voice: Voice, sentences: Sequence[Sentence], digest: str
) -> Speech:
    """Replaces what was read aloud of another text, or by another voice."""
    uploads.erase_rows(Q(speech__reply=reply), erased_from=reply.chat_id)
    Speech.objects.filter(reply=reply).delete()
    file = StoredFile.objects.create(
        id=uuid.uuid4(),
        owner=owner,
        chat_id=reply.chat_id,
        name=uploads.clean_name(f"{sentences[0].words[:NAME_CHARS].strip('.')}.wav"),
        size_bytes=0,
        state=StoredFile.State.CHECKING,
        stored_bytes=_required_room(owner, sentences),
    )
    return Speech.objects.create(
        file=file,
        reply=reply,
        text_sha256=digest,
        model=voice.model.id,
        voice=voice.name,
        sentences=[[each.start, each.end, each.words] for each in sentences],
    )


def _required_room(owner: User, sentences: Sequence[Sentence], kept_bytes: int = 0) -> int:
    """The bytes that the file is going to have. Raises FileStorageFull."""
    size = _characters(sentences) * BYTES_PER_CHAR
    if not uploads.has_room(owner, size - kept_bytes):
        raise FileStorageFull(is_guest=owner.is_guest)
    return size


def _begin_again(owner: User, row: Speech, sentences: Sequence[Sentence]) -> None:
    """The sentences that are stored already are kept."""
    size = _required_room(owner, sentences, row.file.stored_bytes)
    StoredFile.objects.filter(id=row.file_id).update(stored_bytes=size, changed_at=timezone.now())
    row.state, row.run, row.error_code = State.WAITING, row.run + 1, ""
    row.attempts, row.errors, row.leased_until = 0, 0, None
    row.save()


def forget_failed() -> None:
    """Erase what was made of speech that failed long ago."""
    before = timezone.now() - FAILED_FOR
    failed = StoredFile.objects.filter(speech__state=State.FAILED, changed_at__lt=before)
    for file_id in list(failed.values_list("id", flat=True)):
        uploads.erase_rows(Q(id=file_id, speech__state=State.FAILED, changed_at__lt=before))


def wake() -> None:
    """Have workers look for answers to read aloud."""
    wake_workers(WAKE_ON)
