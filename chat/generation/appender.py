"""Self-clocking appends of one answer's tokens.

The first piece is appended at once. Pieces that arrive while an append is under way go together in
the next one. So a lone answer is stored token by token, and under load the batches grow by
themselves; there is no timer to tune.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from chat import events as ev
from chat.llm.client import Delta
from chat.work_orders import WorkOrder
from streams.log import Event, Fence, Log

# While Redis is away the model is read no further than this ahead of the log.
MAX_PENDING_CHARS = 256 * 1024
# One event holds about so much, as every reader takes it in one step; one append some of them.
MAX_EVENT_CHARS = 16 * 1024
MAX_BATCH_CHARS = 64 * 1024


class PartAppender:
    """Appends deltas of one message under its fence, in order, each once.

    `on_failure` is called when an append failed for good; `push` and `flush` then raise the reason
    (FencedError or LogUnavailableError).
    """

    def __init__(
        self, log: Log, order: WorkOrder, fence: Fence, on_failure: Callable[[], None]
    ) -> None:
        self._log = log
        self._order = order
        self._fence = fence
        self._on_failure = on_failure
        self._pending: list[ev.MessageDelta | ev.MessageReasoning] = []
        self._pending_chars = 0
        self._appended = 0
        self._draining: asyncio.Task[None] | None = None
        self._failure: Exception | None = None

    async def push(self, delta: Delta) -> None:
        """Take a piece. Returns at once unless the log is far behind."""
        if self._failure is not None:
            raise self._failure
        self._gather(delta)
        if self._draining is None:
            self._draining = asyncio.create_task(self._drain())
        if self._pending_chars > MAX_PENDING_CHARS:
            await self.flush()

    async def flush(self) -> None:
        """Wait until everything taken so far is durable."""
        if self._draining is not None:
            await asyncio.shield(self._draining)
        if self._failure is not None:
            raise self._failure

    def _gather(self, delta: Delta) -> None:
        message = self._order.reply_id
        if delta.reasoning or delta.text_kept is not None:
            thought = ev.MessageReasoning(message, delta.reasoning, delta.text_kept)
            self._pending.append(thought)
        if delta.text:
            self._pending.append(ev.MessageDelta(message=message, text=delta.text))
        self._pending_chars += len(delta.text) + len(delta.reasoning)

    async def _drain(self) -> None:
        try:
            while self._pending:
                batch = self._take_batch()
                await self._log.append(self._order.stream, self._encode(batch), fence=self._fence)
        except Exception as error:  # noqa: BLE001 (kept for `push` and `flush`, which raise it)
            self._failure = error
            self._on_failure()
        finally:
            self._draining = None

    def _take_batch(self) -> list[ev.MessageDelta | ev.MessageReasoning]:
        """All that is pending, or as much as is appended at once."""
        chars = count = 0
        while count < len(self._pending) and chars < MAX_BATCH_CHARS:
            chars += len(self._pending[count].text)
            count += 1
        batch, self._pending = self._pending[:count], self._pending[count:]
        self._pending_chars -= chars
        return batch

    def _encode(self, batch: list[ev.MessageDelta | ev.MessageReasoning]) -> list[Event]:
        """One event for each run of text or of reasoning, several for a long one."""
        runs: list[tuple[ev.MessageDelta | ev.MessageReasoning, list[str]]] = []
        chars = 0
        for piece in batch:
            is_recast = isinstance(piece, ev.MessageReasoning) and piece.text_length is not None
            chars += len(piece.text)
            is_more = runs and type(runs[-1][0]) is type(piece) and not is_recast
            if is_more and chars <= MAX_EVENT_CHARS:
                runs[-1][1].append(piece.text)
            else:
                runs.append((piece, [piece.text]))
                chars = len(piece.text)
        return [self._log_event(replace(first, text="".join(texts))) for first, texts in runs]

    def _log_event(self, event: ev.MessageDelta | ev.MessageReasoning) -> Event:
        self._appended += 1
        event_id = f"{self._order.reply_id}:{self._fence.token}:{self._appended}"
        return ev.log_event(self._order.chat_id, event, event_id)
