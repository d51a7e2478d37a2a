"""URLs from people must not lead into our own network, however they are written."""

import gzip
import ipaddress
import socket
import threading
from contextlib import contextmanager

import psutil
import pytest
import requests

from accounts.provider_keys import address_filter as public_addresses
from accounts.provider_keys import http as outbound
from accounts.provider_keys.address_filter import (
    AddressRefusedError,
    UnreachableError,
    is_allowed,
    is_public,
    normal_host,
    normal_url,
    resolve,
)
from accounts.provider_keys.http import fetch
from accounts.provider_keys.model_documents import read_document
from accounts.sign_in.adapters import SocialAccountAdapter
from tests.fake_model import running_fake_model

PUBLIC, PUBLIC_6 = "93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"


def answering(*addresses):
    """A resolver that knows one name and counts the queries."""

    def resolver(host, port, **_):
        resolver.asked.append(host)
        return [
            (socket.AF_INET6 if ":" in a else socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port))
            for a in addresses
        ]

    resolver.asked = []
    return resolver


# URLs


@pytest.mark.parametrize(
    "url",
    [
        # Schemes that are not allowed
        "http://llm.example.org/v1",
        "ftp://llm.example.org/v1",
        "file:///etc/passwd",
        "gopher://llm.example.org/",
        "unix:///run/docker.sock",
        "//llm.example.org/v1",
        "llm.example.org/v1",
        "https://",
        "https:///v1",
        "",
        # More than an address
        "https://user:password@llm.example.org/v1",
        "https://user@llm.example.org/v1",
        "https://@llm.example.org/v1",
        "https://llm.example.org@127.0.0.1/v1",
        "https://llm.example.org/v1?key=x",
        "https://llm.example.org/v1#x",
        "https://llm.example.org\\@127.0.0.1/v1",
        "https://llm.example.org/v1\r\nHost: localhost",
        "https://llm.example.org/v 1",
        "https://llm.example.org:port/v1",
        "https://llm.example.org:99999/v1",
        "https://" + "a" * 400 + ".org",
        # Ports of other services
        *(f"https://llm.example.org:{port}/v1" for port in (22, 25, 6379, 5432, 3306, 9200, 11211)),
        # Forms of an IPv4 address that only some programs understand
        "https://2130706433/v1",
        "https://127.1/v1",
        "https://127.0.1/v1",
        "https://0/v1",
        "https://0x7f000001/v1",
        "https://0x7f.0.0.1/v1",
        "https://0X7F.0x0.0x0.0x1/v1",
        "https://0177.0.0.1/v1",
        "https://017700000001/v1",
        "https://127.0.0.01/v1",
        "https://127.0.0.1./v1",
        "https://%31%32%37.0.0.1/v1",
        "https://127%2e0%2e0%2e1/v1",
        "https://127.0.0.256/v1",
        # Invalid names, and names of no public host
        "https://localhost/v1",
        "https://localhost./v1",
        "https://metadata/v1",
        "https://llm.example.org./v1",
        "https://llm..example.org/v1",
        "https://-llm.example.org/v1",
        "https://llm_x.example.org/v1",
        "https://[::1%25eth0]/v1",
        "https://[fe80::1%eth0]/v1",
        # Characters that IDNA changes
        "https://１２７.０.０.１/v1",
        "https://127。0。0。1/v1",
        "https://①②⑦.⓪.⓪.①/v1",
        "https://ⓛocalhost.example/v1",
        "https://straße.example/v1",
        "https://llm.example。org/v1",
        "https://llm\u200b.example.org/v1",
        "https://\u202ellm.example.org/v1",
    ],
)
def test_urls_of_no_public_service_are_refused(url):
    with pytest.raises(AddressRefusedError) as refused:
        normal_url(url)
    assert str(refused.value).endswith(".")


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("https://LLM.Example.org/v1/", "https://llm.example.org/v1"),
        ("https://llm.example.org:443/v1", "https://llm.example.org/v1"),
        ("https://llm.example.org:8443", "https://llm.example.org:8443"),
        ("https://bücher.example/v1", "https://xn--bcher-kva.example/v1"),
        ("https://xn--bcher-kva.example/v1", "https://xn--bcher-kva.example/v1"),
        (f"https://{PUBLIC}/v1", f"https://{PUBLIC}/v1"),
        (f"https://[{PUBLIC_6}]:8443/v1", f"https://[{PUBLIC_6}]:8443/v1"),
    ],
)
def test_allowed_urls_are_normalised(url, normal):
    assert normal_url(url) == normal_url(normal) == normal


