"""How people sign in, in the admin: to be looked at, and by superusers alone.

allauth's own pages would show the keys of sessions and the secrets of second factors, and let
whoever may edit an address make it the verified one of somebody else's account. What is left is
what helps somebody who is locked out: a superuser marks an address as verified, or removes a
second factor that was lost.
"""

from typing import Any

from allauth.account import admin as of_addresses
from allauth.account.models import EmailAddress
from allauth.mfa import admin as of_second_factors
from allauth.mfa.models import Authenticator
from allauth.socialaccount import admin as of_services
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from allauth.usersessions import admin as of_sessions
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts.admin.read_only import ReadOnlyAdmin
from accounts.models import SecurityEvent, User
from accounts.security_events import record

# They register when they are imported, which must have been before.
REGISTERED = (of_addresses, of_second_factors, of_services, of_sessions)
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
        said = ngettext(
            "%(count)d address is verified now.", "%(count)d addresses are verified now.", done
        )
        self.message_user(request, said % {"count": done})


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
