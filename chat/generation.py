"""Writing one answer: the model's tokens into the log, under a fence, from wherever it stands.

A `Generation` is one worker's try at one answer. It raises the answer's fence, folds what the log
holds, and goes on from there: an answer nobody has begun and one that a dead worker left half
written take the same path. Nothing of it depends on a browser being there.
"""

import asyncio
import dataclasses
import enum
import logging
import time
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import InterfaceError, OperationalError

from billing import holds
from billing.errors import BillingError
from chat import events as ev
from chat import paying, settling
from chat.appender import PartAppender
from chat.attempts import Attempt, attempts_of, bill_of, used_by_provider
from chat.catalogue import Catalogue, Model, UnknownModelError
from chat.model_errors import ContextTooLong, ProviderError
from chat.own_models import find_for_call
from chat.prompt import Prompt, build_prompt, smaller_window, system_turns
from chat.providers import Delta, Finish, means_for, stream_answer
from chat.sends import append_outbox
from chat.tokens import Usage, estimate_tokens, estimated_usage
from chat.transcript import Message, Transcript, fold, fold_entries
from chat.work_orders import WorkOrder
from streams.errors import FencedError, LogUnavailableError
from streams.log import Fence, Log
from streams.queue import Job

logger = logging.getLogger(__name__)

# Between attempts after a provider's fault: doubled each time, or what Retry-After says if longer.
FIRST_RETRY_DELAY_S = 0.5
# After an error of these kinds the same request would fail again.
NOT_RETRYABLE = frozenset({"context_too_long", "bad_request", "refused"})

# No text has so many characters a token throughout: what comes beyond is not read, nor paid for.
MAX_CHARS_PER_TOKEN = 16

# A job handed out so often kills its workers before they can announce an attempt.
MAX_DELIVERIES = 30

ATTEMPTS_SPENT = "attempts_spent"
INTERNAL_ERROR = "internal_error"
OUT_OF_CREDIT = "out_of_credit"
NO_PRICE = "no_price"
SENTENCES = {
    ATTEMPTS_SPENT: (
        "This answer was interrupted too often. What was written is kept; you can continue it."
    ),
    OUT_OF_CREDIT: (
        "Your credit is used up. What was written is kept; add credit, then continue the answer."
    ),
    NO_PRICE: "It is not known what this model costs, so it cannot be used. Choose another model.",
    INTERNAL_ERROR: "Something went wrong on our side. What was written is kept; try again.",
}


class Outcome(enum.Enum):
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"
    HANDED_OVER = "handed over"  # by this worker, on its way out
    LOST = "lost"  # another worker holds the fence, or the log cannot be written


class Interrupt(enum.Enum):
    STOP = "stop"
    HAND_OVER = "hand over"
    LOST = "lost"


