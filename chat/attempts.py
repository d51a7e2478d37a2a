"""What each attempt at an answer delivered, by the log: the one ground on which it is billed.

The rule: an attempt that ended well is billed by what the provider says it used. One that was cut
short (stopped, broken off, killed, taken over) is billed for its prompt and for what of its text
and reasoning is stored, both counted by us; when nothing of it is stored, it costs nothing, or its
prompt if its owner stopped it after the provider had taken the call: the end in the log says so.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from billing.prices import Used
from chat import events as ev
from chat.tokens import Usage, estimate_tokens
from streams.log import Entry


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


def attempts_of(entries: Iterable[Entry], reply_id: str) -> list[Attempt]:
    """All attempts at an answer that a chat's entries tell of, in order."""
    name = reply_id.encode()
    return attempts_by_reply(entry for entry in entries if name in entry.data).get(reply_id, [])


def attempts_by_reply(entries: Iterable[Entry]) -> dict[str, list[Attempt]]:
    """The same of every answer in a chat, read once."""
    events: dict[str, list[ev.AnyEvent]] = {}
    for entry in entries:
        event = ev.parse(entry.data)
        if event is not None and (reply_id := getattr(event, "message", None)):
            events.setdefault(reply_id, []).append(event)
    return {reply_id: _attempts(told) for reply_id, told in events.items()}


def _attempts(events: list[ev.AnyEvent]) -> list[Attempt]:
    attempts: list[Attempt] = []
    text, reasoning = "", ""
    for event in events:
        match event:
            case ev.MessageStarted() | ev.MessageResumed():
                attempts.append(_begun(event, reasoning))
            case ev.MessageDelta():
                text += event.text
            case ev.MessageReasoning():
                reasoning += event.text
            case ev.MessageCompleted() | ev.MessageError():
                kept = event.text if isinstance(event, ev.MessageCompleted) else event.text_kept
                if kept is not None:
                    text, reasoning = kept, event.reasoning or ""
                _end(attempts, event)
    _share_out(attempts, text.encode(), reasoning.encode())
    return attempts


def _begun(event: ev.MessageStarted | ev.MessageResumed, reasoning: str) -> Attempt:
    if isinstance(event, ev.MessageStarted):
        return Attempt(event.attempt, event.model, event.prompt_tokens or 0)
    thought = event.reasoning_length
    return Attempt(
        event.attempt,
        event.model or "",
        event.prompt_tokens or 0,
        event.length,
        len(reasoning.encode()) if thought is None else thought,
    )


def _end(attempts: list[Attempt], event: ev.MessageCompleted | ev.MessageError) -> None:
    if not attempts or event.bill is None:
        return
    last = attempts[-1]
    # An answer that was stopped again before another attempt began has two ends; the first counts.
    if last.bill is None and event.bill.get("attempt") == last.number:
        last.bill = event.bill


def _share_out(attempts: list[Attempt], text: bytes, reasoning: bytes) -> None:
    """Both only ever grow, so each attempt has what is between its beginning and the next one's."""
    text_until, reasoning_until = len(text), len(reasoning)
    for attempt in reversed(attempts):
        attempt.text = text[attempt.text_from : text_until].decode(errors="ignore")
        attempt.reasoning = reasoning[attempt.reasoning_from : reasoning_until].decode(
            errors="ignore"
        )
        text_until, reasoning_until = attempt.text_from, attempt.reasoning_from
