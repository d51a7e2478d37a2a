"""Reading and folding a chat in the event loop without holding it: a slice at a time
(streams/log.py: slices), however much was said in it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from chat import events as ev
from chat.charging.attempts import Attempt, AttemptFold
from chat.transcript import Message, Transcript, fold
from streams.log import Log


async def fold_chat(
    log: Log, stream: str, chat: str, feed: Callable[[ev.AnyEvent], None] | None = None
) -> Transcript:
    """All of a chat. `feed` is given its events as well, so that each is decoded once."""
    transcript = Transcript()
    async for entries in log.slices(stream, chat):
        for entry in entries:
            event = ev.parse(entry.data)
            if event is not None:
                fold(transcript, event, entry.id)
                if feed is not None:
                    feed(event)
            transcript.cursor = entry.id
    return transcript


@dataclass(frozen=True, slots=True)
class FoldedAnswer:
    """What a log says of one answer. `message`: None if it knows nothing of it; its parent is left
    out. `cursor`: the last entry of the chat."""

    message: Message | None
    attempts: list[Attempt]
    cursor: str


async def fold_answer(log: Log, stream: str, chat: str, reply_id: str) -> FoldedAnswer:
    """One answer alone: what else is in the chat is read, but not decoded or kept."""
    name = reply_id.encode()
    told, attempts = Transcript(), AttemptFold(reply_id)
    async for entries in log.slices(stream, chat):
        for entry in entries:
            event = ev.parse(entry.data) if name in entry.data else None
            if event is not None and getattr(event, "message", None) == reply_id:
                if isinstance(event, ev.MessageCreated):
                    event = replace(event, parent=None)
                fold(told, event, entry.id)
                attempts.feed(event)
        told.cursor = entries[-1].id
    return FoldedAnswer(told.messages.get(reply_id), attempts.attempts(), told.cursor)
