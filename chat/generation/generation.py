"""Writing one answer: the model's tokens into the log, under a fence, from wherever it stands.

A `Generation` is one worker's try at one answer. It raises the answer's fence, folds what the log
holds, and goes on from there: an answer nobody has begun and one that a dead worker left half
written take the same path. Nothing of it depends on a browser being there.
"""

import asyncio
import logging
from contextlib import aclosing

from django.conf import settings
from django.db import InterfaceError, OperationalError

from billing.errors import BillingError
from chat import events as ev
from chat.charging.answer_charge import AnswerBill
from chat.charging.attempts import AttemptFold
from chat.folding import fold_chat
from chat.generation import events as answer_events
from chat.generation.appender import PartAppender
from chat.generation.errors import ATTEMPTS_SPENT, INTERNAL_ERROR, OUT_OF_CREDIT, SENTENCES
from chat.generation.outcomes import Clock, Interrupt
from chat.generation.outcomes import Outcome as Outcome
from chat.llm.catalogue import Catalogue, Model, UnknownModelError
from chat.llm.client import Finish, stream_answer
from chat.llm.errors import ContextTooLong, ProviderError
from chat.llm.prompt import Prompt, build_prompt, smaller_window, system_messages
from chat.llm.stream.finish_reasons import UNKNOWN, code_of_empty
from chat.llm.tokens import MAX_CHARS_PER_TOKEN, Usage
from chat.llm.user_models import find_for_call
from chat.sending.outbox import append_outbox
from chat.transcript import Message, Transcript, fold
from chat.work_orders import WorkOrder
from streams.errors import FencedError, LogUnavailableError
from streams.log import Fence, Log
from streams.queue import Job

logger = logging.getLogger(__name__)

# Between attempts after a provider's fault: doubled each time, or what Retry-After says if longer.
FIRST_RETRY_DELAY_S = 0.5
STOPPED = Finish("stopped", None)  # by its owner
# A job handed out so often kills its workers before they can announce an attempt.
MAX_DELIVERIES = 30


