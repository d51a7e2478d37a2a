"""The form in which a conversation is sent: roles that alternate, beginning with the user.

Many servers refuse anything else, as their models' templates do, and would refuse such a chat for
ever. Two messages of one role stand side by side when there was no answer between them (it failed
or was stopped before its first word). They become one, joined by a blank line; but the last
message is what is to be answered, so it stays alone, and NO_ANSWER stands before it. It is not
joined to one that got no answer: what the provider could not take it would then refuse again.
"""

from collections.abc import Sequence
from itertools import groupby

from chat.llm.tokens import TOKENS_PER_TURN, estimate_tokens

Turn = tuple[str, str]
Message = dict[str, str]

JOINED_BY = "\n\n"
NO_ANSWER = "(no answer)"
_JOINED_BY_TOKENS = estimate_tokens(JOINED_BY)
_NO_ANSWER_TOKENS = estimate_tokens(NO_ANSWER) + TOKENS_PER_TURN


def alternating(said: Sequence[Turn]) -> list[Turn]:
    """`said` begins with the user."""
    if len(said) > 1 and said[-1][0] == said[-2][0] == "user":
        return [*_joined(said[:-1]), ("assistant", NO_ANSWER), said[-1]]
    return _joined(said)


def _joined(said: Sequence[Turn]) -> list[Turn]:
    return [
        (role, JOINED_BY.join(text for _, text in run))
        for role, run in groupby(said, key=lambda turn: turn[0])
    ]


def tokens_after(said: Sequence[Turn], place: int) -> int:
    """What stands between a message and the next one in `alternating`, in tokens."""
    role, after = said[place][0], said[place + 1 : place + 2]
    if not after or after[0][0] != role:
        return TOKENS_PER_TURN
    if place + 2 == len(said) and role == "user":
        return TOKENS_PER_TURN + _NO_ANSWER_TOKENS
    return _JOINED_BY_TOKENS


def has_system(messages: Sequence[Message]) -> bool:
    return any(message["role"] == "system" for message in messages)


def without_system(messages: Sequence[Message]) -> list[Message]:
    """The instructions at the head of the user's first message, for models that know no system."""
    system = [message["content"] for message in messages if message["role"] == "system"]
    rest = [message for message in messages if message["role"] != "system"]
    if system and rest and rest[0]["role"] == "user":
        system.append(rest.pop(0)["content"])
    first = [{"role": "user", "content": JOINED_BY.join(system)}] if system else []
    return first + rest
