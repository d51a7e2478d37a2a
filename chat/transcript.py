"""The fold: a pure function from events to a transcript, the same as static/js/chat/log/fold.js.

Both are tested with tests/vectors/fold/*.json, and a property test compares them on random logs. A
transcript depends on the events alone, so history, prompts, search and export agree with the
screen.

Text arrives in pieces, so a message keeps a list of pieces and joins them when the text is read:
adding a token costs the same at the start and at the end of an answer.
"""

from dataclasses import dataclass, field
from typing import Any, Literal, assert_never

from chat import events as ev
from chat.tools import called
from streams.cursors import START

MAX_PIECES = 1_000

Status = Literal["done", "queued", "running", "stopped", "error"]


@dataclass(slots=True)
class Pieces:
    """A text that grows at its end. After MAX_PIECES, the pieces are joined: a short string takes
    some fifty bytes of memory beyond its letters."""

    parts: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        self.parts.append(text)
        if len(self.parts) > MAX_PIECES:
            self.parts = ["".join(self.parts)]

    def set(self, text: str) -> None:
        self.parts = [text] if text else []

    def cut(self, length: int) -> None:
        """Keep the first `length` bytes of UTF-8."""
        self.set(str(self).encode()[:length].decode(errors="ignore"))

    def __str__(self) -> str:
        if len(self.parts) > 1:
            self.parts = ["".join(self.parts)]
        return self.parts[0] if self.parts else ""

    def __bool__(self) -> bool:
        return any(self.parts)


@dataclass(slots=True)
class Message:
    id: str
    role: ev.Role
    parent: str | None
    created: str
    status: Status
    started: str | None = None
    model: str | None = None
    text: Pieces = field(default_factory=Pieces)
    reasoning: Pieces = field(default_factory=Pieces)
    attempt: int = 0
    seams: list[dict[str, Any]] = field(default_factory=list)
    left_out: int = 0
    # The most tokens of this attempt, if credit and not the model limits it.
    credit_limit_tokens: int | None = None
    finish: str | None = None
    usage: dict[str, Any] | None = None
    cost_micro_usd: int | None = None
    duration_ms: int | None = None
    reasoning_ms: int | None = None
    length: int | None = None
    sha256: str | None = None
    error: dict[str, Any] | None = None
    # The kinds of content other than text that the model sent, which is not stored.
    omitted: list[str] | None = None
    # Between two attempts: the entry since which the reply waits, why, and for how long.
    waiting: dict[str, Any] | None = None
    # What is attached to a user's message, or the pictures that the model made; and what the model
    # did not get of all such files.
    files: list[dict[str, Any]] | None = None
    withheld: list[dict[str, str]] | None = None
    # What the owner thinks of the answer.
    rating: Literal["up", "down"] | None = None
    # The answer read aloud: {"file", "voice", "spans", "estimated"}, as the event has them.
    audio: dict[str, Any] | None = None
    # The calls of tools, in the order in which the model made them (chat/tools/called.py), and how
    # many calls of the model have ended with some.
    tools: list[dict[str, Any]] | None = None
    steps: int = 0
    # The file that the model speaks into, while it does.
    sound: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "role": self.role,
            "parent": self.parent,
            "created": self.created,
            "started": self.started,
            "status": self.status,
            "model": self.model,
            "text": str(self.text),
            "reasoning": str(self.reasoning),
            "attempt": self.attempt,
            "seams": self.seams,
            "left_out": self.left_out,
            "credit_limit_tokens": self.credit_limit_tokens,
            "finish": self.finish,
            "usage": self.usage,
            "cost_micro_usd": self.cost_micro_usd,
            "duration_ms": self.duration_ms,
            "reasoning_ms": self.reasoning_ms,
            "length": self.length,
            "sha256": self.sha256,
            "error": self.error,
            "omitted": self.omitted,
            "waiting": self.waiting,
            "files": self.files,
            "withheld": self.withheld,
            "rating": self.rating,
            "audio": self.audio,
            "tools": self.tools,
            "steps": self.steps,
            "sound": self.sound,
        }