def test_the_operator_may_allow_plain_http_and_single_names(settings):
    settings.ALLOW_PRIVATE_MODEL_URLS = True
    assert normal_url("http://gpu-box:8000/v1") == "http://gpu-box:8000/v1"
    for still in ("http://u:p@gpu-box/v1", "http://0x7f.1/v1", "ftp://gpu-box/"):
        with pytest.raises(AddressRefusedError):
            normal_url(still)


# Resolved addresses

PRIVATE = [
    "127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "172.31.255.254", "192.168.1.1",
    "100.64.0.1", "100.127.255.254", "198.18.0.1", "192.0.0.1", "192.0.2.1", "198.51.100.1",
    "203.0.113.1", "192.88.99.1",
    "240.0.0.1", "255.255.255.255",
    "::1", "fc00::1", "fec0::1", "100::1", "2001:db8::1", "3fff::1", "5f00::1",
    "2001::1", "2001:10::1", "2001:20::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "::7f00:1",
    "::ffff:0:127.0.0.1",
    "2002:7f00:1::", "2002:a00:1::", "2002:808:808::",  # 6to4
    "2001:0:4136:e378:8000:63bf:80ff:fffe",  # Teredo
    "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "64:ff9b:1::808:808",  # NAT64
]  # fmt: skip
NEVER = [
    "0.0.0.0", "169.254.169.254", "169.254.1.1", "224.0.0.1", "239.255.255.255",
    "::", "fe80::1", "ff02::1", "ff0e::1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe",
    "::ffff:0.0.0.0", "::169.254.169.254", "2002:a9fe:a9fe::1",
    # Metadata of clouds that is not link-local.
    "100.100.100.200", "::ffff:100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254",
    "fd00:ec2::23", "fd20:ce::254", "fd00:42::42",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE + NEVER)
def test_addresses_that_are_not_public(address):
    assert not is_public(ipaddress.ip_address(address))
    assert not is_allowed(ipaddress.ip_address(address))
    with pytest.raises(AddressRefusedError):
        resolve("llm.example.org", 443, answering(address))
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(AddressRefusedError):
        fetch(f"https://{host}/v1", headers={}, timeout_s=5, guarded=True)


