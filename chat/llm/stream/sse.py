"""The documents of a streamed body, cut out of bytes however the network split them.

A body is read by what it holds, not by the label it bears: server-sent events, JSON lines, one JSON
document over many lines, or a mixture. What comes out is the data of each event, as it came.
"""

import orjson

MAX_EVENT_BYTES = 2_000_000  # one event longer than this is no answer of a chat model
MAX_NAME_BYTES = 64  # of an event; what is longer is no name we know
# A longer document is looked at again only when it has doubled: else each line would cost all.
MAX_OFTEN_BYTES = 4_096
BOM = b"\xef\xbb\xbf"
DONE = b"[DONE]"
_ENDS = frozenset((b"done", b"end", b"complete", b"completed", b"close"))
_PINGS = frozenset((b"ping", b"keep-alive", b"keepalive", b"keep_alive", b"heartbeat", b"comment"))


class TooLongError(ValueError):
    """An event has passed MAX_EVENT_BYTES without ending."""


class WebPageError(ValueError):
    """The body is HTML: a wrong address, or a hotel's login page."""


class EventSplitter:
    """`feed` gives the data of every event that these bytes completed; comments are left out.

    Lines end in LF, CRLF or CR. Beyond the standard: a line of JSON without a field name is an
    event, a JSON document that is whole ends its event although no blank line came, `event: error`
    and llama.cpp's `error: …` give `{"error": …}`, `event: done` gives [DONE]. `flush` gives what
    an ending stream left without its blank line. `rubbish`: how many lines were none of this.
    """

    def __init__(self) -> None:
        self.rubbish = 0
        self._tail = bytearray()
        self._data: list[bytes] | None = None
        self._size = 0
        self._look_from = 0  # bytes, below which it is known that the document is not whole
        self._name = b""  # of the event that is coming, when the stream names it
        self._is_bare = False  # the event is JSON without a field name, which may hold blank lines
        self._after_cr = False
        self._is_new = True
        self._has_begun = False  # an event has come, so this is no web page

    def feed(self, piece: bytes) -> list[bytes]:
        is_idle = not self._tail and self._data is None and not self._name
        # One event a read, as it mostly is.
        if is_idle and piece.endswith(b"}\n\n") and piece.startswith(b"data:"):
            data = piece[5:-2]
            if b"\n" not in data:
                self._after_cr = self._is_new = False
                self._has_begun = True
                return [data.strip()]
        if self._after_cr or b"\r" in piece:
            piece = self._with_lf(piece)
        if b"\n" not in piece:
            self._tail += piece
            self._check_size()
            if self._is_new and self._tail[:64].lstrip().startswith(b"<"):
                raise WebPageError
            return []
        lines = piece.split(b"\n")
        rest = lines.pop()
        if self._tail:
            lines[0] = bytes(self._tail) + lines[0]
            self._tail.clear()
        self._tail += rest
        self._is_new = False
        return self._read_lines(lines)

    def _read_lines(self, lines: list[bytes]) -> list[bytes]:
        events: list[bytes] = []
        simple: bytes | None = None  # the data of an event that has one line and nothing else
        for line in lines:
            if simple is not None:
                if not line:
                    events.append(simple)
                    simple = None
                    continue
                self._add(simple, events)
                simple = None
            if line.startswith(b"data:"):
                if self._data is None and not self._name:
                    simple = line[5:].strip()
                else:
                    self._add(line[5:].strip(), events)
            else:
                self._read_odd(line, events)
        if simple is not None:
            self._add(simple, events)
        if self._data is not None:
            self._end_early(events)
        self._has_begun = self._has_begun or bool(events)
        return events

    def flush(self) -> list[bytes]:
        self._after_cr = False
        events = self.feed(b"\n")
        self._is_bare = False
        return events + self.feed(b"\n")

    def _with_lf(self, piece: bytes) -> bytes:
        if self._after_cr and piece.startswith(b"\n"):
            piece = piece[1:]
        elif not piece:
            return piece
        self._after_cr = piece.endswith(b"\r")
        return piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _add(self, value: bytes, events: list[bytes]) -> None:
        if self._data is None:
            self._data = [value]
        else:
            if value[:1] in (b"{", b"[") and self._data[-1][-1:] in (b"}", b"]"):
                # Never inside one document, where a comma would stand between.
                self._end(events)
                self._data = []
            self._data.append(value)
        self._size += len(value) + 1  # an empty line of data takes its place as well
        self._check_size()

    def _read_odd(self, line: bytes, events: list[bytes]) -> None:
        if not line:
            return None if self._is_open() else self._end(events)
        if line.startswith(BOM):
            line = line[len(BOM) :]
        name, _, value = line.partition(b":")
        name = name.strip().lower()
        if name == b"data":
            self._add(value.strip(), events)
        elif name == b"event":
            self._name = value.strip()[:MAX_NAME_BYTES].lower()
        elif name == b"error":
            self._end(events)
            events.append(_error(value.strip()))
        elif name not in (b"id", b"retry", b""):
            self._read_bare(line.rstrip(), events)
        return None

    def _read_bare(self, line: bytes, events: list[bytes]) -> None:
        """A line without a field's name: JSON, or the next line of JSON that has begun."""
        start = line.lstrip()[:1]
        if start in (b"{", b"["):
            self._add(line, events)
            self._is_bare = self._is_bare or len(self._data or ()) == 1
        elif self._data is not None and self._data[0][:1] in (b"{", b"["):
            self._add(line, events)
        elif start == b"<" and not (self.rubbish or self._has_begun or events):
            raise WebPageError
        elif start:
            self.rubbish += 1

    def _end(self, events: list[bytes]) -> None:
        """A blank line, or what stands for one."""
        data, name = self._data, self._name
        if data is None and not name:
            return
        self._data, self._name, self._is_bare = None, b"", False
        self._size = self._look_from = 0
        event = None if data is None else b"\n".join(data)
        if not name:
            if event is not None:
                events.append(event)
        elif name == b"error":
            events.append(_error(event or b""))
        elif name in _ENDS and (event or b"")[:1] != b"{":
            events.append(DONE)
        elif event is not None and name not in _PINGS:
            events.append(event)

    def _end_early(self, events: list[bytes]) -> None:
        """At the end of a read: no token waits for a line that may come with the next one."""
        assert self._data is not None
        if self._data[-1][-1:] in (b"}", b"]") and self._is_whole():
            self._end(events)

    def _is_open(self) -> bool:
        """A bare document has empty lines in it."""
        return self._is_bare and self._data is not None and not self._is_whole()

    def _is_whole(self) -> bool:
        assert self._data is not None
        if self._data[-1][-1:] not in (b"}", b"]") or self._size < self._look_from:
            return False
        try:
            orjson.loads(b"\n".join(self._data))
        except ValueError:
            self._look_from = 2 * self._size if self._size > MAX_OFTEN_BYTES else 0
            return False
        return True

    def _check_size(self) -> None:
        if len(self._tail) + self._size > MAX_EVENT_BYTES:
            raise TooLongError


def _error(data: bytes) -> bytes:
    """An event that says `error` beside its data, as one that says so inside."""
    try:
        said = orjson.loads(data)
    except ValueError:
        said = data.decode(errors="replace")
    return orjson.dumps({"error": said or "error"})
