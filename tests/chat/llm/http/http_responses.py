"""Responses, named by their peculiarity and grouped by whether `h11` and our parser accept them."""

HEAD = b"HTTP/1.1 200 OK\r\n"
SIZED = HEAD + b"Content-Length: 4\r\n\r\nbody"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

# Our parser is stricter or more lenient than h11 here.
STRICTER = {
    "Content-Length beside Transfer-Encoding": (
        HEAD + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"
    ),  # Two parsers may see two different ends.
    "a list of lengths": HEAD + b"Content-Length: 4, 4\r\n\r\nbody",
    "a control character in a value": HEAD + b"X: a\x01b\r\nContent-Length: 4\r\n\r\nbody",
    "HTTP/1.2": b"HTTP/1.2 200 OK\r\nContent-Length: 4\r\n\r\nbody",
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\nContent-Length: 4\r\n\r\nbody",
    "HTTP/0.9": b"HTTP/0.9 200 OK\r\nContent-Length: 4\r\n\r\nbody",
}
MORE_LENIENT = {
    "a name that is not ASCII": HEAD + b"X-N\xc3\xa9v: \xc3\xa1\r\nContent-Length: 4\r\n\r\nbody",
    "a blank before a chunk's extension": CHUNKED + b"4 ;a=b\r\nbody\r\n0\r\n\r\n",
}
# Both accept these. Our parser lets the connection be reused only if h11 does.
ACCEPTED = {
    "a length": SIZED,
    "no reason": b"HTTP/1.1 200\r\nContent-Length: 4\r\n\r\nbody",
    "an empty reason": b"HTTP/1.1 200 \r\nContent-Length: 4\r\n\r\nbody",
    "a reason in Latin-1": b"HTTP/1.1 200 Tr\xe8s bien\r\nContent-Length: 4\r\n\r\nbody",
    "a value in Latin-1": HEAD + b"X: \xe1\xff\r\nContent-Length: 4\r\n\r\nbody",
    "blanks around a value": HEAD + b"X: \t a b \t\r\nContent-Length:4 \r\n\r\nbody",
    "an empty value": HEAD + b"X:\r\nContent-Length: 4\r\n\r\nbody",
    "lines without CR": b"HTTP/1.1 200 OK\nContent-Length: 4\n\nbody",
    "some lines without CR": b"HTTP/1.1 200 OK\r\nContent-Length: 4\nX: y\r\n\nbody",
    "lines without CR, chunked": (
        b"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n4\r\nbody\r\n0\r\n\r\n"
    ),
    "a continued line": HEAD + b"X: a\r\n b\r\n\tc\r\nContent-Length: 4\r\n\r\nbody",
    "the same length twice": HEAD + b"Content-Length: 4\r\ncontent-length: 4\r\n\r\nbody",
    "HTTP/1.0 until it closes": b"HTTP/1.0 200 OK\r\nX: y\r\n\r\nbody",
    "HTTP/1.0 keep-alive": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 4\r\n\r\nbody"
    ),
    "Connection: close": HEAD + b"Connection: close\r\nContent-Length: 4\r\n\r\nbody",
    "close among others": HEAD + b"Connection: x, Close\r\nContent-Length: 4\r\n\r\nbody",
    "until it closes": HEAD + b"X: y\r\n\r\nbody",
    "prefaces": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n"
        b"Content-Length: 9\r\nConnection: close\r\n\r\n" + SIZED
    ),
    "an unknown preface": b"HTTP/1.1 199 X\r\n\r\n" + SIZED,
    "an upgrade offered": HEAD + b"Upgrade: h2c\r\nContent-Length: 4\r\n\r\nbody",
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "204 with a length": b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\n",
    "304 with a length": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n",
    "304 and more": b"HTTP/1.1 304 Not Modified\r\n\r\nbody",
    "a length of zero": HEAD + b"Content-Length: 0\r\n\r\n",
    "chunks": CHUNKED + b"4\r\nbody\r\nA\r\n0123456789\r\n0\r\n\r\n",
    "chunks, large letters": HEAD + b"TRANSFER-ENCODING: Chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
    "chunks of HTTP/1.0": (
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"
    ),
    "zeros before a size": CHUNKED + b"0004\r\nbody\r\n000\r\n\r\n",
    "a blank after a size": CHUNKED + b"4 \r\nbody\r\n0\r\n\r\n",
    "extensions": CHUNKED + b'4;a=b;c="d;e"\r\nbody\r\n0;z\r\n\r\n',
    "trailers": CHUNKED + b"4\r\nbody\r\n0\r\nX-T: y\r\nZ:\r\n\r\n",
    "status 999": b"HTTP/1.1 999 X\r\nContent-Length: 4\r\n\r\nbody",
    "another answer after it": SIZED + SIZED,
    "another answer after chunks": CHUNKED + b"4\r\nbody\r\n0\r\n\r\n" + SIZED,
    "a line end after it": SIZED + b"\r\n",
    "a line end after chunks": CHUNKED + b"4\r\nbody\r\n0\r\n\r\n\r\n",
    "LF after chunks": CHUNKED + b"4\r\nbody\r\n0\r\n\r\n\n",
    "junk after it": SIZED + b"\0",
    "junk after chunks": CHUNKED + b"4\r\nbody\r\n0\r\n\r\n0",
    "junk after Connection: close": HEAD + b"Connection: close\r\nContent-Length: 4\r\n\r\nbodyX",
}
REFUSED = {
    "two lengths": HEAD + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nbody!",
    "a length with a sign": HEAD + b"Content-Length: +4\r\n\r\nbody",
    "a length without end": HEAD + b"Content-Length: " + b"9" * 30 + b"\r\n\r\nbody",
    "an empty length": HEAD + b"Content-Length: \r\n\r\nbody",
    "a continued length": HEAD + b"Content-Length: 4\r\n 5\r\n\r\nbody",
    "gzip as transfer encoding": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked, then gzip": HEAD + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "identity": HEAD + b"Transfer-Encoding: identity\r\n\r\nbody",
    "nearly chunked": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked twice": (
        HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "a blank before the colon": HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a blank in a name": HEAD + b"X Y: a\r\n\r\n",
    "no colon": HEAD + b"foo\r\n\r\n",
    "no name": HEAD + b": a\r\n\r\n",
    "NUL in a value": HEAD + b"X: a\0b\r\n\r\n",
    "a bare CR in a value": HEAD + b"X: a\rb\r\n\r\n",
    "a head that begins continued": HEAD + b" X: a\r\n\r\n",
    "101": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "a line end before it": b"\r\n" + SIZED,
    "another protocol": b"ICY 200 OK\r\n\r\n",
    "small letters": b"http/1.1 200 OK\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 99 X\r\n\r\n",
    "a status of four": b"HTTP/1.1 2000 X\r\n\r\n",
    "a negative chunk": CHUNKED + b"-5\r\nbody\r\n0\r\n\r\n",
    "a hexadecimal sign": CHUNKED + b"0x4\r\nbody\r\n0\r\n\r\n",
    "a chunk longer than it says": CHUNKED + b"3\r\nbody\r\n0\r\n\r\n",
    "chunks without line ends": CHUNKED + b"4\r\nbody0\r\n\r\n",
    "a chunk of endless size": CHUNKED + b"f" * 30 + b"\r\n",
    "chunk lines without CR": CHUNKED + b"4\nbody\n0\n\n",
    "cut off in the head": HEAD + b"Content-Le",
    "cut off in the body": HEAD + b"Content-Length: 5\r\n\r\nbody",
    "cut off in a chunk": CHUNKED + b"5\r\nbody",
    "cut off before the last chunk": CHUNKED + b"4\r\nbody\r\n",
    "cut off in the trailers": CHUNKED + b"4\r\nbody\r\n0\r\nX: y\r\n",
    "nothing": b"",
}
CASES = STRICTER | MORE_LENIENT | ACCEPTED | REFUSED
