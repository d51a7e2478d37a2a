"""Outgoing WebSocket frames may be long and compressed; incoming ones must be short."""

import json
from typing import Any

from chat.websocket.session_socket import CLOSE_BAD_MESSAGE
from tests.client import Client, socket_of

LONG = "[[tokens=3&huge=200000]] A long one"


async def test_a_frame_longer_than_what_clients_may_send(stack):
    async with Client(stack.url) as client:
        message = await client.settled(await client.send(LONG))
        assert message.status == "done"
        assert len(str(message.text)) > 200_000
        assert client.connects == 1


async def test_it_compresses_for_a_client_that_can_read_it(stack):
    async with Client(stack.url) as client:
        reply = await client.send(LONG)
        text = str((await client.settled(reply)).text)
        async with socket_of(client, max_size=None) as socket:
            assert socket.protocol.extensions[0].name == "permessage-deflate"
            await socket.send(json.dumps({"type": "follow", "chat": client.chat, "after": None}))
            entries: list[Any] = []
            async for frame in socket:
                entries += json.loads(frame).get("entries", [])
                if '"type":"live"' in frame:
                    break
            assert entries[-1][1]["text"] == text


async def test_what_clients_send_is_limited(stack):
    async with Client(stack.url) as client:
        await client.settled(await client.send("[[tokens=2]] Hello"))
        async with socket_of(client, compression=None) as socket:
            await socket.send("x" * 70_000)
            await socket.wait_closed()
            assert socket.close_code == CLOSE_BAD_MESSAGE
