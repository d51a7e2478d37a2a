"""Guests who send messages and follow their chats; records what their sockets receive."""

import asyncio
import re
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson

from tests.bench.wire import Http, Socket

TOKEN = re.compile(rb"(\d{6}):(\d{15}) ")
STREAMED = (b'"message.completed"', b'"message.error"')
MODEL = "openai/script/known"
ACK_EVERY_BYTES = 500_000
SETTLE_TIMEOUT_S = 180.0


class Person:
    """One guest with one socket. Tokens are (number, sent ns, arrived ns) of the chat followed."""

    def __init__(self, url: str) -> None:
        self.http = Http(url)
        self.url = url
        self.socket: Socket | None = None
        self.chat = ""
        self.reply: str | None = None
        self.user = ""
        self.tokens: list[tuple[int, int, int]] = []
        self.frames_with_tokens = 0
        self.deltas = 0
        self.seams = 0
        self.first_token = asyncio.Event()
        self.ended = asyncio.Event()
        self.live = asyncio.Event()
        self.failed = False
        self._chars = self._acked = 0

    async def visit(self) -> None:
        status, _, _, _ = await self.http.request("GET", "/")
        assert status == 200, status

    async def ask(self, text: str) -> None:
        """Sends in a new chat, which is not followed yet."""
        self.chat, self.reply = str(uuid.uuid4()), None
        await self.ask_again(text)

    async def ask_again(self, text: str) -> None:
        """Sends in the current chat, which is followed already."""
        self.forget()
        body = {"id": str(uuid.uuid4()), "text": text, "model": MODEL, "parent": self.reply}
        status, _, content, _ = await self.http.request(
            "POST", f"/api/chats/{self.chat}/messages", body
        )
        assert status == 202, (status, content)
        answer = orjson.loads(content)
        self.user, self.reply = answer["user"]["id"], answer["reply"]

    async def open(self, *, deflate: bool = True) -> None:
        cookie = self.http.cookie
        self.socket = await Socket.open(self.url, "/ws", self._take, cookie=cookie, deflate=deflate)

    def follow(self, chat: str | None = None) -> None:
        assert self.socket is not None
        self.live.clear()
        message = {"type": "follow", "chat": chat or self.chat, "after": None}
        self.socket.send(message)

    def forget(self) -> None:
        """Clears the records of the previous answer."""
        self.tokens = []
        self.frames_with_tokens = self.deltas = self.seams = 0
        self.failed = False
        for event in (self.first_token, self.ended, self.live):
            event.clear()

    async def first_exchange(self) -> None:
        """Begins a chat with one short answer, and follows it."""
        await self.ask(question(1, 0))
        self.follow()
        await self.settled()
        await asyncio.wait_for(self.live.wait(), SETTLE_TIMEOUT_S)

    async def settled(self) -> None:
        await asyncio.wait_for(self.ended.wait(), SETTLE_TIMEOUT_S)

    def close(self) -> None:
        self.http.close()
        if self.socket is not None:
            self.socket.close()

    def _take(self, text: bytes, now: int) -> None:
        self._chars += len(text)
        if self._chars - self._acked > ACK_EVERY_BYTES:
            self._acked = self._chars
            assert self.socket is not None
            self.socket.send({"type": "ack", "bytes": self._chars})
        if not text.startswith(b'{"chat"'):
            if text.startswith(b'{"type":"live"'):
                self.live.set()
            elif text == b'{"type":"ping"}' and self.socket is not None:
                self.socket.send({"type": "pong"})
            return
        if deltas := text.count(b'"message.delta"'):
            self.tokens += [(int(n), int(sent), now) for n, sent in TOKEN.findall(text)]
            self.deltas += deltas
            self.frames_with_tokens += 1
            self.first_token.set()
        if b'"message.resumed"' in text:
            self.seams += text.count(b'"message.resumed"')
        if any(kind in text for kind in STREAMED):
            self.failed = STREAMED[1] in text
            self.ended.set()


def question(tokens: int, rate: float = 50, **more: Any) -> str:
    script = {"mode": "timestamps", "tokens": tokens, "rate": rate} | more
    return "[[" + "&".join(f"{key}={value}" for key, value in script.items()) + "]] Bench"


@asynccontextmanager
async def crowd(url: str, count: int, *, deflate: bool = True) -> AsyncIterator[list[Person]]:
    """Yields guests whose sockets are open and who have each received one short answer."""
    people = [Person(url) for _ in range(count)]
    try:
        await in_turn([_arrive(person, deflate) for person in people])
        yield people
    finally:
        for person in people:
            person.close()


async def _arrive(person: Person, deflate: bool) -> None:
    await person.visit()
    await person.ask(question(1, 0))
    await person.open(deflate=deflate)
    await person.first_exchange()


async def in_turn(work: list[Any], at_once: int = 16) -> list[Any]:
    """Awaits all of `work`, at most `at_once` at a time."""
    room = asyncio.Semaphore(at_once)

    async def one(job: Any) -> Any:
        async with room:
            return await job

    return await asyncio.gather(*(one(job) for job in work))


async def start_answers(people: list[Person], tokens: int, rate: float = 50, **more: Any) -> None:
    """Starts an answer for each person; returns when all have begun to arrive."""

    async def one(person: Person) -> None:
        await person.ask(question(tokens, rate, **more))
        person.follow()
        await asyncio.wait_for(person.first_token.wait(), SETTLE_TIMEOUT_S)

    await in_turn([one(person) for person in people])


def now_ns() -> int:
    return time.monotonic_ns()
