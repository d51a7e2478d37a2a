"""Clients that send requests and do not read: their memory is bounded, and they are cut off."""

import asyncio
from types import SimpleNamespace

import pytest
from daphne.server import Server
from django.conf import settings
from django.http import HttpResponse
from twisted.internet.task import Clock

from config.web.asgi_handler import FlowingHandler
from config.web.body_limits_daphne import Request
from config.web.http_channel import Channel
from config.websocket.daphne_server import FlowingServer
from config.websocket.flow import FULL_BYTES, PAUSED_BYTES, Flow
from config.websocket.totals import TOTALS
from tests.config.slow_transport import SlowTransport

ASK = b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /page HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
STALL_S = settings.SOCKET_STALL_TIMEOUT_MS / 1000


class Client:
    """One connection, whose requests get `page` when they are `answered`."""

    def __init__(self, page):
        self.clock, self.asked = Clock(), []
        client = self

        class Answering(Request):
            def process(self):
                client.asked.append(self)
                self.channel.begin_response()
                self.write(page)
                self.finish()

        nothing = SimpleNamespace(
            protocol_connected=lambda _: None, protocol_disconnected=lambda _: None
        )
        self.transport = SlowTransport()
        self.channel = Channel()
        self.channel.requestFactory = Answering
        self.channel.factory = SimpleNamespace(
            server=nothing, reactor=self.clock, log=lambda _: None
        )
        self.channel.callLater = self.clock.callLater
        self.channel.timeOut = 60
        self.channel.makeConnection(self.transport)

    def leave(self):
        self.channel.stopProducing()
        self.channel.connectionLost(None)
        assert self.clock.getDelayedCalls() == []


@pytest.fixture
def connect():
    met = []

    def one_more(page=b"x" * 500_000):
        met.append(Client(page))
        return met[-1]

    yield one_more
    for client in met:
        client.leave()
    assert not TOTALS._owned


def test_one_answer_waits_however_many_were_asked_for(connect):
    client = connect(b"x" * 200_000)
    client.channel.dataReceived(ASK * 20)
    assert len(client.asked) == 1
    assert len(client.transport.value()) <= PAUSED_BYTES
    reads = 0
    while len(client.asked) < 20:
        client.transport.read()
        reads += 1
        assert len(client.transport.value()) <= PAUSED_BYTES
    while client.transport.value():
        client.transport.read()
    assert client.transport.taken.count(b" 200 ") == 20
    assert client.transport.taken.count(b"x" * 200_000) == 20 and reads > 20


def test_errors_of_requests_in_a_row_wait_as_well(connect):
    client = connect(b"x" * 90_000)
    client.channel.dataReceived((ASK + b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n") * 20)
    assert len(client.asked) == 1


def test_what_is_asked_meanwhile_is_not_read_without_end(connect):
    client = connect(b"x" * 70_000)
    ask = ASK[:-2] + b"X-Long: " + b"y" * 3_000 + b"\r\n\r\n"
    client.channel.dataReceived(ask)
    for _ in range(1_000):
        if client.transport.is_reading:
            client.channel.dataReceived(ask)
    assert sum(map(len, client.channel._dataBuffer)) < 20_000
    assert not client.transport.is_reading
    while not client.transport.is_reading:
        client.transport.read()
    assert len(client.asked) < 20


def test_a_client_that_reads_nothing_is_cut_off_and_a_slow_one_is_not(connect):
    still, slow = connect(), connect(b"x" * 3_000_000)
    still.channel.dataReceived(ASK)
    slow.channel.dataReceived(ASK)
    for _ in range(10):
        slow.clock.advance(STALL_S - 1)
        slow.transport.read()
    assert not slow.transport.is_cut
    still.clock.advance(STALL_S - 1)
    assert not still.transport.is_cut
    still.clock.advance(1)
    assert still.transport.is_cut


def test_a_connection_that_closes_has_an_end(connect):
    client = connect(b"x" * 1_000)
    client.channel.dataReceived(LAST)
    assert client.transport.disconnecting and not client.transport.is_cut
    client.clock.advance(STALL_S)
    assert client.transport.is_cut


def test_a_connection_that_closes_gives_all_of_its_answer_first(connect):
    client = connect()
    client.channel.dataReceived(LAST)
    while not client.transport.disconnecting:
        client.transport.read()
    client.transport.read()
    assert client.transport.taken.endswith(b"0\r\n\r\n")
    assert client.transport.taken.count(b"x") == 500_000


def test_the_answers_of_all_connections_are_counted_together(connect, settings):
    settings.SOCKET_WAITING_BYTES = 2_000_000
    clients = [connect() for _ in range(10)]
    for client in clients:
        client.channel.dataReceived(ASK)
    cut = [client for client in clients if client.transport.is_cut]
    assert len(clients) - 4 <= len(cut) < len(clients)


async def test_the_application_waits_for_the_client(connect):
    client = connect(b"x" * (FULL_BYTES + PAUSED_BYTES))
    client.channel.dataReceived(ASK)
    flow = client.channel._flow
    assert flow.is_full
    waiting = asyncio.create_task(flow.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    for _ in range(4):
        client.transport.read()
    await asyncio.wait_for(waiting, 10)


async def test_the_next_part_of_an_answer_waits_for_the_client(connect, monkeypatch):
    client = connect(b"x" * (FULL_BYTES + PAUSED_BYTES))
    client.channel.dataReceived(ASK)
    passed_on = []

    async def handle_reply(_, protocol, message):
        passed_on.append(message)

    monkeypatch.setattr(Server, "handle_reply", handle_reply)
    protocol = SimpleNamespace(flow=client.channel._flow)
    part = {"type": "http.response.body", "body": b"y" * 100_000, "more_body": True}
    server = FlowingServer.__new__(FlowingServer)
    sending = asyncio.create_task(server.handle_reply(protocol, part))
    await asyncio.sleep(0)
    assert passed_on == []
    for _ in range(4):
        client.transport.read()
    await asyncio.wait_for(sending, 10)
    assert passed_on == [part]


async def test_a_page_is_kept_no_longer_than_it_is_sent():
    """A page counts while it waits, and is freed afterwards, even if its client has left."""
    flow = Flow(SlowTransport(), TOTALS, lambda: None)
    response = HttpResponse(b"x" * 500_000)
    response.flow = flow
    seen = []

    async def send(message):
        seen.append(flow.counted_bytes)
        if message["type"] == "http.response.body":
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await FlowingHandler().send_response(response, send)
    assert seen == [500_000, 500_000]
    assert (flow.counted_bytes, response.content) == (0, b"")
