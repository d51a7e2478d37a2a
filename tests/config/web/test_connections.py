"""Clients that open connections and leave them open."""

import gc
import socket
import weakref
from ipaddress import ip_network
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from twisted.internet.protocol import Protocol

from config.supervise import open_files
from config.web.connections import Connections, limit
from tests.stack import wait_for

MOST = 8


def opened(stack, *, source="127.0.0.1"):
    parts = urlsplit(stack.url)
    address = (parts.hostname, parts.port)
    return socket.create_connection(address, timeout=10, source_address=(source, 0))


def is_served(connection):
    try:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        return connection.recv(12) == b"HTTP/1.1 200"
    except OSError:
        return False


def test_an_address_has_so_many_and_others_are_served(make_stack, fake_model):
    env = {"CONNECTIONS_AT_ONCE_ADDRESS": str(MOST)}
    narrow_stack = make_stack(model_url=fake_model.base_url, workers=1, env=env).start()
    held = [opened(narrow_stack, source="127.0.0.9") for _ in range(MOST)]
    assert is_served(held[-1])
    with opened(narrow_stack, source="127.0.0.9") as refused:
        assert not is_served(refused)
    with opened(narrow_stack) as another:
        assert is_served(another)
    held.pop().close()

    def has_room():
        with opened(narrow_stack, source="127.0.0.9") as one:
            return is_served(one)

    wait_for(has_room)
    for connection in held:
        connection.close()


class Transport(SimpleNamespace):
    def connectionLost(self, reason):
        self.lost = reason


@pytest.fixture
def build(settings):
    settings.CONNECTIONS_AT_ONCE_ADDRESS = 2
    return Connections().limited(lambda address: Protocol())


def connect(build, host):
    protocol = build(SimpleNamespace(host=host))
    if protocol is None:
        return None
    transport = Transport()
    protocol.makeConnection(transport)
    return transport


def test_a_connection_that_became_a_websocket_counts_until_it_is_closed(build):
    first, _ = connect(build, "10.0.0.1"), connect(build, "10.0.0.1")
    first.protocol = Protocol()
    assert connect(build, "10.0.0.1") is None
    first.connectionLost("gone")
    assert first.lost == "gone"
    assert connect(build, "10.0.0.1") is not None
    assert connect(build, "10.0.0.1") is None


def test_all_of_a_v6_network_is_one(build):
    assert connect(build, "2001:db8::1") and connect(build, "2001:db8::2")
    assert connect(build, "2001:db8::3") is None
    assert connect(build, "2001:db8:0:1::1") is not None


@pytest.mark.parametrize("proxies", [1, [ip_network("10.0.0.0/8")]])
def test_a_trusted_proxy_brings_everybody(build, settings, proxies):
    settings.TRUST_PROXY, settings.TRUSTED_PROXIES = True, proxies
    assert all(connect(build, "10.0.0.1") for _ in range(9))


def test_nobody_trusted_is_a_proxy(build, settings):
    settings.TRUST_PROXY, settings.TRUSTED_PROXIES = True, [ip_network("10.0.0.0/8")]
    assert [bool(connect(build, "192.0.2.1")) for _ in range(3)] == [True, True, False]


def test_a_quarter_of_what_the_process_may_open_is_the_most(settings, monkeypatch):
    monkeypatch.setattr(open_files, "allowed", lambda: 1_024)
    settings.CONNECTIONS_AT_ONCE_ADDRESS = 5_000
    assert limit() == 256
    settings.CONNECTIONS_AT_ONCE_ADDRESS = 0
    assert limit() == 0


def test_a_connection_that_is_lost_is_freed_at_once(build):
    """Otherwise its buffers would stay until the garbage collector runs."""
    gc.collect()
    gc.disable()
    try:
        protocol, transport = build(SimpleNamespace(host="192.0.2.1")), Transport()
        protocol.makeConnection(transport)
        transport.connectionLost(None)
        left = [weakref.ref(protocol), weakref.ref(transport)]
        del protocol, transport
        assert [reference() for reference in left] == [None, None]
    finally:
        gc.enable()
