"""Splits a streamed body into events, however the network split its bytes.

The content type is ignored. A body may have server-sent events, JSON lines, one JSON document over
many lines, or a mixture of these. The result is the data of each event, unchanged.
"""

import orjson

MAX_EVENT_BYTES = 2_000_000  # Only models that make pictures or sound send longer events.
MAX_PICTURE_EVENT_BYTES = 21_000_000
MAX_SOUND_EVENT_BYTES = 8_000_000  # about two minutes
# A longer document ends at the next one, or with the body: it is not parsed to find its end.
MAX_PARSED_BYTES = 1_000_000
MAX_NAME_BYTES = 64  # The names of events that we know are shorter.
# A longer document is parsed again only when it has doubled, so that the work stays linear.
MAX_OFTEN_BYTES = 4_096
BOM = b"\xef\xbb\xbf"
DONE = b"[DONE]"
_ENDS = frozenset((b"done", b"end", b"complete", b"completed", b"close"))
_PINGS = frozenset((b"ping", b"keep-alive", b"keepalive", b"keep_alive", b"heartbeat", b"comment"))


class TooLongError(ValueError):
    """An event is longer than it may be."""


class WebPageError(ValueError):
    """The body is HTML: the address is wrong, or a network requires a login."""


class EventSplitter:
    """`feed` returns the data of every event that is completed by these bytes, without comments.

    Lines end in LF, CRLF or CR. Extensions of the standard: a line of JSON without a field name is
    an event; a complete JSON document ends its event without a blank line; `event: error` and
    llama.cpp's `error: …` return `{"error": …}`; `event: done` returns [DONE]. `flush` returns the
    event at the end of the body that has no blank line. `ignored`: the number of other lines.
    """

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self.ignored = 0
        self._max_event_bytes = max_event_bytes
        self._tail = bytearray()
        self._data: list[bytes] | None = None
        self._size = 0
        self._parse_from = 0  # The document is known to be incomplete below this size (bytes).
        self._name = b""  # the current event's name, if it has one
        self._is_bare = False  # The event is JSON without a field name; it may have blank lines.
        self._after_cr = False
        self._is_new = True
        self._has_begun = False  # An event was received, so this is not a web page.

    def feed(self, piece: bytes) -> list[bytes]:
        is_idle = not self._tail and self._data is None and not self._name
        # The fast path: usually a read has exactly one event.
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
            self._tail += lines[0]
            lines[0] = bytes(self._tail)
            self._tail = bytearray()
        self._tail += rest
        self._is_new = False
        return self._read_lines(lines)

    def _read_lines(self, lines: list[bytes]) -> list[bytes]:
        events: list[bytes] = []
        simple: bytes | None = None  # the data of an event with a single line
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
                    simple = _value(line)
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
                # Two documents: inside one document there would be a comma in between.
                self._end(events)
                self._data = []
            self._data.append(value)
        self._size += len(value) + 1  # Empty data lines count as well.
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
        """Reads a line without a field name: JSON, or the next line of a JSON document."""
        start = line.lstrip()[:1]
        if start in (b"{", b"["):
            self._add(line, events)
            self._is_bare = self._is_bare or len(self._data or ()) == 1
        elif self._data is not None and self._data[0][:1] in (b"{", b"["):
            self._add(line, events)
        elif start == b"<" and not (self.ignored or self._has_begun or events):
            raise WebPageError
        elif start:
            self.ignored += 1

    def _end(self, events: list[bytes]) -> None:
        """Ends the event, at a blank line or where one is missing."""
        data, name = self._data, self._name
        if data is None and not name:
            return
        self._data, self._name, self._is_bare = None, b"", False
        self._size = self._parse_from = 0
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
        """Ends the event at the end of a read if its document is complete, so that no token waits
        for a blank line."""
        assert self._data is not None
        if self._data[-1][-1:] in (b"}", b"]") and self._is_whole():
            self._end(events)

    def _is_open(self) -> bool:
        """Whether a blank line here is inside a bare document."""
        return self._is_bare and self._data is not None and not self._is_whole()

    def _is_whole(self) -> bool:
        assert self._data is not None
        if self._data[-1][-1:] not in (b"}", b"]") or self._size < self._parse_from:
            return False
        if self._size > MAX_PARSED_BYTES:
            return False
        try:
            orjson.loads(b"\n".join(self._data))
        except ValueError:
            self._parse_from = 2 * self._size if self._size > MAX_OFTEN_BYTES else 0
            return False
        return True

    def _check_size(self) -> None:
        if len(self._tail) + self._size > self._max_event_bytes:
            raise TooLongError


def _value(line: bytes) -> bytes:
    """The value of a `data` line. A long one is copied once."""
    return line[6 if line[5:6] == b" " else 5 :].strip()


def _error(data: bytes) -> bytes:
    """The data of an error event, as an object with the field `error`."""
    try:
        error = orjson.loads(data)
    except ValueError:
        error = data.decode(errors="replace")
    return orjson.dumps({"error": error or "error"})
