"""Has waiting sound written down: a worker claims it, sends it piece by piece and stores the texts.

A worker claims a row by raising `attempts`, and keeps it by renewing a short lease, as with checks
(chat/files/checking.py). A piece's text is stored in the transaction that charges for it. So one
that is stored is charged once, and is not sent again by the next worker; one that a worker has lost
is not charged.
"""

import asyncio
import logging
import uuid
from contextlib import suppress
from datetime import timedelta
from typing import Any

from asgiref.sync import sync_to_async
from django.db import DatabaseError, transaction
from django.db.models import Case, Q, QuerySet, When
from django.utils import timezone

from billing import holds
from billing.errors import BillingError
from chat.files import objects
from chat.files.storage_threads import in_storage_thread
from chat.files.transcribing import orders, pieces, prices
from chat.files.transcribing.calls import FORMATS, Sound, Written, formats_of, write_down
from chat.files.transcribing.means import Means, means_for
from chat.llm.catalogue import UnknownModelError, get_catalogue
from chat.llm.errors import SITE_CODES, ProviderError
from chat.llm.user_models import find_for_call, is_own
from chat.models import StoredFile, Transcription
from streams.chores import SWEEP_EVERY_S

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=6)
RENEW_EVERY_S = 1.5
# After this many attempts, sound whose transcription keeps killing its worker is given up.
MAX_ATTEMPTS = 6
# Providers' errors that may be gone the next time; the pauses between them double.
MAX_ERRORS = 5
FIRST_PAUSE_S = 2.0
# In one worker: each holds up to 100 MB.
AT_ONCE = 2
LOOK_EVERY_S = 1.0
State = Transcription.State
_last_owner: uuid.UUID | None = None


class _Lost(Exception):
    """Another worker has the sound now, or it was erased."""


async def transcribe_all() -> None:
    """Have all waiting sound written down: that of different people in turn."""
    if not await Transcription.objects.filter(state=State.WAITING).aexists():
        return
    running: set[asyncio.Task[None]] = set()
    try:
        while True:
            while len(running) < AT_ONCE and (row := await sync_to_async(_claim)()):
                running.add(asyncio.create_task(_transcribe(row)))
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
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _is_soon_due() -> bool:
    """Whether a pause, or another worker's lease, ends before the next run of the chore."""
    before = timezone.now() + timedelta(seconds=SWEEP_EVERY_S)
    return Transcription.objects.filter(state=State.WAITING, leased_until__lt=before).exists()


def _claim() -> Transcription | None:
    """Sound to write down, which is this worker's until its lease ends."""
    global _last_owner
    now = timezone.now()
    free = Q(leased_until=None) | Q(leased_until__lt=now)
    waiting = Transcription.objects.filter(
        free, state=State.WAITING, file__state=StoredFile.State.READY
    ).select_related("file__owner")
    is_same = Case(When(file__owner=_last_owner, then=1), default=0)
    for row in waiting.order_by(is_same, "created_at")[:10]:
        if not _ours(row).filter(free).update(attempts=row.attempts + 1, leased_until=now + LEASE):
            continue  # Another worker was quicker.
        row.attempts += 1
        if row.attempts <= MAX_ATTEMPTS:
            _last_owner = row.file.owner_id
            return row
        logger.error("the transcription of file %s failed too often; giving up", row.file_id)
        _fail(row, "failed")
    return None


async def _transcribe(row: Transcription) -> None:
    renewing = asyncio.create_task(_renew_lease(row))
    try:
        await _write_down(row)
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
    except FileNotFoundError:  # It is being erased.
        await sync_to_async(_fail)(row, "failed")
    except Exception:
        logger.exception("the speech of file %s could not be written down", row.file_id)
        await _note_error(row, ProviderError("provider_down"))
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)


