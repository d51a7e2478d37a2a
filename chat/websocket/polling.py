"""Long polling: the messages of the WebSocket over HTTP, for networks that block WebSockets.

`GET /api/follow` opens a socket inside this process, without a network
(chat/websocket/consumer.py), sends it "watch" and "follow" with the cursors of the request, and
responds with what the socket sends: at once if something has happened since, otherwise as soon as
something does, otherwise, after `wait` seconds, with nothing. A client over HTTP therefore gets the
same messages under the same rules for access, limits, ownership and the end of a session. No state
is kept between two requests; any web process can serve the next one from its cursors.

It is an ASGI application beside Django, not a view: Django keeps a thread for each request that has
accessed the database, and these requests wait.
"""

import asyncio
import hashlib
import logging
import math
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import orjson
from django.core.exceptions import SuspiciousOperation
from django.http import QueryDict
from django.utils.translation import gettext as _

from accounts.errors import LimitReached, MethodNotAllowed, NotSignedIn, OtherPerson
from accounts.limits import take_poll
from accounts.models import Preferences
from accounts.preferences.locale import language_for_socket
from accounts.refusals import error_frame
from chat.errors import BadRequest, LogAway
from chat.websocket.auth import with_session
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
from chat.websocket.tasks import TRANSIENT_ERRORS

logger = logging.getLogger(__name__)

# Proxies cancel requests that are silent for long; 30 s is a common limit.
MAX_WAIT_S = 25
# Messages in quick succession share a response: two or three responses a second while an answer
# streams.
GATHER_S = 0.35
# The time limit for catching up. A request that takes longer fails.
CATCH_UP_S = 20.0
HANG_UP_S = 5.0
# About how much a response holds; the client requests the rest at once.
PAGE_BYTES = 1_000_000
ACK_EVERY_BYTES = 500_000
MAX_QUERY_BYTES = 2_000
# For a client with too many requests at once: some end soon.
RETRY_AFTER_S = 5

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Answer = tuple[int, bytes, dict[str, str]]  # status, body, headers


class PolledSocket(ChatConsumer):
    """A socket that lives as long as one request and counts towards the limit of polls."""

    _take = staticmethod(lambda person, group: take_poll(person))


SOCKET: Any = with_session(PolledSocket.as_asgi())


class PollRequest:
    """The parsed query of a request. Raises BadRequest."""

    def __init__(self, query: bytes) -> None:
        if len(query) > MAX_QUERY_BYTES:
            raise BadRequest
        try:
            given = QueryDict(query)
        except SuspiciousOperation as error:  # too many fields
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
    """One request: its socket, the messages received from it, and when to respond."""

    def __init__(self, request: PollRequest) -> None:
        self._request = request
        self._awaited = set(request.awaited)
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
        """Whether the replays have caught up, or enough has arrived for a page."""
        return not self._awaited or self._is_page

    @property
    def has_news(self) -> bool:
        return self._news_at is not None

    @property
    def _is_page(self) -> bool:
        # A watch is never split: its entries may arrive out of order before its end.
        return None not in self._awaited and self._taken_bytes >= PAGE_BYTES

    async def run(self, scope: Any) -> None:
        inside = {**scope, "type": "websocket", "subprotocols": []}
        serving = asyncio.create_task(
            SOCKET(inside, self._to_socket.get, self._from_socket.put), name="polled-socket"
        )
        # A socket that failed sends no close itself.
        ended = {"type": "websocket.close", "code": CLOSE_TRY_AGAIN}
        serving.add_done_callback(lambda task: self._from_socket.put_nowait(ended))
        self._to_socket.put_nowait({"type": "websocket.connect"})
        for command in self._request.commands:
            self._send_to_socket(command)
        try:
            await self._gather()
            # Entries of several chats from one read arrive in succession. A cursor between them
            # would leave a gap.
            while not self._from_socket.empty():
                self._take(self._from_socket.get_nowait())
        finally:
            await self._disconnect(serving)

    async def _gather(self) -> None:
        began_at = _now()
        while self.closed is None and not self._is_page:
            try:
                async with asyncio.timeout_at(self._deadline(began_at)):
                    self._take(await self._from_socket.get())
            except TimeoutError:
                return
            if self._caught_up_at is None and not self._awaited:
                self._caught_up_at = _now()

    def _deadline(self, began_at: float) -> float:
        if self._caught_up_at is None:
            return began_at + CATCH_UP_S
        until = self._caught_up_at + self._request.wait_s
        if self._news_at is None:
            return until
        return min(until, max(self._caught_up_at, self._news_at) + GATHER_S)

    def _take(self, output: dict[str, Any]) -> None:
        if output["type"] == "websocket.close":
            self.closed = output.get("code") or CLOSE_TRY_AGAIN
        elif output["type"] == "websocket.send" and self.closed is None:
            text = output["text"]
            self._taken_bytes += len(text)
            # Frames of entries are passed on unparsed. Other messages start with their type.
            if text.startswith('{"type":'):
                self._handle_control(text)
            else:
                self._add(text, is_news=True)
            self._acknowledge()

    def _handle_control(self, text: str) -> None:
        message = orjson.loads(text)
        match message["type"]:
            case "ping" | "pong":
                return
            case "welcome":
                self.cursor, self.state = message["cursor"], state_hash(message)
                if self.state == self._request.state:
                    return
            case "live":
                self._awaited.discard(message["chat"])
            case "reset":
                self._awaited.discard(None)
            case "error":
                if message["chat"] is None:  # the reason for the close that follows
                    self.errors.append(message)
                    return
                self._awaited.discard(message["chat"])
        self._add(text, is_news=message["type"] != "live")

    def _add(self, text: str, *, is_news: bool) -> None:
        self.messages.append(text)
        if is_news and self._news_at is None:
            self._news_at = _now()

    def _acknowledge(self) -> None:
        if self._taken_bytes - self._acked_bytes >= ACK_EVERY_BYTES:
            self._acked_bytes = self._taken_bytes
            self._send_to_socket(orjson.dumps({"type": "ack", "bytes": self._acked_bytes}).decode())

    def _send_to_socket(self, text: str) -> None:
        self._to_socket.put_nowait({"type": "websocket.receive", "text": text})

    async def _disconnect(self, serving: "asyncio.Task[None]") -> None:
        self._to_socket.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await asyncio.wait({serving}, timeout=HANG_UP_S)
        serving.cancel()
        # The client learns of a failure by the close code.
        [failure] = await asyncio.gather(serving, return_exceptions=True)
        if isinstance(failure, TRANSIENT_ERRORS):
            logger.info("closing a polled socket: %s", failure or type(failure).__name__)
        elif isinstance(failure, Exception):
            logger.error("a polled socket failed", exc_info=failure)


