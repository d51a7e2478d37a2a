"""Server-sent events cut out of bytes, however the network split them."""

MAX_EVENT_BYTES = 4_000_000  # one event longer than this is no answer of a chat model


class TooLongError(ValueError):
    """An event has passed MAX_EVENT_BYTES without ending."""


class EventSplitter:
    """`feed` gives the data of every event that these bytes completed; comments are left out.

    Lines end in LF or CRLF. Data is given as it came, not decoded. `flush` gives what an ending
    stream left without its blank line.
    """

    def __init__(self) -> None:
        self._tail = b""
        self._data: bytes | None = None

    def feed(self, piece: bytes) -> list[bytes]:
        if self._tail:
            piece = self._tail + piece
        lines = piece.split(b"\n")
        self._tail = lines.pop()
        events: list[bytes] = []
        data = self._data
        for line in lines:
            if line.startswith(b"data:"):
                value = line[5:].strip()
                data = value if data is None else data + b"\n" + value
            elif data is not None and (not line or line == b"\r"):
                events.append(data)
                data = None
        self._data = data
        if len(self._tail) + len(data or b"") > MAX_EVENT_BYTES:
            raise TooLongError
        return events

    def flush(self) -> list[bytes]:
        return self.feed(b"\n\n")
