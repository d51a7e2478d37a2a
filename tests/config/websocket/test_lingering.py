"""A socket that closes has an end, even if its client does not read the close frame."""

from types import SimpleNamespace

import pytest
import txaio
from twisted.internet.task import Clock

from config.websocket.flow import Flow
from config.websocket.protocol import LINGER_S, Socket
from config.websocket.totals import TOTALS
from tests.config.slow_transport import SlowTransport


@pytest.fixture
def socket():
    """A socket whose client reads nothing."""
    socket = Socket()
    socket.transport = SlowTransport()
    socket.factory = SimpleNamespace(reactor=Clock(), logFrames=False)
    socket.state, socket.wasClean, socket.peer = Socket.STATE_CLOSING, True, "client"
    socket.is_closed = txaio.create_future()
    socket.flow = Flow(socket.transport, TOTALS, lambda: None)
    socket.transport.registerProducer(socket.flow, True)
    socket.flow.write(b"x" * 500_000, 0)
    yield socket
    socket.flow.stopProducing()
    assert not TOTALS._owned


def test_a_closing_socket_is_cut_off_after_a_while(socket):
    socket.dropConnection()
    clock = socket.factory.reactor
    clock.advance(LINGER_S - 0.1)
    assert not socket.transport.is_cut
    clock.advance(0.1)
    assert socket.transport.is_cut
