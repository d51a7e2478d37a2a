"""The WebSocket: a reader of the user's log. It follows one chat in full and the rest without
deltas, and it only ever sends what it read from the log. The protocol is in docs/protocol.md; what
a client may say is in chat/commands.py, who may hold a socket in chat/person_socket.py.

Five tasks serve a socket: `_serve` sends what is appended, in log order; `_obey` carries out the
client's commands one after another; `_watch_over` keeps the heartbeat; `_tell_news` says what has
changed about the person; `_mind_stay` asks whether they may still be here. A lock lets a replay
finish before `_serve` goes on, and `_chat_cursor` keeps that from repeating what was replayed.

A client costs what it reads. What it acknowledges may slow its socket; what bounds it is `_flow`,
which knows how much the network has taken: who has something to send waits for room before they
make it. What cannot wait, for it is said while something is taken in, is left out: a pong (so much
else is under way), or a draft (it is read from the database once there is room).
"""

import asyncio
import math
import time
import uuid
from collections import Counter
from contextlib import aclosing
from typing import Any, cast
from weakref import WeakKeyDictionary

import orjson
from channels.db import database_sync_to_async
from django.conf import settings

from accounts.client_address import address_group, client_address_of_scope
from accounts.device_locale import language_for_socket
from accounts.errors import LimitReached
from accounts.models import Preferences, User
from chat.commands import parse_command
from chat.drafts import draft_in
from chat.errors import ChatNotFound
from chat.models import Chat
from chat.person_socket import (
    ASK_TIMEOUT_S,
    CLOSE_BAD_MESSAGE,
    CLOSE_SIGN_IN,
    CLOSE_TOO_MANY,
    CLOSE_TOO_SLOW,
    PersonSocket,
    is_own_page,
)
from chat.socket_flow import flow_of
from streams.entries import Batch, frame
from streams.errors import LogUnavailableError
from streams.keys import order
from streams.log import get_log

HEARTBEAT_MS = 25_000
# A client that has said nothing for so long is gone.
SILENT_AFTER_MS = 60_000
# What may be under way to a client that has not acknowledged it; more waits.
WINDOW_BYTES = 4_000_000
WINDOW_TIMEOUT_S = 30.0
MAX_COMMANDS_PENDING = 64
MAX_SOCKETS_PER_USER = 32
# A client that had too many is told to come back then.
TOO_MANY_RETRY_S = 30
# Chats whose drafts are still to be told; with more the client had better read them all anew.
MAX_LATE_DRAFTS = 100
# Entries of a frame at most. It is bounded in bytes too, for packing it holds up all others.
REPLAY_PAGE = 500
FRAME_BYTES = 1_000_000
# A watch cursor further back than this is not replayed: the client fetches the list instead.
MAX_WATCH_REPLAY = 2_000
MAX_WATCH_BYTES = 4_000_000

# Pages of logs that a process reads at once, each of about 1 MB, which is there four times while it
# becomes a frame: a thousand clients that come back together would else need gigabytes.
READS_AT_ONCE = 8
_readings: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()

# By person, and by group of addresses.
_open_sockets: Counter[uuid.UUID | str] = Counter()


