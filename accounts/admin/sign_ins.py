"""Admin pages about how people sign in, read-only and for superusers.

They replace allauth's own, which show session keys and the secrets of second factors, and let
anybody who may edit addresses verify one for somebody else's account. Superusers can still help
somebody who is locked out: they can mark an address as verified, or remove a lost second factor.
"""

from typing import Any

from allauth.account import admin as addresses_admin
from allauth.account.models import EmailAddress
from allauth.mfa import admin as factors_admin
from allauth.mfa.models import Authenticator
from allauth.socialaccount import admin as services_admin
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from allauth.usersessions import admin as sessions_admin
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts.admin.read_only import ReadOnlyAdmin
from accounts.models import SecurityEvent, User
from accounts.security_events import record

# Importing these modules registers their pages, which must happen before they are unregistered.
REGISTERED = (addresses_admin, factors_admin, services_admin, sessions_admin)
for model in (EmailAddress, Authenticator, SocialAccount, SocialApp, SocialToken, UserSession):
    admin.site.unregister(model)


class SignInAdmin(ReadOnlyAdmin):
    def has_view_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return _is_superuser(request)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return _is_superuser(request)


@admin.register(EmailAddress)
class EmailAddressAdmin(SignInAdmin):
    list_display = ["email", "user", "primary", "verified"]
    list_filter = ["primary", "verified"]
    search_fields = ["email", "user__id"]
    list_select_related = ["user"]
    actions = ["make_verified"]

    @admin.action(description=_("Mark as verified"))
    def make_verified(self, request: HttpRequest, addresses: QuerySet[Any]) -> None:
        done = sum(address.set_verified() for address in addresses.filter(verified=False)[:100])
        text = ngettext(
            "%(count)d address is verified now.", "%(count)d addresses are verified now.", done
        )
        self.message_user(request, text % {"count": done})


@admin.register(Authenticator)
class AuthenticatorAdmin(SignInAdmin):
    list_display = ["user", "type", "created_at", "last_used_at"]
    list_filter = ["type"]
    search_fields = ["user__email", "user__id"]
    list_select_related = ["user"]
    fields = ["user", "type", "created_at", "last_used_at"]  # Never `data`, which is the secret.

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return _is_superuser(request)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        super().delete_model(request, obj)
        _record_removal(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        removed = list(queryset.select_related("user"))
        super().delete_queryset(request, queryset)
        for factor in removed:
            _record_removal(request, factor)


@admin.register(SocialAccount)
class SocialAccountAdmin(SignInAdmin):
    list_display = ["user", "provider", "uid", "date_joined", "last_login"]
    list_filter = ["provider"]
    search_fields = ["uid", "user__email", "user__id"]
    list_select_related = ["user"]
    fields = ["user", "provider", "uid", "date_joined", "last_login"]


def _record_removal(request: HttpRequest, factor: Any) -> None:
    operator = request.user
    assert isinstance(operator, User)
    kind, note = SecurityEvent.Kind.SECOND_FACTOR_REMOVED, "Removed by an operator"
    record(factor.user, kind, note=note, operator=operator)


def _is_superuser(request: HttpRequest) -> bool:
    return isinstance(request.user, User) and request.user.is_active and request.user.is_superuser
