"""Sessions: listing them, ending them, and telling the sockets that were opened with them.

A session carries a random name of its own (`sid`) that stays when its key is changed; the sockets
opened with it are a group of that name. The word to the group is fast and may be lost; the sure
way is that a socket asks with its heartbeat whether its session is still there.
"""

import hashlib
import secrets
from datetime import timedelta
from typing import Any, cast

from allauth.usersessions.models import UserSession
from asgiref.sync import async_to_sync
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import User
from accounts.sockets import send_to_group

SID = "sid"
# How exact "last seen" is.
SEEN_EVERY_S = 300


# Sockets


def group_of(session: Any) -> str | None:
    """The group of the sockets opened with a session. None for a session without a person."""
    return _group(session.get(SID))


def _group(sid: str | None) -> str | None:
    # Not the name itself: groups are seen by whoever looks into Redis.
    return f"session.{hashlib.sha256(sid.encode()).hexdigest()[:40]}" if sid else None


def is_alive(session: Any, person: User) -> bool:
    """Whether nobody has ended the session; notes that it was seen. Sync."""
    now = timezone.now()
    before = now - timedelta(seconds=SEEN_EVERY_S)
    if person.is_guest:  # Whether a guest comes back is what keeps them: accounts/guests/expire.py.
        User.objects.filter(id=person.id, last_login__lt=before).update(last_login=now)
        return True
    listed = UserSession.objects.filter(user=person, data__sid=session.get(SID))
    listed.filter(last_seen_at__lt=before).update(last_seen_at=now)
    return bool(listed.exists())


def _tell_ended(group: str | None) -> None:
    _send(group, "session.ended")


def _send(group: str | None, kind: str) -> None:
    if group:
        async_to_sync(send_to_group)(group, {"type": kind})


# Ending


def end(session: UserSession) -> None:
    """End one session, here and at its sockets. Sync."""
    group = _group(session.data.get(SID))
    session.end()
    transaction.on_commit(lambda: _tell_ended(group))


def end_others(request: HttpRequest, user: User) -> int:
    """End every session of this person but the one that asks."""
    others = UserSession.objects.filter(user=user).exclude(
        session_key=request.session.session_key or ""
    )
    ended = 0
    for session in others:
        end(session)
        ended += 1
    return ended


def sessions_of(user: User) -> list[UserSession]:
    """Those that are still good, the ones seen last first."""
    listed: list[UserSession] = UserSession.objects.purge_and_list(user)
    return sorted(listed, key=lambda session: session.last_seen_at, reverse=True)


# Hooks of Django and allauth


def on_signed_in(request: HttpRequest, user: Any, **_: Any) -> None:
    request.session.setdefault(SID, secrets.token_urlsafe(16))
    if isinstance(user, User) and not user.is_guest:
        if not hasattr(request, "user"):  # Not come through the middleware: a test's force_login.
            request.user = user
        note(request, user)


def note(request: HttpRequest, user: User) -> None:
    """Note the session under the key it has now."""
    # Stored first: another sign-in of the same person drops the rows of sessions that are not.
    request.session.save()
    sid, key = request.session[SID], request.session.session_key
    UserSession.objects.create_from_request(request)
    listed = UserSession.objects.filter(user=user)
    listed.filter(session_key=key).update(data={SID: sid})
    listed.filter(data__sid=sid).exclude(session_key=key).delete()


def on_signed_out(request: HttpRequest, user: Any, **_: Any) -> None:
    if user is not None:
        cast(Any, request).has_signed_out = True
    if user is not None and request.session.session_key:
        group = group_of(request.session)
        UserSession.objects.filter(session_key=request.session.session_key).delete()
        transaction.on_commit(lambda: _tell_ended(group))


def on_password_changed(request: HttpRequest, user: User, **_: Any) -> None:
    """The session that changed it goes on (with a new key); all others end."""
    request.session.setdefault(SID, secrets.token_urlsafe(16))
    note(request, user)
    end_others(request, user)


def on_password_reset(request: HttpRequest, user: User, **_: Any) -> None:
    """Nobody is signed in yet: every session there is may be a stranger's."""
    for session in UserSession.objects.filter(user=user):
        end(session)


def connect() -> None:
    """Called once, when the apps are ready."""
    from allauth.account import signals
    from django.contrib.auth.signals import user_logged_in, user_logged_out

    user_logged_in.connect(on_signed_in, dispatch_uid="accounts.sessions")
    user_logged_out.connect(on_signed_out, dispatch_uid="accounts.sessions")
    for changed in (signals.password_changed, signals.password_set):
        changed.connect(on_password_changed, dispatch_uid="accounts.sessions")
    signals.password_reset.connect(on_password_reset, dispatch_uid="accounts.sessions")
