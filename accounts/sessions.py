"""Sessions: listing them, ending them, and closing the sockets that were opened with them.

A session has a random name (`sid`) that stays the same when its key changes. The sockets that were
opened with it are a channel group named after it. A message to the group is fast but may be lost;
therefore each socket also checks with its heartbeat that its session still exists.
"""

import hashlib
import secrets
from datetime import timedelta
from typing import Any, cast

from allauth.usersessions.models import UserSession
from asgiref.sync import async_to_sync
from django.contrib.auth.models import update_last_login
from django.db import transaction
from django.db.models import F, OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import SecurityEvent, User
from accounts.security_events import record
from accounts.sockets import recheck_sockets, send_to_group

SID = "sid"
# The precision of "last seen", in seconds.
SEEN_EVERY_S = 300


# Sockets


def group_of(session: Any) -> str | None:
    """The group of the sockets opened with a session. None for a session without a person."""
    return _group(session.get(SID))


def _group(sid: str | None) -> str | None:
    # Hashed, because anybody who can read Redis sees the names of groups.
    return f"session.{hashlib.sha256(sid.encode()).hexdigest()[:40]}" if sid else None


def with_session_seen_at(people: QuerySet[User], session: Any) -> QuerySet[User, Any]:
    """Annotates `session_seen_at`: when the session of an account was last seen; None if it was
    ended. Sessions of guests are not listed."""
    listed = UserSession.objects.filter(user=OuterRef("id"), data__sid=session.get(SID))
    return people.annotate(session_seen_at=Subquery(listed.values("last_seen_at")[:1]))


def is_alive(person: Any) -> bool:
    """Whether the session has not been ended. `person` is from `with_session_seen_at`."""
    return bool(person.is_guest or person.session_seen_at)


def note_seen(session: Any, person: Any) -> None:
    """Store that the session was seen now, unless it was seen a moment ago. Sync."""
    now = timezone.now()
    before = now - timedelta(seconds=SEEN_EVERY_S)
    if person.is_guest:  # accounts/guests/expire.py removes guests who were not seen for long.
        if person.last_login is not None and person.last_login < before:
            User.objects.filter(id=person.id, last_login__lt=before).update(last_login=now)
    elif person.session_seen_at is not None and person.session_seen_at < before:
        listed = UserSession.objects.filter(user=person, data__sid=session.get(SID))
        listed.filter(last_seen_at__lt=before).update(last_seen_at=now)


def _notify_ended(group: str | None) -> None:
    _send(group, "session.ended")


def _send(group: str | None, kind: str) -> None:
    if group:
        async_to_sync(send_to_group)(group, {"type": kind})


# Ending


def end(session: UserSession) -> None:
    """End one session and close its sockets. Sync."""
    group = _group(session.data.get(SID))
    session.end()
    transaction.on_commit(lambda: _notify_ended(group))


def end_others(request: HttpRequest, user: User) -> int:
    """End all sessions of this person except the request's; returns how many. Sync."""
    others = UserSession.objects.filter(user=user).exclude(
        session_key=request.session.session_key or ""
    )
    ended = 0
    for session in others:
        end(session)
        ended += 1
    return ended


def end_all(person: User, operator: User, reason: str) -> bool:
    """End all sessions of an account on behalf of an operator; False if it has none. Sync."""
    with transaction.atomic():
        listed = list(UserSession.objects.filter(user=person))
        if person.is_guest or not listed:
            return False
        for session in listed:
            end(session)
        # Sessions that are not listed, such as one that begins right now, end too.
        User.objects.filter(id=person.id).update(session_epoch=F("session_epoch") + 1)
        record(person, SecurityEvent.Kind.SESSION_REVOKED, note=reason, operator=operator)
        transaction.on_commit(lambda: recheck_sockets(person))
    return True


def sessions_of(user: User) -> list[UserSession]:
    """The valid sessions, most recently seen first. Sync."""
    listed: list[UserSession] = UserSession.objects.purge_and_list(user)
    return sorted(listed, key=lambda session: session.last_seen_at, reverse=True)


# Hooks of Django and allauth


def set_last_login(sender: Any, user: User, **kwargs: Any) -> None:
    """Django's receiver, except that a guest who was seen a moment ago is not stored again."""
    before = timezone.now() - timedelta(seconds=SEEN_EVERY_S)
    if not user.is_guest or user.last_login is None or user.last_login < before:
        update_last_login(sender, user, **kwargs)


def on_signed_in(request: HttpRequest, user: Any, **_: Any) -> None:
    request.session.setdefault(SID, secrets.token_urlsafe(16))
    if isinstance(user, User) and not user.is_guest:
        if not hasattr(request, "user"):  # A test's force_login bypasses the middleware.
            request.user = user
        note(request, user)


def note(request: HttpRequest, user: User) -> None:
    """List the session under its current key. Sync."""
    # The session is stored first: a sign-in of the same person at the same time removes listed
    # sessions that are not stored.
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
        transaction.on_commit(lambda: _notify_ended(group))


def on_password_changed(request: HttpRequest, user: User, **_: Any) -> None:
    """Keep the session that changed the password, under a new key, and end all others."""
    request.session.setdefault(SID, secrets.token_urlsafe(16))
    note(request, user)
    end_others(request, user)


def on_password_reset(request: HttpRequest, user: User, **_: Any) -> None:
    """End all sessions: nobody is signed in yet, and each of them may be a stranger's."""
    for session in UserSession.objects.filter(user=user):
        end(session)


def connect() -> None:
    """Called once, when the apps are ready."""
    from allauth.account import signals
    from django.contrib.auth.signals import user_logged_in, user_logged_out

    user_logged_in.disconnect(dispatch_uid="update_last_login")
    user_logged_in.connect(set_last_login, dispatch_uid="update_last_login")
    user_logged_in.connect(on_signed_in, dispatch_uid="accounts.sessions")
    user_logged_out.connect(on_signed_out, dispatch_uid="accounts.sessions")
    for changed in (signals.password_changed, signals.password_set):
        changed.connect(on_password_changed, dispatch_uid="accounts.sessions")
    signals.password_reset.connect(on_password_reset, dispatch_uid="accounts.sessions")
