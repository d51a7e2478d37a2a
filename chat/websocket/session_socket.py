"""Decides who may hold a WebSocket and for how long: its person, their session, their limits.

A socket joins the groups of its person and of its session. Messages to a group arrive fast but may
be lost, so the socket also checks its access with each heartbeat (`_check_access`). Its purpose is
in chat/websocket/consumer.py.
"""

import asyncio
import logging
from contextlib import AbstractContextManager, suppress
from typing import Any
from urllib.parse import urlsplit

import orjson
from channels.db import database_sync_to_async
from django.conf import settings
from django.db.models import Exists, OuterRef
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
from chat.models import Project
from chat.projects.rows import projects_json
from chat.websocket.flow import Flow
from chat.websocket.tasks import CLOSE_TRY_AGAIN as CLOSE_TRY_AGAIN
from chat.websocket.tasks import TRANSIENT_ERRORS, SocketTasks
from streams.pipe import REDIS_ERRORS

logger = logging.getLogger(__name__)

CLOSE_BAD_MESSAGE = 4400
CLOSE_SIGN_IN = 4401
CLOSE_ORIGIN = 4403
CLOSE_TOO_SLOW = 4408
CLOSE_CHANGED = 4409
CLOSE_SUSPENDED = 4410
CLOSE_TOO_MANY = 4429

# How long the database and the channel layer may take for one operation. A socket that is not yet
# admitted is then closed, so that its client reconnects, perhaps to a healthier process.
ASK_TIMEOUT_S = 5.0
# How many access checks in a row may fail before an admitted socket is closed. It stays open until
# then, because following an answer needs no database.
MAX_FAILED_CHECKS = 4
# How long to wait before sending changes again.
RETRY_CHANGES_S = 2.0
# How long a changed balance waits for more changes before it is sent.
BALANCE_DELAY_S = 0.3
# Leaving the groups is optional: messages to a closed socket are ignored.
LEAVE_TIMEOUT_S = 0.3


