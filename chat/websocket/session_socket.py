"""Who may hold a WebSocket, and for how long: the person behind it, their session, their limits.

A socket joins the groups of its person and of its session. What is said to a group is fast and may
be lost, so the socket also looks for itself with each heartbeat (`_may_stay`). What a socket is
used for is in chat/websocket/consumer.py.
"""

import asyncio
import logging
import uuid
from contextlib import AbstractContextManager, suppress
from typing import Any
from urllib.parse import urlsplit

import orjson
from channels.db import database_sync_to_async
from django.conf import settings
from django.http.request import split_domain_port, validate_host

from accounts import limits, sessions
from accounts.client_address import address_group, client_address_of_scope
from accounts.errors import AccountsError, LimitReached, OriginNotAllowed, Suspended
from accounts.models import GuestJoin, User
from accounts.people import person_json
from accounts.preferences.locale import language_for_socket
from accounts.preferences.store import preferences_of, settings_json
from accounts.sockets import group_of
from billing.pages.statements import balance_json
from chat.websocket.flow import Flow
from chat.websocket.tasks import AWAY, SocketTasks
from chat.websocket.tasks import CLOSE_TRY_AGAIN as CLOSE_TRY_AGAIN
from streams.pipe import AWAY as REDIS_AWAY

logger = logging.getLogger(__name__)

CLOSE_BAD_MESSAGE = 4400
CLOSE_SIGN_IN = 4401
CLOSE_ORIGIN = 4403
CLOSE_TOO_SLOW = 4408
CLOSE_CHANGED = 4409
CLOSE_SUSPENDED = 4410
CLOSE_TOO_MANY = 4429


# How long the database and the channel layer may take for one thing. Then a socket that is not let
# in yet is closed: its client comes back, and perhaps to a process that is better off.
ASK_TIMEOUT_S = 5.0
# One that is there stays, for what is written takes no database: so often in a row it may not be
# known whether it still may.
MAX_UNSURE = 4
# News that could not be told are told again.
TELL_AGAIN_S = 2.0
# Leaving the groups is a courtesy: nothing hears what is said to a socket that has gone.
LEAVE_TIMEOUT_S = 0.3


