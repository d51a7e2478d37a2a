"""The sound of one reply while a model speaks it: into the sounds of the owner's log, under the
reply's fence, in batches that grow with the load, like its text (chat/generation/appender.py).

A worker that takes the reply over keeps the sound that is there. What its own call brings goes
after it. Where the model is asked for the rest, it begins to speak with the first words that the
text lacks, so words whose sound had not arrived are not heard. That is better than silence until
the end, and than paying twice for words that were heard.
"""

import asyncio
from collections.abc import Callable

from asgiref.sync import sync_to_async

from chat.charging.answer_charge import AnswerCharge
from chat.files.spoken import rows
from chat.llm import learned
from chat.llm.endpoints import Model
from chat.llm.stream.sound_data import SAMPLE_BYTES, ms_of
from chat.llm.tokens import spoken_tokens
from chat.models import Speech
from chat.transcript import Message
from chat.work_orders import WorkOrder
from streams.log import Fence, Log
from streams.sound.sounds import MAX_ENTRY_BYTES, Piece

# While Redis is unavailable, the model is read no further ahead of it than this.
MAX_PENDING_BYTES = 1_000_000


class AnswerSound:
    """Owned by a `ModelCaller`. Calls `on_failure` when an append has failed for good; `push` and
    `flush` then raise the reason."""

    def __init__(
        self,
        order: WorkOrder,
        log: Log,
        fence: Fence,
        charge: AnswerCharge,
        on_failure: Callable[[], None],
    ) -> None:
        self._order, self._log, self._fence = order, log, fence
        self._charge, self._on_failure = charge, on_failure
        self._row: Speech | None = None
        self._size: int | None = None  # stored, of all attempts; None: not known yet
        self._attempt = self._begin = 0
        self._pending = bytearray()
        self._draining: asyncio.Task[None] | None = None
        self._failure: Exception | None = None

    @property
    def is_known(self) -> bool:
        """Whether this worker knows of sound of the reply, or has asked for some."""
        return self._size is not None

    @property
    def has_any(self) -> bool:
        """Whether this attempt has brought sound."""
        return self._begun_size > self._begin

    @property
    def _begun_size(self) -> int:
        return (self._size or 0) + len(self._pending)

    @property
    def _max_bytes(self) -> int:
        room = self._row.file.stored_bytes - rows.HEADER_BYTES if self._row else 0
        return room // SAMPLE_BYTES * SAMPLE_BYTES

    @property
    def file_id(self) -> str | None:
        """The file that this attempt speaks into; None if it only writes."""
        return str(self._row.file_id) if self._row is not None else None

    def is_full(self, max_tokens: int | None) -> bool:
        """Whether the sound is as long as it may be, or this attempt has spoken more than its
        credit allows because the provider ignores `max_tokens`."""
        if self._row is None or not self.has_any:
            return False
        spoken = spoken_tokens(ms_of(self._begun_size - self._begin))
        is_spent = max_tokens is not None and spoken > max_tokens
        return self._begun_size >= self._max_bytes or is_spent

    async def recover(self, message: Message) -> None:
        """Note what another worker stored of the last attempt, so that it is charged.

        The attempts before it have their sound in the log already, as part of a `bill`.
        """
        row = await sync_to_async(rows.unfinished(self._order.reply).first)()
        if row is None:
            return
        last = await self._log.sounds.last(self._order.stream, str(row.file_id))
        self._size = last.end if last else 0
        if last is not None and last.attempt == message.attempt:
            self._charge.set_spoken(last.attempt, ms_of(last.end - last.begin))

    async def prepare(self, message: Message, model: Model) -> Model:
        """Prepare the next attempt; returns the model, which only writes if it cannot speak now."""
        self._row = None
        if not model.speaks:
            return model
        if learned.model_key(model) not in learned.refuses_speech:
            self._row = await sync_to_async(rows.begin)(self._order.reply, model.id)
        if self._row is None:
            return model.without_speech()
        if self._size is None:
            last = await self._log.sounds.last(self._order.stream, str(self._row.file_id))
            self._size = last.end if last else 0
        self._attempt, self._begin = message.attempt + 1, self._size
        return model

    async def push(self, sound: bytes) -> None:
        """Store sound soon. What is beyond the longest sound is dropped."""
        if self._failure is not None:
            raise self._failure
        if self._row is None:
            return
        self._pending += sound[: max(self._max_bytes - self._begun_size, 0)]
        if self._pending and self._draining is None:
            self._draining = asyncio.create_task(self._drain())
        if len(self._pending) > MAX_PENDING_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Wait until everything pushed so far is durable."""
        if self._draining is not None:
            await asyncio.shield(self._draining)
        if self._failure is not None:
            raise self._failure

    async def _drain(self) -> None:
        try:
            while self._pending:
                await self._append_next()
        except Exception as error:  # noqa: BLE001 (`push` and `flush` raise it)
            self._failure = error
            self._on_failure()
        finally:
            self._draining = None

    async def _append_next(self) -> None:
        assert self._row is not None and self._size is not None
        data = bytes(self._pending[:MAX_ENTRY_BYTES])
        piece = Piece(self._size + len(data), data, self._attempt, self._begin)
        name = str(self._row.file_id)
        await self._log.sounds.append(self._order.stream, name, piece, self._fence)
        del self._pending[: len(data)]
        self._size = piece.end
        self._charge.set_spoken(self._attempt, ms_of(self._size - self._begin))
