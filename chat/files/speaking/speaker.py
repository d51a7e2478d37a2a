"""Has ordered answers read aloud: a worker claims one, has it spoken sentence by sentence and joins
the sentences into one WAV.

A worker claims a row by raising `attempts`, and keeps it by renewing a short lease, as with
transcripts (chat/files/transcribing/transcriber.py). The sound of a sentence is stored first, under
a name that no other attempt uses; then one transaction notes it and charges for it. So a sentence
that is noted is charged once and is not spoken again by the next worker; one that a worker has lost
is not charged.
"""

import asyncio
import hashlib
import logging
import uuid
from contextlib import suppress
from datetime import timedelta
from itertools import accumulate
from typing import Any

from asgiref.sync import sync_to_async
from django.db import DatabaseError, transaction
from django.db.models import Case, Q, QuerySet, When
from django.utils import timezone

from accounts.models import User
from billing import holds
from billing.errors import BillingError
from billing.token_usage import TokenUsage
from chat.files import objects, uploads
from chat.files.speaking import prices, telling
from chat.files.speaking.calls import say
from chat.files.speaking.means import Voice, voice_for
from chat.files.speaking.waves import Form, write_wav
from chat.files.spoken import storing
from chat.files.storage_threads import in_storage_thread
from chat.llm.catalogue import UnknownModelError, get_catalogue
from chat.llm.endpoints import Model
from chat.llm.errors import SITE_CODES, ProviderError
from chat.llm.user_models import find_for_call, is_own
from chat.models import Speech, StoredFile
from streams.chores import SWEEP_EVERY_S

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=6)
RENEW_EVERY_S = 1.5
# After this many attempts, a speech that keeps killing its worker is given up.
MAX_ATTEMPTS = 6
# Providers' errors that may be gone the next time; the pauses between them double.
MAX_ERRORS = 5
FIRST_PAUSE_S = 2.0
# In one worker: each holds up to 150 MB while its sentences are joined.
AT_ONCE = 2
# Sentences of one answer.
CALLS_AT_ONCE = 4
# What comes later is left out. The usual form reaches the limits at about the same time.
MAX_MS = 600_000
MAX_BYTES = 30_000_000
LOOK_EVERY_S = 1.0
State = Speech.State
_last_owner: uuid.UUID | None = None


class _Lost(Exception):
    """Another worker has the speech now, or it was erased."""


class _NoRoom(Exception):
    """The sound is larger than was expected, and the quota is reached."""


async def speak_all() -> None:
    """Have all ordered answers read aloud, those of different people in turn, store the sound of
    those that their models spoke, and tell the logs.
    Where there is nothing to do, it asks the database once."""
    unfinished = Q(state__in=(State.WAITING, State.LIVE)) | Q(is_untold=True)
    if not await Speech.objects.filter(unfinished).aexists():
        return
    await storing.store_all()
    await telling.tell_all()
    running: set[asyncio.Task[None]] = set()
    try:
        while True:
            while len(running) < AT_ONCE and (row := await sync_to_async(_claim)()):
                running.add(asyncio.create_task(_speak(row)))
            if not running:
                if not await sync_to_async(_is_soon_due)():
                    return
                await asyncio.sleep(LOOK_EVERY_S)
                continue
            done, running = await asyncio.wait(
                running, timeout=LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                task.result()
            if done:
                await telling.tell_all()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _is_soon_due() -> bool:
    """Whether a pause, or another worker's lease, ends before the next run of the chore."""
    before = timezone.now() + timedelta(seconds=SWEEP_EVERY_S)
    return _waiting().filter(leased_until__lt=before).exists()


def _waiting() -> QuerySet[Speech]:
    return Speech.objects.filter(state=State.WAITING, file__state=StoredFile.State.CHECKING)


def _claim() -> Speech | None:
    """A speech to make, which is this worker's until its lease ends."""
    global _last_owner
    now = timezone.now()
    free = Q(leased_until=None) | Q(leased_until__lt=now)
    waiting = _waiting().filter(free).select_related("file__owner")
    is_same = Case(When(file__owner=_last_owner, then=1), default=0)
    for row in waiting.order_by(is_same, "created_at")[:10]:
        ours = Speech.objects.filter(free, file_id=row.file_id, attempts=row.attempts)
        if not ours.update(attempts=row.attempts + 1, leased_until=now + LEASE):
            continue  # Another worker was quicker.
        row.attempts += 1
        if row.attempts <= MAX_ATTEMPTS:
            _last_owner = row.file.owner_id
            return row
        logger.error("the speech in file %s failed too often; giving up", row.file_id)
        _fail(row, "failed")
    return None


async def _speak(row: Speech) -> None:
    renewing = asyncio.create_task(_renew_lease(row))
    try:
        await _read_aloud(row)
    except asyncio.CancelledError:
        await asyncio.shield(sync_to_async(_give_back)(row))
        raise
    except _Lost:
        pass
    except ProviderError as error:
        await _note_error(row, error)
    except UnknownModelError:
        await sync_to_async(_fail)(row, "none")
    except BillingError:
        await sync_to_async(_fail)(row, "out_of_credit")
    except _NoRoom:
        await sync_to_async(_fail)(row, "storage_full")
    except FileNotFoundError:  # It is being erased.
        await sync_to_async(_fail)(row, "failed")
    except Exception:
        logger.exception("the speech in file %s could not be made", row.file_id)
        await _note_error(row, ProviderError("provider_down"))
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)


