"""Bodies that are too large by their header or by their bytes are refused, and stored nowhere."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from asgiref.testing import ApplicationCommunicator
from django.urls import reverse
from twisted.internet.testing import StringTransport
from twisted.web.http import HTTPChannel

from accounts.preferences.api import MAX_BODY_BYTES as SETTINGS_BYTES
from accounts.preferences.uploads import MAX_UPLOAD_BYTES
from chat.files.uploads import PART_BYTES
from chat.web.api import MAX_BODY_BYTES
from config.web.body_limits import MAX_PARTS, TOO_LARGE, BoundedBodies, largest_body
from config.web.body_limits_daphne import DROPPED_BYTES, Request
from tests.config.web.raw_requests import Wire, respond, scope_of

FORM = "application/x-www-form-urlencoded"
MEGABYTE = b"x" * 1_000_000


def test_every_address_takes_what_it_has_a_use_for():
    assert largest_body(reverse("accounts:api-picture")) > MAX_UPLOAD_BYTES
    assert largest_body(reverse("accounts:settings")) > MAX_UPLOAD_BYTES
    assert largest_body(reverse("accounts:api-settings")) >= SETTINGS_BYTES
    assert largest_body("/api/chats/x/messages") >= MAX_BODY_BYTES
    assert largest_body("/api/files/x/parts/7") == PART_BYTES + 1
    assert largest_body("/api/files/x/complete") == largest_body("/api/files") == MAX_BODY_BYTES
    assert largest_body("/account/2fa/webauthn/add/") == 100_000
    assert largest_body("/") == largest_body("/healthz") == largest_body("/nowhere") == 1_000


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize(
    "path", ["/api/chats", "/api/nowhere", "/account/login/", "/admin/login/", "/", "/healthz"]
)
async def test_too_much_is_refused_before_anything_is_asked(path, declared):
    """The refusal needs neither the database nor Redis, which this test does not have."""
    headers = [(b"content-length", b"9000000")] if declared else []
    status, sent, body = await respond(scope_of(path, *headers), [MEGABYTE] * 9)
    assert status == 413
    assert b"style-src 'self'" in bytes(dict(sent)[b"Content-Security-Policy"])
    if path.startswith("/api/"):
        assert json.loads(body)["error"]["code"] == "body_too_large"
    else:
        assert b"too large to be sent" in body and b"<html" in body


async def test_the_application_never_sees_more_than_the_bound():
    seen = []

    async def greedy(scope, receive, send):
        while (message := await receive())["type"] == "http.request":
            seen.append(len(message["body"]))
            if not message["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b""})

    wire = ApplicationCommunicator(BoundedBodies(greedy), scope_of("/admin/"))
    for _ in range(5):
        await wire.send_input({"type": "http.request", "body": b"x" * 400_000, "more_body": True})
    await wire.receive_output(5)
    assert seen == [400_000, 400_000, 0]


def form_of(parts, boundary="x-boundary"):
    kind = b"multipart/form-data; boundary=" + boundary.encode()
    return b"--%b\r\n\r\n\r\n" % boundary.encode() * parts, (b"content-type", kind)


@pytest.mark.parametrize("piece_bytes", [1, 7, 1000, 10**9])
async def test_the_parts_of_a_form_are_counted_however_they_come(piece_bytes):
    for parts, is_much in ((MAX_PARTS, False), (MAX_PARTS + 1, True)):
        seen = []

        async def reading(scope, receive, send, seen=seen):
            while (await receive())["more_body"]:
                pass
            seen.append(scope[TOO_LARGE])
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b""})

        form, header = form_of(parts)
        wire = ApplicationCommunicator(BoundedBodies(reading), scope_of("/settings", header))
        for start in range(0, len(form), piece_bytes):
            piece = form[start : start + piece_bytes]
            await wire.send_input({"type": "http.request", "body": piece, "more_body": True})
        await wire.send_input({"type": "http.request", "body": b"", "more_body": False})
        await wire.receive_output(10)
        assert seen == [is_much]


@pytest.mark.parametrize("path", ["/settings", "/account/login/", "/api/settings/picture"])
async def test_a_form_of_empty_parts_is_refused_unread(path, monkeypatch):
    def never(*args):
        raise AssertionError("it was read")

    monkeypatch.setattr("django.http.multipartparser.MultiPartParser.parse", never)
    form, header = form_of(20_000)
    assert (await respond(scope_of(path, header), [form[:500_000], form[500_000:]]))[0] == 413


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x-boundary", FORM])
def test_no_form_is_read_in_the_event_loop(kind):
    seen = []

    class Seen(Request):
        def process(self):
            seen.append((self.args, self.content.read()))

    channel = HTTPChannel()
    channel.requestFactory = Seen
    channel.factory = SimpleNamespace(server=SimpleNamespace(protocol_connected=lambda _: None))
    channel.timeOut = None
    channel.makeConnection(StringTransport())
    body = b'--x-boundary\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x-boundary--'
    body = body if "multipart" in kind else b"a=1&b=2"
    head = f"POST /settings HTTP/1.1\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    channel.dataReceived(head.encode() + body)
    assert seen == [({}, body)]


# On the wire


def test_a_body_of_any_length_is_refused_before_it_is_sent(stack):
    with Wire(stack) as wire:
        wire.head("/api/chats", f"Content-Length: {10**12}")
        status, head, body = wire.answer()
        assert status == 413 and b"nosniff" in head
        assert json.loads(body)["error"]["code"] == "body_too_large"
        assert wire.socket.recv(1) == b""  # The connection is closed.


def test_who_asks_first_is_told_no(stack):
    with Wire(stack) as wire:
        wire.head("/account/login/", "Content-Length: 1000001", "Expect: 100-continue")
        status, _, body = wire.answer()
        assert status == 413 and b"<" not in body


def test_a_little_too_much_is_read_and_answered_with_a_page(stack):
    with Wire(stack) as wire:
        wire.head("/account/login/", "Content-Length: 3000000")
        for _ in range(3):
            wire.socket.sendall(MEGABYTE)
        status, head, body = wire.answer()
        assert status == 413 and b"<html" in body
        assert b"private, no-store" in head
        # The connection can still be used.
        wire.head("/api/nowhere", "Content-Length: 0")
        assert wire.answer()[0] in (403, 404)


def stored_by(pid):
    """Bytes in unnamed files that a process has open: Twisted stores bodies there."""
    total = 0
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if "(deleted)" in os.readlink(descriptor):
                total += os.stat(descriptor).st_size
        except OSError:
            continue
    return total


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks into /proc")
def test_chunks_without_end_are_stored_nowhere_and_cut_off(stack):
    bound = largest_body("/api/chats")
    before = stored_by(stack.pid("web"))
    with Wire(stack) as wire:
        wire.head("/api/chats", "Transfer-Encoding: chunked")
        for _ in range(12):
            wire.chunk(MEGABYTE)
        assert stored_by(stack.pid("web")) - before <= bound + 1_000_000
        with pytest.raises(OSError):
            for _ in range(4 * DROPPED_BYTES // len(MEGABYTE)):
                wire.chunk(MEGABYTE)


def test_chunks_that_end_are_answered(stack):
    with Wire(stack) as wire:
        wire.head("/api/chats", "Transfer-Encoding: chunked")
        for _ in range(4):
            wire.chunk(MEGABYTE)
        wire.socket.sendall(b"0\r\n\r\n")
        status, _, body = wire.answer()
        assert status == 413 and json.loads(body)["error"]["code"] == "body_too_large"