@dataclass(slots=True)
class Transcript:
    """One chat, folded up to the entry `cursor`."""

    title: str = ""
    temporary: bool = False
    deleted: bool = False
    # The owner's instructions for the model in this chat.
    instructions: str = ""
    messages: dict[str, Message] = field(default_factory=dict)
    children: dict[str, list[str]] = field(default_factory=dict)
    chosen: dict[str, str] = field(default_factory=dict)
    cursor: str = START

    def path(self) -> list[Message]:
        """The shown messages, first to last: at each fork the chosen child, else the newest."""
        shown: list[Message] = []
        parent = ""
        while siblings := self.children.get(parent):
            parent = self.chosen.get(parent, siblings[-1])
            shown.append(self.messages[parent])
        return shown

    def ancestry(self, message_id: str) -> list[Message]:
        """The messages from the first one down to this one, itself included."""
        ancestry: list[Message] = []
        current: str | None = message_id
        while current:
            message = self.messages[current]
            ancestry.append(message)
            current = message.parent
        return ancestry[::-1]

    def leaf_below(self, message_id: str) -> Message:
        """The last message of the shown path through this one."""
        current = message_id
        while siblings := self.children.get(current):
            current = self.chosen.get(current, siblings[-1])
        return self.messages[current]

    def to_dict(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "temporary": self.temporary,
            "deleted": self.deleted,
            "instructions": self.instructions,
            "messages": {key: message.to_dict() for key, message in self.messages.items()},
            "children": self.children,
            "chosen": self.chosen,
        }


def fold(state: Transcript, event: ev.AnyEvent, entry_id: str) -> None:
    """Apply one event to `state`. An event about an unknown message changes nothing."""
    match event:
        case ev.ChatCreated() | ev.ChatKept() | ev.ChatRenamed():
            _name(state, event)
        case ev.ChatInstructed() | ev.ChatDeleted() | ev.ChatRestored():
            _set(state, event)
        case ev.ChatPinned() | ev.ChatArchived() | ev.ChatMoved() | ev.ChatRead():
            pass  # These events change the list of chats, not the transcript.
        case ev.MessageCreated():
            _create(state, event, entry_id)
        case ev.BranchChosen():
            _choose(state, event)
        case ev.FileErased() | ev.FileTranscribed():
            _change_file(state, event)
        case ev.MessageAudio():
            _speak(state, event)
        case (
            ev.MessageStarted()
            | ev.MessageDelta()
            | ev.MessageReasoning()
            | ev.MessageImage()
            | ev.MessageResumed()
            | ev.MessageWaiting()
            | ev.MessageStepped()
            | ev.MessageCompleted()
            | ev.MessageError()
            | ev.MessageRated()
            | ev.ToolInput()
            | ev.ToolCall()
            | ev.ToolStarted()
            | ev.ToolResult()
        ):
            if message := state.messages.get(event.message):
                change(message, event, entry_id)
        case _:
            assert_never(event)


def _name(state: Transcript, event: ev.ChatCreated | ev.ChatKept | ev.ChatRenamed) -> None:
    state.title = event.title
    if not isinstance(event, ev.ChatRenamed):
        state.temporary = isinstance(event, ev.ChatCreated) and event.temporary is True


def _set(state: Transcript, event: ev.ChatInstructed | ev.ChatDeleted | ev.ChatRestored) -> None:
    if isinstance(event, ev.ChatInstructed):
        state.instructions = event.instructions
    else:
        state.deleted = isinstance(event, ev.ChatDeleted)


def _create(state: Transcript, event: ev.MessageCreated, entry_id: str) -> None:
    if event.message in state.messages:
        return
    if event.parent is not None and event.parent not in state.messages:
        return
    message = Message(
        id=event.message,
        role=event.role,
        parent=event.parent,
        created=entry_id,
        status="done" if event.role == "user" else "queued",
        model=event.model,
        files=[_captioned(state, file) for file in event.files] if event.files else None,
    )
    message.text.set(event.text or "")
    key = event.parent or ""
    state.messages[message.id] = message
    state.children.setdefault(key, []).append(message.id)
    # The new message is shown: an earlier choice at this fork no longer applies.
    state.chosen.pop(key, None)


def _choose(state: Transcript, event: ev.BranchChosen) -> None:
    if message := state.messages.get(event.message):
        state.chosen[message.parent or ""] = message.id


def _captioned(state: Transcript, file: dict[str, Any]) -> dict[str, Any]:
    """The sound with its transcript, if an earlier message of the chat has both."""
    if file.get("kind") != "audio":
        return file
    known = (same for message in state.messages.values() for same in message.files or ())
    return next((same for same in known if same["id"] == file["id"] and "text" in same), file)


def _change_file(state: Transcript, event: ev.FileErased | ev.FileTranscribed) -> None:
    """Change a file in all messages that have it. They keep what a deleted one was, without its
    thumb and its transcript."""
    for message in state.messages.values():
        if isinstance(event, ev.FileErased) and _speaks(message, event.file):
            message.audio = None
        for number, file in enumerate(message.files or ()):
            if file["id"] != event.file or message.files is None:
                continue
            if isinstance(event, ev.FileErased):
                kept = {name: file[name] for name in file if name not in ("thumb", "text")}
                message.files[number] = kept | {"erased": True}
            elif not file.get("erased"):
                message.files[number] = file | {"text": event.text}


