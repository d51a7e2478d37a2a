"""The histories that a worker keeps from one answer of a chat to the next.

A kept history makes the next answer cheap: only later entries of the log are read, and only later
texts are counted. The log remains the truth. A history is used only if the log still has the last
entry that was folded into it, with the same data; otherwise the chat is folded anew. It is taken
out while it is read on, so two answers never share one, and an error drops it.
"""

import asyncio
from collections import OrderedDict
from contextlib import aclosing
from dataclasses import dataclass

from chat.charging.attempts import Attempt
from chat.folding import AnswerFold
from chat.generation.history import Conversation, History, LogChangedError
from chat.transcript import Message
from streams.log import Log

# How long an unused history is kept. An erased chat stays in memory no longer than this.
KEEP_S = 600.0
# What a place in the collection takes: the key and the history without its messages.
HISTORY_BYTES = 1_500

_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class ReplyRead:
    """One reply, as the log has it up to the entry `cursor`. `message`: without its parent; None if
    it is not in the log."""

    conversation: Conversation
    message: Message | None
    attempts: list[Attempt]
    cursor: str


class Histories:
    """Belongs to one event loop. Keeps at most `max_bytes`; the least recently used go first."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        # By stream and chat; each with its size and the time of the loop at which it was kept.
        self._kept: OrderedDict[_Key, tuple[History, int, float]] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None
        self.size_bytes = 0

    async def read(
        self, log: Log, stream: str, chat: str, reply_id: str, prompt_id: str
    ) -> ReplyRead:
        """Read what a reply needs, up to the last entry of its chat. `prompt_id`: the message that
        it answers. Raises LogUnavailableError."""
        history = self._take((stream, chat)) or History()
        try:
            answer = await _read_on(log, stream, chat, history, reply_id)
        except LogChangedError:
            history = History()
            answer = await _read_on(log, stream, chat, history, reply_id)
        # A reply without its prompt is not shown either.
        is_known = reply_id in history and prompt_id in history
        conversation = history.conversation(prompt_id) if is_known else Conversation()
        message = answer.message if is_known else None
        cursor = history.cursor
        self._keep((stream, chat), history)
        return ReplyRead(conversation, message, await answer.attempts(), cursor)

    def _take(self, key: _Key) -> History | None:
        history, size_bytes, _ = self._kept.pop(key, (None, 0, 0.0))
        self.size_bytes -= size_bytes
        return history

    def _keep(self, key: _Key, history: History) -> None:
        self._take(key)  # Another answer of the chat may have read it at the same time.
        size_bytes = HISTORY_BYTES + history.size_bytes
        if size_bytes > self._max_bytes:
            return
        self._kept[key] = history, size_bytes, asyncio.get_running_loop().time()
        self.size_bytes += size_bytes
        while self.size_bytes > self._max_bytes:
            self._take(next(iter(self._kept)))
        self._drop_unused()

    def _drop_unused(self) -> None:
        """Drop what was kept more than KEEP_S ago, and wake up again for the next one."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loop = asyncio.get_running_loop()
        while self._kept:
            key = next(iter(self._kept))
            due = self._kept[key][2] + KEEP_S
            if due > loop.time():
                self._timer = loop.call_at(due, self._drop_unused)
                return
            self._take(key)


async def _read_on(log: Log, stream: str, chat: str, history: History, reply_id: str) -> AnswerFold:
    """Raises LogChangedError if the log is not the one that the history was folded from."""
    answer = AnswerFold(reply_id)
    async with aclosing(log.slices(stream, chat, history.resume(reply_id))) as slices:
        async for entries in slices:
            for entry in entries:
                history.add(entry, answer)
    history.end()
    return answer
