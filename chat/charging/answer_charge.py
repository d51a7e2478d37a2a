"""The money of one reply while it is written: the hold for the attempt under way, the charges for
the attempts before it, and the usage and cost that the log records.
"""

import dataclasses
from typing import Any

from asgiref.sync import sync_to_async

from billing import holds
from billing.models import Price
from billing.token_usage import TokenUsage
from chat.charging import pricing
from chat.charging import settle as settling
from chat.charging.attempts import Attempt, AttemptUsage, usage_of_stored
from chat.llm.endpoints import Model
from chat.llm.prompt import Prompt
from chat.llm.tokens import estimate_tokens, estimated_usage, off_loop
from chat.transcript import Message
from chat.work_orders import WorkOrder


class AnswerCharge:
    """Owned by a `Generation`. `attempts` are all attempts so far, by the log; the last one is the
    current attempt."""

    def __init__(self, order: WorkOrder) -> None:
        self.attempts: list[Attempt] = []
        self.model: Model | None = None
        self._order = order
        self._charged_attempts = 0
        self._price: Price | None = None
        self._budget: holds.Budget | None = None
        # For the current attempt: the tokens of its prompt, those of them that are of sound, the
        # text that was stored before it began, and whether the provider has accepted the call.
        self._prompt_tokens = self._sound_tokens = 0
        self._kept = ""
        self._is_accepted = False

    @property
    def max_tokens(self) -> int | None:
        """The most tokens that credit lets this attempt write; None without such a bound."""
        return self._budget.max_tokens if self._budget else None

    @property
    def is_limited(self) -> bool:
        """Whether short credit, not the model, bounds the length of this attempt."""
        return self._budget is not None and self._budget.limited

    @property
    def credit_limit_tokens(self) -> int | None:
        return self.max_tokens if self.is_limited else None

    async def price_attempt(self, message: Message, model: Model) -> Model:
        """Charge for the previous attempts, and look up the price of the next one.

        Returns the model, with its window cut to what the price covers. Raises NoPrice.
        """
        self.model, self._price, self._budget = model, None, None
        await self._charge_attempts(message)
        if pricing.free_reason(model):
            return model
        self._price = await sync_to_async(pricing.price_of)(model)
        return pricing.within_price(model, self._price)

    async def reserve(self, message: Message, model: Model, prompt: Prompt) -> None:
        """Hold the most that this attempt may cost. Raises OutOfCredit."""
        self._prompt_tokens, self._sound_tokens = prompt.prompt_tokens, prompt.sound_tokens
        self._kept = str(message.text)
        self._is_accepted = False
        if self._price is not None:
            self._budget = await sync_to_async(pricing.reserve)(
                self._order,
                message.attempt + 1,
                model,
                self._price,
                prompt.prompt_tokens,
                prompt.pictures,
                prompt.sound_tokens,
            )

    def begin_attempt(self, attempt: int, model: Model, length: int, reasoning_length: int) -> None:
        """Note an attempt that the log now has. It continues after `length` bytes of text and
        `reasoning_length` bytes of reasoning."""
        begun = Attempt(attempt, model.id, self._prompt_tokens, length, reasoning_length)
        begun.sound_tokens = self._sound_tokens
        self.attempts.append(begun)

    def add_picture(self) -> None:
        """Note a picture of this attempt that is kept, and that the log now has."""
        if self.attempts:
            self.attempts[-1].pictures += 1

    def set_spoken(self, attempt: int, ms: int) -> None:
        """Note how much sound of an attempt is stored."""
        for each in self.attempts:
            if each.number == attempt:
                each.spoken_ms = ms

    def mark_accepted(self) -> None:
        """Note that the provider has accepted the call and reads the prompt."""
        self._is_accepted = True

    async def close(
        self, message: Message, usage: TokenUsage | None, *, is_stopped: bool = False
    ) -> dict[str, Any]:
        """Return the `bill` of the last attempt for its end event; the first end counts.

        All text of the message must be stored. `is_stopped`: the owner stopped the reply, and pays
        for the prompt if the provider had accepted the call.
        """
        if not self.attempts:
            return AttemptUsage(0, None).to_bill()
        chars = len(str(message.text)) + len(str(message.reasoning))
        return await off_loop(self._close, message, usage, is_stopped, chars=chars)

    def _close(
        self, message: Message, usage: TokenUsage | None, is_stopped: bool
    ) -> dict[str, Any]:
        last = self.attempts[-1]
        if last.recorded is None:
            text, reasoning = str(message.text).encode(), str(message.reasoning).encode()
            last.text = text[last.text_from :].decode(errors="ignore")
            last.reasoning = reasoning[last.reasoning_from :].decode(errors="ignore")
            usage = usage.bounded() if usage else last.usage
            if usage is None and is_stopped and self._is_accepted:
                usage = estimated_usage(last.prompt_tokens, "", "", sound_tokens=last.sound_tokens)
            earlier: tuple[AttemptUsage, ...] = ()
            if any(attempt.is_recast for attempt in self.attempts):
                # The text in the end event no longer shows where the parts of these attempts were.
                before = self.attempts[:-1]
                earlier = tuple(AttemptUsage(attempt.number, attempt.usage) for attempt in before)
            last.recorded = AttemptUsage(last.number, usage, earlier)
        return last.recorded.to_bill()

    async def bill_for_seam(self) -> dict[str, Any] | None:
        """Return the `bill` of the previous attempt for the seam; None if its usage follows from
        its stored text."""
        last = self.attempts[-1] if self.attempts else None
        if last is None or last.recorded is None:
            return None
        # The log does not say how much was spoken, so the bill of such an attempt is recorded.
        output = (last.text, last.reasoning, last.pictures, 0)
        stored = (last.prompt_tokens, *output, last.sound_tokens)
        chars = len(last.text) + len(last.reasoning)
        if last.usage == await off_loop(usage_of_stored, *stored, chars=chars):
            return None
        return last.recorded.to_bill()

    def recast(self, text_length: int) -> None:
        """Treat the text beyond the first `text_length` bytes as reasoning."""
        if self.attempts:
            self.attempts[-1].recast(text_length)

    async def cost(self, usage: TokenUsage | None) -> int | None:
        """Micro-USD charged for all attempts; for a free call, the provider's figure, if somebody
        pays it."""
        if not self.attempts:
            return None
        charged = await self._charged()
        if charged is None and usage and self.model is not None:
            return pricing.cost_to_show(self.model, usage.cost_micro_usd)
        return charged

    async def _charged(self) -> int | None:
        """Micro-USD for all attempts; None if none was on credit."""
        last = self.attempts[-1]
        if last.number == 1 and self.model is not None and not self._charged_attempts:
            # This process has reserved for the only attempt, so there is nothing to look up.
            return self._budget.cost_of(last.usage) if self._budget else None
        call = pricing.call_of(self._order.reply, last.number, last.model, "")
        return await sync_to_async(holds.charged_so_far)(call, last.usage)

    async def total_usage(self, message: Message, usage: TokenUsage | None) -> TokenUsage | None:
        """The usage of the whole reply. Providers report the usage of a single finished call, so
        that of earlier attempts is estimated from the text that was kept.
        """
        if message.attempt == 0:
            return None
        if usage is None:
            text, reasoning = str(message.text), str(message.reasoning)
            chars = len(text) + len(reasoning)
            pictures = sum("refused" not in file for file in message.files or ())
            spoken_ms = sum(attempt.spoken_ms for attempt in self.attempts)
            output = (text, reasoning, pictures, spoken_ms)
            parts = (self._prompt_tokens, *output, self._sound_tokens)
            return await off_loop(estimated_usage, *parts, chars=chars)
        if not self._kept:
            return usage
        kept_tokens = await off_loop(estimate_tokens, self._kept, chars=len(self._kept))
        completion_tokens = usage.completion_tokens + kept_tokens
        return dataclasses.replace(usage, completion_tokens=completion_tokens, estimated=True)

    async def _charge_attempts(self, message: Message) -> None:
        """Charge for the output of the attempts so far, before another attempt takes over their
        hold."""
        if self._charged_attempts == len(self.attempts):
            return
        await self.close(message, None)
        charge = sync_to_async(settling.charge_before_next)
        booked = await charge(self._order.reply, self.attempts, self.model)
        for attempt in self.attempts:
            # A worker that died may have booked the provider's usage without recording it.
            usage = booked.get(attempt.number)
            if usage is not None and not _is_same(attempt.usage, usage):
                attempt.recorded = AttemptUsage(attempt.number, usage)
        self._charged_attempts = len(self.attempts)


def _is_same(recorded: TokenUsage | None, booked: TokenUsage) -> bool:
    """Whether both count the same tokens; the cost of a free call is not booked."""
    return recorded is not None and booked == dataclasses.replace(
        recorded, cost_micro_usd=booked.cost_micro_usd, estimated=booked.estimated
    )
