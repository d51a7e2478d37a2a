"""Measures MP4 with sound alone, also as browsers record it: in fragments, without a duration."""

from collections.abc import Iterator

from chat.files.reading.child.sound.measured import Damaged, Measured, OtherKind

_BOXES = 100_000
_DEEPEST = 8
_PARENTS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf", b"mvex")


def measure(data: bytes) -> Measured:
    """Raises Damaged, OtherKind."""
    found = _Found(data)
    found.walk(0, len(data), 0)
    if b"soun" not in found.handlers:
        raise OtherKind if found.handlers else Damaged
    if b"vide" in found.handlers or found.handlers.count(b"soun") > 1:
        raise OtherKind
    if not found.scale or not found.ticks:
        raise Damaged
    return Measured(found.ticks / found.scale, found.size)


class _Found:
    """What the boxes say of the one track."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._left = _BOXES
        self.handlers: list[bytes] = []
        self._scale_of_track = 0
        self._ticks_of_track = 0
        self.scale = 0
        self.ticks = 0
        self.size = 0
        self._default = 0  # the duration of a sample, unless it has its own
        self._of_fragment = 0

    def walk(self, at: int, end: int, depth: int) -> None:
        for name, start, stop in self._boxes(at, end):
            if name in _PARENTS and depth < _DEEPEST:
                self.walk(start, stop, depth + 1)
            elif name == b"mdat":
                self.size += stop - start
            elif read := _READERS.get(name):
                read(self, self._data[start:stop])

    def _boxes(self, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
        while at + 8 <= end:
            self._left -= 1
            if self._left < 0:
                raise Damaged
            size, name, head = _number(self._data[at : at + 4]), self._data[at + 4 : at + 8], 8
            if size == 1:
                size, head = _number(self._data[at + 8 : at + 16]), 16
            if size == 0:
                size = end - at
            if size < head:
                raise Damaged
            yield name, at + head, min(at + size, end)
            at += size

    def media_header(self, box: bytes) -> None:
        at = 20 if box[:1] == b"\x01" else 12
        self._scale_of_track = _number(box[at : at + 4])

    def handler(self, box: bytes) -> None:
        if box[4:8] == b"dhlr":  # QuickTime's, of where the data is
            return
        self.handlers.append(box[8:12])
        if box[8:12] == b"soun":
            self.scale = self._scale_of_track

    def times(self, box: bytes) -> None:
        """The samples of a file that is not in fragments."""
        if self.handlers[-1:] != [b"soun"]:
            return
        for at in range(8, len(box) - 7, 8):
            self.ticks += _number(box[at : at + 4]) * _number(box[at + 4 : at + 8])

    def defaults(self, box: bytes) -> None:
        self._default = _number(box[12:16])

    def fragment(self, box: bytes) -> None:
        flags, at = _number(box[1:4]), 8
        at += (8 if flags & 1 else 0) + (4 if flags & 2 else 0)
        self._of_fragment = _number(box[at : at + 4]) if flags & 8 else self._default

    def run(self, box: bytes) -> None:
        flags, count, at = _number(box[1:4]), _number(box[4:8]), 8
        at += (4 if flags & 1 else 0) + (4 if flags & 4 else 0)
        if not flags & 0x100:
            self.ticks += count * self._of_fragment
            return
        step = 4 * (flags >> 8 & 15).bit_count()
        for start in range(at, min(at + count * step, len(box) - 3), step):
            self.ticks += _number(box[start : start + 4])


_READERS = {
    b"mdhd": _Found.media_header,
    b"hdlr": _Found.handler,
    b"stts": _Found.times,
    b"trex": _Found.defaults,
    b"tfhd": _Found.fragment,
    b"trun": _Found.run,
}


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")
