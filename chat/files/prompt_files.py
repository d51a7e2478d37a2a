"""Makes text and pictures for a model of the files that are attached to messages.

Documents go as text, fenced by file and page, and cut where there is no room, which the text says.
Pictures go to models that see them, sound to models that hear it; others get its transcription.
What a model does not get is replaced by a marker, so that it can say so, and is listed as withheld,
so that the page can. The newest files have the first claim.
"""

import asyncio
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from chat.files import objects
from chat.files.document_text import pages_of
from chat.files.pictures import MODEL_SIDE, picture_key, picture_tokens, sound_key
from chat.files.transcribing.texts import transcriptions_of
from chat.llm.endpoints import Model
from chat.llm.prompt import PromptMessage, answer_reserve
from chat.llm.tokens import (
    MAX_CHARS_PER_TOKEN,
    SOUND_TOKENS_PER_S,
    TOKENS_PER_MESSAGE,
    estimate_tokens,
)

# In one request. Providers refuse more pictures, or larger requests.
MAX_PICTURES = 20
MAX_PICTURE_BYTES = 20_000_000
# The log has them in each start of an attempt. Beyond this number, the oldest are not listed.
MAX_WITHHELD = 50
# A picture of a page of a scanned document, which is not stored with its size.
PAGE_TOKENS = picture_tokens(MODEL_SIDE, MODEL_SIDE)
# Documents may take this share of the window, which leaves some for the conversation.
DOCUMENT_SHARE = 0.6
# For the lines around each file, which are not counted one by one.
FENCE_TOKENS = 60

Facts = dict[str, Any]
Why = Literal["modality", "window", "missing"]


@dataclass(slots=True)
class _Room:
    """What may still be sent, and what was not."""

    sees: bool
    hears: bool
    tokens: int
    document_tokens: int
    pictures: int
    picture_bytes: int  # with those of sound
    transcriptions: dict[str, str]
    withheld: list[dict[str, str]] = field(default_factory=list)

    def withhold(self, file: Facts, why: Why) -> None:
        if len(self.withheld) < MAX_WITHHELD:
            self.withheld.append({"file": file["id"], "why": why})


async def with_files(
    messages: Sequence[PromptMessage], model: Model, others: Sequence[PromptMessage], partial: str
) -> tuple[list[PromptMessage], list[dict[str, str]]]:
    """The messages with the text and the pictures of their files, and what is withheld.

    `others`: the system message; `partial`: the partial answer to continue. Together with the last
    message they are always sent, so files get the rest of the room. Reads storage in a thread.
    Messages without files are the same objects.
    """
    if not any(message.files for message in messages):
        return list(messages), []
    always = [*others, messages[-1]]
    transcriptions = await transcriptions_of(sounds_of(messages))
    return await asyncio.to_thread(_with_files, messages, model, always, partial, transcriptions)


def sounds_of(messages: Sequence[PromptMessage]) -> list[str]:
    """The ids of the sounds that are attached."""
    files = [file for message in messages for file in message.files]
    return [file["id"] for file in files if file["kind"] == "audio"]


def _with_files(
    messages: Sequence[PromptMessage],
    model: Model,
    always: Sequence[PromptMessage],
    partial: str,
    transcriptions: dict[str, str],
) -> tuple[list[PromptMessage], list[dict[str, str]]]:
    taken = sum(message.tokens() + TOKENS_PER_MESSAGE for message in always)
    taken += estimate_tokens(partial) + FENCE_TOKENS * len(always[-1].files)
    free = model.context_tokens - answer_reserve(model) - taken
    of_documents = int(model.context_tokens * DOCUMENT_SHARE)
    room = _Room(
        model.sees, model.hears, free, of_documents, MAX_PICTURES, MAX_PICTURE_BYTES, transcriptions
    )
    newest_first = []
    for message in reversed(messages):
        if message is not messages[-1] and room.tokens > 0:
            # Newer messages come first: a document of an earlier one gets what they leave.
            room.tokens -= message.tokens() + TOKENS_PER_MESSAGE + FENCE_TOKENS * len(message.files)
        newest_first.append(_expand(message, room))
    return newest_first[::-1], room.withheld[::-1]


def _expand(message: PromptMessage, room: _Room) -> PromptMessage:
    if not message.files:
        return message
    texts, pictures, tokens, sound_tokens = [], [], 0, 0
    for file in message.files:
        try:
            text, shown, cost = _render(file, room)
        except FileNotFoundError:
            room.withhold(file, "missing")
            text, shown, cost = _marker(file, "it was deleted"), [], 0
        texts.append(text)
        pictures += shown
        tokens += cost
        sound_tokens += cost if file["kind"] == "audio" else 0
    texts.append(message.text)
    text = "\n\n".join(text for text in texts if text.strip())
    return replace(
        message,
        text=text,
        files=(),
        pictures=tuple(pictures),
        picture_tokens=tokens,
        sound_tokens=sound_tokens,
    )


def _render(file: Facts, room: _Room) -> tuple[str, list[str], int]:
    """The text, the pictures and their tokens. Raises FileNotFoundError."""
    if file["kind"] == "audio":
        return _render_sound(file, room)
    if file["kind"] != "image":
        return _render_document(file, room)
    if not room.sees:
        room.withhold(file, "modality")
        return _marker(file, "you cannot see pictures"), [], 0
    tokens = picture_tokens(file["width"], file["height"])
    if not _take_picture(file["id"], "model", tokens, room):
        room.withhold(file, "window")
        return _marker(file, "there was no room for it"), [], 0
    return f"[picture “{file['name']}”]", [picture_key(file["id"], "model")], tokens