async def _read_aloud(row: Speech) -> None:
    voice = await _voice_of(row)
    while _missing(row) and not _is_long(row):
        await _say_next(row, voice)
    size, digest = await in_storage_thread(_join, row)
    await sync_to_async(_finish)(row, size, digest)


async def _voice_of(row: Speech) -> Voice:
    """The voice that was ordered. Raises UnknownModelError if another one is used now."""
    voice = await sync_to_async(voice_for)(row.file.owner)
    if voice is None or (voice.model.id, voice.name) != (row.model, row.voice):
        raise UnknownModelError(row.model)
    if is_own(row.model):
        found = await find_for_call(row.file.owner_id, row.model, get_catalogue())
        return Voice(found, voice.name)
    return voice


async def _say_next(row: Speech, voice: Voice) -> None:
    """Have the next few sentences that are missing spoken at the same time, and store them. The
    call of one that failed is not charged."""
    numbers = _missing(row)[:CALLS_AT_ONCE]
    stored: set[int] = set()
    try:
        for number in numbers:
            words = row.sentences[number][2]
            await sync_to_async(prices.hold)(row, voice.model, number, len(words))
        calls = [say(voice, row.sentences[number][2]) for number in numbers]
        results = await asyncio.gather(*calls, return_exceptions=True)
        for number, result in zip(numbers, results, strict=True):
            if not isinstance(result, BaseException):
                await sync_to_async(_store)(row, voice.model, number, *result)
                stored.add(number)
        for result in results:
            if isinstance(result, BaseException):
                raise result
    except (ProviderError, BillingError, _Lost):
        await sync_to_async(_release)(row, voice.model, set(numbers) - stored)
        raise


def _release(row: Speech, model: Model, numbers: set[int]) -> None:
    """Release the holds of calls that failed, unless another worker uses them now."""
    waiting = Speech.objects.filter(file_id=row.file_id, state=State.WAITING)
    if _ours(row).exists() or not waiting.exists():
        for number in numbers:
            holds.release(prices.call_of(row, model, number).hold_key)


def _store(row: Speech, model: Model, number: int, form: Form, frames: bytes) -> None:
    """Keep the sound of a sentence, and charge for it, both or neither. Raises _Lost,
    ProviderError."""
    if row.pieces and form != _form_of(row):
        raise ProviderError("bad_stream")
    name = f"speech-{number}-{uuid.uuid4().hex}"
    objects.write(row.file_id, name, frames)
    count = len(frames) // form.frame_bytes
    pieces = row.pieces | {str(number): [name, count, form.rate, form.channels]}
    usage = TokenUsage(0, 0, characters=len(row.sentences[number][2]))
    with transaction.atomic():
        holds.charge(prices.call_of(row, model, number), usage, last=True)
        if not _ours(row).update(pieces=pieces):
            raise _Lost
    row.pieces = pieces


def _missing(row: Speech) -> list[int]:
    return [number for number in range(len(row.sentences)) if str(number) not in row.pieces]


def _pieces(row: Speech) -> list[tuple[str, int]]:
    """The rendition and the frames of each sentence up to the first that is missing."""
    end = (*_missing(row), len(row.sentences))[0]
    return [tuple(row.pieces[str(number)][:2]) for number in range(end)]


def _form_of(row: Speech) -> Form:
    _, _, rate, channels = next(iter(row.pieces.values()))
    return Form(rate, channels)


def _length_ms(row: Speech) -> int:
    return _form_of(row).ms(sum(frames for _, frames in _pieces(row))) if row.pieces else 0