def _now() -> float:
    return asyncio.get_running_loop().time()


def state_hash(welcome: dict[str, Any]) -> str:
    """A short hash of the person, their settings, their balance and their projects."""
    state = [welcome.get(name) for name in ("user", "settings", "balance", "projects")]
    packed = orjson.dumps(state, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(packed, digest_size=9).hexdigest()


async def follow_over_http(scope: Any, receive: Receive, send: Send) -> None:
    """The ASGI application of `/api/follow`."""
    disconnect = asyncio.create_task(_wait_for_disconnect(receive))
    answering = asyncio.create_task(_respond_to(scope))
    try:
        await asyncio.wait({disconnect, answering}, return_when=asyncio.FIRST_COMPLETED)
        if answering.done():
            await _respond(send, *answering.result())
    finally:
        for task in (disconnect, answering):
            task.cancel()
        await asyncio.gather(disconnect, answering, return_exceptions=True)


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _respond_to(scope: Any) -> Answer:
    with language_for_socket(scope, Preferences()):
        try:
            return await _poll(scope)
        except Exception:
            logger.exception("a poll failed")
            message = _("Something went wrong on our side. Try again: nothing is done twice.")
            return _error_response(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", message)


async def _poll(scope: Any) -> Answer:
    if scope["method"] != "GET":
        error = MethodNotAllowed(("GET",))
        return _error_response(error.status, error.code, error.message, error.headers)
    try:
        request = PollRequest(scope["query_string"])
    except BadRequest as error:
        return _error_response(error.status, error.code, error.message)
    poll = Poll(request)
    await poll.run(scope)
    # Messages from before the close are delivered first; the next request gets the close.
    if poll.is_whole and (poll.closed is None or poll.has_news):
        return _page(poll)
    return _close_response(poll.closed or CLOSE_TRY_AGAIN, poll)


def _page(poll: Poll) -> Answer:
    head = orjson.dumps({"state": poll.state, "cursor": poll.cursor})
    messages = ",".join(poll.messages).encode()
    return HTTPStatus.OK, b'%s,"messages":[%s]}' % (head[:-1], messages), {}


def _close_response(code: int, poll: Poll) -> Answer:
    """The HTTP response for the code with which the socket was closed."""
    error = poll.errors[-1] if poll.errors else {}
    if code == CLOSE_SIGN_IN:
        return _error_response(NotSignedIn.status, NotSignedIn.code, NotSignedIn().message)
    if code == CLOSE_CHANGED:
        return _error_response(OtherPerson.status, OtherPerson.code, OtherPerson().message)
    if code in (CLOSE_ORIGIN, CLOSE_SUSPENDED):
        return _error_response(HTTPStatus.FORBIDDEN, error["code"], error["message"])
    if code == CLOSE_TOO_MANY:
        after_s = math.ceil(error.get("retry_after_s", RETRY_AFTER_S))
        limit = LimitReached(after_s)
        return _error_response(
            limit.status, limit.code, error.get("message", limit.message), limit.headers
        )
    return _error_response(LogAway.status, LogAway.code, LogAway().message)


def _error_response(
    status: int, code: str, message: str, headers: dict[str, str] | None = None
) -> Answer:
    body = orjson.dumps(error_frame(code, message))
    return status, body, headers or {}


async def _respond(send: Send, status: int, body: bytes, headers: dict[str, str]) -> None:
    all_headers = {"content-type": "application/json", "content-length": str(len(body))} | headers
    pairs = [(name.lower().encode(), value.encode()) for name, value in all_headers.items()]
    await send({"type": "http.response.start", "status": int(status), "headers": pairs})
    await send({"type": "http.response.body", "body": body})
