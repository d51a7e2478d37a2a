"""The WebSocket consumer: a reader of the user's log.

It follows one chat in full and all others without deltas. It sends only what it reads from the
log (chat/websocket/log_socket.py), no faster than its client reads
(chat/websocket/paced_socket.py). docs/protocol.md describes the protocol,
chat/websocket/commands.py validates commands, and chat/websocket/session_socket.py decides who may
hold a socket.

Five tasks serve a socket: `_serve` sends new entries in log order; `_run_commands` executes the
client's commands one after another; `_keep_alive` maintains the heartbeat; `_send_changes` sends
changed data of the person; `_recheck_access` checks whether they may still hold the socket.

The handler that receives a draft must not wait for a client whose buffer is full. Such a draft is
read from the database again once there is room.
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
# A client that sends nothing for this long is considered gone.
SILENT_AFTER_MS = 60_000
MAX_COMMANDS_PENDING = 64
# The `retry_after_s` for a client with too many sockets.
TOO_MANY_RETRY_S = 30
# How many chats may have an unsent draft. With more, the client should read all drafts again.
MAX_LATE_DRAFTS = 100


class ChatConsumer(LogSocket):
    _registration: tuple[uuid.UUID, str] | None = None

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
        if not self._register():
            with language_for_socket(self.scope, Preferences()):
                limit = LimitReached(TOO_MANY_RETRY_S)
            await self._refuse(limit, CLOSE_TOO_MANY)
            return
        self._prepare()
        self._start(self._admit_and_start())

    def _register(self) -> bool:
        """Count the socket for its person and address. False if either has too many."""
        address = address_group(client_address_of_scope(self.scope))
        if not open_sockets.register(self._user.id, address):
            return False
        self._registration = (self._user.id, address)
        self._flow = flow_of(self.scope)
        self._flow.share(f"user {self._user.id}", settings.SOCKET_WAITING_BYTES_USER)
        self._flow.share(f"address {address}", settings.SOCKET_WAITING_BYTES_ADDRESS)
        return True

    async def _admit_and_start(self) -> None:
        async with asyncio.timeout(ASK_TIMEOUT_S):
            admitted = await self._admit()
        if admitted:
            parts = (
                self._serve,
                self._run_commands,
                self._keep_alive,
                self._send_changes,
                self._recheck_access,
            )
            for part in parts:
                self._start(part())

    def _prepare(self) -> None:
        self._log = get_log()
        self._stream = self._user.stream
        self._commands: asyncio.Queue[dict[str, Any]] = asyncio.Queue(MAX_COMMANDS_PENDING)
        self._heard_at = 0.0
        self._welcomed = asyncio.Event()
        self._late_drafts: dict[str | None, str] = {}  # chat -> tab that wrote the draft

    def _cancel_tasks(self) -> None:
        super()._cancel_tasks()
        if self._registration is not None:
            open_sockets.unregister(*self._registration)
            self._registration = None

    async def disconnect(self, code: int) -> None:
        await self._leave_group()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Accept a command. Never blocks: `_run_commands` does the slow work."""
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
        """Sent to a person's group when they edit a draft in one of their tabs."""
        # The welcome goes first, because it says whose socket this is.
        if not (self._in_group and self._welcomed.is_set()):
            return
        draft = message["draft"]
        if not self._flow.is_full:
            await self._send_json({"type": "draft", **draft})
            return
        self._late_drafts[draft["chat"]] = draft["tab"]
        if len(self._late_drafts) > MAX_LATE_DRAFTS:
            await self.close(CLOSE_TOO_SLOW)
        self._mark_changed("draft")

    # Tasks

    async def _send_changes(self) -> None:
        await self._welcomed.wait()
        await super()._send_changes()

    async def _send_change(self, kind: str) -> None:
        if kind == "draft":
            await self._send_late_draft()
        else:
            await super()._send_change(kind)

    async def _send_late_draft(self) -> None:
        """Send one of the late drafts in its current state."""
        chat, tab = self._late_drafts.popitem()
        if self._late_drafts:
            self._mark_changed("draft")
        draft = await database_sync_to_async(draft_in)(self._user, chat)
        if draft is not None and self._in_group:
            await self._send_json({"type": "draft", **draft, "tab": tab})

    async def _serve(self) -> None:
        tail = await self._log.tail(self._stream)
        async with asyncio.timeout(ASK_TIMEOUT_S):
            balance = await self._balance()
            projects = await self._projects() if getattr(self._user, "has_projects", True) else []
        await self._send_json(
            {
                "type": "welcome",
                "cursor": tail,
                "heartbeat_ms": HEARTBEAT_MS,
                "balance": balance,
                "projects": projects,
            }
            | self._person_json()
        )
        self._welcomed.set()
        await self._serve_log(tail)

    async def _run_commands(self) -> None:
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

    async def _keep_alive(self) -> None:
        """Send pings, and close the socket of a client that sends nothing."""
        self._heard_at = time.monotonic()
        while True:
            await asyncio.sleep(HEARTBEAT_MS / 1000)
            if (time.monotonic() - self._heard_at) * 1000 > SILENT_AFTER_MS:
                await self.close(CLOSE_TOO_SLOW)
                return
            # A notification that something was revoked may have been lost.
            if not await self._check_access_if_possible():
                return
            await self._stay_if_possible()
            await self._send_json({"type": "ping"})