@pytest.mark.parametrize("address", [PUBLIC, PUBLIC_6, "8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses(address):
    assert is_public(ipaddress.ip_address(address))
    assert resolve("llm.example.org", 443, answering(address)) == [
        str(ipaddress.ip_address(address))
    ]


@pytest.mark.parametrize("address", NEVER)
def test_addresses_that_even_the_operator_cannot_allow(settings, address):
    settings.ALLOW_PRIVATE_MODEL_URLS = True
    assert not is_allowed(ipaddress.ip_address(address))
    assert is_allowed(ipaddress.ip_address("127.0.0.1"))
    assert is_allowed(ipaddress.ip_address("192.168.1.1"))


def test_this_machine_is_refused_by_its_public_address_too(monkeypatch):
    monkeypatch.setattr(public_addresses, "_own_addresses", lambda: {ipaddress.ip_address(PUBLIC)})
    assert not is_public(ipaddress.ip_address(PUBLIC))
    assert is_public(ipaddress.ip_address("8.8.8.8"))


def test_its_own_addresses_are_known():
    assert ipaddress.ip_address("127.0.0.1") in public_addresses._own_addresses()


def test_one_private_address_among_public_ones_refuses_them_all():
    for mixed in ([PUBLIC, "10.0.0.1"], ["::1", PUBLIC], [PUBLIC, PUBLIC_6, "::ffff:127.0.0.1"]):
        with pytest.raises(AddressRefusedError):
            resolve("llm.example.org", 443, answering(*mixed))


def test_a_scoped_address_is_refused():
    with pytest.raises(AddressRefusedError):
        resolve("llm.example.org", 443, answering("fe80::1%1"))


@pytest.mark.parametrize("failure", [socket.gaierror("no"), OSError("no")])
def test_an_unknown_name_is_unreachable(failure):
    def failing(*_, **__):
        raise failure

    with pytest.raises(UnreachableError) as error:
        resolve("llm.example.org", 443, failing)
    assert error.value.kind == "name"
    with pytest.raises(UnreachableError):
        resolve("llm.example.org", 443, answering())


def test_ports_are_checked_before_connecting_too():
    with pytest.raises(AddressRefusedError):
        resolve("llm.example.org", 6379, answering(PUBLIC))


def test_a_normal_host_is_always_ascii():
    assert normal_host("::FFFF:7f00:1") == "::ffff:7f00:1"
    assert normal_host("XN--BCHER-KVA.example") == "xn--bcher-kva.example"


# Requests


@contextmanager
def changing(monkeypatch, *answers):
    """The system's resolver returns these addresses in turn, then always the last one."""
    asked, left, real = [], list(answers), socket.getaddrinfo

    def resolver(host, port, *args, **kwargs):
        if host.replace(".", "").isdigit() or ":" in str(host):
            return real(host, port, *args, **kwargs)  # An IP address needs no name server.
        asked.append(host)
        address = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    yield asked


def test_dns_rebinding_changes_nothing(monkeypatch):
    """The name is public when it is checked, and loopback afterwards."""
    connected = []

    def connect(address, *_, **__):
        connected.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(outbound.socket, "create_connection", connect)
    with changing(monkeypatch, PUBLIC, "127.0.0.1") as asked:
        with pytest.raises(UnreachableError):
            fetch("https://rebind.example.org/v1", headers={}, timeout_s=5, guarded=True)
        assert connected == [(PUBLIC, 443)] and asked == ["rebind.example.org"]
        with pytest.raises(AddressRefusedError):
            fetch("https://rebind.example.org/v1", headers={}, timeout_s=5, guarded=True)
    assert connected == [(PUBLIC, 443)]


@pytest.fixture
def fake(settings):
    settings.ALLOW_PRIVATE_MODEL_URLS = True
    with running_fake_model() as running:
        yield running


def test_the_connection_goes_to_the_judged_address_and_carries_the_name(fake):
    """Only this resolver knows `pinned.example.org`."""
    url = f"http://pinned.example.org:{fake.port}/v1/chat/completions"
    body = b'{"model": "x", "messages": [{"role": "user", "content": "Hi"}]}'
    resolver = answering("127.0.0.1")
    answer = fetch(url, headers={}, body=body, timeout_s=10, guarded=True, resolver=resolver)
    assert answer.status == 200 and b"chat.completion" in answer.body
    assert fake.requests[0]["headers"]["host"] == f"pinned.example.org:{fake.port}"
    assert resolver.asked == ["pinned.example.org"]
    assert "chat.completion" not in repr(answer)


def test_proxies_of_the_environment_do_not_undo_it(fake, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    url = f"http://127.0.0.1:{fake.port}/v1/models"
    assert fetch(url, headers={}, timeout_s=10, guarded=True).status == 200


@contextmanager
def server(*pieces, pause_s=0.0):
    """A server that sends these pieces on every connection, with pauses between them."""
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def serve():
        while not ended.is_set():
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer:
                try:
                    peer.recv(65_536)
                    for piece in pieces:
                        peer.sendall(piece)
                        ended.wait(pause_s)
                except OSError:
                    continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    finally:
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)  # Wakes the thread, which closing does not.
        thread.join(5)
        listener.close()


@pytest.mark.parametrize("guarded", [True, False])
def test_a_redirect_is_not_followed(fake, guarded):
    to = f"{fake.root}/v1/models"
    said = f"HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode()
    with server(said) as url:
        answer = fetch(url, headers={"Authorization": "x"}, timeout_s=10, guarded=guarded)
    assert answer.status == 302
    assert fake.state.connections == 0


@pytest.mark.parametrize(
    "pieces",
    [
        [b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", *[b"x"] * 3_000],
        [b"HTTP/1.1 200 OK\r\n", *[b"X"] * 3_000],
    ],
)
def test_a_slow_server_does_not_hold_us_up(settings, pieces):
    settings.ALLOW_PRIVATE_MODEL_URLS = True
    with server(*pieces, pause_s=0.05) as url, pytest.raises(UnreachableError):
        fetch(url, headers={}, timeout_s=1, guarded=True)  # The server would send for 150 s.


def test_a_slow_body_is_cut_off_without_the_guard_too(settings):
    pieces = [b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", *[b"x"] * 3_000]
    with server(*pieces, pause_s=0.05) as url, pytest.raises(UnreachableError):
        fetch(url, headers={}, timeout_s=1, guarded=False)


@pytest.mark.parametrize("line", [b"HTTP/1.1 100 Continue\r\n\r\n", b"X-A: b\r\n", b"x"])
def test_response_heads_are_limited(settings, line):
    settings.ALLOW_PRIVATE_MODEL_URLS = True
    pieces = [line * (100_000 // len(line)), b"HTTP/1.1 200 OK\r\n\r\n"]
    if not line.startswith(b"HTTP"):
        pieces.insert(0, b"HTTP/1.1 200 OK\r\nX: ")
    with server(*pieces) as url, pytest.raises(UnreachableError):
        fetch(url, headers={}, timeout_s=10, guarded=True)
    short = [b"HTTP/1.1 200 OK\r\nX: " + b"x" * 60_000 + b"\r\n\r\n", b"y" * 90_000]
    with server(*short) as url:
        answer = fetch(url, headers={}, timeout_s=10, guarded=True)
    assert (len(answer.headers["x"]), len(answer.body)) == (60_000, 90_000)


def long_body():
    return b"\r\n" + b"x" * 3_000_000


def packed_body():
    packed = gzip.compress(bytes(200_000_000), 6)
    return b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed


@pytest.mark.parametrize("make_body", [long_body, packed_body])
def test_responses_of_sign_in_services_are_limited(make_body):
    body = make_body()
    before = psutil.Process().memory_info().rss
    with (
        server(b"HTTP/1.1 200 OK\r\n" + body) as url,
        SocialAccountAdapter().get_requests_session() as session,
        pytest.raises(requests.RequestException),
    ):
        session.get(url)
    assert psutil.Process().memory_info().rss - before < 30_000_000


def test_responses_of_sign_in_services_are_read(fake):
    with SocialAccountAdapter().get_requests_session() as session:
        answer = session.get(f"{fake.root}/v1/models")
    assert answer.json()["object"] == "list" and answer.content


def test_a_document_of_very_many_values_is_not_read():
    assert read_document(b'{"data": [{"id": "a"}]}') == {"data": [{"id": "a"}]}
    for data in (b"[" + b"{}," * 300_000 + b"{}]", b"[" * 400_000, b"nothing"):
        with pytest.raises(ValueError):
            read_document(data)


def test_a_long_answer_is_cut(settings):
    settings.ALLOW_PRIVATE_MODEL_URLS = True
    with server(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 100_000) as url:
        answer = fetch(url, headers={}, timeout_s=10, guarded=True, max_bytes=1_000)
    assert len(answer.body) == 1_000


@pytest.mark.parametrize("said", [b"SSH-2.0-OpenSSH_9\r\n", b"\x00\x01\x02", b""])
def test_what_is_not_http_is_unreachable(settings, said):
    settings.ALLOW_PRIVATE_MODEL_URLS = True
    with server(said) as url, pytest.raises(UnreachableError):
        fetch(url, headers={}, timeout_s=5, guarded=True)


@pytest.mark.parametrize("guarded", [True, False])
def test_every_request_has_a_connection_of_its_own(fake, guarded):
    """Unread bytes of one person's response cannot become part of another person's."""
    before = fake.state.connections
    for number in range(1, 4):
        url = f"http://127.0.0.1:{fake.port}/v1/models"
        answer = fetch(url, headers={}, timeout_s=10, guarded=guarded, max_bytes=10 * number)
        assert len(answer.body) == 10 * number and answer.body.startswith(b'{"object"')
        assert fake.state.connections == before + number
