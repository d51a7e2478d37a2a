"""Reading and folding a chat without blocking the event loop, however long it is: slice by slice
(streams/log.py: slices)."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from chat import events as ev
from chat.charging.attempts import Attempt, AttemptFold
from chat.llm.tokens import off_loop
from chat.transcript import Message, Transcript, fold
from streams.log import Log


async def fold_chat(
    log: Log, stream: str, chat: str, feed: Callable[[ev.AnyEvent], None] | None = None
) -> Transcript:
    """Fold a whole chat. `feed` receives its events too, so that each is decoded once."""
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
    """One reply, folded from the log. `message`: without its parent; None if it is not in the log.
    `cursor`: the last entry of the chat."""

    message: Message | None
    attempts: list[Attempt]
    cursor: str


async def fold_answer(log: Log, stream: str, chat: str, reply_id: str) -> FoldedAnswer:
    """Fold one reply: the other entries of the chat are read, but neither decoded nor kept."""
    name = reply_id.encode()
    transcript, attempts = Transcript(), AttemptFold(reply_id)
    async for entries in log.slices(stream, chat):
        for entry in entries:
            event = ev.parse(entry.data) if name in entry.data else None
            if event is not None and getattr(event, "message", None) == reply_id:
                if isinstance(event, ev.MessageCreated):
                    event = replace(event, parent=None)
                fold(transcript, event, entry.id)
                attempts.feed(event)
        transcript.cursor = entries[-1].id
    message = transcript.messages.get(reply_id)
    counted = await off_loop(attempts.attempts, chars=attempts.chars)
    return FoldedAnswer(message, counted, transcript.cursor)
