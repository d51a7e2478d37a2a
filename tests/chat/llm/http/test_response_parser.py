"""Compares the response parser with `h11`, on valid, unusual, damaged and truncated responses."""

import h11
import httpx2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chat.llm.http.response_parser import (
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    MAX_OVERHEAD_BYTES,
    ResponseParser,
)
from tests.chat.llm.http.http_responses import (
    ACCEPTED,
    CASES,
    CHUNKED,
    HEAD,
    MORE_LENIENT,
    REFUSED,
    SIZED,
    STRICTER,
)
from tests.examples import examples


class Refused(Exception):
    pass


def parse_ours(pieces, *, method="GET", closed=False):
    """(status, headers, body, complete, reusable)."""
    parser = ResponseParser(method)
    body = b""
    try:
        for piece in pieces:
            parser.feed(piece)
            body += b"".join(parser.pieces)
            parser.pieces.clear()
    except httpx2.RemoteProtocolError as error:
        raise Refused from error
    if closed and not parser.end():
        raise Refused
    headers = [(name.lower(), value) for name, value in parser.headers]
    for at, (name, value) in enumerate(headers):
        if name == b"transfer-encoding":  # h11 returns it in lower case.
            headers[at] = name, value.lower()
    status = parser.status if parser.has_head else None
    return status, headers, body, parser.complete, parser.reusable


def parse_with_h11(pieces, *, method="GET", closed=False):
    """The same with h11."""
    link = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
    link.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    link.send(h11.EndOfMessage())
    status, headers, body, complete = None, [], b"", False
    try:
        for piece in [*pieces, *([b""] if closed else [])]:
            if complete and not piece:
                break
            link.receive_data(piece)
            while not complete and (event := link.next_event()) is not h11.NEED_DATA:
                match event:
                    case h11.Response():
                        status, headers = event.status_code, list(event.headers)
                    case h11.Data():
                        body += bytes(event.data)
                    case h11.EndOfMessage():
                        complete = True
                    case h11.ConnectionClosed():
                        raise Refused
    except h11.RemoteProtocolError as error:
        raise Refused from error
    reusable = complete and link.their_state is h11.DONE and not link.trailing_data[0]
    return status, headers, body, complete, reusable


def result(read, *args, **kwargs):
    try:
        return read(*args, **kwargs)
    except Refused:
        return "refused"


def split(wire, cuts):
    places = sorted({cut % (len(wire) + 1) for cut in cuts})
    pieces = [wire[a:b] for a, b in zip([0, *places], [*places, len(wire)], strict=True)]
    return [piece for piece in pieces if piece]


@pytest.mark.parametrize("name", ACCEPTED)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_responses_that_both_accept_are_read_alike(name, method):
    mine = result(parse_ours, [ACCEPTED[name]], method=method, closed=True)
    other = result(parse_with_h11, [ACCEPTED[name]], method=method, closed=True)
    assert mine != "refused"
    assert mine[:4] == other[:4]
    assert other[4] or not mine[4]


@pytest.mark.parametrize("name", REFUSED)
def test_responses_that_both_refuse(name):
    assert result(parse_ours, [REFUSED[name]], closed=True) == "refused"
    assert result(parse_with_h11, [REFUSED[name]], closed=True) == "refused"


@pytest.mark.parametrize("name", STRICTER)
def test_responses_that_only_we_refuse(name):
    assert result(parse_ours, [STRICTER[name]], closed=True) == "refused"
    assert result(parse_with_h11, [STRICTER[name]], closed=True) != "refused"


@pytest.mark.parametrize("name", MORE_LENIENT)
def test_responses_that_only_we_accept(name):
    assert result(parse_ours, [MORE_LENIENT[name]], closed=True)[2] == b"body"
    assert result(parse_with_h11, [MORE_LENIENT[name]], closed=True) == "refused"


@pytest.mark.parametrize("name", ["a length", "chunks", "trailers", "extensions", "204"])
def test_a_clean_response_leaves_its_connection_reusable(name):
    assert parse_ours([ACCEPTED[name]])[4]


@pytest.mark.parametrize(
    "name", [*(n for n in ACCEPTED if "after" in n or "CR" in n or "twice" in n), *MORE_LENIENT]
)
def test_an_odd_response_or_surplus_bytes_make_the_connection_unusable(name):
    # A blank after a chunk size is accepted without consequences.
    if name not in ("a blank after a size", "a blank before a chunk's extension"):
        assert not parse_ours([CASES[name]])[4]


@pytest.mark.parametrize("name", CASES)
def test_the_result_does_not_depend_on_the_split(name):
    whole = result(parse_ours, [CASES[name]], closed=True)
    for step in (1, 2, 3, 7):
        pieces = [CASES[name][at : at + step] for at in range(0, len(CASES[name]), step)]
        assert result(parse_ours, pieces, closed=True) == whole
    for at in range(len(CASES[name])):
        assert result(parse_ours, split(CASES[name], [at]), closed=True) == whole


def test_limits():
    name = b"x" * 1000
    just = HEAD + b"X: " + b"a" * (MAX_HEAD_BYTES - len(HEAD) - 7) + b"\r\n\r\n"
    assert len(just) == MAX_HEAD_BYTES and parse_ours([just])[0] == 200
    for wire in (
        just.replace(b"X: ", b"X: a"),
        b"HTTP/1.1 100 Continue\r\n\r\n" + just,
        HEAD + name * 100,
        HEAD + b"X: a\r\n" * (MAX_HEADERS + 1) + b"\r\n",
        CHUNKED + b"4;" + b"a" * MAX_OVERHEAD_BYTES,
        CHUNKED + b"0\r\nX: " + b"a" * MAX_OVERHEAD_BYTES,
    ):
        with pytest.raises(Refused):
            parse_ours([wire])
    assert parse_ours([HEAD + b"X: a\r\n" * MAX_HEADERS + b"\r\n"])[0] == 200