def _speaks(message: Message, file_id: str) -> bool:
    return message.audio is not None and message.audio["file"]["id"] == file_id


def _speak(state: Transcript, event: ev.MessageAudio) -> None:
    message = state.messages.get(event.message)
    if message is not None and message.status not in ("queued", "running"):
        message.audio = {
            "file": event.file,
            "voice": event.voice,
            "spans": event.spans,
            "estimated": event.estimated,
        }


def change(
    message: Message,
    event: ev.MessageStarted
    | ev.MessageDelta
    | ev.MessageReasoning
    | ev.MessageImage
    | ev.MessageResumed
    | ev.MessageWaiting
    | ev.MessageStepped
    | ev.MessageCompleted
    | ev.MessageError
    | ev.MessageRated
    | ev.ToolInput
    | ev.ToolCall
    | ev.ToolStarted
    | ev.ToolResult,
    entry_id: str,
) -> None:
    """Apply an event of this message to it."""
    match event:
        case ev.MessageDelta():
            message.text.add(event.text)
        case ev.MessageReasoning():
            _reason(message, event)
        case ev.MessageImage():
            _add_picture(message, event.file)
        case ev.MessageStarted():
            _begin(message, event)
            message.started = message.started or entry_id
        case ev.MessageResumed():
            _begin(message, event)
            _add_seam(message, event, entry_id)
        case ev.MessageWaiting():
            message.waiting = {"at": entry_id, "code": event.code, "delay_ms": event.delay_ms}
        case ev.MessageCompleted():
            _complete(message, event)
        case ev.MessageError():
            _fail(message, event)
        case ev.MessageRated():
            message.rating = None if event.rating == "none" else event.rating
        case _:
            _change_tools(message, event, entry_id)


def _add_seam(message: Message, event: ev.MessageResumed, entry_id: str) -> None:
    """After a step nothing was interrupted, so there is no seam to show."""
    if event.reason != "step":
        seam = {"reason": event.reason, "means": event.means, "length": event.length}
        message.seams.append({"at": entry_id, **seam})


def _change_tools(
    message: Message,
    event: ev.MessageStepped | ev.ToolInput | ev.ToolCall | ev.ToolStarted | ev.ToolResult,
    entry_id: str,
) -> None:
    match event:
        case ev.MessageStepped():
            message.steps = event.step
        case ev.ToolInput():
            message.tools = called.write(message.tools, event)
        case ev.ToolCall():
            message.tools = called.add_step(message.tools, event)
        case ev.ToolStarted():
            message.tools = called.start(message.tools, event, entry_id)
        case ev.ToolResult():
            message.tools = called.finish(message.tools, event)
        case _:
            assert_never(event)


def _reason(message: Message, event: ev.MessageReasoning) -> None:
    if event.text_length is not None:
        message.text.cut(event.text_length)
    message.reasoning.add(event.text)


def _add_picture(message: Message, file: dict[str, Any]) -> None:
    known = message.files or []
    if all(other["id"] != file["id"] for other in known):
        message.files = [*known, file]


def _begin(message: Message, event: ev.MessageStarted | ev.MessageResumed) -> None:
    message.status = "running"
    message.attempt = event.attempt
    message.model = event.model or message.model
    message.left_out = event.left_out
    message.credit_limit_tokens = event.credit_limit_tokens
    message.withheld = event.withheld or None
    message.error = None
    message.waiting = None
    # It is not the speech of the text that follows.
    message.audio = None
    message.tools = called.without_written(message.tools)
    message.sound = event.sound


def _complete(message: Message, event: ev.MessageCompleted) -> None:
    if event.text is not None:
        message.text.set(event.text)
        message.reasoning.set(event.reasoning or "")
    message.status = "stopped" if event.finish == "stopped" else "done"
    message.finish = event.finish
    message.model = event.model
    message.usage = event.usage
    message.cost_micro_usd = event.cost_micro_usd
    message.duration_ms = event.duration_ms
    message.reasoning_ms = event.reasoning_ms
    message.length = event.length
    message.sha256 = event.sha256
    message.error = None
    message.omitted = event.omitted
    message.waiting = message.sound = None
    message.tools = called.without_written(message.tools)


def _fail(message: Message, event: ev.MessageError) -> None:
    if event.text_kept is not None:
        message.text.set(event.text_kept)
        message.reasoning.set(event.reasoning or "")
    message.status = "error"
    message.usage = event.usage
    message.cost_micro_usd = event.cost_micro_usd
    message.length = event.length
    message.sha256 = event.sha256
    message.error = {"code": event.code, "text": event.text, "retryable": event.retryable}
    message.waiting = message.sound = None
    message.tools = called.without_written(message.tools)
