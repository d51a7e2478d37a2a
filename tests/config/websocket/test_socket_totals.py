"""The bytes that wait for one client, in order and counted, and for several together."""

import asyncio
import itertools

import pytest

from config.websocket.flow import FULL_BYTES, PAUSED_BYTES, PIECE_BYTES, Flow
from config.websocket.totals import Totals


class Network:
    """A transport that pauses its producer after some bytes, until they are `read`."""

    def __init__(self, most_bytes=PIECE_BYTES):
        self._most_bytes = most_bytes
        self.held = b""
        self.taken = b""
        self.producer = None

    def write(self, data):
        self.held += data
        if len(self.held) > self._most_bytes:
            self.producer.pauseProducing()

    def read(self):
        self.taken, self.held = self.taken + self.held, b""
        self.producer.resumeProducing()


@pytest.fixture
def totals():
    return Totals()


@pytest.fixture
def make(totals):
    ticks = itertools.count()

    def one_more():
        network, ended = Network(), []
        end = lambda: (ended.append(flow), flow.close())  # noqa: E731
        flow = Flow(network, totals, end, now=lambda: next(ticks))
        network.producer, flow.ended = flow, ended
        flow.share("anna", 1_000_000)
        return flow, network

    return one_more


def test_all_comes_in_order_whatever_waits(make):
    flow, network = make()
    messages = [bytes([number]) * size for number, size in enumerate((10, 300_000, 5, 70_000, 9))]
    for message in messages:
        flow.write(message)
        assert len(network.held) <= PAUSED_BYTES
    while not flow.is_empty:
        network.read()
    assert network.taken + network.held == b"".join(messages)


def test_what_was_begun_is_finished_and_the_rest_dropped(make):
    flow, network = make()
    flow.write(b"a" * 300_000, 100_000)  # The network has taken this much directly.
    flow.write(b"b" * 100_000)
    flow.close()
    flow.write(b"the end")
    while not flow.is_empty:
        network.read()
    assert network.taken + network.held == b"a" * 200_000 + b"the end"


async def test_room_comes_when_the_client_reads_or_is_gone(make):
    for end in ("reads", "is gone"):
        flow, network = make()
        await flow.room()
        flow.write(b"a" * 600_000)
        assert flow.is_full
        waiting = asyncio.create_task(flow.room())
        await asyncio.sleep(0)
        assert not waiting.done()
        if end == "reads":
            while flow.waiting_bytes > FULL_BYTES:
                network.read()
        else:
            flow.stopProducing()
        await asyncio.wait_for(waiting, 10)


def test_the_socket_that_keeps_the_most_waiting_is_ended(make):
    (small, _), (large, _), (idle, _) = make(), make(), make()
    large.write(b"a" * 600_000)
    small.write(b"a" * 300_000)
    assert not small.ended and not large.ended
    small.write(b"a" * 200_000)
    assert large.ended and not small.ended and not idle.ended
    with idle.hold(450_000):  # Bytes that the application holds count as well.
        small.write(b"a" * 300_000)
        assert small.ended and not idle.ended


def test_a_socket_that_takes_what_it_is_sent_is_not_the_one(make):
    (still, _), (reading, network) = make(), make()
    still.write(b"a" * 400_000)
    for _ in range(10):
        reading.write(b"a" * 550_000)
        while not reading.is_empty:
            network.read()
    reading.write(b"a" * 900_000)
    assert still.ended and not reading.ended


def test_bytes_that_were_read_or_dropped_are_not_counted(make, totals):
    for _ in range(5):
        flow, network = make()
        flow.write(b"a" * 800_000)
        while not flow.is_empty:
            network.read()
        gone, _ = make()
        gone.write(b"a" * 800_000)
        gone.stopProducing()
        assert not flow.ended and not gone.ended
        flow.stopProducing()
    assert not totals._owners and not totals._owned