class Generation:
    """One worker's try at one answer. `run` once; `stop`, `hand_over` and `lose` at any time."""

    def __init__(
        self, job: Job, order: WorkOrder, log: Log, catalogue: Catalogue, lease_lapsed: bool
    ) -> None:
        self.job = job
        self.order = order
        self.message: Message | None = None
        self.transcript = Transcript()
        self._log = log
        self._catalogue = catalogue
        self._lease_lapsed = lease_lapsed
        self._fence = Fence(name=order.reply_id, token=job.token)
        self._parts = PartAppender(log, order, self._fence, on_failure=self._append_failed)
        self._interrupted: Interrupt | None = None
        self._waiting_in: asyncio.Task[None] | asyncio.Task[Finish] | None = None
        self._clock = Clock()
        # The model with the window it turned out to have, after it refused a prompt as too long.
        self._window: Model | None = None
        self.bill = AnswerBill(order)
        # Attempts one after the other that brought no text.
        self._fruitless = 0

    # Lifecycle

    async def run(self) -> Outcome:
        """Bring the answer to its end, or as far as this worker may."""
        try:
            message = await self._take_over()
            if message is None:
                logger.error(
                    "the log knows nothing of answer %s; giving it up", self.order.reply_id
                )
                return Outcome.FAILED
            if outcome := self._already_ended(message):
                return outcome
            return await self._write(message)
        except FencedError:
            return Outcome.LOST
        except LogUnavailableError:
            logger.warning("the log is away; leaving answer %s to its lease", self.order.reply_id)
            return Outcome.LOST
        except (OperationalError, InterfaceError):
            # The lease runs out, and the next try finds the database back and the log as it is.
            logger.warning(
                "the database is away; leaving answer %s to its lease", self.order.reply_id
            )
            return Outcome.LOST

    def stop(self) -> None:
        """End the answer here and keep what is there."""
        self._interrupt(Interrupt.STOP)

    def hand_over(self) -> None:
        """Store what has arrived and leave the rest to another worker."""
        self._interrupt(Interrupt.HAND_OVER)

    def lose(self) -> None:
        """The lease is gone: write nothing more."""
        self._interrupt(Interrupt.LOST)

    # Private

    def _interrupt(self, reason: Interrupt) -> None:
        self._interrupted = self._interrupted or reason
        if self._waiting_in is not None:
            self._waiting_in.cancel()

    def _append_failed(self) -> None:
        self._interrupt(Interrupt.LOST)

    async def _take_over(self) -> Message | None:
        """Raise the fence, then read: after that no one else's token can be added.

        None when the message is not there: the log was erased or restored to an earlier day.
        """
        order = self.order
        # Both in one round trip, in this order.
        await asyncio.gather(
            self._log.raise_fence(order.stream, self._fence),
            append_outbox(order.reply, order.stream),
        )
        tried = AttemptFold(order.reply_id)
        self.transcript = await fold_chat(self._log, order.stream, order.chat_id, tried.feed)
        self.bill.tried = tried.attempts()
        self.message = self.transcript.messages.get(order.reply_id)
        return self.message

    def _already_ended(self, message: Message) -> Outcome | None:
        """The end that the log already holds, unless the owner asked to continue after it."""
        continued = self.order.continued_after_attempt
        if continued is not None and message.attempt <= continued:
            return None
        return {
            "done": Outcome.DONE,
            "stopped": Outcome.STOPPED,
            "error": Outcome.FAILED,
        }.get(message.status)

    async def _write(self, message: Message) -> Outcome:
        if self.order.stop_requested:
            return await self._complete(message, STOPPED)
        reason = self._resume_reason(message)
        while True:
            if self._attempts_spent(message):
                return await self._fail(message, ATTEMPTS_SPENT, SENTENCES[ATTEMPTS_SPENT])
            try:
                finish = await self._attempt(message, reason)
            except ProviderError as error:
                if not self._is_as_whole_as_before(message, error):
                    await self.bill.close(message, error.usage)
                    if not await self._may_try_again(message, error):
                        return await self._fail(message, error.code, error.message, error.usage)
                    reason = "provider"
                    if self._interrupted is None:
                        continue
                    finish = None
                else:
                    finish = Finish(UNKNOWN, error.usage)
            except BillingError as error:
                return await self._fail(message, error.code, SENTENCES[error.code])
            if finish is None:
                return await self._interrupted_end(message)
            return await self._end(message, finish)

    async def _end(self, message: Message, finish: Finish) -> Outcome:
        """The provider has ended the answer in order."""
        if finish.reason == "length" and self.bill.is_limited:
            return await self._fail(message, OUT_OF_CREDIT, SENTENCES[OUT_OF_CREDIT], finish.usage)
        if str(message.text).strip():
            return await self._complete(message, finish)
        code = code_of_empty(finish.reason, bool(message.reasoning), finish.omitted)
        return await self._fail(message, code, ProviderError(code).message, finish.usage)

    def _is_as_whole_as_before(self, message: Message, error: ProviderError) -> bool:
        """Whether an attempt at going on brought nothing, of a server that never says whether an
        answer is whole: then there is nothing to add to it."""
        return error.ended and self._is_fruitless(message) and bool(str(message.text).strip())

    def _is_fruitless(self, message: Message) -> bool:
        """Whether the last attempt brought no text."""
        return bool(self.bill.tried) and self.bill.tried[-1].text_from == len(
            str(message.text).encode()
        )

    def _resume_reason(self, message: Message) -> ev.ResumeReason:
        if message.status in ("error", "stopped"):
            return "user"
        return "lost" if self._lease_lapsed else "handover"

    def _attempts_spent(self, message: Message) -> bool:
        made = self._attempts_made(message)
        return made >= settings.MAX_ATTEMPTS or self.job.deliveries > MAX_DELIVERIES

    def _attempts_made(self, message: Message) -> int:
        """In this round, since the owner last asked.

        Handovers are ours, not the answer's, and do not count.
        """
        before = self.order.continued_after_attempt or 0
        # Every attempt but the first has a seam.
        seams = message.seams[max(before - 1, 0) :]
        handovers = sum(1 for seam in seams if seam["reason"] == "handover")
        return message.attempt - before - handovers

    async def _attempt(self, message: Message, reason: ev.ResumeReason) -> Finish | None:
        """One call of the model. None when it was interrupted."""
        if self._interrupted is not None:
            return None
        model = await self.bill.price_in(message, await self._find_model())
        prompt = await self._prompt(model, partial=str(message.text))
        await self.bill.reserve(message, model, prompt)
        await self._announce(message, model, prompt, reason)
        if self._interrupted is not None:  # while there was no call yet that could be cancelled
            return None
        self._clock = Clock()
        consuming = asyncio.create_task(self._consume(message, model, prompt))
        self._waiting_in = consuming
        try:
            return await consuming
        except ContextTooLong as error:
            # Our count was too low. Again with less, until nothing more can be left out.
            self._window = smaller_window(model, prompt, error)
            raise ProviderError("context_too_long", permanent=False) from error
        except asyncio.CancelledError:
            if self._interrupted is None:
                raise
            return None
        finally:
            self._waiting_in = None
            await self._parts.flush()

    async def _find_model(self) -> Model:
        if self._window is not None:
            return self._window
        try:
            return await find_for_call(self.order.owner_id, self.order.model, self._catalogue)
        except UnknownModelError as error:
            raise ProviderError("model_not_found") from error

    async def _prompt(self, model: Model, partial: str) -> Prompt:
        line = self.transcript.ancestry(self.order.prompt_id)
        system = system_messages(self.order.instructions, self.transcript.instructions)
        said = [(message.role, text) for message in line if (text := str(message.text))]
        turns = [*system, *said]
        return await build_prompt(turns, model, partial=partial)

    async def _announce(
        self, message: Message, model: Model, prompt: Prompt, reason: ev.ResumeReason
    ) -> None:
        """Append the beginning of this attempt, or the seam."""
        attempt = message.attempt + 1
        length, _ = ev.fingerprint(str(message.text))
        thought = len(str(message.reasoning).encode())
        limit = self.bill.credit_limit_tokens
        lengths, bill = (length, thought), await self.bill.of_last()
        event = answer_events.begun(message, model, prompt, reason, lengths, limit, bill)
        await self._append_and_fold(event, f"{message.id}:{self.job.token}:begin:{attempt}")
        self.bill.began(attempt, model, length, thought)

    async def _consume(self, message: Message, model: Model, prompt: Prompt) -> Finish:
        partial = str(message.text)
        most = self.bill.max_tokens
        written = 0
        answer = stream_answer(
            model,
            prompt,
            partial=partial,
            max_tokens=most,
            person=self.order.owner_id.hex,
            thought=str(message.reasoning),
            on_accepted=self.bill.taken,
        )
        async with aclosing(answer) as stream:
            async for item in stream:
                if isinstance(item, Finish):
                    return item
                self._clock.saw(item)
                written += len(item.text) + len(item.reasoning)
                if item.text_kept is not None:
                    written -= len(item.reasoning)  # It was counted as text.
                    message.text.cut(item.text_kept)
                    self.bill.recast(item.text_kept)
                message.text.add(item.text)
                message.reasoning.add(item.reasoning)
                await self._parts.push(item)
                if most is not None and written > most * MAX_CHARS_PER_TOKEN:
                    # The provider does not keep to `max_tokens`: what comes beyond is not read, nor
                    # paid for.
                    return Finish("length", None)
        raise ProviderError("stream_cut")

    async def _may_try_again(self, message: Message, error: ProviderError) -> bool:
        """Wait before the next attempt; False when another one is of no use."""
        if error.permanent or self._attempts_spent(message):
            return False
        self._fruitless = self._fruitless + 1 if self._is_fruitless(message) else 0
        if error.max_fruitless is not None and self._fruitless >= error.max_fruitless:
            return False
        if self._interrupted is not None or error.code == "context_too_long":
            return True
        backoff_s = FIRST_RETRY_DELAY_S * 2 ** max(self._attempts_made(message) - 1, 0)
        delay_s = max(backoff_s, error.retry_after_s or 0.0)
        self._waiting_in = asyncio.create_task(asyncio.sleep(delay_s))
        try:
            await self._waiting_in
        except asyncio.CancelledError:
            if self._interrupted is None:
                raise
        finally:
            self._waiting_in = None
        return True

    async def _interrupted_end(self, message: Message) -> Outcome:
        match self._interrupted:
            case Interrupt.STOP:
                return await self._complete(message, STOPPED)
            case Interrupt.HAND_OVER:
                return Outcome.HANDED_OVER
            case _:
                return Outcome.LOST

    async def _complete(self, message: Message, finish: Finish) -> Outcome:
        is_stopped = finish is STOPPED
        bill = await self.bill.close(message, finish.usage, is_stopped=is_stopped)
        usage = await self.bill.usage_of(message, finish.usage)
        cost = await self.bill.cost(usage)
        event = answer_events.completed(
            message,
            message.model or self.order.model,
            finish,
            answer_events.Account(usage, cost, bill),
            self._clock.reasoning_ms,
        )
        await self._append_and_fold(event, f"{message.id}:{self.job.token}:end:{message.attempt}")
        return Outcome.STOPPED if is_stopped else Outcome.DONE

    async def _fail(
        self, message: Message, code: str, sentence: str, usage: Usage | None = None
    ) -> Outcome:
        bill = await self.bill.close(message, usage)
        kept = str(message.text) or message.reasoning or usage
        usage = await self.bill.usage_of(message, usage) if kept else None
        cost = await self.bill.cost(usage)
        account = answer_events.Account(usage, cost, bill)
        event = answer_events.failed(message, code, sentence, account)
        await self._append_and_fold(event, f"{message.id}:{self.job.token}:end:{message.attempt}")
        return Outcome.FAILED

    async def fail_internally(self) -> Outcome:
        """Give the answer a durable end after a fault of our own code."""
        if self.message is None:
            return Outcome.LOST
        try:
            await self._parts.flush()
            return await self._fail(self.message, INTERNAL_ERROR, SENTENCES[INTERNAL_ERROR])
        except (FencedError, LogUnavailableError):
            return Outcome.LOST

    async def _append_and_fold(self, event: ev.AnyEvent, event_id: str) -> None:
        order = self.order
        logged = ev.log_event(order.chat_id, event, event_id)
        [entry_id] = await self._log.append(order.stream, [logged], fence=self._fence)
        fold(self.transcript, event, entry_id)
        self.transcript.cursor = entry_id
