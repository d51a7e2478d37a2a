"""The output of each attempt at a reply, read from the log. The charge depends on nothing else.

If the provider reported usage, the attempt is charged by that report, whether the attempt ended
normally or broke off. Otherwise (stopped, broken off, killed, taken over) it is charged for its
prompt and for its stored text, reasoning, pictures and sound, counted here. If nothing is stored,
it costs nothing, unless the owner stopped it after the provider had accepted the call: then it
costs its prompt.

Usage that does not follow from the stored text is recorded in the log, as the `bill` of an event:
the end of the reply has the bill of its last attempt, `message.resumed` that of the attempt before.
"""

from dataclasses import dataclass
from typing import Any

from billing.token_usage import TokenUsage
from chat import events as ev
from chat.llm.tokens import estimated_usage
from chat.transcript import Pieces


@dataclass(frozen=True, slots=True)
class AttemptUsage:
    """The `bill` of an event: the usage that an attempt is charged for; None costs nothing.

    `earlier` has the usage of the earlier attempts, if only the end of the reply can record it.
    """

    attempt: int
    usage: TokenUsage | None
    earlier: tuple["AttemptUsage", ...] = ()

    def to_bill(self) -> dict[str, Any]:
        bill: dict[str, Any] = {"attempt": self.attempt}
        if self.usage is not None:
            bill |= self.usage.to_bill()
        if self.earlier:
            bill["earlier"] = [attempt.to_bill() for attempt in self.earlier]
        return bill

    @classmethod
    def from_bill(cls, bill: dict[str, Any]) -> "AttemptUsage":
        earlier = tuple(cls.from_bill(other) for other in bill.get("earlier", ()))
        return cls(bill.get("attempt", 0), TokenUsage.from_bill(bill), earlier)


@dataclass(slots=True)
class Attempt:
    """`text_from` and `reasoning_from`: the bytes of text and of reasoning that were stored before
    this attempt began."""

    number: int
    model: str
    prompt_tokens: int
    text_from: int = 0
    reasoning_from: int = 0
    # The usage that the log records; None if it records none.
    recorded: AttemptUsage | None = None
    text: str = ""
    reasoning: str = ""
    pictures: int = 0
    # Milliseconds of sound. The log has them only in a `bill`, so the fold leaves them at 0.
    spoken_ms: int = 0
    # Some of the text turned out to be reasoning while it was written.
    is_recast: bool = False
    # `text` and `reasoning` are complete, because the reply's text no longer shows its parts.
    is_kept: bool = False
    # Those of the prompt's tokens that are of sound.
    sound_tokens: int = 0

    def recast(self, text_length: int) -> None:
        """Cut the text to `text_length` bytes; the rest, also of earlier attempts, is now
        reasoning."""
        if text_length < self.text_from:
            self.reasoning_from += self.text_from - text_length
            self.text_from = text_length
        self.is_recast = True

    @property
    def usage(self) -> TokenUsage | None:
        """The usage that the attempt is charged for (bounded); None if it costs nothing."""
        if self.recorded is not None:
            return self.recorded.usage.bounded() if self.recorded.usage else None
        output = (self.text, self.reasoning, self.pictures, self.spoken_ms)
        return usage_of_stored(self.prompt_tokens, *output, self.sound_tokens)


def usage_of_stored(
    prompt_tokens: int,
    text: str,
    reasoning: str,
    pictures: int = 0,
    spoken_ms: int = 0,
    sound_tokens: int = 0,
) -> TokenUsage | None:
    """Count the stored output of an attempt without reported usage; None if nothing is stored."""
    if not text and not reasoning and not pictures and not spoken_ms:
        return None
    output = (text, reasoning, pictures, spoken_ms)
    return estimated_usage(prompt_tokens, *output, sound_tokens).bounded()