class PersonSocket(SocketTasks):
    """`_user` is the person as last read from the database, with what they have set."""

    _user: User
    _flow: Flow
    _groups: list[str]
    _in_group = False
    _unsure = 0
    # How a new one is counted.
    _take = staticmethod(limits.take_socket)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # What has changed and was not yet told, each once, in order.
        self._news: dict[str, None] = {}
        self._news_came = asyncio.Event()
        self._is_doubted = asyncio.Event()

    async def _admit(self) -> bool:
        """Join the person's group; then look whether they may (again) be here."""
        # First: what is revoked from now on is heard, what was revoked before is seen.
        self._in_group = True
        self._groups = [group_of(self._user.id)]
        if of_session := sessions.group_of(self.scope["session"]):
            self._groups.append(of_session)
        for name in self._groups:
            await self.channel_layer.group_add(name, self.channel_name)
        group = address_group(client_address_of_scope(self.scope))
        try:
            await database_sync_to_async(self._take_socket)(group)
        except LimitReached as error:
            await self._leave_group()
            await self._refuse(error, CLOSE_TOO_MANY)
            return False
        return await self._may_stay()

    def _take_socket(self, group: str) -> None:
        """Sync. Raises LimitReached, in words that the person understands."""
        try:
            self._take(self._user, group)
        except LimitReached as error:
            with self._own_language(self._user):
                raise LimitReached(error.retry_after_s) from error

    async def _may_stay(self) -> bool:
        """Whether person and session are still good; closes the socket if not."""
        now = await database_sync_to_async(_person_now)(self._user.id)
        if self._user.is_guest and await database_sync_to_async(_has_become)(self._user, now):
            await self.close(CLOSE_CHANGED)
            await self._leave_group()
            return False
        same = now is not None and now.may_act and now.session_epoch == self._user.session_epoch
        is_alive = database_sync_to_async(sessions.is_alive)
        if now is not None and same and await is_alive(self.scope["session"], now):
            self._user = now
            return True
        await self._leave_group()
        if now is not None and now.suspended_at:
            with self._own_language(now):
                suspended = Suspended()
            await self._refuse(suspended, CLOSE_SUSPENDED)
        else:
            await self.close(CLOSE_SIGN_IN)
        return False

    async def _still_may_stay(self) -> bool:
        """`_may_stay`, as far as can be found out: a database that hangs or restarts for a moment
        is no reason to cut everybody off, and then to let everybody in again at once."""
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                may_stay = await self._may_stay()
        except AWAY:
            self._unsure += 1
            if self._unsure >= MAX_UNSURE:
                raise
            return True
        self._unsure = 0
        return may_stay

    async def _refuse_page(self) -> None:
        """The page says what the operator may set; so does the log, with the address."""
        headers = dict(self.scope["headers"])
        said = [headers.get(name, b"").decode("latin-1")[:100] for name in (b"origin", b"host")]
        logger.warning(
            "A WebSocket was refused: a page of %r asked for host %r. If that is yours, set "
            "HOLDFAST_URL, or ALLOWED_HOSTS and CSRF_TRUSTED_ORIGINS",
            *said,
        )
        await self._refuse(OriginNotAllowed(), CLOSE_ORIGIN)

    async def _refuse(self, error: AccountsError, code: int) -> None:
        said: dict[str, Any] = {
            "type": "error",
            "code": error.code,
            "message": error.message,
            "chat": None,
        }
        if isinstance(error, LimitReached):
            said["retry_after_s"] = error.retry_after_s
        await self.send(text_data=orjson.dumps(said).decode())
        await self.close(code)

    def _own_language(self, person: User) -> AbstractContextManager[None]:
        """What is said within it is in their language. `person` was read with their preferences, or
        it is a query."""
        return language_for_socket(self.scope, preferences_of(person))

    async def _leave_group(self) -> None:
        if not self._in_group:
            return
        self._in_group = False
        with suppress(*REDIS_AWAY):
            async with asyncio.timeout(LEAVE_TIMEOUT_S):
                for name in self._groups:
                    await self.channel_layer.group_discard(name, self.channel_name)

    # Channel layer

    async def session_ended(self, message: dict[str, Any]) -> None:
        """Sent to the sockets of a session that was signed out or revoked."""
        await self._end(CLOSE_SIGN_IN)

    async def person_became(self, message: dict[str, Any]) -> None:
        """Sent to all sockets of a guest who is an account now, or part of one."""
        await self._end(CLOSE_CHANGED)

    async def _end(self, code: int) -> None:
        """Close, and send nothing more. Not called by a task of its own, which it would cancel."""
        self._ended()
        await self.close(code)

    async def balance_changed(self, message: dict[str, Any]) -> None:
        """Sent when something was booked or held; several in a row may be one answer's."""
        self._note("balance")

    async def person_set(self, message: dict[str, Any]) -> None:
        """Sent to the group of a person whose name, picture or settings have changed."""
        self._note("who")

    async def person_changed(self, message: dict[str, Any]) -> None:
        """Sent to the group of a person who was suspended, or whose sessions were all ended."""
        self._is_doubted.set()

    def _note(self, *kinds: str) -> None:
        self._news |= dict.fromkeys(kinds)
        self._news_came.set()

    async def _tell_news(self) -> None:
        while True:
            await self._news_came.wait()
            self._news_came.clear()
            while self._news:
                kind = next(iter(self._news))
                # Until then there may be more of the same, which is told once.
                await self._flow.room()
                del self._news[kind]
                try:
                    async with asyncio.timeout(ASK_TIMEOUT_S):
                        await self._tell(kind)
                except AWAY:
                    self._note(kind)
                    await asyncio.sleep(TELL_AGAIN_S)

    async def _mind_stay(self) -> None:
        """Apart from the news: who may not stay is not asked to read them first."""
        while True:
            await self._is_doubted.wait()
            self._is_doubted.clear()
            try:
                async with asyncio.timeout(ASK_TIMEOUT_S):
                    await self._may_stay()
            except AWAY:
                self._is_doubted.set()
                await asyncio.sleep(TELL_AGAIN_S)

    async def _tell(self, kind: str) -> None:
        match kind:
            case "who":
                await self._tell_who()
            case "balance":
                await self._tell_balance()

    # Private

    async def _tell_who(self) -> None:
        if not self._in_group:  # On its way out: nothing more is sent.
            return
        now = await database_sync_to_async(_person_now)(self._user.id)
        if now is None or not now.may_act or now.is_guest != self._user.is_guest:
            self._is_doubted.set()
            return
        self._user = now
        await self._send_json({"type": "user"} | self._who())

    def _who(self) -> dict[str, Any]:
        row = preferences_of(self._user)
        return {"user": person_json(self._user), "settings": settings_json(self._user, row)}

    async def _tell_balance(self) -> None:
        balance = await self._balance()
        if self._in_group:
            await self._send_json({"type": "balance", "balance": balance})

    async def _balance(self) -> dict[str, Any] | None:
        return await database_sync_to_async(balance_json)(self._user)

    async def _send_json(self, message: dict[str, Any]) -> None:
        raise NotImplementedError


def is_own_page(headers: dict[bytes, bytes]) -> bool:
    """Whether the page that opens a socket is ours. A browser always says where it comes from; a
    client that is no browser says nothing, and carries no cookie it was not given on purpose."""
    host = headers.get(b"host", b"").decode("latin-1")
    name, _ = split_domain_port(host)
    if not validate_host(name, settings.ALLOWED_HOSTS):
        return False
    origin = headers.get(b"origin", b"").decode("latin-1")
    if not origin:
        # Nor does a browser where a page only loads an address (chat/websocket/polling.py) as a
        # picture.
        return headers.get(b"sec-fetch-site", b"none") in (b"none", b"same-origin")
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    try:
        page = urlsplit(origin)
    except ValueError:  # An address that is none.
        return False
    # With https, a page that came without it is not ours, whatever name it has.
    is_safe = page.scheme == "https" or not settings.HTTPS
    return is_safe and page.netloc.lower() == host.lower()


def _person_now(user_id: uuid.UUID) -> User | None:
    return User.objects.select_related("preferences").filter(id=user_id).first()


def _has_become(guest: User, now: User | None) -> bool:
    """Whether somebody who was a guest is an account now, or part of one. Sync."""
    is_account = now is not None and not now.is_guest
    return is_account or GuestJoin.objects.filter(guest_id=guest.id).exists()
