"""Takes the pictures out of an event before its JSON is parsed.

A picture is a string of up to 20 MB. Parsing it as JSON and decoding it in one piece would each
keep Python's lock for tens of milliseconds, in which no other answer goes on. Finding the end of
the string is much cheaper, and the base64 is decoded in slices, between which other threads run.
Only data in the event itself counts: an address is never fetched.
"""

import binascii
import re
import time

import orjson

MAX_BASE64_CHARS = 20_000_000
# Base64 is decoded by so many characters at a time, which takes less than a millisecond.
SLICE_CHARS = 256 * 1024
NAME = "holdfast-picture:"
_STRING = re.compile(rb'"(url|image_url|b64_json)"\s*:\s*"')
_DATA = b"data:image"  # Some servers escape the slash.
_HEAD = re.compile(rb"data:image/[\w.+-]{1,40}(;[\w=.+-]{1,40}){0,4}?;base64,")
_SPACES = b" \t\r\n"


def may_have_pictures(event: bytes) -> bool:
    return _DATA in event or b'"b64_json"' in event


def take_pictures(event: bytes) -> tuple[bytes, dict[str, bytearray]]:
    """The event with a short name in place of each picture, and the pictures by these names. A
    picture that is damaged or too large is empty.
    """
    kept: list[bytes] = []
    pictures: dict[str, bytearray] = {}
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
            pictures[name] = _decoded(event, begin, end)
            kept.append(name.encode())
        at = end
    kept.append(event[at:])
    return b"".join(kept), pictures


def _decoded(event: bytes, begin: int, end: int) -> bytearray:
    """The picture between two places of an event, which is not copied unless that is unusual."""
    try:
        if event.find(b"\\", begin, end) >= 0:  # slashes or plus signs
            event = orjson.loads(b'"' + event[begin:end] + b'"').encode()
            begin, end = 0, len(event)
        if event.startswith(b"data:", begin):
            head = _HEAD.match(event, begin, end)
            if head is None:
                return bytearray()
            begin = head.end()
        if any(event.find(space, begin, end) >= 0 for space in (b" ", b"\t", b"\r", b"\n")):
            event = event[begin:end].translate(None, _SPACES)
            begin, end = 0, len(event)
        if end - begin > MAX_BASE64_CHARS:
            return bytearray()
        return _from_base64(memoryview(event)[begin:end])
    except ValueError:
        return bytearray()


def _from_base64(data: memoryview) -> bytearray:
    """Raises ValueError."""
    decoded = bytearray()
    for at in range(0, len(data), SLICE_CHARS):
        decoded += binascii.a2b_base64(data[at : at + SLICE_CHARS])
        time.sleep(0)  # Lets go of Python's lock.
    return decoded
