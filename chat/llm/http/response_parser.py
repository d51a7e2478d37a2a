"""Reads one HTTP/1.1 response. `httptools` parses it; this module adds limits and strictness.

A parser reads one response and is dropped, so nothing of it can get into the next response. The
head is separated at its empty line before it is parsed, so its size is limited exactly and the body
begins at a known byte. Unambiguous faults of a head are corrected (`_normalize_head`), but the
connection is then not used again.
"""

import re
from typing import Any

import httptools
import httpx2

MAX_HEAD_BYTES = 64 * 1024  # together with 1xx responses before it
MAX_HEADERS = 256
# The bytes that chunk sizes, extensions and trailers may take, and more for each byte of the body.
MAX_OVERHEAD_BYTES = 64 * 1024
MAX_OVERHEAD_PER_BODY_BYTE = 16
HEAD_END = re.compile(rb"\n\r?\n")
CHUNKED_END = re.compile(rb"[^\r\n]\r\n\r\n\Z")
SUPPORTED_VERSIONS = (b"HTTP/1.1 ", b"HTTP/1.0 ")
STATUSES_WITHOUT_BODY = (204, 304)

Headers = list[tuple[bytes, bytes]]


class ResponseParser:
    """`feed` it the bytes read. The body is appended to `pieces`, which the reader empties."""

    def __init__(self, method: str) -> None:
        self.status = 0
        self.headers: Headers = []
        self.pieces: list[bytes] = []
        self.complete = False
        self._is_head_request = method == "HEAD"
        self._keep_alive = self._until_closed = self._chunked = False
        self._has_surplus = False  # Bytes came after the end.
        self._remaining_bytes: int | None = None  # of the body, if Content-Length is given
        self._raw = bytearray()  # the part of the head received so far
        self._head_bytes = 0
        self._tail = b""
        self._overhead_bytes = 0
        self._head_parser: Any = None  # the parser of the current head, which may be a 1xx one
        self._parser: Any = None  # the parser of the final head and the body
        self.on_body = self.pieces.append  # called by httptools

    @property
    def has_head(self) -> bool:
        return self.status >= 200

    @property
    def reusable(self) -> bool:
        """Whether the response allows another request on the connection."""
        return self.complete and self._keep_alive and not self._has_surplus

    def feed(self, data: bytes) -> None:
        """Raises RemoteProtocolError for bytes that are not HTTP/1.1, or are ambiguous."""
        if not self.has_head:
            data = self._feed_head(data)
        if data:
            self._feed_body(data)

    def end(self) -> bool:
        """Call it when the server has closed the connection. Returns whether the response is
        complete."""
        if self._until_closed:
            self.complete = True
        return self.complete

    def free(self) -> None:
        """Call it after the last `feed`. httptools' parsers refer back to this object, and would
        keep it in memory until the garbage collector runs."""
        self._head_parser = self._parser = None

    # The head

    def _feed_head(self, data: bytes) -> bytes:
        """Parses the head, and returns the rest of `data`, which belongs to the body."""
        begin = max(len(self._raw) - 2, 0)
        self._raw += data
        while not self.has_head:
            match = HEAD_END.search(self._raw, begin)
            size = match.end() if match else len(self._raw)
            if self._head_bytes + size > MAX_HEAD_BYTES:
                raise httpx2.RemoteProtocolError("the head is too long")
            if match is None:
                return b""
            head = bytes(self._raw[:size])
            del self._raw[:size]
            self._head_bytes += size
            begin = 0
            self._parse_head(head)
        rest, self._raw = bytes(self._raw), bytearray()
        return rest

    def _parse_head(self, head: bytes) -> None:
        if not head.startswith(SUPPORTED_VERSIONS):
            raise httpx2.RemoteProtocolError("not an HTTP/1 response")
        head, was_clean = _normalize_head(head)
        self.headers.clear()
        self._head_parser = parser = httptools.HttpResponseParser(self)
        parser.set_dangerous_leniencies(lenient_spaces_after_chunk_size=True)
        try:
            parser.feed_data(head)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            raise httpx2.RemoteProtocolError(f"invalid head: {error}") from None
        self.status = parser.get_status_code()
        if self.status < 200:  # An interim response; we never ask for 101.
            if self.status == 101:
                raise httpx2.RemoteProtocolError("the server switched protocols")
            self.complete = False
            return
        self._parser = parser
        self._keep_alive &= was_clean and head.startswith(SUPPORTED_VERSIONS[0])
        self._expect_body()

    def _expect_body(self) -> None:
        codings = [v.lower() for n, v in self.headers if n.lower() == b"transfer-encoding"]
        lengths = [int(v) for n, v in self.headers if n.lower() == b"content-length"]
        if codings not in ([], [b"chunked"]):
            raise httpx2.RemoteProtocolError("unknown transfer encoding")
        if self._is_head_request or self.status in STATUSES_WITHOUT_BODY:
            self.complete = True
        elif codings:
            self._chunked = True
        elif lengths:
            self._remaining_bytes = lengths[0]
        else:
            self._until_closed = True

    # The body

    def _feed_body(self, data: bytes) -> None:
        if self.complete:
            self._has_surplus = True
            return
        if self._remaining_bytes is not None:
            if len(data) > self._remaining_bytes:
                self._has_surplus = True
                data = data[: self._remaining_bytes]
            self._remaining_bytes -= len(data)
        before = len(self.pieces)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if not self.complete:
                raise httpx2.RemoteProtocolError(f"invalid body: {error}") from None
            self._has_surplus = True
        if self._chunked:
            self._check_chunks(data, sum(map(len, self.pieces[before:])))

    def _check_chunks(self, data: bytes, body_bytes: int) -> None:
        self._tail = data[-5:] if len(data) >= 5 else (self._tail + data)[-5:]
        # The parser silently skips line ends between two responses.
        if self.complete and not CHUNKED_END.match(self._tail):
            self._has_surplus = True
        self._overhead_bytes += len(data) - body_bytes - MAX_OVERHEAD_PER_BODY_BYTE * body_bytes
        self._overhead_bytes = max(self._overhead_bytes, 0)
        if self._overhead_bytes > MAX_OVERHEAD_BYTES:  # The parser buffers trailers of any length.
            raise httpx2.RemoteProtocolError("endless chunk metadata")

    # Called by httptools

    def on_message_begin(self) -> None:
        if self.complete:  # Bytes after the end never belong to this response.
            raise ValueError("another response")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.has_head:
            return  # a trailer
        if len(self.headers) >= MAX_HEADERS:
            raise ValueError("too many headers")
        self.headers.append((name, value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        # If no body follows, the parser resets this value afterwards.
        self._keep_alive = self._head_parser.should_keep_alive()

    def on_message_complete(self) -> None:
        self.complete = True


def _normalize_head(head: bytes) -> tuple[bytes, bool]:
    """The head as the standard requires it, and whether it was so already.

    Corrects line ends without CR, joins continued lines, drops a repeated identical Content-Length
    and fields whose names are not ASCII. The parser refuses all other faults.
    """
    text = head.replace(b"\r\n", b"\n")
    first, *lines = text.rstrip(b"\n").split(b"\n")
    fields: list[list[bytes]] = []
    for line in lines:
        if line[:1] in (b" ", b"\t") and fields:
            fields[-1].append(line.strip(b" \t"))
        else:
            fields.append([line])
    kept = [b" ".join(field) for field in fields if field[0].partition(b":")[0].isascii()]
    lengths = [line for line in kept if line.lower().startswith(b"content-length:")]
    if len(lengths) > 1 and len({line.partition(b":")[2].strip(b" \t") for line in lengths}) == 1:
        kept = [line for line in kept if line not in frozenset(lengths)] + lengths[:1]
    tidied = b"\r\n".join([first, *kept]) + b"\r\n\r\n"
    return tidied, tidied == head
