"""Makes the roles of a prompt alternate, beginning with the user.

Many servers and the templates of their models refuse anything else, in every attempt. Two messages
of the same role follow each other if there is no answer between them (it failed, or was stopped
before its first word). They are joined by a blank line. The last message is the one to answer, so
it is not joined: NO_ANSWER is put before it. Otherwise a provider that refused the previous message
would refuse this one as well.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

from chat.llm.tokens import TOKENS_PER_MESSAGE, estimate_tokens

# A message of a request: {"role", "content"}; the content of one with pictures is a list of parts.
Message = dict[str, Any]


class Spoken(NamedTuple):
    """A message, or several of the same role joined. `pictures` names what it shows."""

    role: str
    text: str
    pictures: tuple[str, ...] = ()


JOINED_BY = "\n\n"
NO_ANSWER = "(no answer)"
_JOINED_BY_TOKENS = estimate_tokens(JOINED_BY)
_NO_ANSWER_TOKENS = estimate_tokens(NO_ANSWER) + TOKENS_PER_MESSAGE


def to_alternating(dialogue: Sequence[Spoken]) -> list[Spoken]:
    """`dialogue` begins with the user and has no system message."""
    if len(dialogue) > 1 and dialogue[-1].role == dialogue[-2].role == "user":
        return [*_join_same_roles(dialogue[:-1]), Spoken("assistant", NO_ANSWER), dialogue[-1]]
    return _join_same_roles(dialogue)


def _join_same_roles(dialogue: Sequence[Spoken]) -> list[Spoken]:
    return [_joined(role, list(run)) for role, run in groupby(dialogue, key=lambda said: said.role)]


def _joined(role: str, run: Sequence[Spoken]) -> Spoken:
    text = JOINED_BY.join(said.text for said in run if said.text)
    return Spoken(role, text, tuple(picture for said in run for picture in said.pictures))


def tokens_after(dialogue: Sequence[Spoken], index: int) -> int:
    """The tokens that `to_alternating` needs between a message and the next one."""
    role, following = dialogue[index].role, dialogue[index + 1 : index + 2]
    if not following or following[0].role != role:
        return TOKENS_PER_MESSAGE
    if index + 2 == len(dialogue) and role == "user":
        return TOKENS_PER_MESSAGE + _NO_ANSWER_TOKENS
    return _JOINED_BY_TOKENS


def has_system(messages: Sequence[Message]) -> bool:
    return any(message["role"] == "system" for message in messages)


def without_system(messages: Sequence[Message]) -> list[Message]:
    """Moves the system message to the start of the first user message, for models without a system
    role."""
    system = [message["content"] for message in messages if message["role"] == "system"]
    rest = [message for message in messages if message["role"] != "system"]
    if system and rest and isinstance(rest[0]["content"], list):
        texts = [{"type": "text", "text": JOINED_BY.join(system)}]
        return [{**rest[0], "content": texts + rest[0]["content"]}, *rest[1:]]
    if system and rest and rest[0]["role"] == "user":
        system.append(rest.pop(0)["content"])
    first = [{"role": "user", "content": JOINED_BY.join(system)}] if system else []
    return first + rest
