"""What a WebSocket would bring, over HTTP: for networks that let no WebSocket through.

`GET /api/follow` opens a socket inside this process, without a network
(chat/websocket/consumer.py), says "watch" and "follow" with the cursors that it was given, and
answers with what the socket sends: at once if something has happened since, else as soon as
something does, else, after `wait` seconds, with nothing. So a client over HTTP gets the same
messages under the same rules: who may be here, how many at once, whose chat it is, which signal
ends a session. The request keeps nothing between two calls; whatever web process answers the next
one goes on from its cursors.

It is an ASGI application beside Django's, not a view of it: Django keeps a thread for each request
that has reached the database, and these requests wait.
"""

import asyncio
import hashlib
import logging
import math
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import orjson
from channels.auth import AuthMiddlewareStack
from django.core.exceptions import SuspiciousOperation
from django.http import QueryDict
from django.utils.translation import gettext as _

from accounts.errors import LimitReached, MethodNotAllowed, NotSignedIn, OtherPerson
from accounts.limits import take_poll
from accounts.models import Preferences
from accounts.preferences.locale import language_for_socket
from accounts.refusals import error_frame
from chat.errors import BadRequest, LogAway
from chat.websocket.commands import parse_command
from chat.websocket.consumer import ChatConsumer
from chat.websocket.session_socket import (
    CLOSE_CHANGED,
    CLOSE_ORIGIN,
    CLOSE_SIGN_IN,
    CLOSE_SUSPENDED,
    CLOSE_TOO_MANY,
    CLOSE_TRY_AGAIN,
)
from chat.websocket.tasks import AWAY

logger = logging.getLogger(__name__)

# Proxies cut a request that is silent for long; 30 s is a common bound.
MAX_WAIT_S = 25
# What comes in quick succession goes out together: two or three answers a second while one streams.
GATHER_S = 0.35
# A catching-up that takes longer is not to be had now.
CATCH_UP_S = 20.0
HANG_UP_S = 5.0
# One answer holds about so much; the client asks for the rest at once.
PAGE_BYTES = 1_000_000
ACK_EVERY_BYTES = 500_000
MAX_QUERY_BYTES = 2_000
# Too many at once: some end soon.
RETRY_AFTER_S = 5

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Answer = tuple[int, bytes, dict[str, str]]  # status, body, headers


class PolledSocket(ChatConsumer):
    """A socket that lives as long as one request, and is counted as one."""

    _take = staticmethod(lambda person, group: take_poll(person))


SOCKET: Any = AuthMiddlewareStack(PolledSocket.as_asgi())


class Asked:
    """What a request asks for. Raises BadRequest."""

    def __init__(self, query: bytes) -> None:
        if len(query) > MAX_QUERY_BYTES:
            raise BadRequest
        try:
            given = QueryDict(query)
        except SuspiciousOperation as error:  # So many fields have no use.
            raise BadRequest from error
        self.commands = [self._command(type="watch", after=given.get("watch"))]
        if chat := given.get("chat"):
            self.commands.append(self._command(type="follow", chat=chat, after=given.get("after")))
        self.awaited = {None, chat} if chat else {None}
        self.wait_s = _seconds(given.get("wait", "0"))
        self.state = given.get("state", "")

    @staticmethod
    def _command(**command: Any) -> str:
        text = orjson.dumps(command).decode()
        if parse_command(text) is None:
            raise BadRequest("“watch” and “after” must be entry ids, “chat” the id of a chat.")
        return text


def _seconds(given: str) -> int:
    if not (given.isascii() and given.isdigit() and len(given) <= 2 and int(given) <= MAX_WAIT_S):
        raise BadRequest(f"“wait” must be a number from 0 to {MAX_WAIT_S}.")
    return int(given)