# Random responses

TOKENS = st.text("abcXYZ-_09", min_size=1, max_size=8).map(str.encode)
VALUES = st.text("abc ,;=\xe9\t", max_size=12).map(lambda text: text.strip().encode("latin-1"))
FIELDS = st.tuples(TOKENS.map(lambda name: b"X-" + name), VALUES)
CONNECTIONS = st.sampled_from([[], [(b"Connection", b"close")], [(b"connection", b"Keep-Alive")]])
STATUSES = st.sampled_from([200, 200, 200, 201, 204, 304, 400, 429, 503])
BODIES = st.binary(max_size=40)
EXTENSIONS = st.sampled_from([b"", b"", b";a", b";a=b", b' ;a="b"', b" "])


@st.composite
def wires(draw):
    """A response, usually valid; sometimes followed by a part of another one, or truncated."""
    end = draw(st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n"]))
    preface = draw(st.sampled_from([b"", b"", b"HTTP/1.1 100 Continue\r\n\r\n"]))
    version = draw(st.sampled_from([b"1.1", b"1.1", b"1.1", b"1.0"]))
    reason = draw(st.sampled_from([b" OK", b"", b" ", b" Not at all"]))
    headers = draw(st.lists(FIELDS, max_size=4)) + draw(CONNECTIONS)
    framing, body = draw(bodies())
    headers = draw(st.permutations(headers + framing))
    status = b"HTTP/%b %d%b" % (version, draw(STATUSES), reason)
    head = end.join([status, *(b"%b: %b" % pair for pair in headers), b"", b""])
    wire = preface + head + body
    wire += draw(st.sampled_from([b"", b"", b"", b"\r\n", b"\n", b"X", SIZED, SIZED[:9], body]))
    return wire[: draw(st.one_of(st.just(len(wire)), st.integers(0, len(wire))))]


@st.composite
def bodies(draw):
    kind = draw(st.sampled_from(["sized", "chunked", "until closed", "both", "odd"]))
    parts = draw(st.lists(BODIES, max_size=4))
    length, chunked = (b"Content-Length", b"%d" % len(b"".join(parts))), (b"Transfer-Encoding",)
    if kind == "sized":
        return [length], b"".join(parts)
    if kind == "until closed":
        return [], b"".join(parts)
    if kind == "odd":
        odd = draw(st.sampled_from([b"gzip", b"identity", b"chunked, chunked", b"Chunked"]))
        return [(*chunked, odd)], b"".join(parts)
    wire = b"".join(
        b"%x%b\r\n%b\r\n" % (len(part), draw(EXTENSIONS), part) for part in parts if part
    )
    trailers = b"".join(b"%b: %b\r\n" % pair for pair in draw(st.lists(FIELDS, max_size=2)))
    framing = [(*chunked, b"chunked")] + ([length] if kind == "both" else [])
    return framing, wire + b"0\r\n" + trailers + b"\r\n"


@st.composite
def damaged(draw):
    """A response with some bytes changed, removed or inserted."""
    wire = bytearray(draw(wires()))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(wire)))
        new = draw(st.sampled_from([b"", b"\r", b"\n", b"\r\n", b" ", b":", b"0", b"f", b"\x80"]))
        wire[at : at + draw(st.integers(0, 2))] = new
    return bytes(wire)


def may_differ(wire):
    """Whether only one parser may refuse it, for a reason in STRICTER or MORE_LENIENT."""
    head = wire.lower()
    names = [line.partition(b":")[0] for line in head.split(b"\n")]
    return (
        (b"content-length" in head and b"transfer-encoding" in head)
        or head.count(b"content-length") > 1
        or any(byte < 32 and byte not in b"\t\r\n" or byte == 127 for byte in wire)
        or not all(name.isascii() for name in names)
        or b" ;" in wire
        or not wire.startswith((b"HTTP/1.1 ", b"HTTP/1.0 "))
    )


def is_incomplete(parsed):
    """Whether it is not at its end; one parser may detect a fault earlier than the other."""
    return parsed != "refused" and not parsed[3]


def compare(wire, cuts, method, closed):
    mine = result(parse_ours, split(wire, cuts), method=method, closed=closed)
    other = result(parse_with_h11, split(wire, cuts), method=method, closed=closed)
    assert result(parse_ours, [wire] if wire else [], method=method, closed=closed) == mine
    return mine, other


CUTS = st.lists(st.integers(0, 500), max_size=8)
METHODS = st.sampled_from(["GET", "POST", "POST", "HEAD"])


@settings(max_examples=examples(150), deadline=None)
@given(wires(), CUTS, METHODS, st.booleans())
def test_random_responses_are_read_as_by_h11(wire, cuts, method, closed):
    mine, other = compare(wire, cuts, method, closed)
    if "refused" in (mine, other):
        is_undecided = is_incomplete(mine) or is_incomplete(other)
        assert mine == other or may_differ(wire) or is_undecided
        return
    assert mine[:4] == other[:4]
    assert other[4] or not mine[4], "reusable, though h11 disagrees"


@settings(max_examples=examples(150), deadline=None)
@given(damaged(), CUTS, METHODS, st.booleans())
@example(SIZED.replace(b"4", b"\n4"), [], "GET", True)
def test_damaged_responses_are_read_as_by_h11_or_refused(wire, cuts, method, closed):
    mine, other = compare(wire, cuts, method, closed)
    if mine == "refused":
        return
    if other == "refused":
        assert may_differ(wire) or is_incomplete(mine), "accepted, though h11 refuses it"
        return
    assert mine[:4] == other[:4] or may_differ(wire)
    assert other[4] or not mine[4]
