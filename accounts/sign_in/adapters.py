"""Adapters that customise allauth."""

from functools import partial
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.authentication import get_authentication_records
from allauth.account.utils import user_pk_to_url_str
from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.usersessions.adapter import DefaultUserSessionsAdapter
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.hashers import make_password
from django.core.exceptions import MultipleObjectsReturned, ObjectDoesNotExist
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from accounts import mail, sessions, sockets
from accounts.client_address import UNKNOWN, client_address
from accounts.guests import merge as guest_joins
from accounts.guests import upgrade as guest_accounts
from accounts.guests.visitor import forget_visitor
from accounts.middleware import guest_behind
from accounts.models import User
from accounts.sign_in import allauth_messages
from accounts.sign_in.recent_proof import has_proved_lately

# allauth stores an address with each session, but a Unix socket has none.
NO_ADDRESS = "::"


class AccountAdapter(DefaultAccountAdapter):
    error_messages = {**DefaultAccountAdapter.error_messages, **allauth_messages.ACCOUNT_ERRORS}

    def login(self, request: HttpRequest, user: AbstractBaseUser) -> None:
        """The last step of every sign-in: the guest, if any, becomes or joins the account."""
        assert isinstance(user, User)
        _drop_unproved_password(request, user)
        guest = guest_behind(request)
        # A guest's data is not moved to an account that is about to be deleted.
        if guest is not None and guest.pk != user.pk and not user.is_leaving:
            if guest_accounts.become(guest, user):
                guest_accounts.keep_session(request, user)
                transaction.on_commit(partial(sockets.close_guest_sockets, guest))
            else:
                guest_joins.record(guest, user)
        super().login(request, user)

    def is_reauthentication_required(self, *, app: str, **options: Any) -> bool:
        if context.request is not None and has_proved_lately(context.request):
            return False
        return bool(super().is_reauthentication_required(app=app, **options))

    def post_login(
        self, request: HttpRequest, user: AbstractBaseUser, **hooks: Any
    ) -> HttpResponse:
        response: HttpResponse = super().post_login(request, user, **hooks)
        forget_visitor(response)
        return response

    def send_account_already_exists_mail(self, email: str) -> None:
        """Hash the password as for a new account, so that timing does not reveal existing ones."""
        password = context.request.POST.get("password1", "")
        if password:
            make_password(password)
        super().send_account_already_exists_mail(email)

    def get_client_ip(self, request: HttpRequest) -> str:
        address = client_address(request)
        return NO_ADDRESS if address == UNKNOWN else address

    def get_reauthentication_methods(self, user: Any) -> list[dict[str, Any]]:
        methods: list[dict[str, Any]] = super().get_reauthentication_methods(user)
        return [
            method
            | {
                "description": allauth_messages.WAYS_TO_PROVE.get(
                    method["id"], method["description"]
                )
            }
            for method in methods
        ]

    def format_email_subject(self, subject: str) -> str:
        return subject

    def render_mail(
        self, template_prefix: str, email: Any, context: Any, headers: Any = None
    ) -> EmailMessage:
        # Links use the site's own URL: the request's Host header is chosen by its sender.
        own = {name: _own_url(name, value) for name, value in context.items()}
        if settings.URL:
            own["current_site"] = {"name": settings.URL_HOST, "domain": settings.URL_HOST}
        message: EmailMessage = super().render_mail(template_prefix, email, own, headers)
        if isinstance(message, EmailMultiAlternatives) and not message.alternatives:
            message.attach_alternative(
                mail.html_of(str(message.subject), str(message.body)), "text/html"
            )
        return message


def _drop_unproved_password(request: HttpRequest, user: User) -> None:
    """Remove the password at the first sign-in by a mailed code alone.

    Somebody else may have signed up with this address and chosen the password, and could otherwise
    sign in later to the account of the address's owner.
    """
    if user.last_login is not None or user.is_staff or not user.has_usable_password():
        return
    proved = {record["method"] for record in get_authentication_records(request, user)}
    if "code" in proved and "password" not in proved:
        user.set_unusable_password()
        user.save(update_fields=["password"])
        messages.info(
            request, _("The password of an earlier sign-up with this address is dropped.")
        )


def _own_url(name: str, value: Any) -> Any:
    """A value of a mail's context; links of allauth to our pages get the site's own URL."""
    if not settings.URL or not name.endswith("_url") or not isinstance(value, str):
        return value
    parts = urlsplit(value)
    return mail.address_of(urlunsplit(("", "", parts.path, parts.query, parts.fragment)))


class SessionsAdapter(DefaultUserSessionsAdapter):
    def end_sessions(self, sessions_to_end: Any) -> None:
        for session in sessions_to_end:
            sessions.end(session)


class MFAAdapter(DefaultMFAAdapter):
    error_messages = {**DefaultMFAAdapter.error_messages, **allauth_messages.SECOND_FACTOR_ERRORS}

    def generate_authenticator_name(self, user: AbstractBaseUser, kind: Authenticator.Type) -> str:
        count: int = Authenticator.objects.filter(user_id=user.pk, type=kind).count()
        return f"Passkey {count + 1}" if count else "Passkey"

    def get_totp_issuer(self) -> str:
        return "Holdfast"

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        entity: dict[str, str] = super().get_public_key_credential_rp_entity()
        return entity | {"name": "Holdfast"}

    def get_public_key_credential_user_entity(self, user: AbstractBaseUser) -> dict[str, Any]:
        """A passkey stores the id of its account: when a guest signs up, that is the guest's id."""
        assert isinstance(user, User)
        entity: dict[str, Any] = super().get_public_key_credential_user_entity(user)
        guest = guest_behind(context.request)
        if guest is not None and user.last_login is None:
            entity["id"] = user_pk_to_url_str(guest).encode()
        return entity


class SocialAccountAdapter(DefaultSocialAccountAdapter):
    error_messages = {
        **DefaultSocialAccountAdapter.error_messages,
        **allauth_messages.SERVICE_ERRORS,
    }

    def get_requests_session(self) -> Any:
        # Imported here because it takes 8 MB of memory, and few people sign in this way.
        from accounts.sign_in.bounded_session import bound

        return bound(super().get_requests_session())

    def get_app(self, request: HttpRequest, provider: str, client_id: str | None = None) -> Any:
        """Raises Http404 for a provider that is not configured; allauth would fail."""
        try:
            return super().get_app(request, provider, client_id=client_id)
        except (ObjectDoesNotExist, MultipleObjectsReturned) as error:
            raise Http404 from error