class ChatConsumer(PersonSocket):
    _counted: tuple[uuid.UUID | str, ...] = ()

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
        mine, theirs = _open_sockets[self._user.id], _open_sockets[address]
        if mine >= MAX_SOCKETS_PER_USER or theirs >= (settings.SOCKETS_AT_ONCE_ADDRESS or math.inf):
            return False
        self._counted = (self._user.id, address)
        _open_sockets.update(self._counted)
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
        self._sending = asyncio.Lock()
        self._chat: str | None = None
        self._chat_cursor = "0-0"
        self._sent_bytes = 0
        self._acked_bytes = 0
        self._acked = asyncio.Event()
        self._heard_at = 0.0
        self._welcomed = asyncio.Event()
        self._late_drafts: dict[str | None, str] = {}  # chat -> the tab that wrote it

    def _ended(self) -> None:
        super()._ended()
        for owner in self._counted:
            _open_sockets[owner] -= 1
            if _open_sockets[owner] <= 0:
                del _open_sockets[owner]
        self._counted = ()

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
            self._acked_bytes = max(self._acked_bytes, min(command["bytes"], self._sent_bytes))
            self._acked.set()
        elif command["type"] == "ping":
            # Not made to wait like a frame, so whoever asks without reading must be cut off.
            if self._outstanding > 2 * WINDOW_BYTES:
                await self.close(CLOSE_TOO_SLOW)
            elif not self._flow.is_full:
                await self._send_json({"type": "pong"})
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
        following = self._log.follow_batches(self._stream, after=tail, focus=lambda: self._chat)
        async with aclosing(following) as batches:
            async for batch in batches:
                if not batch.live:
                    await self._pass_on(batch)
        raise LogUnavailableError("following ended")  # It never does by itself.

    async def _pass_on(self, batch: Batch) -> None:
        async with self._sending:
            if batch.chat != self._chat:
                for part in batch.slices(FRAME_BYTES):
                    if part.watch_frame:
                        await self._send_frame(part.watch_frame)
            elif fresh := batch.after(order(self._chat_cursor)):
                for part in fresh.slices(FRAME_BYTES):
                    await self._send_frame(part.frame)
                self._chat_cursor = fresh.cursor

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

    # Commands

    async def _watch(self, after: str) -> None:
        """Send what happened since `after`, deltas left out."""
        async with self._sending:
            await self._flow.room()
            async with _reading():
                entries = await self._log.read(
                    self._stream,
                    after=after,
                    limit=MAX_WATCH_REPLAY + 1,
                    parts=False,
                    max_bytes=MAX_WATCH_BYTES,
                )
            size_bytes = sum(len(entry.data) for entry in entries)
            if len(entries) > MAX_WATCH_REPLAY or size_bytes > MAX_WATCH_BYTES:
                await self._send_json({"type": "reset"})
                return
            with self._flow.hold(size_bytes):
                for entry in entries:
                    await self._send_frame(frame(entry.chat, [entry], watch=True))
            await self._send_json({"type": "live", "chat": None, "cursor": _last(entries, after)})

    async def _follow(self, chat_id: str, after: str | None) -> None:
        """Replay one chat from the last entry the client has, then let the pump go on with it."""
        async with asyncio.timeout(ASK_TIMEOUT_S):
            is_own = await database_sync_to_async(_owns_chat)(self._user.id, chat_id)
        if not is_own:
            with self._own_language(self._user):
                error = ChatNotFound()
            refused = {"type": "error", "code": error.code, "message": error.message}
            await self._send_frame(orjson.dumps(refused | {"chat": chat_id}).decode())
            return
        async with self._sending:
            cursor = after or "0-0"
            # Before the replay is read: from here on the pump is given this chat's parts too.
            self._chat, self._chat_cursor = chat_id, cursor
            more = True
            while more:
                cursor, more = await self._replay_page(chat_id, cursor)
            self._chat_cursor = cursor
            await self._send_json({"type": "live", "chat": chat_id, "cursor": cursor})

    async def _replay_page(self, chat_id: str, after: str) -> tuple[str, bool]:
        """The cursor behind the page that was sent, and whether there is more."""
        await self._acknowledgement()
        await self._flow.room()
        async with _reading():
            entries, more = await self._log.read_page(self._stream, chat_id, after, REPLAY_PAGE)
            if not entries:
                return after, more
            cursor, text = entries[-1].id, frame(chat_id, entries)
            del entries  # The text may have to wait.
        await self._send_frame(text)
        return cursor, more

    # Private

    async def _send_frame(self, text: str) -> None:
        """Send, once the client has acknowledged and taken enough of what was sent before."""
        with self._flow.hold(len(text)):
            await self._acknowledgement()
            await self._flow.room()
        await self._send_text(text)

    async def _acknowledgement(self) -> None:
        while self._outstanding > WINDOW_BYTES:
            self._acked.clear()
            try:
                # Not `wait_for`: before Python 3.12 it can lose a cancellation.
                async with asyncio.timeout(WINDOW_TIMEOUT_S):
                    await self._acked.wait()
            except TimeoutError:
                await self.close(CLOSE_TOO_SLOW)
                raise asyncio.CancelledError from None

    async def _send_json(self, message: dict[str, Any]) -> None:
        await self._send_text(orjson.dumps(message).decode())

    async def _send_text(self, text: str) -> None:
        self._sent_bytes += len(text)
        await self.send(text_data=text)

    @property
    def _outstanding(self) -> int:
        return self._sent_bytes - self._acked_bytes


def _reading() -> asyncio.Semaphore:
    """That of this event loop. Never held while a client is waited for."""
    loop = asyncio.get_running_loop()
    return _readings.setdefault(loop, asyncio.Semaphore(READS_AT_ONCE))


def _last(entries: list[Any], otherwise: str) -> str:
    return entries[-1].id if entries else otherwise


def _owns_chat(user_id: uuid.UUID, chat_id: str) -> bool:
    return Chat.objects.filter(id=chat_id, owner_id=user_id, deleted_at=None).exists()
