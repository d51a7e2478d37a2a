"""Encodes the JSON body of a request, of any size, without blocking the event loop."""

from typing import Any

import orjson

from streams.log import end_slice

# How much is encoded in the event loop at a time: about a millisecond.
SLICE_CHARS = 256_000


async def encode_request(request: dict[str, Any]) -> bytes:
    """The body of a chat completion. The messages are encoded slice by slice; then they are only
    copied."""
    encoded: list[orjson.Fragment] = []
    chars = total = 0
    for message in request["messages"]:
        size = _content_chars(message["content"])
        if chars and chars + size > SLICE_CHARS:
            await end_slice()
            chars = 0
        encoded.append(orjson.Fragment(orjson.dumps(message)))
        chars, total = chars + size, total + size
    if total > SLICE_CHARS:
        await end_slice()
    return orjson.dumps(request | {"messages": encoded})


def _content_chars(content: Any) -> int:
    """The characters of a text, or of the parts of a message with pictures and sound."""
    if isinstance(content, str):
        return len(content)
    return sum(_part_chars(part) for part in content)


def _part_chars(part: dict[str, Any]) -> int:
    if part["type"] == "input_audio":
        return len(part["input_audio"]["data"])
    return len(part["text"] if part["type"] == "text" else part["image_url"]["url"])