class SessionSocket(SocketTasks):
    """`_user` is the person as last read from the database, with their preferences."""

    _user: User
    _flow: Flow
    _groups: list[str]
    _in_group = False
    _failed_checks = 0
    _balance_timer: asyncio.TimerHandle | None = None
    # Counts a new socket; raises LimitReached.
    _take = staticmethod(limits.take_socket)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Kinds of changes to send, each once, in order.
        self._changes: dict[str, None] = {}
        self._has_changes = asyncio.Event()
        self._access_in_doubt = asyncio.Event()

    async def _admit(self) -> bool:
        """Join the groups, then check the person's access. Closes the socket without access."""
        # In this order, so that no revocation is missed: the groups report later ones, and the
        # check sees earlier ones.
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
        return await self._check_access()

    def _take_socket(self, group: str) -> None:
        """Count the socket. Raises LimitReached with a message in the person's language. Sync."""
        try:
            self._take(self._user, group)
        except LimitReached as error:
            with self._own_language(self._user):
                raise LimitReached(error.retry_after_s) from error

    async def _check_access(self) -> bool:
        """Whether person and session are still valid; closes the socket if not."""
        now, has_become = await database_sync_to_async(self._read_access)()
        if has_become:
            await self.close(CLOSE_CHANGED)
            await self._leave_group()
            return False
        same = now is not None and now.may_act and now.session_epoch == self._user.session_epoch
        if now is not None and same and sessions.is_alive(now):
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

    def _read_access(self) -> tuple[User | None, bool]:
        """The person as they are now, and whether this guest has become an account. Sync."""
        now = self._read_person()
        if now is not None and now.may_act:
            sessions.note_seen(self.scope["session"], now)
        return now, self._user.is_guest and _has_become(self._user, now)

    def _read_person(self) -> User | None:
        """The person, with their preferences, with when their session was seen, and with
        `has_joined`: whether it is a guest who joins an account, and `has_projects`. Sync."""
        projects = Project.objects.filter(owner=OuterRef("id"))
        joins = GuestJoin.objects.filter(guest_id=OuterRef("id"))
        people = sessions.with_session_seen_at(User.objects.all(), self.scope["session"])
        people = people.select_related("preferences").annotate(
            has_joined=Exists(joins), has_projects=Exists(projects)
        )
        return people.filter(id=self._user.id).first()

    async def _check_access_if_possible(self) -> bool:
        """Like `_check_access`, but tolerates a database that hangs or restarts for a moment, so
        that not everybody is disconnected and reconnects at once."""
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                has_access = await self._check_access()
        except TRANSIENT_ERRORS:
            self._failed_checks += 1
            if self._failed_checks >= MAX_FAILED_CHECKS:
                raise
            return True
        self._failed_checks = 0
        return has_access

    async def _refuse_page(self) -> None:
        """Close the socket of a foreign page, and log which settings would permit it."""
        headers = dict(self.scope["headers"])
        names = [headers.get(name, b"").decode("latin-1")[:100] for name in (b"origin", b"host")]
        logger.warning(
            "A WebSocket was refused: a page of %r requested host %r. If it is yours, set "
            "HOLDFAST_URL, or ALLOWED_HOSTS and CSRF_TRUSTED_ORIGINS",
            *names,
        )
        await self._refuse(OriginNotAllowed(), CLOSE_ORIGIN)

    async def _refuse(self, error: AccountsError, code: int) -> None:
        frame: dict[str, Any] = {
            "type": "error",
            "code": error.code,
            "message": error.message,
            "chat": None,
        }
        if isinstance(error, LimitReached):
            frame["retry_after_s"] = error.retry_after_s
        await self.send(text_data=orjson.dumps(frame).decode())
        await self.close(code)

    def _own_language(self, person: User) -> AbstractContextManager[None]:
        """Activate the person's language. Runs a query unless `person` was read with
        preferences."""
        return language_for_socket(self.scope, preferences_of(person))

    async def _leave_group(self) -> None:
        if not self._in_group:
            return
        self._in_group = False
        with suppress(*REDIS_ERRORS):
            async with asyncio.timeout(LEAVE_TIMEOUT_S):
                for name in self._groups:
                    await self.channel_layer.group_discard(name, self.channel_name)

    # Channel layer

    async def session_ended(self, message: dict[str, Any]) -> None:
        """Sent to the sockets of a session that was signed out or revoked."""
        await self._end(CLOSE_SIGN_IN)

    async def person_became(self, message: dict[str, Any]) -> None:
        """Sent to all sockets of a guest who became an account or was merged into one."""
        await self._end(CLOSE_CHANGED)

    async def _end(self, code: int) -> None:
        """Close and send nothing more. Must not be called by the socket's own tasks: it cancels
        them."""
        self._cancel_tasks()
        await self.close(code)

    async def balance_changed(self, message: dict[str, Any]) -> None:
        """Sent when credit was booked or held. One answer sends several in a row, after which the
        database is asked once: numbers in the messages could arrive in another order than the
        commits that they come from, and a wrong balance would stay."""
        if self._balance_timer is None:
            loop = asyncio.get_running_loop()
            self._balance_timer = loop.call_later(BALANCE_DELAY_S, self._balance_is_due)

    def _balance_is_due(self) -> None:
        self._balance_timer = None
        self._mark_changed("balance")

    async def person_set(self, message: dict[str, Any]) -> None:
        """Sent to the group of a person whose name, picture or settings have changed."""
        self._mark_changed("who")

    async def projects_changed(self, message: dict[str, Any]) -> None:
        """Sent to the group of a person whose list of projects has changed."""
        self._mark_changed("projects")

    async def person_changed(self, message: dict[str, Any]) -> None:
        """Sent to the group of a person who was suspended, or whose sessions were all ended."""
        self._access_in_doubt.set()

    def _mark_changed(self, *kinds: str) -> None:
        self._changes |= dict.fromkeys(kinds)
        self._has_changes.set()

    async def _send_changes(self) -> None:
        while True:
            await self._has_changes.wait()
            self._has_changes.clear()
            while self._changes:
                kind = next(iter(self._changes))
                # More changes of this kind may arrive until then; they are sent once.
                await self._flow.room()
                del self._changes[kind]
                try:
                    async with asyncio.timeout(ASK_TIMEOUT_S):
                        await self._send_change(kind)
                except TRANSIENT_ERRORS:
                    self._mark_changed(kind)
                    await asyncio.sleep(RETRY_CHANGES_S)

    async def _recheck_access(self) -> None:
        """Check access when in doubt. A task of its own, which does not wait for a slow client."""
        while True:
            await self._access_in_doubt.wait()
            self._access_in_doubt.clear()
            try:
                async with asyncio.timeout(ASK_TIMEOUT_S):
                    await self._check_access()
            except TRANSIENT_ERRORS:
                self._access_in_doubt.set()
                await asyncio.sleep(RETRY_CHANGES_S)

    async def _send_change(self, kind: str) -> None:
        match kind:
            case "who":
                await self._send_person()
            case "balance":
                await self._send_balance()
            case "projects":
                await self._send_projects()

    # Private

    async def _send_person(self) -> None:
        if not self._in_group:  # The socket is closing.
            return
        now = await database_sync_to_async(self._read_person)()
        if now is None or not now.may_act or now.is_guest != self._user.is_guest:
            self._access_in_doubt.set()
            return
        self._user = now
        await self._send_json({"type": "user"} | self._person_json())

    def _person_json(self) -> dict[str, Any]:
        row = preferences_of(self._user)
        return {"user": person_json(self._user), "settings": settings_json(self._user, row)}

    async def _send_balance(self) -> None:
        balance = await self._balance()
        if self._in_group:
            await self._send_json({"type": "balance", "balance": balance})

    async def _send_projects(self) -> None:
        projects = await self._projects()
        if self._in_group:
            await self._send_json({"type": "projects", "projects": projects})

    async def _projects(self) -> list[dict[str, str]]:
        return await database_sync_to_async(projects_json)(self._user)

    async def _balance(self) -> dict[str, Any] | None:
        return await database_sync_to_async(balance_json)(self._user)

    async def _send_json(self, message: dict[str, Any]) -> None:
        raise NotImplementedError


def is_own_page(headers: dict[bytes, bytes]) -> bool:
    """Whether the page that opens a socket is ours.

    Browsers always send an Origin for a WebSocket. Other clients may send none, and have no cookie
    that their user did not give them on purpose.
    """
    host = headers.get(b"host", b"").decode("latin-1")
    name, _ = split_domain_port(host)
    if not validate_host(name, settings.ALLOWED_HOSTS):
        return False
    origin = headers.get(b"origin", b"").decode("latin-1")
    if not origin:
        # Browsers also omit it when a page loads a polling address (chat/websocket/polling.py) as
        # an image.
        return headers.get(b"sec-fetch-site", b"none") in (b"none", b"same-origin")
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    try:
        page = urlsplit(origin)
    except ValueError:  # not a URL
        return False
    # With HTTPS, a page that was loaded over HTTP is foreign, even with our host.
    is_safe = page.scheme == "https" or not settings.HTTPS
    return is_safe and page.netloc.lower() == host.lower()


def _has_become(guest: User, now: Any) -> bool:
    """Whether a guest became an account or was merged into one. `now` is from `_read_person`.
    Sync."""
    if now is None:
        return GuestJoin.objects.filter(guest_id=guest.id).exists()
    return not now.is_guest or now.has_joined
