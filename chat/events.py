"""The events of a chat: typed, versioned by adding fields only, JSON on the wire.

Each event is a frozen dataclass. `encode` returns the JSON object, which is stored once and sent
unchanged to every reader; `parse` returns the dataclass, or None for a type that this version does
not know. A writer cannot misspell a field, because construction fails. Readers ignore fields and
types that they do not know. No event has a time of its own: its entry id has it, in ms.
docs/protocol.md describes every type; CONTRIBUTING.md lists what to change for a new one.
"""

import hashlib
import logging
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, Self

import orjson

from streams.log import Event as LogEvent

logger = logging.getLogger(__name__)

Role = Literal["user", "assistant"]
ResumeReason = Literal["lost", "handover", "provider", "user", "step"]
ToolStatus = Literal["ok", "error", "denied", "stopped", "timeout", "unknown"]
Means = Literal["prefill", "ask", "restart"]
Rating = Literal["up", "down", "none"]


@dataclass(frozen=True, slots=True)
class ChatEvent:
    """Base of all events. `type` is the name on the wire; the fields that are KEPT_OUT_OF_LOG are
    stored in the chat's own index only."""

    type: ClassVar[str]
    KEPT_OUT_OF_LOG: ClassVar[frozenset[str]] = frozenset()

    def to_dict(self, *, whole: bool = False) -> dict[str, Any]:
        left_out = frozenset() if whole else self.KEPT_OUT_OF_LOG
        known = {
            field.name: value
            for field in fields(self)
            if field.name not in left_out and (value := getattr(self, field.name)) is not None
        }
        return {"type": self.type, **known}

    def encode(self) -> bytes:
        return orjson.dumps(self.to_dict())

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        names = FIELD_NAMES[cls.type]
        return cls(**{key: value for key, value in data.items() if key in names})


@dataclass(frozen=True, slots=True)
class ChatCreated(ChatEvent):
    type: ClassVar[str] = "chat.created"
    chat: str
    title: str
    model: str
    temporary: bool | None = None
    project: str | None = None


@dataclass(frozen=True, slots=True)
class ChatKept(ChatEvent):
    """A temporary chat became an ordinary one, with this title."""

    type: ClassVar[str] = "chat.kept"
    chat: str
    title: str


@dataclass(frozen=True, slots=True)
class ChatRenamed(ChatEvent):
    type: ClassVar[str] = "chat.renamed"
    chat: str
    title: str
    by: Literal["user", "model"]


@dataclass(frozen=True, slots=True)
class ChatInstructed(ChatEvent):
    """The owner's instructions for the model in this chat; they replace the previous ones."""

    type: ClassVar[str] = "chat.instructed"
    chat: str
    instructions: str


@dataclass(frozen=True, slots=True)
class ChatDeleted(ChatEvent):
    type: ClassVar[str] = "chat.deleted"
    chat: str


@dataclass(frozen=True, slots=True)
class ChatRestored(ChatEvent):
    """The deletion was taken back."""

    type: ClassVar[str] = "chat.restored"
    chat: str


@dataclass(frozen=True, slots=True)
class ChatPinned(ChatEvent):
    """Kept at the top of the list, or (False) no longer."""

    type: ClassVar[str] = "chat.pinned"
    chat: str
    pinned: bool


@dataclass(frozen=True, slots=True)
class ChatArchived(ChatEvent):
    """Taken out of the list, or (False) put back."""

    type: ClassVar[str] = "chat.archived"
    chat: str
    archived: bool


@dataclass(frozen=True, slots=True)
class ChatMoved(ChatEvent):
    """Moved into a project, or ("") out of the one that it was in."""

    type: ClassVar[str] = "chat.moved"
    chat: str
    project: str


@dataclass(frozen=True, slots=True)
class ChatRead(ChatEvent):
    """The owner has seen the replies that ended up to `until_ms` (the time of an entry)."""

    type: ClassVar[str] = "chat.read"
    chat: str
    until_ms: int