async def _write_down(row: Transcription) -> None:
    means = await sync_to_async(means_for)(row.file.owner)
    if means is None:
        raise UnknownModelError("")
    if is_own(means.model.id):
        found = await find_for_call(row.file.owner_id, means.model.id, get_catalogue())
        means = Means(found, means.form)
    row.model = means.model.id
    sounds = await in_storage_thread(_sounds, row.file, means)
    if not sounds:
        await sync_to_async(_fail)(row, "form")
        return
    for number in range(len(row.pieces), len(sounds)):
        sound = sounds[number]
        price = await sync_to_async(prices.hold)(row, means.model, number, sound.seconds)
        try:
            written = await write_down(means, sound)
        except ProviderError:
            await sync_to_async(holds.release)(prices.call_of(row, means.model, number).hold_key)
            raise
        usage = prices.usage_of(written.usage, price, sound.seconds, written.text)
        call = prices.call_of(row, means.model, number)
        is_last = number == len(sounds) - 1
        await sync_to_async(_store)(row, call, Written(written.text, usage), is_last=is_last)


def _sounds(file: StoredFile, means: Means) -> list[Sound]:
    """The sound in the pieces in which it is sent; none if its form cannot be sent. Blocks."""
    content_type = "audio/wav"
    try:
        data = objects.read_rendition(file.id, objects.WAV)
    except FileNotFoundError:
        data, content_type = objects.read_rendition(file.id, objects.ORIGINAL), file.facts["type"]
    if FORMATS[content_type] not in formats_of(means):
        return []
    cut = pieces.cut(data) if content_type == "audio/wav" else [data]
    duration_ms: int = file.facts["duration_ms"]
    return [
        Sound(piece, content_type, pieces.seconds_of(piece, len(cut), duration_ms)) for piece in cut
    ]


def _store(row: Transcription, call: holds.Call, written: Written, *, is_last: bool) -> None:
    """Charge for a piece and keep its text, both or neither. Raises _Lost."""
    texts = [*row.pieces, written.text]
    changes: dict[str, Any] = {"pieces": texts, "model": call.model}
    if is_last:
        text = "\n".join(text for text in texts if text)
        changes |= {"state": State.DONE, "text": text, "is_untold": True, "leased_until": None}
        changes["pieces"] = []
    with transaction.atomic():
        holds.charge(call, written.usage, last=True)
        if not _ours(row).update(**changes):
            raise _Lost
    row.pieces = texts
    if is_last:
        orders.wake()


def _ours(row: Transcription) -> QuerySet[Transcription]:
    return Transcription.objects.filter(
        file_id=row.file_id, run=row.run, attempts=row.attempts, state=State.WAITING
    )


async def _note_error(row: Transcription, error: ProviderError) -> None:
    """Have another try after a pause, or give up."""
    if error.permanent or row.errors + 1 >= MAX_ERRORS:
        await sync_to_async(_fail)(row, _code_of(row, error))
        return
    pause_s = max(FIRST_PAUSE_S * 2**row.errors, error.retry_after_s or 0.0)
    await sync_to_async(_give_back)(row, pause_s=pause_s, errors=row.errors + 1)


def _code_of(row: Transcription, error: ProviderError) -> str:
    if error.code in ("bad_request", "refused"):
        return "refused"
    if error.code in SITE_CODES or error.code in ("key_missing", "key_unreadable"):
        if not row.model or is_own(row.model):
            return "key"
        logger.warning("speech cannot be written down: %s (%s)", error.code, row.model)
    return "failed"


def _fail(row: Transcription, code: str) -> None:
    _ours(row).update(state=State.FAILED, error_code=code, leased_until=None)


async def _renew_lease(row: Transcription) -> None:
    while True:
        await asyncio.sleep(RENEW_EVERY_S)
        with suppress(DatabaseError):  # The next one may succeed.
            if not await _ours(row).aupdate(leased_until=timezone.now() + LEASE):
                return


def _give_back(row: Transcription, *, pause_s: float = 0.0, errors: int | None = None) -> None:
    """Leave the sound to the next attempt, of any worker. This one does not count, because it has
    not ended its worker."""
    _ours(row).update(
        leased_until=timezone.now() + timedelta(seconds=pause_s) if pause_s else None,
        attempts=row.attempts - 1,
        errors=row.errors if errors is None else errors,
    )
