"""Reads one HTTP/1.1 answer. `httptools` parses; this says what is refused and where it ends.

One parser reads one answer and is thrown away: nothing of it can get into the next. The head is cut
off at its empty line before it is parsed, so its size is bounded exactly and the body begins at a
known byte. What a head has wrong without being ambiguous (see `_tidy`) is mended, but the
connection of such a server is not used again.
"""

import re
from typing import Any

import httptools
import httpx2

MAX_HEAD_BYTES = 64 * 1024  # with what comes before it (1xx)
MAX_HEADERS = 256
# Chunk sizes, extensions and trailers may take so many bytes, and more for each byte of the body.
MAX_BARREN_BYTES = 64 * 1024
MAX_BARREN_PER_BYTE = 16
HEAD_END = re.compile(rb"\n\r?\n")
CHUNKED_END = re.compile(rb"[^\r\n]\r\n\r\n\Z")
VERSIONS = (b"HTTP/1.1 ", b"HTTP/1.0 ")
BODILESS = (204, 304)

Headers = list[tuple[bytes, bytes]]


class AnswerParser:
    """`feed` it all that is read; the body is in `pieces`, which its reader empties."""

    def __init__(self, method: str) -> None:
        self.status = 0
        self.headers: Headers = []
        self.pieces: list[bytes] = []
        self.complete = False
        self._is_head_request = method == "HEAD"
        self._keep_alive = self._until_closed = self._chunked = False
        self._surplus = False  # bytes that came after the end
        self._left: int | None = None  # of the body, when its length was said
        self._raw = bytearray()  # the head, as far as it has come
        self._head_bytes = 0
        self._tail = b""
        self._barren_bytes = 0
        self._heads: Any = None  # the parser of the head that is read now
        self._parser: Any = None  # that of the final head, and of its body
        self.on_body = self.pieces.append  # called by httptools for each run of bytes

    @property
    def has_head(self) -> bool:
        return self._parser is not None

    @property
    def reusable(self) -> bool:
        """Whether the connection may be used for another request, as far as the answer says."""
        return self.complete and self._keep_alive and not self._surplus

    def feed(self, data: bytes) -> None:
        """Raises RemoteProtocolError for what is not HTTP/1.1, or ambiguous."""
        if not self.has_head:
            data = self._feed_head(data)
        if data:
            self._feed_body(data)

    def end(self) -> bool:
        """The server has closed its side: whether that is how this answer ends."""
        if self._until_closed:
            self.complete = True
        return self.complete

    # The head

    def _feed_head(self, data: bytes) -> bytes:
        """What is left of `data` for the body."""
        begin = max(len(self._raw) - 2, 0)
        self._raw += data
        while not self.has_head:
            found = HEAD_END.search(self._raw, begin)
            size = found.end() if found else len(self._raw)
            if self._head_bytes + size > MAX_HEAD_BYTES:
                raise httpx2.RemoteProtocolError("the head is too long")
            if found is None:
                return b""
            head = bytes(self._raw[:size])
            del self._raw[:size]
            self._head_bytes += size
            begin = 0
            self._parse_head(head)
        rest, self._raw = bytes(self._raw), bytearray()
        return rest

    def _parse_head(self, head: bytes) -> None:
        if not head.startswith(VERSIONS):
            raise httpx2.RemoteProtocolError("not HTTP/1")
        head, was_clean = _tidy(head)
        self.headers.clear()
        self._heads = parser = httptools.HttpResponseParser(self)
        parser.set_dangerous_leniencies(lenient_spaces_after_chunk_size=True)
        try:
            parser.feed_data(head)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            raise httpx2.RemoteProtocolError(f"not HTTP: {error}") from None
        self.status = parser.get_status_code()
        if self.status < 200:  # only a preface; 101 was not asked for
            if self.status == 101:
                raise httpx2.RemoteProtocolError("the protocol was changed")
            self.complete = False
            return
        self._parser = parser
        self._keep_alive &= was_clean and head.startswith(VERSIONS[0])
        self._expect_body()

    def _expect_body(self) -> None:
        codings = [v.lower() for n, v in self.headers if n.lower() == b"transfer-encoding"]
        lengths = [int(v) for n, v in self.headers if n.lower() == b"content-length"]
        if codings not in ([], [b"chunked"]):
            raise httpx2.RemoteProtocolError("an unknown transfer encoding")
        if self._is_head_request or self.status in BODILESS:
            self.complete = True
        elif codings:
            self._chunked = True
        elif lengths:
            self._left = lengths[0]
        else:
            self._until_closed = True

    # The body

    def _feed_body(self, data: bytes) -> None:
        if self.complete:
            self._surplus = True
            return
        if self._left is not None:
            if len(data) > self._left:
                self._surplus = True
                data = data[: self._left]
            self._left -= len(data)
        before = len(self.pieces)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if not self.complete:
                raise httpx2.RemoteProtocolError(f"broken: {error}") from None
            self._surplus = True
        if self._chunked:
            self._check_chunks(data, sum(map(len, self.pieces[before:])))

    def _check_chunks(self, data: bytes, body_bytes: int) -> None:
        self._tail = data[-5:] if len(data) >= 5 else (self._tail + data)[-5:]
        # The parser passes over line ends between two answers in silence.
        if self.complete and not CHUNKED_END.match(self._tail):
            self._surplus = True
        self._barren_bytes += len(data) - body_bytes - MAX_BARREN_PER_BYTE * body_bytes
        self._barren_bytes = max(self._barren_bytes, 0)
        if self._barren_bytes > MAX_BARREN_BYTES:  # it gathers a trailer, however long
            raise httpx2.RemoteProtocolError("chunks without an end")

    # What httptools calls

    def on_message_begin(self) -> None:
        if self.complete:  # what follows is not of this answer, whatever it looks like
            raise ValueError("another answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.has_head:
            return  # a trailer
        if len(self.headers) >= MAX_HEADERS:
            raise ValueError("too many headers")
        self.headers.append((name, value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        # Afterwards, where no body follows, the parser has forgotten it.
        self._keep_alive = self._heads.should_keep_alive()

    def on_message_complete(self) -> None:
        self.complete = True


def _tidy(head: bytes) -> tuple[bytes, bool]:
    """The head as the standard wants it, and whether it was so.

    Mended are line ends without CR, continued lines, the same Content-Length said twice, and
    names with characters outside ASCII, which no name has that means anything. Everything else is
    left to the parser to refuse.
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
