"""A client of Holdfast without a browser: speaks the whole protocol of docs/protocol.md.

    async with Client(stack.url) as alice:
        reply = await alice.send("Hello")
        message = await alice.settled(reply)

It reconnects by itself, continues from its cursor as the page does, and folds what it receives.
"""

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import Callable
from typing import Any, Self

import httpx2
import websockets

from chat.transcript import Message, Transcript
from streams.log import Entry
from tests.folding import fold_entries

RECONNECT_S = 0.05
SETTLED = {"done", "stopped", "error"}


class Client:
    """`address` is the local address to connect from, such as 127.0.1.7."""

    def __init__(
        self, url: str, model: str = "openai/script/known", address: str | None = None
    ) -> None:
        self.url = url.rstrip("/")
        self.address = address
        self.model = model
        self.chat = str(uuid.uuid4())
        self.transcript = Transcript()
        # Over plain HTTP no certificates are loaded, which would take longer than an answer.
        is_secure = self.url.startswith("https:")
        transport = httpx2.AsyncHTTPTransport(verify=is_secure, local_address=address)
        self.http = httpx2.AsyncClient(base_url=self.url, timeout=30, transport=transport)
        self.frames = 0
        self.frame_bytes = 0
        self.connects = 0
        # (monotonic seconds, entry id, event) of each entry, if `keep` is set
        self.keep = False
        self.seen: list[tuple[float, str, dict[str, Any]]] = []
        self.on_event: Callable[[dict[str, Any]], None] | None = None
        self.socket: websockets.ClientConnection | None = None
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.visit()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.disconnect()
        await self.http.aclose()

    # Commands

    async def visit(self) -> None:
        response = await self.http.get("/")
        response.raise_for_status()

    async def command(
        self, method: str, path: str, body: Any = None, *, content: bytes | None = None
    ) -> httpx2.Response:
        """Makes an HTTP request, repeated with the same body until the server responds. `body` is
        sent as JSON, `content` as it is."""
        headers = {
            "X-CSRFToken": self.http.cookies.get("csrftoken", ""),
            "Origin": self.url,
            "Referer": self.url + "/",
        }
        async with asyncio.timeout(60):
            while True:
                with contextlib.suppress(httpx2.TransportError):
                    response = await self.http.request(
                        method, path, json=body, content=content, headers=headers
                    )
                    if response.status_code < 500:
                        return response
                await asyncio.sleep(RECONNECT_S)

    async def send(
        self, text: str, *, parent: str | None = None, message_id: str | None = None, **more: Any
    ) -> str:
        """Sends a message, follows the chat from now on, and returns the id of the reply."""
        message_id = message_id or str(uuid.uuid4())
        body = {"id": message_id, "text": text, "model": self.model, "parent": parent} | more
        response = await self.command("POST", f"/api/chats/{self.chat}/messages", body)
        assert response.status_code == 202, response.text
        self.connect()
        reply: str = response.json()["reply"]
        return reply

    # Following

    def connect(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._follow())

    async def disconnect(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def settled(self, message_id: str, timeout_s: float = 60) -> Message:
        return await self.until(message_id, lambda message: message.status in SETTLED, timeout_s)

    async def until(
        self, message_id: str, condition: Callable[[Message], bool], timeout_s: float = 60
    ) -> Message:
        async with asyncio.timeout(timeout_s):
            while True:
                message = self.transcript.messages.get(message_id)
                if message is not None and condition(message):
                    return message
                self._changed.clear()
                await self._changed.wait()

    async def _follow(self) -> None:
        while True:
            with contextlib.suppress(OSError, websockets.WebSocketException, TimeoutError):
                await self._one_socket()
            await asyncio.sleep(RECONNECT_S)

    async def _one_socket(self) -> None:
        cookie = "; ".join(f"{name}={value}" for name, value in self.http.cookies.items())
        async with websockets.connect(
            self.url.replace("http", "ws", 1) + "/ws",
            additional_headers={"Cookie": cookie},
            origin=self.url,  # type: ignore[arg-type]
            max_size=None,
            compression=None,
            ping_interval=None,
            open_timeout=5,
            local_addr=(self.address, 0) if self.address else None,
        ) as socket:
            self.connects += 1
            self.socket = socket
            after = self.transcript.cursor
            await socket.send(json.dumps({"type": "follow", "chat": self.chat, "after": after}))
            acked = received = 0
            async for text in socket:
                received += len(text)
                if received - acked > 100_000:
                    acked = received
                    await socket.send(json.dumps({"type": "ack", "bytes": acked}))
                self._take(str(text))

    def _take(self, text: str) -> None:
        now = time.monotonic()
        frame = json.loads(text)
        if "entries" not in frame or frame.get("watch") or frame["chat"] != self.chat:
            return
        self.frames += 1
        self.frame_bytes += len(text.encode())
        if self.keep:
            self.seen += [(now, entry_id, event) for entry_id, event in frame["entries"]]
        fold_entries(
            (
                Entry(
                    id=entry_id, chat=self.chat, type=event["type"], data=json.dumps(event).encode()
                )
                for entry_id, event in frame["entries"]
            ),
            into=self.transcript,
        )
        self._changed.set()


def socket_of(client: Client, **options: Any) -> websockets.connect:
    """A WebSocket connection with the session of a client, for a test that reads it itself."""
    cookies = [f"{name}={value}" for name, value in client.http.cookies.items()]
    headers = {"Cookie": "; ".join(cookies)}
    url = client.url.replace("http", "ws", 1) + "/ws"
    return websockets.connect(url, additional_headers=headers, origin=client.url, **options)
