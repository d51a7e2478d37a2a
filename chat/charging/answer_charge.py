"""The money of one answer while it is written: what is held for the attempt under way, what is
charged for those before it, and what the log is told that it used and cost.
"""

import dataclasses
from typing import Any

from asgiref.sync import sync_to_async

from billing import holds
from billing.models import Price
from billing.prices.versions import Used
from chat.charging import pricing
from chat.charging import settle as settling
from chat.charging.attempts import Attempt, bill_of, delivered, used_by_provider
from chat.llm.endpoints import Model
from chat.llm.prompt import Prompt
from chat.llm.tokens import Usage, estimate_tokens, estimated_usage, off_loop
from chat.transcript import Message
from chat.work_orders import WorkOrder


class AnswerBill:
    """Kept by a `Generation`; `tried` are all attempts so far, by the log, the last one last."""

    def __init__(self, order: WorkOrder) -> None:
        self.tried: list[Attempt] = []
        self.model: Model | None = None
        self._order = order
        self._settled = 0
        self._price: Price | None = None
        self._budget: holds.Budget | None = None
        # Of this attempt: what its prompt held, the text that was there before it, and whether the
        # provider has taken the call.
        self._prompt_tokens = 0
        self._kept = ""
        self._is_taken = False

    @property
    def max_tokens(self) -> int | None:
        """How long this attempt may be; None where nobody pays."""
        return self._budget.max_tokens if self._budget else None

    @property
    def is_limited(self) -> bool:
        """Whether it may be no longer because credit is short."""
        return self._budget is not None and self._budget.limited

    @property
    def credit_limit_tokens(self) -> int | None:
        return self.max_tokens if self.is_limited else None

    async def price_in(self, message: Message, model: Model) -> Model:
        """Charge for what was tried before; the model as far as its price goes. Raises NoPrice."""
        self.model, self._price, self._budget = model, None, None
        await self._settle_tried(message)
        if pricing.free_reason(model):
            return model
        self._price = await sync_to_async(pricing.price_of)(model)
        return pricing.within_price(model, self._price)

    async def reserve(self, message: Message, model: Model, prompt: Prompt) -> None:
        """Hold what this attempt may cost at most. Raises OutOfCredit."""
        self._prompt_tokens, self._kept = prompt.prompt_tokens, str(message.text)
        self._is_taken = False
        if self._price is not None:
            self._budget = await sync_to_async(pricing.reserve)(
                self._order, message.attempt + 1, model, self._price, prompt.prompt_tokens
            )

    def began(self, attempt: int, model: Model, length: int, reasoning_length: int) -> None:
        """The log knows of the attempt, which goes on after so many bytes."""
        self.tried.append(
            Attempt(attempt, model.id, self._prompt_tokens, length, reasoning_from=reasoning_length)
        )

    def taken(self) -> None:
        """The provider reads the prompt."""
        self._is_taken = True

    async def close(
        self, message: Message, usage: Usage | None, *, is_stopped: bool = False
    ) -> dict[str, Any]:
        """What the last attempt is billed for; its first end counts. All of it must be stored.

        `is_stopped`, by its owner, who pays then for a prompt that the provider had taken.
        """
        if not self.tried:
            return bill_of(0, None)
        chars = len(str(message.text)) + len(str(message.reasoning))
        return await off_loop(self._close, message, usage, is_stopped, chars=chars)

    def _close(self, message: Message, usage: Usage | None, is_stopped: bool) -> dict[str, Any]:
        last = self.tried[-1]
        if last.bill is None:
            text, reasoning = str(message.text).encode(), str(message.reasoning).encode()
            last.text = text[last.text_from :].decode(errors="ignore")
            last.reasoning = reasoning[last.reasoning_from :].decode(errors="ignore")
            used = used_by_provider(usage) if usage else last.used
            if used is None and is_stopped and self._is_taken:
                used = Used(last.prompt_tokens, 0, estimated=True)
            last.bill = bill_of(last.number, used)
            if any(attempt.is_recast for attempt in self.tried) and len(self.tried) > 1:
                # Where their texts are cannot be seen any more in what the end keeps.
                earlier = [bill_of(tried.number, tried.used) for tried in self.tried[:-1]]
                last.bill = last.bill | {"earlier": earlier}
        return last.bill

    async def of_last(self) -> dict[str, Any] | None:
        """The bill of the attempt before the one that begins, where what is stored of it does not
        say the same."""
        if not self.tried or self.tried[-1].bill is None:
            return None
        last = self.tried[-1]
        stored = (last.prompt_tokens, last.text, last.reasoning)
        chars = len(last.text) + len(last.reasoning)
        if last.used == await off_loop(delivered, *stored, chars=chars):
            return None
        return last.bill

    def recast(self, text_length: int) -> None:
        """Text of this answer beyond so many bytes has turned out to be reasoning."""
        if self.tried:
            self.tried[-1].recast(text_length)

    async def cost(self, usage: Usage | None) -> int | None:
        """What is paid for the answer in all; else what the provider asks of who has the key."""
        if not self.tried:
            return None
        last = self.tried[-1]
        call = pricing.call_of(self._order.reply, last.number, last.model, "")
        paid = await sync_to_async(holds.paid_so_far)(call, last.used)
        if paid is None and usage and self.model is not None:
            return pricing.cost_to_show(self.model, usage.cost_micro_usd)
        return paid

    async def usage_of(self, message: Message, usage: Usage | None) -> Usage | None:
        """What the answer as a whole used: providers tell it for a call that ended well, only.

        What earlier attempts wrote is estimated from the text that was kept.
        """
        if message.attempt == 0:
            return None
        if usage is None:
            text, reasoning = str(message.text), str(message.reasoning)
            told, chars = (self._prompt_tokens, text, reasoning), len(text) + len(reasoning)
            return await off_loop(estimated_usage, *told, chars=chars)
        if not self._kept:
            return usage
        kept = await off_loop(estimate_tokens, self._kept, chars=len(self._kept))
        whole = usage.completion_tokens + kept
        return dataclasses.replace(usage, completion_tokens=whole, estimated=True)

    async def _settle_tried(self, message: Message) -> None:
        """Before another attempt takes their hold: what the ones before it delivered."""
        if self._settled == len(self.tried):
            return
        await self.close(message, None)
        settle = sync_to_async(settling.charge_before_next)
        booked = await settle(self._order.reply, self.tried, self.model)
        for attempt in self.tried:
            # A worker that died may have booked what the provider said, and told nobody.
            if (used := booked.get(attempt.number)) and not _is_same(attempt.used, used):
                attempt.bill = bill_of(attempt.number, used)
        self._settled = len(self.tried)


def _is_same(told: Used | None, booked: Used) -> bool:
    """Whether both count the same tokens: what a free call cost is not booked."""
    return told is not None and booked == dataclasses.replace(
        told, cost_micro_usd=booked.cost_micro_usd, estimated=booked.estimated
    )
