"""Requests that arrive too slowly, or that a proxy may read differently."""

from types import SimpleNamespace

import pytest
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from config.web import http_channel
from config.web.body_limits_daphne import Request
from config.web.http_channel import BODY_BYTES_PER_S, HEAD_WITHIN_S, Channel
from tests.config.web.raw_requests import Wire

HEAD = b"POST /api/nowhere HTTP/1.1\r\nHost: x\r\n"
SIZED = HEAD + b"Content-Length: 100000\r\n\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


class Peer:
    """A client of a channel, with a clock of its own."""

    def __init__(self):
        self.clock, self.asked = Clock(), []
        peer = self

        class Seen(Request):
            def process(self):
                peer.asked.append((self.uri, self.content.read()))

        server = SimpleNamespace(
            protocol_connected=lambda _: None, protocol_disconnected=lambda _: None
        )
        self.transport = StringTransport()
        self.transport.abortConnection = self.transport.loseConnection
        self.channel = Channel()
        self.channel.requestFactory = Seen
        self.channel.factory = SimpleNamespace(server=server, reactor=self.clock)
        self.channel.callLater = self.clock.callLater
        self.channel.timeOut = 60
        self.channel.makeConnection(self.transport)

    def leave(self):
        for request in self.channel.requests:
            if request.content:
                request.content.close()

    def say(self, data):
        if not self.is_cut:
            self.channel.dataReceived(data)

    def trickle(self, data, *, every_s, bytes_at_once=1):
        """Returns the seconds until the connection was closed, or None."""
        began = self.clock.seconds()
        for at in range(0, len(data), bytes_at_once):
            self.say(data[at : at + bytes_at_once])
            self.clock.advance(every_s)
            if self.is_cut:
                return self.clock.seconds() - began
        return None

    @property
    def is_cut(self):
        return self.transport.disconnecting

    @property
    def answer(self):
        return self.transport.value().split(b"\r\n")[0]


@pytest.fixture
def meet():
    met = []

    def one_more():
        met.append(Peer())
        return met[-1]

    yield one_more
    for peer in met:
        peer.leave()


def test_half_a_head_is_cut_off_however_it_trickles(meet):
    peer = meet()
    head = HEAD + b"X-Slow: " + b"x" * 1000
    assert HEAD_WITHIN_S <= peer.trickle(head, every_s=1) <= HEAD_WITHIN_S + 1
    assert b" 408 " in peer.answer and peer.asked == []


@pytest.mark.parametrize("head", [SIZED, CHUNKED])
def test_a_body_that_trickles_is_cut_off(meet, head):
    peer = meet()
    peer.say(head)
    body = b"1\r\nx\r\n" * 10_000 if head is CHUNKED else b"x" * 60_000
    assert peer.trickle(body, every_s=1) <= http_channel.BODY_GRACE_S + 1
    assert b" 408 " in peer.answer and peer.asked == []


def test_a_body_that_slows_down_is_cut_off(meet):
    peer = meet()
    peer.say(SIZED)
    fast = BODY_BYTES_PER_S * 2
    assert peer.trickle(b"x" * fast * 30, every_s=1, bytes_at_once=fast) is None
    assert 20 < peer.trickle(b"x" * 1_000, every_s=1) < 60


def test_a_body_at_the_least_rate_comes_through(meet):
    peer = meet()
    peer.say(SIZED)
    at_once = BODY_BYTES_PER_S + 8
    assert peer.trickle(b"x" * 100_000, every_s=1, bytes_at_once=at_once) is None
    assert peer.asked == [(b"/api/nowhere", b"x" * 100_000)]


def test_nothing_is_left_of_a_request_that_came_in_time(meet):
    """The limit excludes the time of the response and the time between two requests."""
    peer = meet()
    for number in range(3):
        peer.say(HEAD + b"Content-Length: 3\r\n\r\nabc")
        assert len(peer.asked) == number + 1
        peer.clock.advance(500)
        assert not peer.is_cut
        peer.channel.requestDone(peer.channel.requests[0])
        peer.clock.advance(50)
        assert not peer.is_cut
    peer.say(HEAD)
    peer.clock.advance(HEAD_WITHIN_S + 1)
    assert peer.is_cut


def test_a_connection_that_is_lost_has_no_deadline(meet):
    for said in (HEAD, SIZED + b"abc"):
        peer = meet()
        peer.say(said)
        peer.channel.connectionLost(None)
        assert peer.clock.getDelayedCalls() == []


@pytest.mark.parametrize(
    "lines",
    [
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        b"Transfer-Encoding: identity\r\nContent-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked, chunked\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"transfer-encoding: xchunked\r\n",
        b"Transfer-Encoding:\r\n chunked\r\n",
        b"X-Folded: a\r\n b\r\n",
        b"X-Folded: a\r\n\tContent-Length: 5\r\n",
        b" Content-Length: 5\r\n",
        b"Content-Length: 5\r\nContent-Length: 5\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length : 5\r\n",
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(meet, lines):
    for split in (True, False):
        peer = meet()
        said = HEAD + lines + b"\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
        for piece in [said[at : at + 1] for at in range(len(said))] if split else [said]:
            peer.say(piece)
        assert b" 400 " in peer.answer and peer.asked == []


def test_usual_chunks_are_taken(meet):
    peer = meet()
    peer.say(HEAD + b"Transfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    assert peer.asked == [(b"/api/nowhere", b"abc")]


def test_the_server_uses_it(stack):
    with Wire(stack) as wire:
        wire.head("/nowhere", "Transfer-Encoding: identity", "Content-Length: 0")
        assert wire.socket.recv(1000).startswith(b"HTTP/1.1 400 ")
