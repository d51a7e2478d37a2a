"""Clients of a real server that do not read, or send too much: their memory, and their end."""

import asyncio
import json
import socket as net
from collections.abc import Iterator

import httpx2
import psutil
import pytest

from chat.websocket.session_socket import (
    CLOSE_BAD_MESSAGE,
    CLOSE_CHANGED,
    CLOSE_SIGN_IN,
    CLOSE_TOO_MANY,
)
from config.websocket.frame_rate import BURST_FRAMES
from tests.accounts.mailbox import Mailbox, code_in, running_mailbox
from tests.accounts.people import PASSWORD
from tests.client import Client, socket_of
from tests.fake_model import FakeModel
from tests.raw_websocket import PING, PONG, TEXT, RawSocket, masked
from tests.stack import Stack, wait_for

SETTINGS = {
    "LIMIT_DRAFTS_PER_MINUTE_USER": "0",
    "SOCKET_STALL_TIMEOUT_MS": "3000",
    "SOCKET_WAITING_BYTES_USER": "6000000",
}
UNREAD = 8  # sockets
# Without a bound they would take 170 MB. This is the bound, one message in transit for each
# socket, and the memory of Python itself.
MOST_MORE_BYTES = 60_000_000
CONTINUED = 0
PING_TEXT = json.dumps({"type": "ping"})


@pytest.fixture(scope="module")
def mailbox() -> Iterator[Mailbox]:
    with running_mailbox() as running:
        yield running


@pytest.fixture(scope="module")
def bounded(fake_model: FakeModel, mailbox: Mailbox) -> Iterator[Stack]:
    env = SETTINGS | {
        "HOLDFAST_MAX_ANSWER_BYTES": "5000000",
        "EMAIL_URL": f"smtp://127.0.0.1:{mailbox.port}",
    }
    with Stack(model_url=fake_model.base_url, workers=1, env=env) as running:
        yield running


@pytest.fixture
async def client(bounded: Stack):
    async with Client(bounded.url) as client:
        await client.settled(await client.send("[[tokens=2]] Hello"))
        await client.disconnect()
        yield client


@pytest.fixture
def unread(client: Client) -> Iterator[list[RawSocket]]:
    sockets = [RawSocket.of(client, receive_buffer=4_096) for _ in range(UNREAD)]
    yield sockets
    for socket in sockets:
        socket.__exit__()


def memory_bytes(stack: Stack) -> int:
    rss: int = psutil.Process(stack.pid("web")).memory_info().rss
    return rss


async def write_draft(client: Client, number: int) -> None:
    # JSON writes a control character as six.
    body = {"chat": None, "text": "\x01" * 115_000, "pastes": [], "age_ms": 0, "tab": f"t{number}"}
    response = await client.command("PUT", "/api/drafts", body)
    assert response.status_code == 200, response.text


async def test_drafts_for_who_does_not_read_are_not_kept_and_who_reads_has_them(
    bounded, client, unread
):
    async with socket_of(client, max_size=None, compression=None) as reader:
        assert json.loads(await reader.recv())["type"] == "welcome"
        before = memory_bytes(bounded)
        for number in range(30):
            await write_draft(client, number)
            while json.loads(await reader.recv()).get("tab") != f"t{number}":
                pass
        assert memory_bytes(bounded) - before < MOST_MORE_BYTES
        wait_for(lambda: all(socket.is_cut() for socket in unread), 20)
        await reader.send(json.dumps({"type": "ack", "bytes": 2**60}))
        await reader.send(PING_TEXT)  # The connection still works.
        assert json.loads(await reader.recv()) == {"type": "pong"}


async def test_what_a_client_says_it_has_read_is_not_believed(bounded, client, unread):
    client.connect()
    for _ in range(3):
        await client.settled(await client.send("[[tokens=2&huge=150000]] A long one"))
    await client.disconnect()
    follow = masked(json.dumps({"type": "follow", "chat": client.chat, "after": None}))
    read_all = masked(json.dumps({"type": "ack", "bytes": 2**60}))
    before = memory_bytes(bounded)
    for _ in range(40):  # Each asks for 450 kB of entries.
        for socket in unread:
            socket.send_raw(read_all + follow)
    wait_for(lambda: all(socket.is_cut() for socket in unread), 30)
    assert memory_bytes(bounded) - before < MOST_MORE_BYTES


@pytest.mark.parametrize(
    ("frame", "answer"),
    [
        (masked(PING_TEXT), TEXT),
        (masked(b"?", PING), PONG),
        (masked(b"", PONG), PONG),
        (masked(b"", CONTINUED, fin=False), None),
        (masked('{"type": "ack", "bytes": 0}'), None),
    ],
    ids=["ping", "protocol ping", "protocol pong", "fragment", "ack"],
)
async def test_too_many_frames_end_the_socket(client, frame, answer):
    with RawSocket.of(client) as socket:
        if answer is None:
            socket.send('{"type": ', fin=False) if frame[0] == CONTINUED else None
        socket.send_raw(frame * 20 * BURST_FRAMES)
        assert socket.read_to_end() == CLOSE_TOO_MANY
        assert sum(opcode == answer for opcode, _ in socket.received) < 3 * BURST_FRAMES