class AttemptFold:
    """Folds the events of a chat, in their order, into the attempts at one reply."""

    def __init__(self, reply_id: str) -> None:
        self._reply_id = reply_id
        self._attempts: list[Attempt] = []
        self._text = Pieces()
        self._reasoning = Pieces()
        self._pictures: set[str] = set()

    def feed(self, event: ev.AnyEvent | None) -> None:
        if getattr(event, "message", None) != self._reply_id:
            return
        match event:
            case ev.MessageStarted() | ev.MessageResumed():
                if isinstance(event, ev.MessageResumed) and event.bill:
                    _record(self._attempts, event.bill)
                self._attempts.append(_begin_attempt(event, self._reasoning))
            case ev.MessageDelta():
                self._text.add(event.text)
            case ev.MessageReasoning():
                if event.text_length is not None and self._attempts:
                    self._keep_earlier()
                    self._attempts[-1].recast(event.text_length)
                    self._text.cut(event.text_length)
                self._reasoning.add(event.text)
            case ev.MessageImage():
                self._add_picture(event.file)
            case ev.MessageCompleted() | ev.MessageError():
                self._end(event)

    def _add_picture(self, file: dict[str, Any]) -> None:
        """One that was not kept is not counted."""
        if self._attempts and "refused" not in file and file["id"] not in self._pictures:
            self._pictures.add(file["id"])
            self._attempts[-1].pictures += 1

    def _end(self, event: ev.MessageCompleted | ev.MessageError) -> None:
        kept = event.text if isinstance(event, ev.MessageCompleted) else event.text_kept
        if kept is not None:
            self._text.set(kept)
            self._reasoning.set(event.reasoning or "")
        if event.bill is not None:
            _record(self._attempts, event.bill)

    def _keep_earlier(self) -> None:
        """Keep the output of all attempts but the last, while the text still shows their parts."""
        earlier = [attempt for attempt in self._attempts[:-1] if not attempt.recorded]
        if all(attempt.is_kept for attempt in earlier):
            return
        self._split()
        for attempt in earlier:
            attempt.is_kept = True

    def attempts(self) -> list[Attempt]:
        """All attempts so far, in order, each with the text and reasoning that it delivered.

        The tokens of kept attempts are counted here, so a long reply takes a thread (`off_loop`).
        """
        self._split()
        for attempt in self._attempts:
            if attempt.is_kept and attempt.recorded is None:
                attempt.recorded = AttemptUsage(attempt.number, attempt.usage)
        return self._attempts

    @property
    def chars(self) -> int:
        """The length of what `attempts` counts."""
        kept = [attempt for attempt in self._attempts if attempt.is_kept]
        return sum(len(attempt.text) + len(attempt.reasoning) for attempt in kept)

    def _split(self) -> None:
        _split(self._attempts, str(self._text).encode(), str(self._reasoning).encode())


def _begin_attempt(event: ev.MessageStarted | ev.MessageResumed, reasoning: Pieces) -> Attempt:
    sound_tokens = event.sound_tokens or 0
    if isinstance(event, ev.MessageStarted):
        prompt_tokens = event.prompt_tokens or 0
        return Attempt(event.attempt, event.model, prompt_tokens, sound_tokens=sound_tokens)
    reasoning_from = event.reasoning_length
    return Attempt(
        event.attempt,
        event.model or "",
        event.prompt_tokens or 0,
        event.length,
        len(str(reasoning).encode()) if reasoning_from is None else reasoning_from,
        sound_tokens=sound_tokens,
    )


def _record(attempts: list[Attempt], bill: dict[str, Any]) -> None:
    """Record the usage of the last attempt, and of earlier ones if the bill has them.

    A reply that was stopped again before another attempt began has two ends; the first counts.
    """
    last = AttemptUsage.from_bill(bill)
    by_number = {usage.attempt: usage for usage in reversed([last, *last.earlier])}
    for attempt in attempts:
        if attempt.recorded is None and not attempt.is_kept:
            attempt.recorded = by_number.get(attempt.number)


def _split(attempts: list[Attempt], text: bytes, reasoning: bytes) -> None:
    """Assign each attempt its part of text and reasoning. Both only grow, so a part ends where the
    next attempt began."""
    text_until, reasoning_until = len(text), len(reasoning)
    for attempt in reversed(attempts):
        if not attempt.is_kept:
            attempt.text = text[attempt.text_from : text_until].decode(errors="ignore")
            attempt.reasoning = reasoning[attempt.reasoning_from : reasoning_until].decode(
                errors="ignore"
            )
        text_until, reasoning_until = attempt.text_from, attempt.reasoning_from
