"""A socket that sends its person's log: one chat in full, the others without deltas.

`_serve_log` sends new entries in the order of the log. A lock makes it wait for a replay to finish,
and `_chat_cursor` keeps it from repeating replayed entries.
"""

import asyncio
import uuid
from contextlib import aclosing, suppress
from typing import Any
from weakref import WeakKeyDictionary

import orjson
from channels.db import database_sync_to_async

from chat.errors import ChatNotFound
from chat.models import Chat
from chat.personal_data import temporary
from chat.websocket.paced_socket import PacedSocket
from chat.websocket.session_socket import ASK_TIMEOUT_S
from chat.websocket.tasks import TRANSIENT_ERRORS
from streams.cursors import order
from streams.entries import Batch, frame
from streams.errors import LogUnavailableError
from streams.log import Log

# The limits of a frame. It is bounded in bytes because encoding it blocks the event loop.
REPLAY_PAGE = 500
FRAME_BYTES = 1_000_000
# A watch cursor further back is not replayed: the client fetches the list instead.
MAX_WATCH_REPLAY = 2_000
MAX_WATCH_BYTES = 4_000_000

# How many pages a process reads at once. A page is about 1 MB, and four copies of it exist while it
# becomes a frame, so a thousand clients that reconnect together would otherwise need gigabytes.
READS_AT_ONCE = 8
_read_limits: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


class LogSocket(PacedSocket):
    _log: Log
    _stream: str

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sending = asyncio.Lock()
        self._chat: str | None = None
        self._chat_cursor = "0-0"
        # The chat that is followed, if it is a temporary one: an open page keeps it.
        self._temporary: str | None = None

    async def _stay_if_possible(self) -> None:
        """Another page of the temporary chat may have been closed; this one is open."""
        if self._temporary is None or self._temporary != self._chat:
            return
        with suppress(*TRANSIENT_ERRORS):
            async with asyncio.timeout(ASK_TIMEOUT_S):
                stay = database_sync_to_async(temporary.stay)
                await stay(self._user.id, self._temporary)

    async def _serve_log(self, after: str) -> None:
        """Send the entries that are appended after `after`."""
        following = self._log.follow_batches(self._stream, after=after, focus=lambda: self._chat)
        async with aclosing(following) as batches:
            async for batch in batches:
                if not batch.live:
                    await self._send_batch(batch)
        raise LogUnavailableError("following ended")  # Following never ends by itself.

    async def _send_batch(self, batch: Batch) -> None:
        async with self._sending:
            if batch.chat != self._chat:
                for part in batch.slices(FRAME_BYTES):
                    if part.watch_frame:
                        await self._send_frame(part.watch_frame)
            elif fresh := batch.after(order(self._chat_cursor)):
                for part in fresh.slices(FRAME_BYTES):
                    await self._send_frame(part.frame)
                self._chat_cursor = fresh.cursor

    async def _watch(self, after: str) -> None:
        """Send the entries of all chats since `after`, without deltas."""
        async with self._sending:
            await self._flow.room()
            async with _read_limit():
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
            await self._send_json(
                {"type": "live", "chat": None, "cursor": _last_id(entries, after)}
            )

    async def _follow(self, chat_id: str, after: str | None) -> None:
        """Replay a chat from the client's last entry; `_serve_log` then continues with it."""
        async with asyncio.timeout(ASK_TIMEOUT_S):
            is_own, is_temporary = await database_sync_to_async(_look_up)(self._user.id, chat_id)
        if not is_own:
            with self._own_language(self._user):
                error = ChatNotFound()
            refused = {"type": "error", "code": error.code, "message": error.message}
            await self._send_frame(orjson.dumps(refused | {"chat": chat_id}).decode())
            return
        self._temporary = chat_id if is_temporary else None
        async with self._sending:
            cursor = after or "0-0"
            # Before the replay is read: from now on `_serve_log` receives this chat's parts too.
            self._chat, self._chat_cursor = chat_id, cursor
            more = True
            while more:
                cursor, more = await self._replay_page(chat_id, cursor)
            self._chat_cursor = cursor
            await self._send_json({"type": "live", "chat": chat_id, "cursor": cursor})

    async def _replay_page(self, chat_id: str, after: str) -> tuple[str, bool]:
        """Send a page. Returns the cursor after it and whether there are more."""
        await self._wait_for_acknowledgement()
        await self._flow.room()
        async with _read_limit():
            entries, more = await self._log.read_page(self._stream, chat_id, after, REPLAY_PAGE)
            if not entries:
                return after, more
            cursor, text = entries[-1].id, frame(chat_id, entries)
            del entries  # The text may wait for the client; free the entries now.
        await self._send_frame(text)
        return cursor, more


def _read_limit() -> asyncio.Semaphore:
    """The semaphore of this event loop. Never held while waiting for a client."""
    loop = asyncio.get_running_loop()
    return _read_limits.setdefault(loop, asyncio.Semaphore(READS_AT_ONCE))


def _last_id(entries: list[Any], otherwise: str) -> str:
    return entries[-1].id if entries else otherwise


def _look_up(user_id: uuid.UUID, chat_id: str) -> tuple[bool, bool]:
    """Whether this person owns the chat, and whether it is temporary; it is then in use."""
    own = Chat.objects.filter(id=chat_id, owner_id=user_id, deleted_at=None)
    found = own.values_list("is_temporary", "left_at").first()
    if found is None:
        return False, False
    is_temporary, left_at = found
    if left_at is not None:
        temporary.stay(user_id, chat_id)
    return True, is_temporary
