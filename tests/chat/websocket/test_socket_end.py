"""A socket and its tasks end together, even if the database hangs."""

import asyncio
import contextlib
import threading
import uuid

import pytest
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer

from accounts.sockets import group_of
from chat.websocket import consumer as consumers
from chat.websocket import open_sockets, session_socket
from chat.websocket import tasks as socket_tasks
from config.websocket.end import EndTogether
from tests.chat.websocket.socket_client import Socket, append, renamed

pytestmark = pytest.mark.django_db(transaction=True)

# An end takes less than a second on an idle machine; this is far less than HANGS_S.
SOON_S = 8
HANGS_S = 30


@contextlib.asynccontextmanager
async def hanging_database():
    """Block every database call of a socket."""
    go_on = threading.Event()
    hanging = asyncio.create_task(sync_to_async(go_on.wait)(HANGS_S))
    await asyncio.sleep(0.05)
    try:
        yield
    finally:
        go_on.set()
        await hanging


async def vanish(socket):
    """Disconnect the client; returns when the application has ended."""
    await socket.wire.send_input({"type": "websocket.disconnect", "code": 1006})
    async with asyncio.timeout(SOON_S):
        await asyncio.wait({socket.wire.future})


def own_tasks():
    return [task for task in asyncio.all_tasks() if "SocketTasks" in repr(task.get_coro())]


async def test_a_client_may_leave_while_the_database_hangs(online):
    async with Socket(online) as socket:
        await socket.until_type("welcome")
        async with hanging_database():
            # Each of these uses the database.
            await socket.say(type="follow", chat=online.chat, after=None)
            layer = get_channel_layer()
            for kind in ("person.changed", "person.set", "balance.changed"):
                await layer.group_send(group_of(uuid.UUID(online.user["id"])), {"type": kind})
            await asyncio.sleep(0.1)
            # None of them delays a command that does not.
            await socket.say(type="ping")
            await socket.until_type("pong")
            await vanish(socket)
            assert not open_sockets.counts and not own_tasks()


@pytest.mark.parametrize("moment_s", [0, 0.05])
async def test_a_client_may_leave_while_it_is_admitted(online, moment_s):
    socket = Socket(online)
    async with hanging_database():
        await socket.wire.send_input({"type": "websocket.connect"})
        await asyncio.sleep(moment_s)
        await vanish(socket)
        assert not open_sockets.counts and not own_tasks()


async def test_a_socket_that_cannot_be_admitted_is_closed(online, monkeypatch):
    monkeypatch.setattr(consumers, "ASK_TIMEOUT_S", 0.2)
    go_on = threading.Event()
    hangs = staticmethod(lambda *_: go_on.wait(HANGS_S))
    monkeypatch.setattr(consumers.ChatConsumer, "_take", hangs)
    async with Socket(online) as socket:
        assert await socket.until_closed() == socket_tasks.CLOSE_TRY_AGAIN
        go_on.set()


async def test_an_admitted_socket_stays_open_while_the_database_hangs(online, monkeypatch):
    """Otherwise answers would be interrupted, and all clients would reconnect at once."""
    monkeypatch.setattr(consumers, "HEARTBEAT_MS", 50)
    monkeypatch.setattr(session_socket, "ASK_TIMEOUT_S", 0.2)
    monkeypatch.setattr(session_socket, "RETRY_CHANGES_S", 0.05)
    monkeypatch.setattr(session_socket, "MAX_FAILED_CHECKS", 1_000)
    async with Socket(online) as socket:
        await socket.until_type("welcome")
        await socket.follow(online.chat)
        async with hanging_database():
            group = group_of(uuid.UUID(online.user["id"]))
            await get_channel_layer().group_send(group, {"type": "balance.changed"})
            for _ in range(3):
                await socket.until_type("ping")
            await append(online, renamed(online, "x"))
            await socket.until(lambda message: "entries" in message)
        await socket.until_type("balance")  # Changes are sent afterwards.


async def test_an_admitted_socket_is_closed_after_too_many_failed_checks(online, monkeypatch):
    """It is unknown by then whether the person still has access."""
    monkeypatch.setattr(consumers, "HEARTBEAT_MS", 50)
    monkeypatch.setattr(session_socket, "ASK_TIMEOUT_S", 0.1)
    async with Socket(online) as socket:
        await socket.until_type("welcome")
        async with hanging_database():
            for _ in range(session_socket.MAX_FAILED_CHECKS - 1):
                await socket.until_type("ping")
            assert await socket.until_closed() == socket_tasks.CLOSE_TRY_AGAIN


async def test_a_socket_with_a_failed_task_is_closed_and_no_longer_counted(online, monkeypatch):
    async def fails(_self, _batch):
        raise ValueError("a bug")

    monkeypatch.setattr(consumers.ChatConsumer, "_send_batch", fails)
    async with Socket(online) as socket:
        await socket.until_type("welcome")
        await append(online, renamed(online, "x"))
        assert await socket.until_closed() == socket_tasks.CLOSE_TRY_AGAIN
        await vanish(socket)
    assert not open_sockets.counts


# EndTogether, around any application


async def served(application, *messages):
    """The messages that the client receives from an application that ends or is cancelled."""
    inbox, sent = asyncio.Queue(), []

    async def send(message):
        sent.append(message)

    for message in messages:
        inbox.put_nowait({"type": message})
    async with asyncio.timeout(SOON_S):
        await EndTogether(application)({"type": "websocket"}, inbox.get, send)
    return sent


async def test_an_application_that_ignores_cancellation_is_abandoned():
    go_on = asyncio.Event()

    async def stubborn(_scope, _receive, _send):
        while not go_on.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await go_on.wait()

    assert await served(stubborn, "websocket.connect", "websocket.disconnect") == []
    go_on.set()


async def test_the_socket_of_an_ended_application_is_closed():
    async def ends(_scope, receive, _send):
        await receive()

    async def fails(_scope, receive, _send):
        raise OSError("Redis is unavailable")

    closed = [{"type": "websocket.close", "code": 4503}]
    assert await served(ends, "websocket.connect") == closed
    assert await served(fails, "websocket.connect") == closed
    assert await served(ends, "websocket.disconnect") in ([], closed)