@dataclass(slots=True)
class Clock:
    """How long the model reasoned before it wrote, in this attempt."""

    reasoning_began: float | None = None
    reasoning_ms: int | None = None

    def saw(self, delta: Delta) -> None:
        if delta.reasoning and self.reasoning_began is None:
            self.reasoning_began = time.monotonic()
        if delta.text and self.reasoning_began is not None and self.reasoning_ms is None:
            self.reasoning_ms = round((time.monotonic() - self.reasoning_began) * 1000)


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
        # Of this attempt: what its prompt held, and the text that was there before it.
        self._prompt_tokens = 0
        self._kept = ""
        # The model with the window it turned out to have, after it refused a prompt as too long.
        self._window: Model | None = None
        # All attempts so far, this one last, and how many of them have been settled.
        self.tried: list[Attempt] = []
        self._settled = 0
        self.model: Model | None = None
        self._budget: holds.Budget | None = None

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
        await self._log.raise_fence(order.stream, self._fence)
        await append_outbox(order.reply, order.stream)
        entries = await self._log.read(order.stream, chat=order.chat_id)
        transcript = fold_entries(entries)
        self.transcript = transcript
        self.tried = attempts_of(entries, order.reply_id)
        self.message = transcript.messages.get(order.reply_id)
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
            return await self._complete(message, "stopped", usage=None)
        reason = self._resume_reason(message)
        while True:
            if self._attempts_spent(message):
                return await self._fail(message, ATTEMPTS_SPENT, SENTENCES[ATTEMPTS_SPENT])
            try:
                finish = await self._attempt(message, reason)
            except ProviderError as error:
                if not await self._may_try_again(message, error):
                    return await self._fail(message, error.code, error.message)
                reason = "provider"
                if self._interrupted is None:
                    continue
                finish = None
            except BillingError as error:
                return await self._fail(message, error.code, SENTENCES[error.code])
            if finish is not None and finish.reason == "length" and self._is_limited:
                return await self._fail(
                    message, OUT_OF_CREDIT, SENTENCES[OUT_OF_CREDIT], finish.usage
                )
            if finish is not None:
                return await self._complete(message, finish.reason, finish.usage)
            return await self._interrupted_end(message)

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
        self.model = model = await self._find_model()
        await self._settle_tried(message)
        price = None
        if not paying.free_reason(model):
            price = await sync_to_async(paying.price_of)(model)
            model = paying.within_price(model, price)
        prompt = await self._prompt(model, partial=str(message.text))
        self._budget = None
        if price is not None:
            self._budget = await sync_to_async(paying.reserve)(
                self.order, message.attempt + 1, model, price, prompt.prompt_tokens
            )
        self._prompt_tokens, self._kept = prompt.prompt_tokens, str(message.text)
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
        system = system_turns(self.order.instructions, self.transcript.instructions)
        said = [(message.role, text) for message in line if (text := str(message.text))]
        turns = [*system, *said]
        return await build_prompt(turns, model, partial=partial)

    async def _announce(
        self, message: Message, model: Model, prompt: Prompt, reason: ev.ResumeReason
    ) -> None:
        """Append the beginning of this attempt, or the seam."""
        attempt = message.attempt + 1
        limit = self._budget.max_tokens if self._budget and self._is_limited else None
        length, _ = ev.fingerprint(str(message.text))
        thought = len(str(message.reasoning).encode())
        event: ev.MessageStarted | ev.MessageResumed
        if message.attempt == 0:
            event = ev.MessageStarted(
                message=message.id,
                attempt=attempt,
                model=model.id,
                left_out=prompt.left_out,
                prompt_tokens=prompt.prompt_tokens,
                credit_limit_tokens=limit,
            )
        else:
            event = ev.MessageResumed(
                message=message.id,
                attempt=attempt,
                reason=reason,
                means=means_for(model, str(message.text)),
                length=length,
                model=model.id,
                left_out=prompt.left_out,
                reasoning_length=thought,
                prompt_tokens=prompt.prompt_tokens,
                credit_limit_tokens=limit,
            )
        await self._append_and_fold(event, f"{message.id}:{self.job.token}:begin:{attempt}")
        self.tried.append(
            Attempt(attempt, model.id, prompt.prompt_tokens, length, reasoning_from=thought)
        )

    async def _consume(self, message: Message, model: Model, prompt: Prompt) -> Finish:
        partial = str(message.text)
        most = self._budget.max_tokens if self._budget else None
        written = 0
        answer = stream_answer(model, prompt, partial=partial, max_tokens=most)
        async with aclosing(answer) as stream:
            async for item in stream:
                if isinstance(item, Finish):
                    return item
                self._clock.saw(item)
                written += len(item.text) + len(item.reasoning)
                message.text.add(item.text)
                message.reasoning.add(item.reasoning)
                await self._parts.push(item)
                if most is not None and written > most * MAX_CHARS_PER_TOKEN:
                    return Finish("length", None)  # The provider does not keep to `max_tokens`.
        raise ProviderError("stream_cut")

    async def _may_try_again(self, message: Message, error: ProviderError) -> bool:
        """Wait before the next attempt; False when another one is of no use."""
        if error.permanent or self._attempts_spent(message):
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
                return await self._complete(message, "stopped", usage=None)
            case Interrupt.HAND_OVER:
                return Outcome.HANDED_OVER
            case _:
                return Outcome.LOST

    async def _complete(self, message: Message, finish: str, usage: Usage | None) -> Outcome:
        text = str(message.text)
        length, sha256 = ev.fingerprint(text)
        bill = self._bill(message, usage)
        usage = self._usage_of(message, usage)
        await self._append_and_fold(
            ev.MessageCompleted(
                message=message.id,
                finish=finish,
                model=message.model or self.order.model,
                length=length,
                sha256=sha256,
                duration_ms=self._duration_ms(message),
                reasoning_ms=self._clock.reasoning_ms,
                usage=usage.to_dict() if usage else None,
                cost_micro_usd=await self._cost(usage),
                bill=bill,
                text=text,
                reasoning=str(message.reasoning),
            ),
            f"{message.id}:{self.job.token}:end:{message.attempt}",
        )
        return Outcome.STOPPED if finish == "stopped" else Outcome.DONE

    async def _fail(
        self, message: Message, code: str, sentence: str, usage: Usage | None = None
    ) -> Outcome:
        kept = str(message.text)
        length, sha256 = ev.fingerprint(kept)
        bill = self._bill(message, usage)
        usage = self._usage_of(message, usage) if kept or message.reasoning else None
        await self._append_and_fold(
            ev.MessageError(
                message=message.id,
                code=code,
                text=sentence,
                retryable=code not in NOT_RETRYABLE,
                length=length,
                sha256=sha256,
                usage=usage.to_dict() if usage else None,
                cost_micro_usd=await self._cost(usage),
                bill=bill,
                text_kept=kept,
                reasoning=str(message.reasoning),
            ),
            f"{message.id}:{self.job.token}:end:{message.attempt}",
        )
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

    # Money

    @property
    def _is_limited(self) -> bool:
        return self._budget is not None and self._budget.limited

    async def _settle_tried(self, message: Message) -> None:
        """Before another attempt takes their hold: what the ones before it delivered."""
        if self._settled == len(self.tried):
            return
        self._bill(message, None)
        await sync_to_async(settling.charge)(self.order.reply, self.tried, self.model)
        self._settled = len(self.tried)

    def _bill(self, message: Message, usage: Usage | None) -> dict[str, Any]:
        """What the last attempt is billed for; its first end counts. All of it must be stored."""
        if not self.tried:
            return bill_of(0, None)
        last = self.tried[-1]
        if last.bill is None:
            text, reasoning = str(message.text).encode(), str(message.reasoning).encode()
            last.text = text[last.text_from :].decode(errors="ignore")
            last.reasoning = reasoning[last.reasoning_from :].decode(errors="ignore")
            last.bill = bill_of(last.number, used_by_provider(usage) if usage else last.used)
        return last.bill

    async def _cost(self, usage: Usage | None) -> int | None:
        """What is paid for the answer in all; where nothing is, what the provider says it cost."""
        if not self.tried:
            return None
        if self.model is not None and paying.free_reason(self.model):
            return usage.cost_micro_usd if usage else None
        last = self.tried[-1]
        call = paying.call_of(self.order.reply, last.number, last.model, "")
        return await sync_to_async(holds.paid_so_far)(call, last.used)

    def _usage_of(self, message: Message, usage: Usage | None) -> Usage | None:
        """What the answer as a whole used: providers tell it for a call that ended well, only.

        What earlier attempts wrote is estimated from the text that was kept.
        """
        if message.attempt == 0:
            return None
        if usage is None:
            return estimated_usage(self._prompt_tokens, str(message.text), str(message.reasoning))
        if not self._kept:
            return usage
        whole = usage.completion_tokens + estimate_tokens(self._kept)
        return dataclasses.replace(usage, completion_tokens=whole, estimated=True)

    def _duration_ms(self, message: Message) -> int:
        """Since the first attempt began, interruptions included."""
        if message.started is None:
            return 0
        return max(0, round(time.time() * 1000) - int(message.started.partition("-")[0]))
