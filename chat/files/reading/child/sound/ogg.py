"""Measures Ogg: Opus by its packets, Vorbis and FLAC by the positions of its pages."""

from chat.files.reading.child.sound import opus
from chat.files.reading.child.sound.measured import Damaged, Measured, OtherKind

_NO_POSITION = (1 << 64) - 1
_HEADERS = 2  # of Opus: packets without sound


def measure(data: bytes) -> Measured:
    """Raises Damaged, OtherKind."""
    stream = _Stream()
    at = 0
    while data[at : at + 5] == b"OggS\0":
        count = data[at + 26] if len(data) > at + 26 else 0
        lacing = data[at + 27 : at + 27 + count]
        body = at + 27 + count
        at = body + sum(lacing)
        if at > len(data):  # A recorder that was cut off.
            break
        stream.add(data[body - count - 27 : body], lacing, data[body:at])
    return stream.measured()


class _Stream:
    """The one stream of sound in the file."""

    def __init__(self) -> None:
        self._serial: bytes | None = None
        self._rate = 0
        self._is_opus = False
        self._position = 0
        self._packets = 0
        self._samples = 0
        self._size = 0
        self._is_inside = False  # a packet that began on an earlier page

    def add(self, header: bytes, lacing: bytes, body: bytes) -> None:
        serial = header[14:18]
        if header[5] & 2:  # the first page of a stream
            self._begin(serial, body)
        if serial != self._serial:
            return
        position = int.from_bytes(header[6:14], "little")
        if position != _NO_POSITION:
            self._position = max(self._position, position)
        self._size += len(body)
        if self._is_opus:
            self._count(lacing, body)

    def _begin(self, serial: bytes, body: bytes) -> None:
        if self._serial is not None:
            raise OtherKind  # a second stream, such as a picture; or one after the other
        if body[:8] == b"OpusHead":
            self._is_opus, self._rate = True, opus.RATE
        elif body[:7] == b"\x01vorbis":
            self._rate = int.from_bytes(body[12:16], "little")
        elif body[:5] == b"\x7fFLAC":
            self._rate = int.from_bytes(body[27:30], "big") >> 4
        else:
            raise OtherKind
        self._serial = serial

    def _count(self, lacing: bytes, body: bytes) -> None:
        at = start = 0
        for size in lacing:
            at += size
            if size == 255:  # The packet goes on.
                continue
            if not self._is_inside:
                self._packets += 1
                if self._packets > _HEADERS:
                    self._samples += opus.samples_of(body[start : start + 2])
            self._is_inside, start = False, at
        if start < at:
            if not self._is_inside:
                self._packets += 1
                self._samples += opus.samples_of(body[start : start + 2])
            self._is_inside = True

    def measured(self) -> Measured:
        samples = self._samples if self._is_opus else self._position
        if not self._rate or not samples:
            raise Damaged
        return Measured(samples / self._rate, self._size)
