"""A reply in the log: taking it over, and appending its events, under its job's fence."""

import asyncio
from collections.abc import Callable

from chat import events as ev
from chat.charging.answer_charge import AnswerCharge
from chat.charging.attempts import Attempt
from chat.files.spoken.answer_sound import AnswerSound
from chat.generation.appender import PartAppender
from chat.generation.histories import Histories
from chat.generation.history import Conversation
from chat.sending.outbox import append_outbox
from chat.transcript import Message, change
from chat.work_orders import WorkOrder
from streams.cursors import START
from streams.log import Fence, Log
from streams.queue import Job

Appended = (
    ev.MessageStarted
    | ev.MessageResumed
    | ev.MessageWaiting
    | ev.MessageImage
    | ev.MessageCompleted
    | ev.MessageError
)


class ReplyLog:
    """The log as one worker reads and writes it for one reply.

    conversation  what the prompt is made of, as it was at the takeover
    message       the reply's message: the log at the takeover, then the events appended here. None
                  before the takeover, and if the log does not have it
    cursor        the last entry that was read or appended
    parts         appends the deltas; calls `on_failure` when it cannot

    All methods raise FencedError once another worker has taken over, and LogUnavailableError.
    """

    def __init__(
        self,
        log: Log,
        histories: Histories,
        order: WorkOrder,
        job: Job,
        on_failure: Callable[[], None],
    ) -> None:
        self.conversation = Conversation()
        self.message: Message | None = None
        self.cursor = START
        self._log = log
        self._histories = histories
        self._order = order
        self._on_failure = on_failure
        self._fence = Fence(name=order.reply_id, token=job.token)
        self.parts = PartAppender(log, order, self._fence, on_failure)

    def sound_of(self, charge: AnswerCharge) -> AnswerSound:
        """The sound of the reply, under the same fence."""
        return AnswerSound(self._order, self._log, self._fence, charge, self._on_failure)

    async def take_over(self) -> list[Attempt]:
        """Raise the fence, then read the chat. Returns the reply's attempts so far.

        Once the fence is raised no other worker can append to the reply, so the read is complete.
        The log lacks the message if it was erased or restored to an earlier state.
        """
        order = self._order
        # Both in one round trip, in this order.
        await asyncio.gather(
            self._log.raise_fence(order.stream, self._fence),
            append_outbox(order.reply, order.stream),
        )
        prompt_id = str(order.reply.prompt_id)
        read = await self._histories.read(
            self._log, order.stream, order.chat_id, order.reply_id, prompt_id
        )
        self.conversation, self.message, self.cursor = read.conversation, read.message, read.cursor
        return read.attempts

    async def append_start(self, event: ev.MessageStarted | ev.MessageResumed) -> None:
        await self._append(event, f"begin:{event.attempt}")

    async def append_waiting(self, event: ev.MessageWaiting) -> None:
        await self._append(event, f"wait:{event.attempt}")

    async def append_image(self, event: ev.MessageImage) -> None:
        """The event's id is the picture's, so another worker that tells it changes nothing."""
        await self._append_once(event, f"{event.file['id']}:image")

    async def append_end(self, event: ev.MessageCompleted | ev.MessageError, attempt: int) -> None:
        await self._append(event, f"end:{attempt}")

    async def _append(self, event: Appended, step: str) -> None:
        """`step` makes the event's id, so the log ignores a repetition."""
        await self._append_once(event, f"{self._order.reply_id}:{self._fence.token}:{step}")

    async def _append_once(self, event: Appended, event_id: str) -> None:
        order = self._order
        logged = ev.log_event(order.chat_id, event, event_id)
        [entry_id] = await self._log.append(order.stream, [logged], fence=self._fence)
        if self.message is not None:
            change(self.message, event, entry_id)
        self.cursor = entry_id
