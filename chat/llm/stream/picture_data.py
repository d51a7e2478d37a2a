"""Takes the pictures out of an event before its JSON is parsed.

A picture is a string of up to 20 MB. Parsing it as JSON and decoding it in one piece would each
keep Python's lock for tens of milliseconds, in which no other answer goes on. Finding the end of
the string is much cheaper, and the base64 is decoded in slices. Only data in the event itself
counts: an address is never fetched.
"""

import binascii
import re

import orjson

MAX_BASE64_CHARS = 20_000_000
# Base64 is decoded by so many characters at a time, which takes less than a millisecond.
SLICE_CHARS = 256 * 1024
NAME = "holdfast-picture:"
_STRING = re.compile(rb'"(url|image_url|b64_json)"\s*:\s*"')
_DATA = b"data:image/"
_SPACES = b" \t\r\n"


def may_have_pictures(event: bytes) -> bool:
    return _DATA in event or b'"b64_json"' in event


def take_pictures(event: bytes) -> tuple[bytes, dict[str, bytes]]:
    """The event with a short name in place of each picture, and the pictures by these names. A
    picture that is damaged or too large is b"".
    """
    kept: list[bytes] = []
    pictures: dict[str, bytes] = {}
    at = 0
    while match := _STRING.search(event, at):
        begin = match.end()
        end = event.find(b'"', begin)
        if end < 0:
            break
        is_picture = match[1] == b"b64_json" or event.startswith(_DATA, begin)
        kept.append(event[at : begin if is_picture else end])
        if is_picture:
            name = f"{NAME}{len(pictures)}"
            pictures[name] = _decoded(event[begin:end])
            kept.append(name.encode())
        at = end
    kept.append(event[at:])
    return b"".join(kept), pictures


def _decoded(data: bytes) -> bytes:
    try:
        if b"\\" in data:
            data = orjson.loads(b'"' + data + b'"').encode()
        if data.startswith(b"data:"):
            head, _, data = data.partition(b",")
            if not head.endswith(b";base64"):
                return b""
        if any(data.find(space) >= 0 for space in (b" ", b"\t", b"\r", b"\n")):
            data = data.translate(None, _SPACES)
        if len(data) > MAX_BASE64_CHARS:
            return b""
        slices = range(0, len(data), SLICE_CHARS)
        return b"".join(binascii.a2b_base64(data[at : at + SLICE_CHARS]) for at in slices)
    except ValueError:
        return b""
