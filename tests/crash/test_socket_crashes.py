"""Kills and freezes processes under open sockets: closed sockets are not counted, open ones receive
all entries, and the tasks of a socket end with it.
"""

import asyncio
import contextlib
import json
from typing import Any

import websockets

from chat.websocket.open_sockets import MAX_SOCKETS_PER_USER
from tests.client import Client, socket_of
from tests.fake_model import text_of
from tests.stack import Stack

TOO_MANY = 4429
KILLED = ("took too long to shut down", "Exception inside application", "Task exception was never")
GONE = (OSError, TimeoutError, websockets.WebSocketException)


async def welcomed(client: Client) -> Any:
    """Returns a socket that was welcomed, as soon as the server allows one."""
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(*GONE):
                socket = await socket_of(client)
                if json.loads(await socket.recv()).get("type") == "welcome":
                    return socket
            await asyncio.sleep(0.2)


async def come_and_vanish(client: Client, count: int) -> None:
    """Opens `count` sockets and aborts them without waiting for a frame."""

    async def one() -> None:
        with contextlib.suppress(*GONE):
            async with asyncio.timeout(1):
                socket = await socket_of(client)
                socket.transport.abort()

    await asyncio.gather(*(one() for _ in range(count)))


async def disturb(stack: Stack, client: Client) -> None:
    stack.freeze("redis")
    await come_and_vanish(client, 8)  # opened and aborted while Redis is frozen
    await asyncio.sleep(1.5)
    stack.thaw("redis")
    pid = stack.kill("redis")
    await come_and_vanish(client, 8)
    stack.wait_replaced("redis", pid)
    stack.freeze("web")
    await come_and_vanish(client, 8)
    stack.thaw("web")
    pid = stack.kill("web")
    stack.wait_replaced("web", pid)
    stack.freeze("redis")
    await come_and_vanish(client, 8)
    stack.thaw("redis")


async def test_sockets_are_counted_right_and_followers_see_all_after_kills_and_freezes(
    make_stack, fake_model
):
    stack = make_stack(model_url=fake_model.base_url, workers=1).start()
    async with Client(stack.url) as client:
        first = "[[tokens=120&rate=20]] All along"
        reply = await client.send(first)
        await client.until(reply, lambda message: bool(message.text))
        await disturb(stack, client)
        assert str((await client.settled(reply)).text) == text_of(first, 120)
        # With the client's own socket, the most that a person may have: no aborted one counts.
        sockets = [await welcomed(client) for _ in range(MAX_SOCKETS_PER_USER - 1)]
        async with socket_of(client) as too_many:
            await too_many.wait_closed()
            assert too_many.close_code == TOO_MANY
        # Each of them receives new events.
        second = "[[tokens=3]] And then"
        await client.settled(await client.send(second))
        for socket in sockets:
            await sees_an_end(socket)
            await socket.close()
    for line in KILLED:
        assert line not in stack.output, stack.output


async def sees_an_end(socket: Any) -> None:
    async with asyncio.timeout(30):
        async for frame in socket:
            if "message.completed" in frame:
                return
    raise AssertionError("the socket was closed")
