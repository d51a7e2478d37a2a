"""Measures FLAC by its stream information, which must fit the size of the file."""

from chat.files.reading.child.sound.measured import Damaged, Measured

_BLOCKS = 1_000
# Frames are never much larger than the samples they hold.
_SLACK = 1.1


def measure(data: bytes) -> Measured:
    """Raises Damaged."""
    info = data[8:42]
    packed = int.from_bytes(info[10:18], "big")
    rate, channels = packed >> 44, (packed >> 41 & 7) + 1
    bits, samples = (packed >> 36 & 31) + 1, packed & (1 << 36) - 1
    size = len(data) - _frames_from(data)
    if len(info) < 34 or not rate or size <= 0:
        raise Damaged
    if not samples or size > samples * channels * bits / 8 * _SLACK + 100_000:
        raise Damaged
    return Measured(samples / rate, size)


def _frames_from(data: bytes) -> int:
    at = 4
    for _ in range(_BLOCKS):
        is_last = data[at : at + 1] >= b"\x80"
        at += 4 + int.from_bytes(data[at + 1 : at + 4], "big")
        if is_last or at >= len(data):
            break
    return at
