"""A chat as Markdown to read: first the shown path, then the other branches.

The first two levels of headings (three within a branch) are reserved: the headings of a message are
moved below its own, so that no answer can imitate a message of the person.
"""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from chat.models import Chat
from chat.transcript import Message, Transcript
from streams.cursors import entry_ms

EXCERPT_CHARS = 60
FENCE = re.compile(
    r"(?P<before>(?: {0,3}(?:[-*+]|\d{1,9}[.)]))* {0,3})(?P<fence>`{3,}(?=[^`]*$)|~{3,})"
)
HEADING = re.compile(r" {0,3}(?P<marks>#{1,6})(?=[ \t]|$)")
# Turns the preceding line of text into a heading.
UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
# A heading like those of _message, which must not appear even in what looks like code.
STAMPED = re.compile(r" {0,3}#+.* · \d\d? \w+ \d{4}, \d\d:\d\d UTC")
RATINGS = {"up": "You found this answer good.", "down": "You found this answer bad."}
ENDS = {
    "queued": "Not answered yet when this was made.",
    "running": "Still being written when this was made.",
    "stopped": "Stopped here.",
}


def render_markdown(
    transcript: Transcript, chat: Chat, name_file: Callable[[dict[str, Any]], str] | None = None
) -> list[str]:
    """The text, in pieces to be joined. `name_file`: the path of an attached file beside the text,
    to which it links; without it files are only named."""
    name = name_file or (lambda file: "")
    title = " ".join((transcript.title or chat.title or "Chat").split())
    shown = transcript.path()
    pieces = [f"# {title}\n\n", f"- Begun: {chat.created_at:%d %B %Y, %H:%M} UTC\n"]
    if chat.model:
        pieces.append(f"- Model used last: {chat.model}\n")
    pieces += [f"- Chat: {chat.id}\n", *(piece for m in shown for piece in _message(m, name))]
    if others := _other_branches(transcript, {message.id for message in shown}):
        pieces.append("\n---\n\n# Other branches\n\n")
        pieces.append("What was written before an edit, or answered another time.\n")
        for number, branch in enumerate(others, start=1):
            pieces.append(f"\n## Branch {number}{_place(transcript, branch[0])}\n")
            pieces += [piece for message in branch for piece in _message(message, name, level=3)]
    return pieces


def _other_branches(transcript: Transcript, shown: set[str]) -> list[list[Message]]:
    """The branches that are not shown. Each starts where it leaves an earlier path."""
    branches: list[list[Message]] = []
    written = set(shown)
    for message_id in transcript.messages:
        branch: list[Message] = []
        current: str | None = message_id
        while current is not None and current not in written:
            written.add(current)
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


def _message(
    message: Message, name_file: Callable[[dict[str, Any]], str], level: int = 2
) -> Iterator[str]:
    who = "You" if message.role == "user" else message.model or "Assistant"
    yield f"\n{'#' * level} {who} · {_time(message.created)}\n\n"
    if reasoning := str(message.reasoning).strip():
        quoted = "\n".join(f"> {line}".rstrip() for line in reasoning.splitlines())
        yield f"> *Reasoning*\n>\n{quoted}\n\n"
    if message.files:
        yield from (_file(file, name_file) for file in message.files)
        yield "\n"
    if text := str(message.text):
        yield nest_headings(text.rstrip("\n"), level) + "\n"
    if message.audio:
        yield f"\n{_file(message.audio['file'], name_file, label='Read aloud')}"
    if message.error:
        yield f"\n*{message.error['text']}*\n"
    elif end := ENDS.get(message.status):
        yield f"\n*{end}*\n"
    if message.rating:
        yield f"\n*{RATINGS[message.rating]}*\n"


def _file(
    file: dict[str, Any], name_file: Callable[[dict[str, Any]], str], label: str = "File"
) -> str:
    name = _escaped(file["name"])
    if file.get("erased") or file.get("refused"):
        return f"- {label}: {name} ({'deleted' if file.get('erased') else 'not kept'})\n"
    path = quote(name_file(file))
    shows = f": {_escaped(file['alt'])}" if file.get("alt") else ""
    said = " ".join(file.get("text", "").split())
    transcript = f"  > {_escaped(said)}\n" if said else ""
    return f"- {label}: {f'[{name}]({path})' if path else name}{shows}\n{transcript}"


def _escaped(name: str) -> str:
    """A file's name, whose characters are no markup."""
    return re.sub(r"([\\`*_\[\]<>#&!|~$])", r"\\\1", name)


def nest_headings(text: str, level: int) -> str:
    """The text with its headings moved below `level` and an open code block closed."""
    lines: list[str] = []
    fence = indent = ""
    for line in text.split("\n"):
        is_below_text = bool(lines) and lines[-1].strip() != ""
        if STAMPED.match(line):
            line = line.replace("#", "\\#", 1)
        elif fence:
            if line.strip() == fence[0] * max(len(fence), len(line.strip())):
                fence = ""
        elif opening := FENCE.match(line):
            fence, indent = opening["fence"], " " * len(opening["before"])
        elif heading := HEADING.match(line):
            marks = "#" * min(6, level + len(heading["marks"]))
            line = line.replace(heading["marks"], marks, 1)
        elif is_below_text and (underline := UNDERLINE.match(line)):
            # Make it a rule, or a line of text.
            line = f"\n{line}" if underline[1][0] == "-" else line.replace("=", "\\=", 1)
        lines.append(line)
    return "\n".join([*lines, indent + fence] if fence else lines)


def _time(entry_id: str) -> str:
    return f"{datetime.fromtimestamp(entry_ms(entry_id) / 1000, UTC):%d %B %Y, %H:%M} UTC"
