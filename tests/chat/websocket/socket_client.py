"""A WebSocket client of the application in this process, and events for it to receive."""

import asyncio
import contextlib
import json
import uuid

from channels.testing import WebsocketCommunicator

from chat import events as ev
from config.asgi import application
from streams.log import Entry, get_log
from tests.folding import fold_entries


class Socket:
    """A WebSocket connection to the application, with everything it received."""

    def __init__(
        self,
        person=None,
        *,
        host="localhost",
        origin="http://localhost",
        cookies=None,
        language="en",
    ):
        cookies = cookies if cookies is not None else cookies_of(person)
        headers = [(b"host", host.encode()), (b"cookie", cookies.encode())]
        headers.append((b"accept-language", language.encode()))
        if origin is not None:
            headers.append((b"origin", origin.encode()))
        self.wire = WebsocketCommunicator(application, "/ws", headers)
        self.received = 0
        self.entries = {}  # chat -> [[entry id, event]] of frames that are not watch frames
        self.watched = []
        self.open = False

    async def __aenter__(self):
        self.open, _ = await self.wire.connect(timeout=5)
        return self

    async def __aexit__(self, *_):
        with contextlib.suppress(Exception):
            await self.wire.disconnect()

    async def say(self, **message):
        await self.wire.send_json_to(message)

    async def hear(self, timeout=5):
        """Receive the next message and record its entries."""
        output = await self.wire.receive_output(timeout)
        assert output["type"] == "websocket.send", output
        self.received += len(output["text"])
        message = json.loads(output["text"])
        if message.get("watch"):
            self.watched += message["entries"]
        elif "entries" in message:
            self.entries.setdefault(message["chat"], []).extend(message["entries"])
        return message

    async def until(self, condition, timeout=10):
        async with asyncio.timeout(timeout):
            while True:
                message = await self.hear(timeout)
                if condition(message):
                    return message

    async def until_entry(self, chat, entry_id):
        await self.until(lambda _: self.entries[chat][-1][0] == entry_id)

    async def until_type(self, kind, **fields):
        expected = {"type": kind} | fields
        return await self.until(lambda message: expected.items() <= message.items())

    async def until_closed(self, timeout=10):
        """The close code. Ignores messages before it."""
        async with asyncio.timeout(timeout):
            while True:
                output = await self.wire.receive_output(timeout)
                if output["type"] == "websocket.close":
                    return output["code"]

    async def follow(self, chat, after=None):
        await self.say(type="follow", chat=chat, after=after)
        return await self.until_type("live", chat=chat)

    async def is_quiet(self):
        """Whether the next message is the answer to a ping, so that nothing else was sent."""
        await self.say(type="ping")
        return (await self.hear()) == {"type": "pong"}

    def transcript(self, chat, into=None):
        return fold_entries(
            (
                Entry(entry_id, chat, event["type"], json.dumps(event).encode())
                for entry_id, event in self.entries.get(chat, [])
            ),
            into=into,
        )


def cookies_of(person):
    """The `Cookie` header of a person's browser."""
    if person is None:
        return ""
    return "; ".join(f"{name}={morsel.value}" for name, morsel in person.client.cookies.items())


async def append(person, *events, chat=None):
    """Append events to a person's log; returns the entry ids."""
    logged = [ev.log_event(chat or person.chat, event, f"made:{uuid.uuid4()}") for event in events]
    return await get_log().append(person.stream, logged)


def delta(text, message="m"):
    return ev.MessageDelta(message=message, text=text)


def renamed(person, title):
    return ev.ChatRenamed(chat=person.chat, title=title, by="user")