class Poll:
    """One request: a socket, what it has sent, and when that is enough."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._awaited = set(asked.awaited)
        self._to_socket: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._from_socket: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._taken_bytes = 0
        self._acked_bytes = 0
        self._caught_up_at: float | None = None
        self._news_at: float | None = None
        self.state = ""
        self.cursor = "0-0"
        self.messages: list[str] = []
        self.errors: list[dict[str, Any]] = []
        self.closed: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether what was asked for has caught up, or so much has come that it is a page."""
        return not self._awaited or self._is_page

    @property
    def has_news(self) -> bool:
        return self._news_at is not None

    @property
    def _is_page(self) -> bool:
        # The watch comes whole: its entries may come out of order before its end.
        return None not in self._awaited and self._taken_bytes >= PAGE_BYTES

    async def run(self, scope: Any) -> None:
        inside = {**scope, "type": "websocket", "subprotocols": []}
        serving = asyncio.create_task(
            SOCKET(inside, self._to_socket.get, self._from_socket.put), name="polled-socket"
        )
        # A socket that has failed says nothing more.
        ended = {"type": "websocket.close", "code": CLOSE_TRY_AGAIN}
        serving.add_done_callback(lambda task: self._from_socket.put_nowait(ended))
        self._to_socket.put_nowait({"type": "websocket.connect"})
        for command in self._asked.commands:
            self._say(command)
        try:
            await self._gather()
            # Entries of several chats that were read in one go come one right after the other: a
            # cursor taken between them would leave a gap.
            while not self._from_socket.empty():
                self._take(self._from_socket.get_nowait())
        finally:
            await self._hang_up(serving)

    async def _gather(self) -> None:
        began_at = _now()
        while self.closed is None and not self._is_page:
            try:
                async with asyncio.timeout_at(self._until(began_at)):
                    self._take(await self._from_socket.get())
            except TimeoutError:
                return
            if self._caught_up_at is None and not self._awaited:
                self._caught_up_at = _now()

    def _until(self, began_at: float) -> float:
        if self._caught_up_at is None:
            return began_at + CATCH_UP_S
        until = self._caught_up_at + self._asked.wait_s
        if self._news_at is None:
            return until
        return min(until, max(self._caught_up_at, self._news_at) + GATHER_S)

    def _take(self, output: dict[str, Any]) -> None:
        if output["type"] == "websocket.close":
            self.closed = output.get("code") or CLOSE_TRY_AGAIN
        elif output["type"] == "websocket.send" and self.closed is None:
            text = output["text"]
            self._taken_bytes += len(text)
            # Entries go on as they are; all else names its type first.
            if text.startswith('{"type":'):
                self._hear(text)
            else:
                self._keep(text, is_news=True)
            self._acknowledge()

    def _hear(self, text: str) -> None:
        message = orjson.loads(text)
        match message["type"]:
            case "ping" | "pong":
                return
            case "welcome":
                self.cursor, self.state = message["cursor"], state_of(message)
                if self.state == self._asked.state:
                    return
            case "live":
                self._awaited.discard(message["chat"])
            case "reset":
                self._awaited.discard(None)
            case "error":
                if message["chat"] is None:  # Why it is about to close.
                    self.errors.append(message)
                    return
                self._awaited.discard(message["chat"])
        self._keep(text, is_news=message["type"] != "live")

    def _keep(self, text: str, *, is_news: bool) -> None:
        self.messages.append(text)
        if is_news and self._news_at is None:
            self._news_at = _now()

    def _acknowledge(self) -> None:
        if self._taken_bytes - self._acked_bytes >= ACK_EVERY_BYTES:
            self._acked_bytes = self._taken_bytes
            self._say(orjson.dumps({"type": "ack", "bytes": self._acked_bytes}).decode())

    def _say(self, text: str) -> None:
        self._to_socket.put_nowait({"type": "websocket.receive", "text": text})

    async def _hang_up(self, serving: "asyncio.Task[None]") -> None:
        self._to_socket.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await asyncio.wait({serving}, timeout=HANG_UP_S)
        serving.cancel()
        # What it could not tell is told as a close.
        [failure] = await asyncio.gather(serving, return_exceptions=True)
        if isinstance(failure, AWAY):
            logger.info("a polled socket ends: %s", failure or type(failure).__name__)
        elif isinstance(failure, Exception):
            logger.error("a polled socket failed", exc_info=failure)


