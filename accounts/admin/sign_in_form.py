"""Django's own sign-in of the admin, which knows neither second factors nor our sessions."""

from typing import Any

from allauth.mfa.utils import is_mfa_enabled
from django.contrib.admin.forms import AdminAuthenticationForm
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _

SECOND_FACTOR = _(
    "This account has a second factor, which is not asked for here. Sign in on the site itself, "
    "then open this page again."
)


class AdminSignInForm(AdminAuthenticationForm):
    """Refuses people with a second factor: a password alone must not bypass it."""

    def confirm_login_allowed(self, user: Any) -> None:
        super().confirm_login_allowed(user)
        if is_mfa_enabled(user):
            raise ValidationError(SECOND_FACTOR, code="second_factor")


def password_change(request: HttpRequest, *_: Any, **__: Any) -> HttpResponse:
    """Leads to our page, which also ends other sessions and their sockets and records the event."""
    return redirect("account_change_password")
