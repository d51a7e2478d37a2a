"""Appends one reply's deltas to the log, in batches that grow with the load.

The first delta is appended at once. Deltas that arrive during an append are appended together
next. A single reply is thus stored token by token, and under load the batches grow by
themselves, without a timer.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from chat import events as ev
from chat.llm.client import Delta
from chat.work_orders import WorkOrder
from streams.log import Event, Fence, Log

# While Redis is unavailable, the model is read no further ahead of the log than this.
MAX_PENDING_CHARS = 256 * 1024
# Readers decode an event in one step, so its size is bounded; an append takes several events.
MAX_EVENT_CHARS = 16 * 1024
MAX_BATCH_CHARS = 64 * 1024


class PartAppender:
    """Appends the deltas of one message under its fence, in order, each once.

    Calls `on_failure` when an append has failed for good; `push` and `flush` then raise the reason:
    FencedError or LogUnavailableError.
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
        """Append a delta soon. Waits only if the log is MAX_PENDING_CHARS behind."""
        if self._failure is not None:
            raise self._failure
        self._add(delta)
        if self._draining is None:
            self._draining = asyncio.create_task(self._drain())
        if self._pending_chars > MAX_PENDING_CHARS:
            await self.flush()

    async def flush(self) -> None:
        """Wait until everything pushed so far is durable."""
        if self._draining is not None:
            await asyncio.shield(self._draining)
        if self._failure is not None:
            raise self._failure

    def _add(self, delta: Delta) -> None:
        reply_id = self._order.reply_id
        if delta.reasoning or delta.text_kept is not None:
            reasoning = ev.MessageReasoning(reply_id, delta.reasoning, delta.text_kept)
            self._pending.append(reasoning)
        if delta.text:
            self._pending.append(ev.MessageDelta(message=reply_id, text=delta.text))
        self._pending_chars += len(delta.text) + len(delta.reasoning)

    async def _drain(self) -> None:
        try:
            while self._pending:
                batch = self._take_batch()
                await self._log.append(self._order.stream, self._encode(batch), fence=self._fence)
        except Exception as error:  # noqa: BLE001 (`push` and `flush` raise it)
            self._failure = error
            self._on_failure()
        finally:
            self._draining = None

    def _take_batch(self) -> list[ev.MessageDelta | ev.MessageReasoning]:
        """Remove and return the pending events, up to about MAX_BATCH_CHARS."""
        chars = count = 0
        while count < len(self._pending) and chars < MAX_BATCH_CHARS:
            chars += len(self._pending[count].text)
            count += 1
        batch, self._pending = self._pending[:count], self._pending[count:]
        self._pending_chars -= chars
        return batch

    def _encode(self, batch: list[ev.MessageDelta | ev.MessageReasoning]) -> list[Event]:
        """One event for each run of text or of reasoning; several for a long run."""
        runs: list[tuple[ev.MessageDelta | ev.MessageReasoning, list[str]]] = []
        chars = 0
        for event in batch:
            cuts_text = isinstance(event, ev.MessageReasoning) and event.text_length is not None
            chars += len(event.text)
            continues_run = runs and type(runs[-1][0]) is type(event) and not cuts_text
            if continues_run and chars <= MAX_EVENT_CHARS:
                runs[-1][1].append(event.text)
            else:
                runs.append((event, [event.text]))
                chars = len(event.text)
        return [self._log_event(replace(first, text="".join(texts))) for first, texts in runs]

    def _log_event(self, event: ev.MessageDelta | ev.MessageReasoning) -> Event:
        self._appended += 1
        event_id = f"{self._order.reply_id}:{self._fence.token}:{self._appended}"
        return ev.log_event(self._order.chat_id, event, event_id)
