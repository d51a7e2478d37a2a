"""Stores the sound of answers that have ended as WAV files, and has the logs told.

1. the sound is closed: whoever hears it knows its end
2. the WAV is stored under an id that follows from the reply, so repeating it changes nothing
3. one transaction: the file is ready, the speech is done and still to be told
4. the log is told (chat/files/speaking/telling.py), and the sound is erased from Redis

A worker may die after any step; the next one begins again at the first, or goes on at the fourth.
While the storage is away, the sound stays in Redis, for a day at most.
"""

import hashlib
import logging
from datetime import timedelta

from asgiref.sync import sync_to_async
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from accounts.models import User
from chat.charging.attempts import Attempt
from chat.files import objects, uploads
from chat.files.speaking.sentences import sentences_of
from chat.files.speaking.waves import Form, write_wav
from chat.files.spoken.spans import Span, estimated_spans
from chat.files.storage_threads import in_storage_thread
from chat.folding import fold_answer
from chat.llm.stream.sound_data import RATE, ms_of
from chat.models import Reply, Speech, StoredFile
from streams.log import end_slice, get_log

logger = logging.getLogger(__name__)

# Longer than storing takes. A worker that fails keeps it, so the next one waits.
LEASE = timedelta(seconds=20)
# After this many, a sound that keeps killing its worker is given up.
MAX_ATTEMPTS = 6
NAME_CHARS = 60
FORM = Form(RATE, 1)
State = Speech.State


async def store_all() -> None:
    """Store the sound of all answers that have ended."""
    while (row := await sync_to_async(_claim)()) is not None:
        try:
            await _store(row)
        except OSError:
            logger.exception("the sound of answer %s could not be stored yet", row.reply_id)
            # It has not ended its worker, so it does not count.
            await _ours(row).aupdate(attempts=F("attempts") - 1)


def _claim() -> Speech | None:
    now = timezone.now()
    free = Q(leased_until=None) | Q(leased_until__lt=now)
    live = Speech.objects.filter(free, state=State.LIVE, reply__state__in=Reply.FINAL)
    live = live.filter(file__state=StoredFile.State.CHECKING, file__chat__isnull=False)
    for row in live.select_related("file__owner", "reply").order_by("created_at")[:10]:
        ours = Speech.objects.filter(free, file_id=row.file_id, attempts=row.attempts)
        if not ours.update(attempts=row.attempts + 1, leased_until=now + LEASE):
            continue  # Another worker was quicker.
        row.attempts += 1
        if row.attempts <= MAX_ATTEMPTS:
            return row
        logger.error("the sound of answer %s failed too often; giving up", row.reply_id)
        Speech.objects.filter(file_id=row.file_id).update(state=State.FAILED, error_code="failed")
    return None


def _ours(row: Speech) -> QuerySet[Speech]:
    return Speech.objects.filter(file_id=row.file_id, attempts=row.attempts, state=State.LIVE)


async def _store(row: Speech) -> None:
    stream, name = row.file.owner.stream, str(row.file_id)
    await get_log().sounds.close(stream, name)
    sound, begins = await _read(stream, name)
    if not sound:
        await sync_to_async(_forget)(row)
        return
    folded = await fold_answer(get_log(), stream, str(row.file.chat_id), str(row.reply_id))
    text = str(folded.message.text) if folded.message else ""
    spans = estimated_spans(text, _parts(begins, len(sound), folded.attempts))
    size, digest = await in_storage_thread(_write, row, sound)
    await sync_to_async(_finish)(row, text, spans, (size, digest, ms_of(len(sound))))


async def _read(stream: str, name: str) -> tuple[bytes, dict[int, int]]:
    """The sound, and by attempt where the sound of each begins."""
    sound, begins = bytearray(), {}
    while pieces := await get_log().sounds.read(stream, name, len(sound)):
        for piece in pieces:
            sound += piece.data
            begins[piece.attempt] = piece.begin
        await end_slice()
    return bytes(sound), begins


def _parts(begins: dict[int, int], size: int, attempts: list[Attempt]) -> list[tuple[int, int]]:
    """For each attempt with sound: where its text begins, and the bytes of its sound."""
    text_from = {attempt.number: attempt.text_from for attempt in attempts}
    ends = [*list(begins.values())[1:], size]
    parts = zip(begins, begins.values(), ends, strict=True)
    return [(text_from.get(number, 0), end - begin) for number, begin, end in parts]


def _write(row: Speech, sound: bytes) -> tuple[int, str]:
    """Write the WAV; returns its size and its SHA-256. Blocks."""
    wav = write_wav(FORM, [sound])
    objects.write(row.file_id, objects.ORIGINAL, wav)
    return len(wav), hashlib.sha256(wav).hexdigest()


def _forget(row: Speech) -> None:
    """The model has only written."""
    with transaction.atomic():
        if _ours(row).delete()[0]:
            uploads.erase_rows(Q(id=row.file_id))


def _finish(row: Speech, text: str, spans: list[Span], wav: tuple[int, str, int]) -> None:
    size, digest, duration_ms = wav
    name = _name(row, text)
    facts = {
        "id": str(row.file_id),
        "kind": "audio",
        "name": name,
        "type": "audio/wav",
        "bytes": size,
        "sha256": digest,
        "duration_ms": duration_ms,
    }
    done = {
        "state": State.DONE,
        "spans": spans,
        "text_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "is_untold": True,
        "leased_until": None,
    }
    ready = {
        "state": StoredFile.State.READY,
        "name": name,
        "facts": facts,
        "sha256": digest,
        "size_bytes": size,
        "stored_bytes": size,
        "changed_at": timezone.now(),
    }
    with transaction.atomic():
        User.objects.select_for_update().filter(id=row.file.owner_id).first()
        begun = StoredFile.objects.filter(id=row.file_id, state=StoredFile.State.CHECKING)
        # Otherwise it was erased, or another worker has done the same.
        if begun.update(**ready):
            _ours(row).update(**done)


def _name(row: Speech, text: str) -> str:
    first = next((sentence.words for sentence in sentences_of(text[:2_000])), "")
    start = first[:NAME_CHARS].strip(". ")
    return uploads.clean_name(f"{start}.wav") if start else row.file.name
