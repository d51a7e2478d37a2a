"""Measures MP3 by counting its frames. The header that says how many there are may lie."""

from chat.files.reading.child.sound.measured import Damaged, Measured
from chat.files.reading.child.sound.mp3_frames import frame_of

# How far the next frame may be from where the last one ends, once there were frames.
_GAP_BYTES = 4_096
_LEAST_FRAMES = 2


def measure(data: bytes) -> Measured:
    """Raises Damaged."""
    at, frames, seconds, size = _after_tag(data), 0, 0.0, 0
    while (found := _next(data, at)) is not None:
        at = found
        frame = frame_of(data[at : at + 4])
        assert frame is not None
        frames += 1
        seconds += frame.samples / frame.rate
        size += frame.size
        at += frame.size
    if frames < _LEAST_FRAMES:
        raise Damaged
    return Measured(seconds, size)


def _after_tag(data: bytes) -> int:
    """Where the sound begins: after an ID3 tag, which may hold a picture."""
    if data[:3] != b"ID3":
        return 0
    size = 0
    for byte in data[6:10]:
        if byte > 0x7F:
            raise Damaged
        size = size << 7 | byte
    return 10 + size + (10 if data[5] & 0x10 else 0)


def _next(data: bytes, at: int) -> int | None:
    """The next frame that another one, or the end, follows."""
    end = min(at + _GAP_BYTES, len(data) - 4)
    while at <= end:
        frame = frame_of(data[at : at + 4])
        if frame is not None:
            after = at + frame.size
            if frame_of(data[after : after + 4]) is not None or after + 4 >= len(data):
                return at
            if data[after : after + 3] in (b"TAG", b"APE"):
                return at
        at = data.find(b"\xff", at + 1, end + 1)
        if at < 0:
            return None
    return None
