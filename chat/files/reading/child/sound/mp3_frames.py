"""The headers of MP3 frames: MPEG 1, 2 and 2.5, layer III."""

from typing import NamedTuple

_MPEG_1 = 3
_KBITS = {
    True: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {
    _MPEG_1: (44_100, 48_000, 32_000),
    2: (22_050, 24_000, 16_000),
    0: (11_025, 12_000, 8_000),
}


class Frame(NamedTuple):
    size: int  # in bytes, with the header
    samples: int
    rate: int


def is_header(data: bytes) -> bool:
    return frame_of(data) is not None


def frame_of(data: bytes) -> Frame | None:
    """The frame with this header of four bytes; None if it is none."""
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE6 != 0xE2:
        return None
    version, kbits, rate = data[1] >> 3 & 3, data[2] >> 4, data[2] >> 2 & 3
    if version not in _RATES or not 1 <= kbits <= 14 or rate == 3:
        return None
    is_first = version == _MPEG_1
    samples = 1_152 if is_first else 576
    per_s = _RATES[version][rate]
    bits = _KBITS[is_first][kbits - 1] * 1_000
    return Frame(samples // 8 * bits // per_s + (data[2] >> 1 & 1), samples, per_s)
