"""Measures WebM by its clusters: what browsers record has no duration in its header."""

from chat.files.reading.child.sound import opus
from chat.files.reading.child.sound.measured import Damaged, Measured, OtherKind

_SEGMENT, _INFO, _SCALE, _TRACKS, _ENTRY = 0x18538067, 0x1549A966, 0x2AD7B1, 0x1654AE6B, 0xAE
_NUMBER, _KIND, _CODEC = 0xD7, 0x83, 0x86
_CLUSTER, _TIME, _SIMPLE, _GROUP, _BLOCK = 0x1F43B675, 0xE7, 0xA3, 0xA0, 0xA1
_PARENTS = (_SEGMENT, _INFO, _TRACKS, _ENTRY, _CLUSTER, _GROUP)
_SOUND = 2
_ELEMENTS = 2_000_000


def measure(data: bytes) -> Measured:
    """Raises Damaged, OtherKind."""
    found = _Found()
    at = 0
    for _ in range(_ELEMENTS):
        element, start = _id(data, at)
        size, start = _size(data, start)
        if start > len(data) or not element:
            break
        at = start
        if element not in _PARENTS:
            # One that was cut off counts as far as it is there.
            at = len(data) if size is None else min(start + size, len(data))
            found.read(element, data, start, at)
        if at >= len(data):
            break
    return found.measured()


class _Found:
    def __init__(self) -> None:
        self._scale_ns = 1_000_000
        self._kinds: list[int] = []
        self._is_opus = False
        self._is_laced = False
        self._cluster = 0
        self._first: int | None = None
        self._last = 0
        self._samples = 0
        self._size = 0

    def read(self, element: int, data: bytes, start: int, end: int) -> None:
        if element in (_SIMPLE, _BLOCK):
            self._block(data[start : start + 12], end - start)
        elif element == _CODEC:
            self._is_opus = data[start:end] == b"A_OPUS"
        elif element in (_SCALE, _KIND, _TIME) and end - start <= 8:
            value = int.from_bytes(data[start:end], "big")
            if element == _SCALE:
                self._scale_ns = value
            elif element == _KIND:
                self._kinds.append(value)
            else:
                self._cluster = value

    def _block(self, head: bytes, size: int) -> None:
        _, at = _size(head, 0)  # the number of the track
        time = self._cluster + int.from_bytes(head[at : at + 2], "big", signed=True)
        self._first = time if self._first is None else min(time, self._first)
        self._last = max(self._last, time)
        self._is_laced = self._is_laced or bool(head[at + 2 : at + 3] and head[at + 2] & 6)
        self._samples += opus.samples_of(head[at + 3 : at + 5])
        self._size += size

    def measured(self) -> Measured:
        if self._kinds != [_SOUND]:
            raise OtherKind if self._kinds else Damaged
        if self._first is None:
            raise Damaged
        if self._is_opus and not self._is_laced:
            return Measured(self._samples / opus.RATE, self._size)
        ticks = self._last - self._first
        return Measured(ticks * self._scale_ns / 1e9, self._size)


def _id(data: bytes, at: int) -> tuple[int, int]:
    """The id of the element at this place, and the place after it; 0 for none."""
    first = data[at] if at < len(data) else 0
    length = 9 - first.bit_length()
    if not first or length > 4:
        return 0, at
    return int.from_bytes(data[at : at + length], "big"), at + length


def _size(data: bytes, at: int) -> tuple[int | None, int]:
    """The size that is written at this place, None if it is not known; and the place after it."""
    first = data[at] if at < len(data) else 0
    if not first:
        return 0, len(data) + 1
    length = 9 - first.bit_length()
    value = int.from_bytes(data[at : at + length], "big") & (1 << 7 * length) - 1
    return None if value == (1 << 7 * length) - 1 else value, at + length
