"""The WebSocket: a reader of the user's log. It follows one chat in full and the rest without
deltas, and it only ever sends what it read from the log (chat/websocket/log_socket.py), no faster
than its client takes it (chat/websocket/paced_socket.py). The protocol is in docs/protocol.md; what
a client may say is in chat/websocket/commands.py, who may hold a socket in
chat/websocket/session_socket.py.

Five tasks serve a socket: `_serve` sends what is appended, in log order; `_obey` carries out the
client's commands one after another; `_watch_over` keeps the heartbeat; `_tell_news` says what has
changed about the person; `_mind_stay` asks whether they may still be here.

A draft comes while nobody may wait for a client that is full: it is read from the database again
once there is room.
"""

import asyncio
import time
import uuid
from typing import Any, cast

from channels.db import database_sync_to_async
from django.conf import settings

from accounts.client_address import address_group, client_address_of_scope
from accounts.errors import LimitReached
from accounts.models import Preferences, User
from accounts.preferences.locale import language_for_socket
from chat.drafts import draft_in
from chat.websocket import open_sockets
from chat.websocket.commands import parse_command
from chat.websocket.flow import flow_of
from chat.websocket.log_socket import LogSocket
from chat.websocket.session_socket import (
    ASK_TIMEOUT_S,
    CLOSE_BAD_MESSAGE,
    CLOSE_SIGN_IN,
    CLOSE_TOO_MANY,
    CLOSE_TOO_SLOW,
    is_own_page,
)
from streams.log import get_log

HEARTBEAT_MS = 25_000
# A client that has said nothing for so long is gone.
SILENT_AFTER_MS = 60_000
MAX_COMMANDS_PENDING = 64
# A client that had too many is told to come back then.
TOO_MANY_RETRY_S = 30
# Chats whose drafts are still to be told; with more the client had better read them all anew.
MAX_LATE_DRAFTS = 100


class ChatConsumer(LogSocket):
    _counted: tuple[uuid.UUID, str] | None = None

    # Lifecycle

    async def connect(self) -> None:
        user = self.scope["user"]
        await self.accept()
        if not is_own_page(dict(self.scope["headers"])):
            await self._refuse_page()
            return
        if user is None or not user.is_authenticated or not user.is_active:
            await self.close(CLOSE_SIGN_IN)
            return
        self._user = cast(User, user)
        if not self._count_in():
            with language_for_socket(self.scope, Preferences()):
                limit = LimitReached(TOO_MANY_RETRY_S)
            await self._refuse(limit, CLOSE_TOO_MANY)
            return
        self._prepare()
        self._start(self._come_in())

    def _count_in(self) -> bool:
        """Count it among those of its person and of its address; False when there are too many."""
        address = address_group(client_address_of_scope(self.scope))
        if not open_sockets.enter(self._user.id, address):
            return False
        self._counted = (self._user.id, address)
        self._flow = flow_of(self.scope)
        self._flow.share(f"user {self._user.id}", settings.SOCKET_WAITING_BYTES_USER)
        self._flow.share(f"address {address}", settings.SOCKET_WAITING_BYTES_ADDRESS)
        return True

    async def _come_in(self) -> None:
        async with asyncio.timeout(ASK_TIMEOUT_S):
            admitted = await self._admit()
        if admitted:
            parts = (self._serve, self._obey, self._watch_over, self._tell_news, self._mind_stay)
            for part in parts:
                self._start(part())

    def _prepare(self) -> None:
        self._log = get_log()
        self._stream = self._user.stream
        self._commands: asyncio.Queue[dict[str, Any]] = asyncio.Queue(MAX_COMMANDS_PENDING)
        self._heard_at = 0.0
        self._welcomed = asyncio.Event()
        self._late_drafts: dict[str | None, str] = {}  # chat -> the tab that wrote it

    def _ended(self) -> None:
        super()._ended()
        if self._counted is not None:
            open_sockets.leave(*self._counted)
            self._counted = None

    async def disconnect(self, code: int) -> None:
        await self._leave_group()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Take a command. Never blocks: what is slow is done by `_obey`."""
        if not self._tasks:
            return
        self._heard_at = time.monotonic()
        command = parse_command(text_data)
        if command is None:
            await self.close(CLOSE_BAD_MESSAGE)
        elif command["type"] == "ack":
            self._acknowledge(command["bytes"])
        elif command["type"] == "ping":
            await self._answer_ping()
        elif command["type"] != "pong":
            try:
                self._commands.put_nowait(command)
            except asyncio.QueueFull:
                await self.close(CLOSE_TOO_MANY)

    # Channel layer

    async def draft_written(self, message: dict[str, Any]) -> None:
        """Sent to the group of a person who writes in one of their pages."""
        # The welcome says first whose all of it is.
        if not (self._in_group and self._welcomed.is_set()):
            return
        draft = message["draft"]
        if not self._flow.is_full:
            await self._send_json({"type": "draft", **draft})
            return
        self._late_drafts[draft["chat"]] = draft["tab"]
        if len(self._late_drafts) > MAX_LATE_DRAFTS:
            await self.close(CLOSE_TOO_SLOW)
        self._note("draft")

    # Tasks

    async def _tell_news(self) -> None:
        await self._welcomed.wait()
        await super()._tell_news()

    async def _tell(self, kind: str) -> None:
        if kind == "draft":
            await self._tell_late_draft()
        else:
            await super()._tell(kind)

    async def _tell_late_draft(self) -> None:
        """One, as it is by now."""
        chat, tab = self._late_drafts.popitem()
        if self._late_drafts:
            self._note("draft")
        draft = await database_sync_to_async(draft_in)(self._user, chat)
        if draft is not None and self._in_group:
            await self._send_json({"type": "draft", **draft, "tab": tab})

    async def _serve(self) -> None:
        tail = await self._log.tail(self._stream)
        async with asyncio.timeout(ASK_TIMEOUT_S):
            balance = await self._balance()
        await self._send_json(
            {
                "type": "welcome",
                "cursor": tail,
                "heartbeat_ms": HEARTBEAT_MS,
                "balance": balance,
            }
            | self._who()
        )
        self._welcomed.set()
        await self._serve_log(tail)

    async def _obey(self) -> None:
        await self._welcomed.wait()
        while True:
            command = await self._commands.get()
            match command["type"]:
                case "watch":
                    await self._watch(command["after"])
                case "follow":
                    await self._follow(command["chat"], command.get("after"))
                case "unfollow":
                    self._chat = None

    async def _watch_over(self) -> None:
        """Heartbeat both ways: ours is a ping, the client's is anything it says."""
        self._heard_at = time.monotonic()
        while True:
            await asyncio.sleep(HEARTBEAT_MS / 1000)
            if (time.monotonic() - self._heard_at) * 1000 > SILENT_AFTER_MS:
                await self.close(CLOSE_TOO_SLOW)
                return
            # The word that something was revoked may have been lost.
            if not await self._still_may_stay():
                return
            await self._send_json({"type": "ping"})
