"""Reading and folding a chat without blocking the event loop, however long it is: slice by slice
(streams/log.py: slices)."""

from dataclasses import dataclass, replace

from chat import events as ev
from chat.charging.attempts import Attempt, AttemptFold
from chat.llm.tokens import off_loop
from chat.transcript import Message, Transcript, fold
from streams.cursors import START
from streams.log import Entry, Log


async def fold_chat(log: Log, stream: str, chat: str) -> Transcript:
    transcript = Transcript()
    async for entries in log.slices(stream, chat):
        for entry in entries:
            event = ev.parse(entry.data)
            if event is not None:
                fold(transcript, event, entry.id)
            transcript.cursor = entry.id
    return transcript


class AnswerFold:
    """Folds one reply from the entries of its chat. Other entries are neither decoded nor kept."""

    def __init__(self, reply_id: str) -> None:
        self._reply_id = reply_id
        self._name = reply_id.encode()
        # Has the message of the reply alone, without its parent.
        self._transcript = Transcript()
        self._attempts = AttemptFold(reply_id)

    @property
    def message(self) -> Message | None:
        """None if the message is not in the log."""
        return self._transcript.messages.get(self._reply_id)

    async def attempts(self) -> list[Attempt]:
        """All attempts so far; those of a long reply are counted in a thread."""
        return await off_loop(self._attempts.attempts, chars=self._attempts.chars)

    def add(self, entry: Entry, event: ev.AnyEvent | None = None) -> None:
        """`event`: the entry's event, if it is decoded already."""
        if event is None and self._name in entry.data:
            event = ev.parse(entry.data)
        if event is None or getattr(event, "message", None) != self._reply_id:
            return
        if isinstance(event, ev.MessageCreated):
            event = replace(event, parent=None)
        fold(self._transcript, event, entry.id)
        self._attempts.feed(event)


@dataclass(frozen=True, slots=True)
class FoldedAnswer:
    """One reply, folded from the log. `message`: without its parent; None if it is not in the log.
    `cursor`: the last entry of the chat."""

    message: Message | None
    attempts: list[Attempt]
    cursor: str


async def fold_answer(log: Log, stream: str, chat: str, reply_id: str) -> FoldedAnswer:
    """Fold one reply: the other entries of the chat are read, but neither decoded nor kept."""
    answer, cursor = AnswerFold(reply_id), START
    async for entries in log.slices(stream, chat):
        for entry in entries:
            answer.add(entry)
        cursor = entries[-1].id
    return FoldedAnswer(answer.message, await answer.attempts(), cursor)