def _is_long(row: Speech) -> bool:
    return _length_ms(row) >= MAX_MS or _stored_bytes(row) >= MAX_BYTES


def _stored_bytes(row: Speech) -> int:
    frames = ((frames, Form(rate, channels)) for _, frames, rate, channels in row.pieces.values())
    return sum(count * form.frame_bytes for count, form in frames)


def _join(row: Speech) -> tuple[int, str]:
    """Write the WAV; returns its size and its SHA-256. Blocks."""
    frames = [objects.read_rendition(row.file_id, name) for name, _ in _pieces(row)]
    joined = write_wav(_form_of(row), frames)
    objects.write(row.file_id, objects.ORIGINAL, joined)
    return len(joined), hashlib.sha256(joined).hexdigest()


def _spans(row: Speech) -> list[list[int]]:
    """[first, end, ms, ms] of each sentence: where it stands in the answer, and in the sound."""
    form = _form_of(row)
    ends = [form.ms(frames) for frames in accumulate(frames for _, frames in _pieces(row))]
    places = [sentence[:2] for sentence in row.sentences[: len(ends)]]
    return [
        [*place, start, end]
        for place, start, end in zip(places, [0, *ends[:-1]], ends, strict=True)
    ]


def _finish(row: Speech, size: int, digest: str) -> None:
    """The file is ready. Raises _Lost, _NoRoom."""
    facts = {
        "id": str(row.file_id),
        "kind": "audio",
        "name": row.file.name,
        "type": "audio/wav",
        "bytes": size,
        "sha256": digest,
        "duration_ms": _length_ms(row),
    }
    ready: dict[str, Any] = {"state": StoredFile.State.READY, "facts": facts, "sha256": digest}
    ready |= {"size_bytes": size, "stored_bytes": size, "changed_at": timezone.now()}
    done: dict[str, Any] = {"state": State.DONE, "spans": _spans(row), "is_untold": True}
    done |= {"sentences": [], "pieces": {}, "leased_until": None}
    with transaction.atomic():
        owner = User.objects.select_for_update().get(id=row.file.owner_id)
        if not uploads.has_room(owner, size - row.file.stored_bytes):
            raise _NoRoom
        made = StoredFile.objects.filter(id=row.file_id, state=StoredFile.State.CHECKING)
        if not _ours(row).update(**done) or not made.update(**ready):
            raise _Lost


def _ours(row: Speech) -> QuerySet[Speech]:
    return Speech.objects.filter(
        file_id=row.file_id, run=row.run, attempts=row.attempts, state=State.WAITING
    )


async def _note_error(row: Speech, error: ProviderError) -> None:
    """Have another try after a pause, or give up."""
    if error.permanent or row.errors + 1 >= MAX_ERRORS:
        await sync_to_async(_fail)(row, _code_of(row, error))
        return
    pause_s = max(FIRST_PAUSE_S * 2**row.errors, error.retry_after_s or 0.0)
    await sync_to_async(_give_back)(row, pause_s=pause_s, errors=row.errors + 1)


def _code_of(row: Speech, error: ProviderError) -> str:
    if error.code in ("bad_request", "refused"):
        return "refused"
    if error.code in SITE_CODES or error.code in ("key_missing", "key_unreadable"):
        if is_own(row.model):
            return "key"
        logger.warning("answers cannot be read aloud: %s (%s)", error.code, row.model)
    return "failed"


def _fail(row: Speech, code: str) -> None:
    """The sentences that are stored are kept for a while, and count as what they are."""
    with transaction.atomic():
        if _ours(row).update(state=State.FAILED, error_code=code, leased_until=None):
            failed = StoredFile.objects.filter(id=row.file_id)
            failed.update(stored_bytes=_stored_bytes(row), changed_at=timezone.now())


async def _renew_lease(row: Speech) -> None:
    while True:
        await asyncio.sleep(RENEW_EVERY_S)
        with suppress(DatabaseError):  # The next one may succeed.
            if not await _ours(row).aupdate(leased_until=timezone.now() + LEASE):
                return


def _give_back(row: Speech, *, pause_s: float = 0.0, errors: int | None = None) -> None:
    """Leave the speech to the next attempt, of any worker. This one does not count, because it has
    not ended its worker."""
    _ours(row).update(
        leased_until=timezone.now() + timedelta(seconds=pause_s) if pause_s else None,
        attempts=row.attempts - 1,
        errors=row.errors if errors is None else errors,
    )
