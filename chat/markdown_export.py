"""One chat as Markdown to be read: the path that is shown first, then the other branches."""

from collections.abc import Iterator
from datetime import UTC, datetime

from chat.models import Chat
from chat.transcript import Message, Transcript

EXCERPT_CHARS = 60
ENDS = {
    "queued": "Not answered yet when this was made.",
    "running": "Still being written when this was made.",
    "stopped": "Stopped here.",
}


def as_markdown(transcript: Transcript, chat: Chat) -> list[str]:
    """The pieces of the text, in order."""
    title = " ".join((transcript.title or chat.title or "Chat").split())
    shown = transcript.path()
    pieces = [f"# {title}\n\n", f"- Begun: {chat.created_at:%d %B %Y, %H:%M} UTC\n"]
    if chat.model:
        pieces.append(f"- Model used last: {chat.model}\n")
    pieces += [f"- Chat: {chat.id}\n", *(piece for m in shown for piece in _message(m))]
    if others := _other_branches(transcript, {message.id for message in shown}):
        pieces.append("\n---\n\n# Other branches\n\n")
        pieces.append("What was written before an edit, or answered another time.\n")
        for number, branch in enumerate(others, start=1):
            pieces.append(f"\n## Branch {number}{_place(transcript, branch[0])}\n")
            pieces += [piece for message in branch for piece in _message(message, level=3)]
    return pieces


def _other_branches(transcript: Transcript, shown: set[str]) -> list[list[Message]]:
    """Each begins where it leaves a path that came before, and goes on to its end."""
    branches: list[list[Message]] = []
    told = set(shown)
    for message_id in transcript.messages:
        branch: list[Message] = []
        current: str | None = message_id
        while current is not None and current not in told:
            told.add(current)
            branch.append(transcript.messages[current])
            current = next((child for child in transcript.children.get(current, ())), None)
        if branch:
            branches.append(branch)
    return branches


def _place(transcript: Transcript, first: Message) -> str:
    above = transcript.messages.get(first.parent or "")
    if above is None:
        return ": another beginning"
    words = " ".join(str(above.text).split())
    short = words if len(words) <= EXCERPT_CHARS else words[:EXCERPT_CHARS].rstrip() + "…"
    return f", after “{short}”" if short else ""


def _message(message: Message, level: int = 2) -> Iterator[str]:
    who = "You" if message.role == "user" else message.model or "Assistant"
    yield f"\n{'#' * level} {who} · {_time(message.created)}\n\n"
    if reasoning := str(message.reasoning).strip():
        quoted = "\n".join(f"> {line}".rstrip() for line in reasoning.splitlines())
        yield f"> *Reasoning*\n>\n{quoted}\n\n"
    if text := str(message.text):
        yield text.rstrip("\n") + "\n"
    if message.error:
        yield f"\n*{message.error['text']}*\n"
    elif end := ENDS.get(message.status):
        yield f"\n*{end}*\n"


def _time(entry_id: str) -> str:
    ms = int(entry_id.partition("-")[0])
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%d %B %Y, %H:%M} UTC"
