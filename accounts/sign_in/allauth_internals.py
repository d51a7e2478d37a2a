"""All uses of allauth's internals, which a new version may move or change.

No other module imports them (tests/accounts/sign_in/test_allauth_internals.py).
"""

from allauth.account import app_settings
from allauth.account.internal.flows.reauthentication import (
    get_reauthentication_flows,
    is_reauthentication_required,
)
from allauth.core.internal.ratelimit import get_cache_key, parse_rates
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP

from accounts.models import User

__all__ = [
    "get_reauthentication_flows",
    "is_reauthentication_required",
    "mark_totp_code_used",
    "rate_limit_keys",
]


def rate_limit_keys(person: User) -> list[str]:
    """The cache keys under which allauth counts this person's actions."""
    return [
        get_cache_key(None, app="allauth.account", action=action, rate=rate, user=person)
        for action, rates in app_settings.RATE_LIMITS.items()
        for rate in parse_rates(rates)
        if rate.per == "user"
    ]


def mark_totp_code_used(person: User, code: str) -> None:
    """Mark the code as used, so that nobody can sign in with it."""
    TOTP(Authenticator(user=person, type=Authenticator.Type.TOTP))._mark_code_used(code)
