"""Generates a reply: from its state in the log to its end, one attempt after another.

A `Generation` is what one worker does for one reply. It takes the reply over (reply_log.py), in the
same way whether nobody has begun the reply or a dead worker has left it unfinished. Then it calls
the model (model_caller.py) until the reply has an end. No browser needs to be connected.
"""

import asyncio
import logging
from collections.abc import Iterable
from functools import partial
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError

from billing.errors import BillingError
from billing.token_usage import TokenUsage
from chat import events as ev
from chat.charging.answer_charge import AnswerCharge
from chat.generation import events as answer_events
from chat.generation.errors import ATTEMPTS_SPENT, INTERNAL_ERROR, OUT_OF_CREDIT, SENTENCES
from chat.generation.histories import Histories
from chat.generation.model_caller import ModelCaller
from chat.generation.outcomes import Interrupt, Interruption
from chat.generation.outcomes import Outcome as Outcome
from chat.generation.reply_log import ReplyLog
from chat.llm.catalogue import Catalogue
from chat.llm.client import Finish
from chat.llm.errors import SENTENCES as PROVIDER_SENTENCES
from chat.llm.errors import SITE_CODES, ProviderError
from chat.llm.stream.finish_reasons import UNKNOWN, code_of_empty
from chat.llm.user_models import is_own
from chat.transcript import Message
from chat.work_orders import WorkOrder
from streams.errors import FencedError, LogUnavailableError
from streams.log import Log
from streams.queue import Job

logger = logging.getLogger(__name__)

# Seconds between attempts after a provider's error: doubled each time; Retry-After if longer.
FIRST_RETRY_DELAY_S = 0.5
# The log and the page show a wait from this length on.
SHOWN_DELAY_S = 1.0
STOPPED = Finish("stopped", None)  # by its owner
# A job that was claimed more often kills its workers before they can append an attempt.
MAX_DELIVERIES = 30


