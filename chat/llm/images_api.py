"""Requests to OpenAI's `/images/generations` and `/images/edits`, for models without chats.

The prompt is the last message alone: its text, and the pictures that are attached to it, which the
model then changes. The response is read like an answer (chat/llm/stream/chunk_shapes.py).
"""

import base64
import uuid
from typing import Any, NamedTuple

import orjson

from chat.llm.endpoints import Model
from chat.llm.prompt import Prompt

JSON = "application/json"


class EncodedRequest(NamedTuple):
    path: str
    content: bytes
    content_type: str


def encode_images_request(model: Model, prompt: Prompt) -> EncodedRequest:
    """Encodes the pictures, which takes a while: call it in a thread."""
    fields: dict[str, Any] = {"model": model.provider_name, "n": 1}
    parts: Any = prompt.messages[-1]["content"]
    if isinstance(parts, str):
        parts = [{"type": "text", "text": parts}]
    texts = [part["text"] for part in parts if part["type"] == "text"]
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    fields["prompt"] = "\n\n".join(texts)
    if not urls:
        return EncodedRequest("/images/generations", orjson.dumps(fields), JSON)
    return EncodedRequest("/images/edits", *_multipart(fields, urls))


def _multipart(fields: dict[str, Any], urls: list[str]) -> tuple[bytes, str]:
    boundary = uuid.uuid4().hex
    parts: list[bytes] = []
    for name, value in fields.items():
        parts.append(_head(boundary, f'name="{name}"') + str(value).encode())
    name = "image" if len(urls) == 1 else "image[]"
    for number, url in enumerate(urls):
        kind, _, data = url.removeprefix("data:").partition(";base64,")
        file = f'name="{name}"; filename="{number}.{kind.partition("/")[2]}"'
        parts.append(_head(boundary, file, f"Content-Type: {kind}\r\n") + base64.b64decode(data))
    end = f"\r\n--{boundary}--\r\n".encode()
    return b"".join(parts) + end, f"multipart/form-data; boundary={boundary}"


def _head(boundary: str, attributes: str, more: str = "") -> bytes:
    disposition = f"Content-Disposition: form-data; {attributes}\r\n"
    return f"\r\n--{boundary}\r\n{disposition}{more}\r\n".encode()
