"""What each attempt at an answer delivered, by the log: the one ground on which it is billed.

The rule: an attempt is billed by what the provider says it used, whether it ended well or broke
off, if it says so. Else one that was cut short (stopped, broken off, killed, taken over) is billed
for its prompt and for what of its text and reasoning is stored, both counted by us; when nothing of
it is stored, it costs nothing, or its prompt if its owner stopped it after the provider had taken
the call. What is not by what is stored, the log says: the end for the last attempt, and for one
before it the beginning of the next.
"""

from dataclasses import dataclass
from typing import Any

from billing.prices.versions import Used
from chat import events as ev
from chat.llm.tokens import Usage, estimate_tokens
from chat.transcript import Pieces


@dataclass(slots=True)
class Attempt:
    """`text_from`, `reasoning_from`: bytes of both that were there before it."""

    number: int
    model: str
    prompt_tokens: int
    text_from: int = 0
    reasoning_from: int = 0
    # What its end says of it; None as long as it has none.
    bill: dict[str, Any] | None = None
    text: str = ""
    reasoning: str = ""
    # Text turned out to be reasoning while it was written.
    is_recast: bool = False

    def recast(self, text_length: int) -> None:
        """The text was cut to so many bytes. What it had of earlier attempts is reasoning now."""
        if text_length < self.text_from:
            self.reasoning_from += self.text_from - text_length
            self.text_from = text_length
        self.is_recast = True

    @property
    def used(self) -> Used | None:
        """None when it costs nothing."""
        if self.bill is not None:
            return used_by_bill(self.bill)
        return delivered(self.prompt_tokens, self.text, self.reasoning)


def delivered(prompt_tokens: int, text: str, reasoning: str) -> Used | None:
    """Of an attempt without a provider's word, by what of it is stored."""
    if not text and not reasoning:
        return None
    thought = estimate_tokens(reasoning)
    written = estimate_tokens(text) + thought
    return Used(prompt_tokens, written, reasoning_tokens=thought, estimated=True)


def used_by_provider(usage: Usage) -> Used:
    return Used(
        usage.prompt_tokens,
        usage.completion_tokens,
        min(max(usage.cached_tokens or 0, 0), usage.prompt_tokens),
        min(max(usage.reasoning_tokens or 0, 0), usage.completion_tokens),
        usage.cost_micro_usd,
        usage.estimated,
        usage.cache_write_tokens or 0,
    )


def bill_of(number: int, used: Used | None) -> dict[str, Any]:
    """For the end of an answer. Without tokens: this attempt costs nothing."""
    if used is None:
        return {"attempt": number}
    bill: dict[str, Any] = {
        "attempt": number,
        "prompt_tokens": used.prompt_tokens,
        "completion_tokens": used.completion_tokens,
        "cached_tokens": used.cached_tokens,
        "reasoning_tokens": used.reasoning_tokens,
        "estimated": used.estimated,
    }
    if used.cache_write_tokens:
        bill["cache_write_tokens"] = used.cache_write_tokens
    return bill if used.cost_micro_usd is None else bill | {"cost_micro_usd": used.cost_micro_usd}


def used_by_bill(bill: dict[str, Any]) -> Used | None:
    if "prompt_tokens" not in bill:
        return None
    return Used(
        bill["prompt_tokens"],
        bill["completion_tokens"],
        bill["cached_tokens"],
        bill["reasoning_tokens"],
        bill.get("cost_micro_usd"),
        bill["estimated"],
        bill.get("cache_write_tokens", 0),
    )


class AttemptFold:
    """The attempts at one answer, from the events of its chat in their order."""

    def __init__(self, reply_id: str) -> None:
        self._reply_id = reply_id
        self._attempts: list[Attempt] = []
        self._text = Pieces()
        self._reasoning = Pieces()

    def feed(self, event: ev.AnyEvent | None) -> None:
        if getattr(event, "message", None) != self._reply_id:
            return
        match event:
            case ev.MessageStarted() | ev.MessageResumed():
                if isinstance(event, ev.MessageResumed) and event.bill:
                    _bill(self._attempts, event.bill)
                self._attempts.append(_begun(event, self._reasoning))
            case ev.MessageDelta():
                self._text.add(event.text)
            case ev.MessageReasoning():
                if event.text_length is not None and self._attempts:
                    _settle_before(self._attempts, str(self._text), str(self._reasoning))
                    self._attempts[-1].recast(event.text_length)
                    self._text.cut(event.text_length)
                self._reasoning.add(event.text)
            case ev.MessageCompleted() | ev.MessageError():
                self._end(event)

    def _end(self, event: ev.MessageCompleted | ev.MessageError) -> None:
        kept = event.text if isinstance(event, ev.MessageCompleted) else event.text_kept
        if kept is not None:
            self._text.set(kept)
            self._reasoning.set(event.reasoning or "")
        if event.bill is not None:
            _bill(self._attempts, event.bill)

    def attempts(self) -> list[Attempt]:
        """All of them, in order, with what each has delivered."""
        _share_out(self._attempts, str(self._text).encode(), str(self._reasoning).encode())
        return self._attempts


def _settle_before(attempts: list[Attempt], text: str, reasoning: str) -> None:
    """What attempts before the last one delivered, before its place among all the text is lost."""
    _share_out(attempts, text.encode(), reasoning.encode())
    for attempt in attempts[:-1]:
        attempt.bill = attempt.bill or bill_of(attempt.number, attempt.used)


def _begun(event: ev.MessageStarted | ev.MessageResumed, reasoning: Pieces) -> Attempt:
    if isinstance(event, ev.MessageStarted):
        return Attempt(event.attempt, event.model, event.prompt_tokens or 0)
    thought = event.reasoning_length
    return Attempt(
        event.attempt,
        event.model or "",
        event.prompt_tokens or 0,
        event.length,
        len(str(reasoning).encode()) if thought is None else thought,
    )


def _bill(attempts: list[Attempt], bill: dict[str, Any]) -> None:
    """The bill of the last attempt, with those of earlier ones if it says them.

    An answer that was stopped again before another attempt began has two ends; the first counts.
    """
    told = [bill, *bill.get("earlier", ())]
    by_number = {one.get("attempt"): one for one in reversed(told)}
    for attempt in attempts:
        if attempt.bill is None and (one := by_number.get(attempt.number)) is not None:
            attempt.bill = one


def _share_out(attempts: list[Attempt], text: bytes, reasoning: bytes) -> None:
    """Both only ever grow, so each attempt has what is between its beginning and the next one's."""
    text_until, reasoning_until = len(text), len(reasoning)
    for attempt in reversed(attempts):
        attempt.text = text[attempt.text_from : text_until].decode(errors="ignore")
        attempt.reasoning = reasoning[attempt.reasoning_from : reasoning_until].decode(
            errors="ignore"
        )
        text_until, reasoning_until = attempt.text_from, attempt.reasoning_from