class Generation:
    """One worker's work on one reply.

    Call `run` once; `stop`, `hand_over` and `lose` at any time, from the same event loop.
    """

    def __init__(
        self,
        job: Job,
        order: WorkOrder,
        log: Log,
        histories: Histories,
        catalogue: Catalogue,
        lease_lapsed: bool,
    ) -> None:
        self.job = job
        self.order = order
        self.charge = AnswerCharge(order)
        self._lease_lapsed = lease_lapsed
        self._interruption = Interruption()
        # Not self.lose: a cycle would keep the chat in memory until the garbage collector runs.
        lose = partial(self._interruption.interrupt, Interrupt.LOST)
        self.reply_log = ReplyLog(log, histories, order, job, on_failure=lose)
        self._caller = ModelCaller(
            order, self.reply_log, self.charge, catalogue, self._interruption
        )
        # Attempts in a row that brought no text.
        self._fruitless = 0

    @property
    def cursor(self) -> str:
        """The last entry of the chat that was read or appended."""
        return self.reply_log.cursor

    @property
    def error_code(self) -> str:
        """The code of the error that the reply has ended with; empty without one."""
        message = self.reply_log.message
        return str(message.error["code"]) if message and message.error else ""

    @property
    def is_spoken(self) -> bool:
        """Whether the reply may have sound that is to be stored, or told again."""
        was_continued = self.order.reply.continued_after_attempt is not None
        return self._caller.sound.is_known or was_continued

    def texts(self) -> list[str]:
        """The texts from the first message of the chat down to the reply; of a message without one,
        the names of its files."""
        before, message = self.reply_log.conversation.messages, self.reply_log.message
        texts = [earlier.text or _names(earlier.files) for earlier in before]
        return [*texts, str(message.text) or _names(message.files or ()) if message else ""]

    async def run(self) -> Outcome:
        """Generate the reply to its end, or as far as this worker may."""
        reply_id = self.order.reply_id
        try:
            self.charge.attempts = await self.reply_log.take_over()
            message = self.reply_log.message
            if message is None:
                logger.error("the log has no message of answer %s; giving it up", reply_id)
                return Outcome.FAILED
            return self._ended_outcome(message) or await self._write(message)
        except FencedError:
            return Outcome.LOST
        except LogUnavailableError:
            logger.warning("the log is unavailable; leaving answer %s to its lease", reply_id)
            return Outcome.LOST
        except (OperationalError, InterfaceError):
            # When the lease expires, the next worker continues from the log.
            logger.warning("the database is unavailable; leaving answer %s to its lease", reply_id)
            return Outcome.LOST

    def stop(self) -> None:
        """End the reply here, and keep its text so far."""
        self._interruption.interrupt(Interrupt.STOP)

    def hand_over(self) -> None:
        """Store the text that has arrived, and leave the rest to another worker."""
        self._interruption.interrupt(Interrupt.HAND_OVER)

    def lose(self) -> None:
        """Write nothing more: the lease is lost, or the log refuses appends."""
        self._interruption.interrupt(Interrupt.LOST)

    async def fail_internally(self) -> Outcome:
        """Give the reply a durable end after an error of our own code."""
        message = self.reply_log.message
        if message is None:
            return Outcome.LOST
        try:
            await self.reply_log.parts.flush()
            return await self._fail(message, INTERNAL_ERROR, SENTENCES[INTERNAL_ERROR])
        except (FencedError, LogUnavailableError):
            return Outcome.LOST

    # The state of the reply

    def _ended_outcome(self, message: Message) -> Outcome | None:
        """The outcome if the log has the reply's end, and its owner has not continued it since."""
        continued = self.order.reply.continued_after_attempt
        if continued is not None and message.attempt <= continued:
            return None
        return {
            "done": Outcome.DONE,
            "stopped": Outcome.STOPPED,
            "error": Outcome.FAILED,
        }.get(message.status)

    def _resume_reason(self, message: Message) -> ev.ResumeReason:
        if message.status in ("error", "stopped"):
            return "user"
        return "lost" if self._lease_lapsed else "handover"

    def _attempts_spent(self, message: Message) -> bool:
        made = self._attempts_made(message)
        return made >= settings.MAX_ATTEMPTS or self.job.deliveries > MAX_DELIVERIES

    def _attempts_made(self, message: Message) -> int:
        """Attempts since the owner last asked, without those after a handover.

        Workers cause handovers, so they do not count against the reply.
        """
        before = self.order.reply.continued_after_attempt or 0
        # Every attempt but the first has a seam.
        seams = message.seams[max(before - 1, 0) :]
        handovers = sum(1 for seam in seams if seam["reason"] == "handover")
        return message.attempt - before - handovers

    def _is_fruitless(self, message: Message) -> bool:
        """Whether the last attempt brought neither text nor a picture nor sound."""
        if not self.charge.attempts or self._caller.pictures.has_any or self._caller.sound.has_any:
            return False
        return self.charge.attempts[-1].text_from == len(str(message.text).encode())

    def _is_complete_despite(self, message: Message, error: ProviderError) -> bool:
        """Whether the reply counts as complete although the last attempt failed.

        Some servers never say whether a reply is complete. If such a server adds nothing to a text
        that it was asked to continue, there is nothing to add.

        A picture is not bought twice: with one, the reply ends as it stands.
        """
        return self._caller.pictures.has_any or self._has_nothing_to_add(message, error)

    def _has_nothing_to_add(self, message: Message, error: ProviderError) -> bool:
        return error.ended and self._is_fruitless(message) and bool(str(message.text).strip())

    # Attempts

    async def _write(self, message: Message) -> Outcome:
        reason = self._resume_reason(message)
        if finish := await self._finish_before_call(message, reason):
            return await self._complete(message, finish)
        while True:
            if self._attempts_spent(message):
                return await self._fail(message, ATTEMPTS_SPENT, SENTENCES[ATTEMPTS_SPENT])
            try:
                finish = await self._caller.attempt(message, reason)
            except ProviderError as error:
                if not self._is_complete_despite(message, error):
                    await self.charge.close(message, error.usage)
                    if not await self._may_try_again(message, error):
                        return await self._fail_by_provider(message, error)
                    reason = "provider"
                    if self._interruption.reason is None:
                        continue
                    finish = None
                else:
                    finish = Finish(UNKNOWN, error.usage)
            except BillingError as error:
                return await self._fail(message, error.code, SENTENCES[error.code])
            if finish is None:
                return await self._end_interrupted(message)
            return await self._end(message, finish)

    async def _finish_before_call(self, message: Message, reason: ev.ResumeReason) -> Finish | None:
        """The end of a reply that needs no call. A takeover never buys a picture twice: with one
        that is stored, the reply ends as it stands."""
        if message.attempt > 0:
            await self._caller.sound.recover(message)
        has_pictures = message.attempt > 0 and await self._caller.pictures.recover(message)
        if self.order.reply.stop_requested_at is not None:
            return STOPPED
        return Finish(UNKNOWN, None) if has_pictures and reason != "user" else None

    async def _may_try_again(self, message: Message, error: ProviderError) -> bool:
        """Wait before the next attempt; False if another one is useless."""
        if error.permanent or self._attempts_spent(message):
            return False
        self._fruitless = self._fruitless + 1 if self._is_fruitless(message) else 0
        if error.max_fruitless is not None and self._fruitless >= error.max_fruitless:
            return False
        if self._interruption.reason is not None or error.code == "context_too_long":
            return True
        backoff_s = FIRST_RETRY_DELAY_S * 2 ** max(self._attempts_made(message) - 1, 0)
        await self._wait(message, error.code, max(backoff_s, error.retry_after_s or 0.0))
        return True

    async def _wait(self, message: Message, code: str, delay_s: float) -> None:
        """Wait until the next attempt, or until an interruption. People see why."""
        if delay_s >= SHOWN_DELAY_S:
            delay_ms = round(delay_s * 1000)
            waiting = ev.MessageWaiting(message.id, message.attempt, code, delay_ms)
            await self.reply_log.append_waiting(waiting)
        if self._interruption.reason is None:
            await self._interruption.run(asyncio.sleep(delay_s))

    # Ends

    async def _end(self, message: Message, finish: Finish) -> Outcome:
        """The provider has ended the reply in order."""
        if finish.reason == "length" and self.charge.is_limited:
            return await self._fail(message, OUT_OF_CREDIT, SENTENCES[OUT_OF_CREDIT], finish.usage)
        if str(message.text).strip() or message.files or self._caller.sound.has_any:
            return await self._complete(message, finish)
        code = code_of_empty(finish.reason, bool(message.reasoning), finish.omitted)
        return await self._fail(message, code, ProviderError(code).message, finish.usage)

    async def _end_interrupted(self, message: Message) -> Outcome:
        match self._interruption.reason:
            case Interrupt.STOP:
                return await self._complete(message, STOPPED)
            case Interrupt.HAND_OVER:
                return Outcome.HANDED_OVER
            case _:
                return Outcome.LOST

    async def _complete(self, message: Message, finish: Finish) -> Outcome:
        is_stopped = finish is STOPPED
        bill = await self.charge.close(message, finish.usage, is_stopped=is_stopped)
        usage = await self.charge.total_usage(message, finish.usage)
        cost = await self.charge.cost(usage)
        event = answer_events.completed(
            message,
            message.model or self.order.reply.model,
            finish,
            answer_events.Account(usage, cost, bill),
            self._caller.reasoning_ms,
        )
        await self.reply_log.append_end(event, message.attempt)
        return Outcome.STOPPED if is_stopped else Outcome.DONE

    async def _fail_by_provider(self, message: Message, error: ProviderError) -> Outcome:
        """End the reply with the provider's error. The person can mend only what concerns a key of
        their own; what concerns the site's key is logged for its operators."""
        model, code = self.order.reply.model, error.code
        if code in SITE_CODES and not is_own(model):
            logger.warning("answer %s failed: %s (%s)", self.order.reply_id, code, model)
            code = SITE_CODES[code]
        return await self._fail(message, code, PROVIDER_SENTENCES[code], error.usage)

    async def _fail(
        self, message: Message, code: str, sentence: str, usage: TokenUsage | None = None
    ) -> Outcome:
        bill = await self.charge.close(message, usage)
        has_content = str(message.text) or message.reasoning or message.files or usage
        usage = await self.charge.total_usage(message, usage) if has_content else None
        cost = await self.charge.cost(usage)
        account = answer_events.Account(usage, cost, bill)
        event = answer_events.failed(message, code, sentence, account)
        await self.reply_log.append_end(event, message.attempt)
        return Outcome.FAILED


def _names(files: Iterable[dict[str, Any]]) -> str:
    return ", ".join(file["name"] for file in files)