async def test_a_burst_of_frames_is_taken(client):
    with RawSocket.of(client) as socket:
        socket.send_raw(masked(PING_TEXT) * (BURST_FRAMES // 2))
        wait_for(lambda: socket.read() or len(socket.texts()) > BURST_FRAMES // 2)
        assert socket.code is None


@pytest.mark.parametrize("fragments", [1, 20])
async def test_a_message_that_is_too_long_ends_the_socket(client, fragments):
    with RawSocket.of(client) as socket:
        piece = "x" * (20_000 // fragments)
        for number in range(fragments):
            opcode = CONTINUED if number else TEXT
            socket.send(piece, opcode, fin=number == fragments - 1)
        assert socket.read_to_end() == CLOSE_BAD_MESSAGE


# A guest becomes an account


async def form(client: Client, path: str, **fields: str) -> httpx2.Response:
    token = client.http.cookies.get("csrftoken", "")
    headers = {"X-CSRFToken": token, "Origin": client.url, "Referer": client.url + "/"}
    response = await client.http.post(path, data=fields, headers=headers)
    assert response.status_code == 302, response.text
    return response


async def sign_up(client: Client, mailbox: Mailbox, email: str) -> None:
    await form(client, "/account/signup/", email=email, password1=PASSWORD)
    await form(client, "/account/confirm-email/", code=code_in(mailbox.to(email)))


async def another_session(client: Client) -> Client:
    """A client with the visitor's cookie alone, for the same guest."""
    other = Client(client.url)
    other.http.cookies.set("hf_visitor", client.http.cookies["hf_visitor"])
    await other.visit()
    await other.send("[[tokens=2]] From another session")
    await other.disconnect()
    assert other.http.cookies["sessionid"] != client.http.cookies["sessionid"]
    return other


def user_of(socket: RawSocket) -> dict[str, object]:
    wait_for(lambda: socket.read() or socket.texts())
    welcome = json.loads(socket.texts()[0])
    assert welcome["type"] == "welcome"
    user: dict[str, object] = welcome["user"]
    return user


@pytest.mark.parametrize("how", ["becomes an account", "joins an account"])
async def test_no_socket_of_a_guest_stays_with_the_account(client, bounded, mailbox, how):
    email = f"{how.split()[0]}@example.org"
    if how == "joins an account":
        async with Client(bounded.url) as owner:
            await sign_up(owner, mailbox, email)
            await owner.send("[[tokens=2]] It has been used")
    other = await another_session(client)
    with RawSocket.of(client) as tab, RawSocket.of(other) as stranger:
        guest = user_of(tab)
        assert user_of(stranger)["id"] == guest["id"] and guest["is_guest"]
        if how == "joins an account":
            await form(client, "/account/login/", login=email, password=PASSWORD)
        else:
            await sign_up(client, mailbox, email)
        # Long before the heartbeat would notice it.
        assert [tab.read_to_end(), stranger.read_to_end()] == [CLOSE_CHANGED, CLOSE_CHANGED]
        assert email not in "".join(tab.texts() + stranger.texts())
    with RawSocket.of(client) as tab, RawSocket.of(other) as stranger:
        assert user_of(tab)["email"] == email
        assert stranger.read_to_end() == CLOSE_SIGN_IN
    await other.http.aclose()


class RawRequests:
    """A connection that requests the events of a chat `count` times at once."""

    def __init__(self, client: Client, count: int) -> None:
        host, port = client.url.removeprefix("http://").split(":")
        cookies = "; ".join(f"{name}={value}" for name, value in client.http.cookies.items())
        self.wire = net.socket()
        self.wire.setsockopt(net.SOL_SOCKET, net.SO_RCVBUF, 4_096)
        self.wire.settimeout(20)
        self.wire.connect((host, int(port)))
        head = f"GET /api/chats/{client.chat}/events HTTP/1.1\r\nHost: {host}:{port}\r\n"
        self.wire.sendall(f"{head}Cookie: {cookies}\r\n\r\n".encode() * count)

    def is_open(self, stack: Stack) -> bool:
        port = self.wire.getsockname()[1]
        connections = psutil.Process(stack.pid("web")).net_connections("tcp")
        return any(one.raddr and one.raddr.port == port for one in connections)


async def test_a_client_that_reads_no_response_is_cut_off_and_another_gets_all(bounded, client):
    """Ten answers of 500 kB are more than the buffers of two sockets take."""
    await client.settled(await client.send("[[tokens=2]] " + "\x01" * 80_000))
    await client.disconnect()
    one = await client.http.get(f"/api/chats/{client.chat}/events")
    assert one.status_code == 200 and len(one.content) > 480_000
    unread = [RawRequests(client, 20) for _ in range(8)]
    reader = RawRequests(client, 4)
    try:
        got = 0
        while got < 4 * len(one.content):
            piece = await asyncio.to_thread(reader.wire.recv, 1_000_000)
            assert piece
            got += len(piece)
        await asyncio.to_thread(
            wait_for, lambda: not any(one.is_open(bounded) for one in unread), 30
        )
        assert reader.is_open(bounded)
    finally:
        for asked in (*unread, reader):
            asked.wire.close()