def _render_sound(file: Facts, room: _Room) -> tuple[str, list[str], int]:
    tokens = -(-file["duration_ms"] * SOUND_TOKENS_PER_S // 1_000)
    found = _sendable(file) if room.hears else None
    if found is not None:
        rendition, form = found
        if _take_picture(file["id"], rendition, tokens, room):
            shown = sound_key(file["id"], rendition, form)
            return f"[sound “{file['name']}”]", [shown], tokens
    transcription = room.transcriptions.get(file["id"])
    if transcription is not None:
        return _render_transcription(file, transcription, room), [], 0
    objects.size_of(uuid.UUID(file["id"]), objects.ORIGINAL)  # It may have been deleted.
    room.withhold(file, "modality" if found is None else "window")
    why = "you cannot hear sound" if found is None else "there was no room for it"
    return _marker(file, why), [], 0


def _sendable(file: Facts) -> tuple[str, str] | None:
    """The rendition that models take, and its format: WAV or MP3."""
    with suppress(FileNotFoundError):
        objects.size_of(uuid.UUID(file["id"]), objects.WAV)
        return objects.WAV, "wav"
    form = {"audio/wav": "wav", "audio/mpeg": "mp3"}.get(file["type"])
    return (objects.ORIGINAL, form) if form else None


def _render_transcription(file: Facts, transcription: str, room: _Room) -> str:
    kept, tokens = _fitting(transcription, min(room.tokens, room.document_tokens))
    room.tokens -= tokens
    room.document_tokens -= tokens
    texts = [f"[transcription of the sound “{file['name']}”]", kept or "[no speech]"]
    if left_out := len(transcription) - len(kept):
        room.withhold(file, "window")
        texts[1:] = [kept, f"[The rest, {left_out} characters, is left out.]"]
    texts.append(f"[end of the sound “{file['name']}”]")
    return "\n".join(texts)


def _take_picture(file_id: str, rendition: str, tokens: int, room: _Room) -> bool:
    """Whether there is room for a picture, or a sound, which is then taken. Raises
    FileNotFoundError."""
    size = objects.size_of(uuid.UUID(file_id), rendition)
    if not room.pictures or size > room.picture_bytes or tokens > room.tokens:
        return False
    room.tokens -= tokens
    room.pictures -= 1
    room.picture_bytes -= size
    return True


@dataclass(slots=True)
class _Excerpt:
    """What is sent of a document: texts and pictures of its pages. `left_out` counts characters,
    `unseen` the pages without text that are not shown."""

    texts: list[str] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)
    left_out: int = 0
    unseen: int = 0


def _render_document(file: Facts, room: _Room) -> tuple[str, list[str], int]:
    excerpt = _Excerpt()
    if min(room.tokens, room.document_tokens) > 0:
        for page in pages_of(uuid.UUID(file["id"])):
            _add_page(excerpt, file, page, room)
    if not excerpt.texts:
        room.withhold(file, "window")
        return _marker(file, "there was no room for it"), [], 0
    if excerpt.left_out or excerpt.unseen:
        is_blind = not excerpt.left_out and not room.sees
        room.withhold(file, "modality" if is_blind else "window")
    texts = [f"[start of the file “{file['name']}”]", *excerpt.texts]
    if excerpt.left_out:
        left_out = f"The rest, {excerpt.left_out} characters, is left out"
        texts.append(f"[{left_out}: there was no room for it.]")
    elif file.get("cut"):
        texts.append("[The rest is left out: the document is too long.]")
    texts.append(f"[end of the file “{file['name']}”]")
    return "\n".join(texts), excerpt.pictures, PAGE_TOKENS * len(excerpt.pictures)


def _add_page(excerpt: _Excerpt, file: Facts, page: dict[str, Any], room: _Room) -> None:
    text: str = page["text"]
    rendition = f"page-{page['page']}"
    if not text.strip() and _take_page(file, rendition, room):
        excerpt.pictures.append(picture_key(file["id"], rendition))
        text = f"[picture {len(excerpt.pictures)} of this document]"
    elif not text.strip():
        text = "[this page has no text, and is not shown]"
        excerpt.unseen += 1
    kept, tokens = _fitting(text, min(room.tokens, room.document_tokens))
    room.tokens -= tokens
    room.document_tokens -= tokens
    excerpt.left_out += len(text) - len(kept)
    if kept:
        excerpt.texts.append(_fenced_page(page["page"], kept))


def _fitting(text: str, room: int) -> tuple[str, int]:
    """The start of the text that has at most `room` tokens, and how many it has."""
    kept = text[: max(room, 0) * MAX_CHARS_PER_TOKEN]
    while (tokens := estimate_tokens(kept)) > max(room, 0):
        kept = kept[: int(len(kept) * room / tokens * 0.98)]
    return kept, tokens


def _take_page(file: Facts, rendition: str, room: _Room) -> bool:
    """Whether a page without text is shown as a picture."""
    try:
        return room.sees and _take_picture(file["id"], rendition, PAGE_TOKENS, room)
    except FileNotFoundError:  # It was not rendered.
        return False


def _fenced_page(page: object, text: str) -> str:
    return text if page is None else f"[page {page}]\n{text}"


def _marker(file: Facts, why: str) -> str:
    return f"[The file “{file['name']}” was attached here, but {why}.]"
