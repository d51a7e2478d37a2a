"""Recording what happens to accounts (models.SecurityEvent).

Each receiver maps one signal of Django or allauth to a kind of event. Guests are not recorded,
because they have nothing to sign in to.
"""

from typing import Any

from django.apps import apps
from django.contrib.auth import signals as auth_signals
from django.http import HttpRequest

from accounts import limits
from accounts.client_address import UNKNOWN, client_address
from accounts.errors import LimitReached
from accounts.models import SecurityEvent, User

Kind = SecurityEvent.Kind


def record(
    person: User,
    kind: SecurityEvent.Kind,
    request: HttpRequest | None = None,
    *,
    note: str = "",
    operator: User | None = None,
) -> SecurityEvent:
    """Add an event. Address and user agent come from `request` unless an operator acted. Sync."""
    address = client_address(request) if request and not operator else ""
    user_agent = request.headers.get("User-Agent", "") if request and not operator else ""
    return SecurityEvent.objects.create(
        person=person,
        kind=kind,
        address="" if address == UNKNOWN else address,
        user_agent=_printable(user_agent)[:300],
        note=_printable(note)[:500],
        operator_id=operator.id if operator else None,
    )


def connect() -> None:
    """Called once, when the apps are ready."""
    auth_signals.user_logged_in.connect(on_signed_in, dispatch_uid="security_events")
    auth_signals.user_logged_out.connect(on_signed_out, dispatch_uid="security_events")
    auth_signals.user_login_failed.connect(on_sign_in_failed, dispatch_uid="security_events")
    if apps.is_installed("allauth.account"):
        _connect_allauth_account()
    if apps.is_installed("allauth.mfa"):
        _connect_allauth_mfa()
    if apps.is_installed("allauth.socialaccount"):
        _connect_allauth_socialaccount()


# Receivers


def on_signed_in(request: HttpRequest | None, user: User, **_: Any) -> None:
    _record_account(user, Kind.SIGNED_IN, request)


def on_signed_out(request: HttpRequest | None, user: User | None, **_: Any) -> None:
    _record_account(user, Kind.SIGNED_OUT, request)


def on_sign_in_failed(
    credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any
) -> None:
    _record_failure(_person_of(credentials), request)


def on_signed_up(request: HttpRequest, user: User, **_: Any) -> None:
    _record_account(user, Kind.SIGNED_UP, request)


def on_password_changed(request: HttpRequest, user: User, **_: Any) -> None:
    _record_account(user, Kind.PASSWORD_CHANGED, request)


def on_password_reset(request: HttpRequest, user: User, **_: Any) -> None:
    _record_account(user, Kind.PASSWORD_RESET, request)


def on_email_changed(request: HttpRequest, user: User, **_: Any) -> None:
    _record_account(user, Kind.EMAIL_CHANGED, request)


def on_second_factor_added(request: HttpRequest, user: User, **_: Any) -> None:
    _record_account(user, Kind.SECOND_FACTOR_ADDED, request)


def on_second_factor_removed(request: HttpRequest, user: User, **_: Any) -> None:
    _record_account(user, Kind.SECOND_FACTOR_REMOVED, request)


def on_second_factor_reset(request: HttpRequest, user: User, **_: Any) -> None:
    _record_account(user, Kind.SECOND_FACTOR_RESET, request)


def on_second_factor_failed(request: HttpRequest, user: User, **_: Any) -> None:
    _record_failure(user, request)


def on_login_connected(request: HttpRequest, sociallogin: Any, **_: Any) -> None:
    provider = str(sociallogin.account.provider)
    _record_account(sociallogin.user, Kind.LOGIN_CONNECTED, request, note=provider)


def on_login_disconnected(request: HttpRequest, socialaccount: Any, **_: Any) -> None:
    provider = str(socialaccount.provider)
    _record_account(socialaccount.user, Kind.LOGIN_DISCONNECTED, request, note=provider)


# Private


def _connect_allauth_account() -> None:
    from allauth.account import signals

    for signal, receiver in (
        (signals.user_signed_up, on_signed_up),
        (signals.password_set, on_password_changed),
        (signals.password_changed, on_password_changed),
        (signals.password_reset, on_password_reset),
        (signals.email_changed, on_email_changed),
    ):
        signal.connect(receiver, dispatch_uid="security_events")


def _connect_allauth_mfa() -> None:
    from allauth.mfa import signals

    for signal, receiver in (
        (signals.authenticator_added, on_second_factor_added),
        (signals.authenticator_removed, on_second_factor_removed),
        (signals.authenticator_reset, on_second_factor_reset),
        (signals.authentication_failed, on_second_factor_failed),
    ):
        signal.connect(receiver, dispatch_uid="security_events")


def _connect_allauth_socialaccount() -> None:
    from allauth.socialaccount import signals

    signals.social_account_added.connect(on_login_connected, dispatch_uid="security_events")
    signals.social_account_removed.connect(on_login_disconnected, dispatch_uid="security_events")


def _record_account(
    user: User | None, kind: SecurityEvent.Kind, request: HttpRequest | None, note: str = ""
) -> None:
    if isinstance(user, User) and not user.is_guest:
        record(user, kind, request, note=note)


def _record_failure(person: User | None, request: HttpRequest | None) -> None:
    """Record a failed sign-in, up to a limit, so that guessing passwords cannot fill the record."""
    if person is None:
        return
    try:
        limits.take("LIMIT_FAILURES_RECORDED_PER_HOUR_USER", person.id.hex)
    except LimitReached:
        return
    _record_account(person, Kind.SIGN_IN_FAILED, request)


def _person_of(credentials: dict[str, Any]) -> User | None:
    """The account that somebody tried to sign in to; None if the credentials name no account."""
    email = credentials.get("email") or credentials.get("username")
    if not isinstance(email, str) or not email or len(email) > 254 or "\x00" in email:
        return None
    return User.objects.filter(email__iexact=email, is_guest=False).first()


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())