@dataclass(frozen=True, slots=True)
class MessageCreated(ChatEvent):
    """A user's message, or the empty reply that a model will fill. `parent` is a message id.

    `files`: what is attached to a user's message, as `File` objects (docs/protocol.md).
    """

    type: ClassVar[str] = "message.created"
    message: str
    role: Role
    parent: str | None = None
    text: str | None = None
    model: str | None = None
    files: list[dict[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class MessageStarted(ChatEvent):
    """`withheld`: the attached files that the model does not get, as [{"file": id, "why": reason}];
    reasons are "modality" (it cannot read this kind), "window" (no room) and "missing" (erased).
    `sound_tokens`: those of `prompt_tokens` that are of sound. `sound`: the id of the file that the
    model speaks into, which can be heard meanwhile."""

    type: ClassVar[str] = "message.started"
    message: str
    attempt: int
    model: str
    left_out: int = 0
    prompt_tokens: int | None = None
    credit_limit_tokens: int | None = None
    withheld: list[dict[str, str]] | None = None
    sound: str | None = None
    sound_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class MessageDelta(ChatEvent):
    type: ClassVar[str] = "message.delta"
    message: str
    text: str


@dataclass(frozen=True, slots=True)
class MessageReasoning(ChatEvent):
    """`text_length`: the message's text beyond the first `text_length` bytes was reasoning; `text`
    contains it."""

    type: ClassVar[str] = "message.reasoning"
    message: str
    text: str
    text_length: int | None = None


@dataclass(frozen=True, slots=True)
class MessageImage(ChatEvent):
    """A picture that the model made, as a `File` (docs/protocol.md). One that could not be kept has
    `refused`, the code of the reason, instead of what its bytes are."""

    type: ClassVar[str] = "message.image"
    message: str
    file: dict[str, Any]


@dataclass(frozen=True, slots=True)
class MessageResumed(ChatEvent):
    """The seam: another attempt continues after `length` bytes of text that are stored already.

    The reason "step" is no seam: the results of tools are there, and the model goes on.
    `credit_limit_tokens`: the most tokens that it may write, because credit is short. `bill`: the
    usage of the previous attempt, if it does not follow from that attempt's stored text.
    `withheld`, `sound_tokens`, `sound`: as in `message.started`.
    """

    type: ClassVar[str] = "message.resumed"
    message: str
    attempt: int
    reason: ResumeReason
    means: Means
    length: int
    model: str | None = None
    left_out: int = 0
    reasoning_length: int | None = None
    prompt_tokens: int | None = None
    credit_limit_tokens: int | None = None
    bill: dict[str, Any] | None = None
    withheld: list[dict[str, str]] | None = None
    sound: str | None = None
    sound_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class MessageWaiting(ChatEvent):
    """An attempt failed with the error `code`; the next one begins `delay_ms` after this entry."""

    type: ClassVar[str] = "message.waiting"
    message: str
    attempt: int
    code: str
    delay_ms: int


@dataclass(frozen=True, slots=True)
class MessageStepped(ChatEvent):
    """A call of the model has ended with calls of tools, and all of those have results. `step`
    counts from 1; `usage`, `cost_micro_usd` and `bill` are those of this call of the model."""

    type: ClassVar[str] = "message.stepped"
    message: str
    attempt: int
    step: int
    usage: dict[str, Any] | None = None
    cost_micro_usd: int | None = None
    bill: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class MessageCompleted(ChatEvent):
    """The end of an answer. The chat's own index also has the full text and reasoning, and the
    names of its pictures, for the search.

    `usage` and `cost_micro_usd` are those of the whole answer; `bill` is the usage that its last
    attempt is charged for (chat/charging/attempts.py). `omitted`: the kinds of content
    other than text that the model sent, and that are not stored: "image", "audio", "video", "file",
    "tool_call", "other".
    """

    type: ClassVar[str] = "message.completed"
    KEPT_OUT_OF_LOG: ClassVar[frozenset[str]] = frozenset({"text", "reasoning", "names"})
    message: str
    finish: str
    model: str
    length: int
    sha256: str
    duration_ms: int
    reasoning_ms: int | None = None
    usage: dict[str, Any] | None = None
    cost_micro_usd: int | None = None
    bill: dict[str, Any] | None = None
    text: str | None = None
    reasoning: str | None = None
    omitted: list[str] | None = None
    names: list[str] | None = None


@dataclass(frozen=True, slots=True)
class MessageError(ChatEvent):
    """The end of an answer that could not continue; its text so far is kept.

    `text` is the sentence for the person, `text_kept` the partial answer (in the chat's own index
    only, as `names`).
    """

    type: ClassVar[str] = "message.error"
    KEPT_OUT_OF_LOG: ClassVar[frozenset[str]] = frozenset({"text_kept", "reasoning", "names"})
    message: str
    code: str
    text: str
    retryable: bool
    length: int
    sha256: str
    usage: dict[str, Any] | None = None
    cost_micro_usd: int | None = None
    bill: dict[str, Any] | None = None
    text_kept: str | None = None
    reasoning: str | None = None
    names: list[str] | None = None


@dataclass(frozen=True, slots=True)
class MessageRated(ChatEvent):
    """The owner found an answer good or bad; "none" takes that back."""

    type: ClassVar[str] = "message.rated"
    message: str
    rating: Rating


@dataclass(frozen=True, slots=True)
class MessageAudio(ChatEvent):
    """An answer was read aloud: `file` is the sound, as a `File` object, `voice` the provider's
    name of the voice. `spans`: [first, end, ms, ms] for each sentence, where it stands in the text
    (in UTF-16 units) and in the sound. `estimated`: the times are not exact."""

    type: ClassVar[str] = "message.audio"
    message: str
    file: dict[str, Any]
    voice: str
    spans: list[list[int]]
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class ToolInput(ChatEvent):
    """The model writes the arguments of its call number `index` (from 0) of this attempt: `text`
    continues them, as JSON. The first part names the tool."""

    type: ClassVar[str] = "tool.input"
    message: str
    attempt: int
    index: int
    text: str
    server: str | None = None
    tool: str | None = None
    title: str | None = None


@dataclass(frozen=True, slots=True)
class ToolCall(ChatEvent):
    """The model has asked for tools: all calls of a step, which stand after `length` bytes of text
    and `reasoning_length` bytes of reasoning.

    `calls`: [{"id", "index", "server", "tool", "title", "arguments", "policy", "digest"}]. The id
    is a UUID made from the reply, the step and the index. `arguments` is an object; a call whose
    arguments are none has `input`, the text that the model wrote, instead. `policy`: "always" or
    "ask"; `digest`: of the tool's name, description, schema and annotations. `opaque`: what the
    provider wants back with the results, unread, for the same model only.
    """

    type: ClassVar[str] = "tool.call"
    message: str
    attempt: int
    step: int
    length: int
    reasoning_length: int
    calls: list[dict[str, Any]]
    opaque: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ToolStarted(ChatEvent):
    """Appended before the first byte of a call leaves. A call without it was never made."""

    type: ClassVar[str] = "tool.started"
    message: str
    call: str


@dataclass(frozen=True, slots=True)
class ToolResult(ChatEvent):
    """What came back from a call. `content`: parts as MCP has them, without bytes; `structured`:
    any JSON. `cut`: only the beginning is stored. With another status than "ok", `code` and
    `sentence` may say why; "unknown": nobody knows whether the call took effect."""

    type: ClassVar[str] = "tool.result"
    message: str
    call: str
    status: ToolStatus
    duration_ms: int
    content: list[dict[str, Any]] | None = None
    structured: Any = None
    code: str | None = None
    sentence: str | None = None
    cut: bool | None = None


@dataclass(frozen=True, slots=True)
class BranchChosen(ChatEvent):
    type: ClassVar[str] = "branch.chosen"
    message: str


@dataclass(frozen=True, slots=True)
class FileErased(ChatEvent):
    """The owner has deleted an attached file; messages still name it."""

    type: ClassVar[str] = "file.erased"
    file: str


@dataclass(frozen=True, slots=True)
class FileTranscribed(ChatEvent):
    """What is said in an attached sound has been written down."""

    type: ClassVar[str] = "file.transcribed"
    file: str
    text: str


AnyEvent = (
    ChatCreated
    | ChatKept
    | ChatRenamed
    | ChatInstructed
    | ChatDeleted
    | ChatRestored
    | ChatPinned
    | ChatArchived
    | ChatMoved
    | ChatRead
    | MessageCreated
    | MessageStarted
    | MessageDelta
    | MessageReasoning
    | MessageImage
    | MessageResumed
    | MessageWaiting
    | MessageStepped
    | MessageCompleted
    | MessageError
    | MessageRated
    | MessageAudio
    | ToolInput
    | ToolCall
    | ToolStarted
    | ToolResult
    | BranchChosen
    | FileErased
    | FileTranscribed
)
EVENT_TYPES: dict[str, type[AnyEvent]] = {
    kind.type: kind
    for kind in (
        ChatCreated,
        ChatKept,
        ChatRenamed,
        ChatInstructed,
        ChatDeleted,
        ChatRestored,
        ChatPinned,
        ChatArchived,
        ChatMoved,
        ChatRead,
        MessageCreated,
        MessageStarted,
        MessageDelta,
        MessageReasoning,
        MessageImage,
        MessageResumed,
        MessageWaiting,
        MessageStepped,
        MessageCompleted,
        MessageError,
        MessageRated,
        MessageAudio,
        ToolInput,
        ToolCall,
        ToolStarted,
        ToolResult,
        BranchChosen,
        FileErased,
        FileTranscribed,
    )
}
# By type: looking them up for each event would take longer than decoding it.
FIELD_NAMES = {kind.type: frozenset(f.name for f in fields(kind)) for kind in EVENT_TYPES.values()}
_unknown_types_seen: set[str] = set()


def parse(data: bytes) -> AnyEvent | None:
    """Decode a stored event; None if its type or fields are from a newer version (logged once)."""
    decoded = orjson.loads(data)
    kind = EVENT_TYPES.get(decoded.get("type"))
    if kind is None:
        _log_once(str(decoded.get("type")))
        return None
    try:
        return kind.from_dict(decoded)
    except TypeError:
        _log_once(f"{kind.type} without its fields")
        return None


def _log_once(what: str) -> None:
    if what not in _unknown_types_seen:
        _unknown_types_seen.add(what)
        logger.warning("skipping an event this version cannot read: %s", what)


def log_event(chat: str, event: AnyEvent, event_id: str) -> LogEvent:
    """Wrap an event for the log.

    Deltas are parts of their message: the index drops them when the end is appended, which has the
    full text in the chat's index. So are waits, which mean nothing after the end, and arguments
    that are being written, which `tool.call` has whole.
    """
    part_of = None
    if isinstance(event, MessageDelta | MessageReasoning | MessageWaiting | ToolInput):
        part_of = event.message
    return LogEvent(
        id=event_id,
        chat=chat,
        type=event.type,
        data=event.encode(),
        part_of=part_of,
        whole=data_for_index(event.to_dict(whole=True), bool(event.KEPT_OUT_OF_LOG)),
    )


def data_for_index(event: dict[str, Any], is_whole: bool = False) -> bytes | None:
    """What the chat's own index stores of an event instead of what the log stores; None for the
    same. `is_whole`: the event has fields that the log does not store.

    In the index a thumb is an address. With two hundred pictures a chat would otherwise be a
    megabyte longer, for pictures that nobody has scrolled to.
    """
    files, file = event.get("files") or (), event.get("file") or {}
    if any(_has_thumb(one) for one in files):
        event = event | {"files": [_with_address(one) for one in files]}
    elif _has_thumb(file):
        event = event | {"file": _with_address(file)}
    elif not is_whole:
        return None
    return orjson.dumps(event)


def _has_thumb(file: dict[str, Any] | str) -> bool:
    return isinstance(file, dict) and str(file.get("thumb", "")).startswith("data:")


def _with_address(file: dict[str, Any]) -> dict[str, Any]:
    return file | {"thumb": f"/files/{file['id']}/thumb"} if _has_thumb(file) else file


def fingerprint(text: str) -> tuple[int, str]:
    """Length in UTF-8 bytes and SHA-256 of a text, with which every reader can check its fold."""
    encoded = text.encode()
    return len(encoded), hashlib.sha256(encoded).hexdigest()