def _now() -> float:
    return asyncio.get_running_loop().time()


def state_of(welcome: dict[str, Any]) -> str:
    """A short name for who one is, what one has set and what credit there is."""
    told = [welcome.get(name) for name in ("user", "settings", "balance")]
    packed = orjson.dumps(told, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(packed, digest_size=9).hexdigest()


async def follow_over_http(scope: Any, receive: Receive, send: Send) -> None:
    """The ASGI application of `/api/follow`."""
    gone = asyncio.create_task(_until_gone(receive))
    answering = asyncio.create_task(_answer_for(scope))
    try:
        await asyncio.wait({gone, answering}, return_when=asyncio.FIRST_COMPLETED)
        if answering.done():
            await _respond(send, *answering.result())
    finally:
        for task in (gone, answering):
            task.cancel()
        await asyncio.gather(gone, answering, return_exceptions=True)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _answer_for(scope: Any) -> Answer:
    with language_for_socket(scope, Preferences()):
        try:
            return await _page_for(scope)
        except Exception:
            logger.exception("a poll failed")
            message = _("Something went wrong on our side. Try again: nothing is done twice.")
            return _refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", message)


async def _page_for(scope: Any) -> Answer:
    if scope["method"] != "GET":
        error = MethodNotAllowed(("GET",))
        return _refusal(error.status, error.code, error.message, error.headers)
    try:
        asked = Asked(scope["query_string"])
    except BadRequest as error:
        return _refusal(error.status, error.code, error.message)
    poll = Poll(asked)
    await poll.run(scope)
    # What it had sent before it closed is told first; the next request learns of the rest.
    if poll.is_whole and (poll.closed is None or poll.has_news):
        return _page(poll)
    return _refused(poll.closed or CLOSE_TRY_AGAIN, poll)


def _page(poll: Poll) -> Answer:
    told = orjson.dumps({"state": poll.state, "cursor": poll.cursor})
    messages = ",".join(poll.messages).encode()
    return HTTPStatus.OK, b'%s,"messages":[%s]}' % (told[:-1], messages), {}


def _refused(code: int, poll: Poll) -> Answer:
    """What the socket was closed with, in the words of HTTP."""
    told = poll.errors[-1] if poll.errors else {}
    if code == CLOSE_SIGN_IN:
        return _refusal(NotSignedIn.status, NotSignedIn.code, NotSignedIn().message)
    if code == CLOSE_CHANGED:
        return _refusal(OtherPerson.status, OtherPerson.code, OtherPerson().message)
    if code in (CLOSE_ORIGIN, CLOSE_SUSPENDED):
        return _refusal(HTTPStatus.FORBIDDEN, told["code"], told["message"])
    if code == CLOSE_TOO_MANY:
        after_s = math.ceil(told.get("retry_after_s", RETRY_AFTER_S))
        limit = LimitReached(after_s)
        return _refusal(limit.status, limit.code, told.get("message", limit.message), limit.headers)
    return _refusal(LogAway.status, LogAway.code, LogAway().message)


def _refusal(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Answer:
    body = orjson.dumps(error_frame(code, message))
    return status, body, headers or {}


async def _respond(send: Send, status: int, body: bytes, headers: dict[str, str]) -> None:
    said = {"content-type": "application/json", "content-length": str(len(body))} | headers
    pairs = [(name.lower().encode(), value.encode()) for name, value in said.items()]
    await send({"type": "http.response.start", "status": int(status), "headers": pairs})
    await send({"type": "http.response.body", "body": body})
