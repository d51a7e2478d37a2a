"""How pictures and sound go to a model: their tokens, and the parts of a request."""

import base64
import math
from collections.abc import Sequence
from typing import Any

from chat.files import objects
from chat.files.storage_threads import in_storage_thread
from chat.llm.prompt_roles import Message
from chat.uuids import read_uuid

# The longest side of the rendition for models, in pixels (chat/files/reading/).
MODEL_SIDE = 1568


def picture_tokens(width: int, height: int) -> int:
    """The most tokens that the usual providers count for a picture of this size: Anthropic's,
    Google's and OpenAI's rules."""
    scale = min(1.0, MODEL_SIDE / max(width, height, 1))
    w, h = max(round(width * scale), 1), max(round(height * scale), 1)
    tiles = math.ceil(w / 768) * math.ceil(h / 768)
    return max(w * h // 750, 258 * tiles, 85 + 170 * math.ceil(w / 512) * math.ceil(h / 512))


def picture_key(file_id: str, rendition: str) -> str:
    """The name of a picture in a prompt: `<file id>/<rendition>`."""
    return f"{file_id}/{rendition}"


def sound_key(file_id: str, rendition: str, form: str) -> str:
    """The name of a sound in a prompt: `<file id>/<rendition>.<format>`."""
    return f"{file_id}/{rendition}.{form}"


async def with_pictures(messages: Sequence[Message]) -> list[Message]:
    """The messages with their pictures and sound as parts, which add megabytes to the request. What
    is erased meanwhile is left out."""
    return [
        await in_storage_thread(_with_parts, message) if "pictures" in message else message
        for message in messages
    ]


def _with_parts(message: Message) -> Message:
    parts: list[dict[str, Any]] = []
    for key in message["pictures"]:
        file_id, _, rendition = key.partition("/")
        rendition, _, form = rendition.partition(".")
        try:
            data = objects.read_rendition(read_uuid(file_id, "file"), rendition)
        except FileNotFoundError:
            continue
        if form:
            sound = {"data": base64.b64encode(data).decode(), "format": form}
            parts.append({"type": "input_audio", "input_audio": sound})
        else:
            parts.append({"type": "image_url", "image_url": {"url": data_url(data)}})
    if message["content"] or not parts:
        parts.insert(0, {"type": "text", "text": message["content"]})
    return {"role": message["role"], "content": parts}


def data_url(data: bytes) -> str:
    """The `data:` URL of a JPEG or a PNG."""
    kind = "png" if data.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
