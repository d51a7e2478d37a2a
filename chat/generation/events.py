"""The events of a reply's attempts, made from its message: start, seam and end."""

import time
from dataclasses import dataclass
from typing import Any

from billing.token_usage import TokenUsage
from chat import events as ev
from chat.generation.errors import NOT_RETRYABLE
from chat.llm.client import Finish, choose_continuation
from chat.llm.endpoints import Model
from chat.llm.prompt import Prompt
from chat.transcript import Message
from streams.cursors import entry_ms


@dataclass(frozen=True, slots=True)
class Account:
    """Usage and cost of a reply as a whole, and the bill of its last attempt."""

    usage: TokenUsage | None
    cost_micro_usd: int | None
    bill: dict[str, Any]


def begun(
    message: Message,
    model: Model,
    prompt: Prompt,
    reason: ev.ResumeReason,
    lengths: tuple[int, int],
    credit_limit_tokens: int | None,
    bill_before: dict[str, Any] | None = None,
) -> ev.MessageStarted | ev.MessageResumed:
    """The event that the next attempt starts with.

    lengths      bytes of the text and of the reasoning that the message has
    bill_before  bill of the previous attempt, unless it follows from the log
    """
    attempt = message.attempt + 1
    if message.attempt == 0:
        return ev.MessageStarted(
            message=message.id,
            attempt=attempt,
            model=model.id,
            left_out=prompt.left_out,
            prompt_tokens=prompt.prompt_tokens,
            credit_limit_tokens=credit_limit_tokens,
            withheld=list(prompt.withheld) or None,
            sound_tokens=prompt.sound_tokens or None,
        )
    return ev.MessageResumed(
        message=message.id,
        attempt=attempt,
        reason=reason,
        means=choose_continuation(model, str(message.text)),
        length=lengths[0],
        model=model.id,
        left_out=prompt.left_out,
        reasoning_length=lengths[1],
        prompt_tokens=prompt.prompt_tokens,
        credit_limit_tokens=credit_limit_tokens,
        bill=bill_before,
        withheld=list(prompt.withheld) or None,
        sound_tokens=prompt.sound_tokens or None,
    )


def completed(
    message: Message, model: str, finish: Finish, account: Account, reasoning_ms: int | None
) -> ev.MessageCompleted:
    text = str(message.text)
    length, sha256 = ev.fingerprint(text)
    return ev.MessageCompleted(
        message=message.id,
        finish=finish.reason,
        model=model,
        length=length,
        sha256=sha256,
        duration_ms=_duration_ms(message),
        reasoning_ms=reasoning_ms,
        usage=account.usage.to_event() if account.usage else None,
        cost_micro_usd=account.cost_micro_usd,
        bill=account.bill,
        text=text,
        reasoning=str(message.reasoning),
        omitted=list(finish.omitted) or None,
        names=_picture_names(message),
    )


def failed(message: Message, code: str, sentence: str, account: Account) -> ev.MessageError:
    text = str(message.text)
    length, sha256 = ev.fingerprint(text)
    return ev.MessageError(
        message=message.id,
        code=code,
        text=sentence,
        retryable=code not in NOT_RETRYABLE,
        length=length,
        sha256=sha256,
        usage=account.usage.to_event() if account.usage else None,
        cost_micro_usd=account.cost_micro_usd,
        bill=account.bill,
        text_kept=text,
        reasoning=str(message.reasoning),
        names=_picture_names(message),
    )


def _picture_names(message: Message) -> list[str] | None:
    return [file["name"] for file in message.files or ()] or None


def _duration_ms(message: Message) -> int:
    """Milliseconds since the first attempt started, interruptions included."""
    if message.started is None:
        return 0
    return max(0, round(time.time() * 1000) - entry_ms(message.started))
