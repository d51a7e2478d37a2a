"""Where allauth is told how things are done here."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.utils import user_pk_to_url_str
from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.usersessions.adapter import DefaultUserSessionsAdapter
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import MultipleObjectsReturned, ObjectDoesNotExist
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.http import Http404, HttpRequest, HttpResponse

from accounts import guest_accounts, guest_joins, mail, sessions
from accounts.client_address import UNKNOWN, client_address
from accounts.guests import forget_visitor
from accounts.middleware import guest_behind
from accounts.models import User

# An address is wanted for each session; a Unix socket has none.
NO_ADDRESS = "::"


class AccountAdapter(DefaultAccountAdapter):
    def login(self, request: HttpRequest, user: AbstractBaseUser) -> None:
        """The last step of every sign-in, when all has been proved: here the guest comes along."""
        assert isinstance(user, User)
        guest = guest_behind(request)
        # What a guest has is not brought to an account that is about to go.
        if guest is not None and guest.pk != user.pk and not user.is_leaving:
            if guest_accounts.become(guest, user):
                guest_accounts.keep_session(request, user)
                sessions.tell_became(request.session)
            else:
                guest_joins.record(guest, user)
        super().login(request, user)

    def post_login(
        self, request: HttpRequest, user: AbstractBaseUser, **hooks: Any
    ) -> HttpResponse:
        response: HttpResponse = super().post_login(request, user, **hooks)
        forget_visitor(response)
        return response

    def get_client_ip(self, request: HttpRequest) -> str:
        address = client_address(request)
        return NO_ADDRESS if address == UNKNOWN else address

    def format_email_subject(self, subject: str) -> str:
        return subject

    def render_mail(
        self, template_prefix: str, email: Any, context: Any, headers: Any = None
    ) -> EmailMessage:
        message: EmailMessage = super().render_mail(template_prefix, email, context, headers)
        if isinstance(message, EmailMultiAlternatives) and not message.alternatives:
            message.attach_alternative(
                mail.html_of(str(message.subject), str(message.body)), "text/html"
            )
        return message


class SessionsAdapter(DefaultUserSessionsAdapter):
    def end_sessions(self, sessions_to_end: Any) -> None:
        for session in sessions_to_end:
            sessions.end(session)


class MFAAdapter(DefaultMFAAdapter):
    def get_totp_issuer(self) -> str:
        return "Holdfast"

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        entity: dict[str, str] = super().get_public_key_credential_rp_entity()
        return entity | {"name": "Holdfast"}

    def get_public_key_credential_user_entity(self, user: AbstractBaseUser) -> dict[str, Any]:
        """A passkey keeps the id of its account: with a sign-up that will be the guest's."""
        assert isinstance(user, User)
        entity: dict[str, Any] = super().get_public_key_credential_user_entity(user)
        guest = guest_behind(context.request)
        if guest is not None and user.last_login is None:
            entity["id"] = user_pk_to_url_str(guest).encode()
        return entity


class SocialAccountAdapter(DefaultSocialAccountAdapter):
    def get_app(self, request: HttpRequest, provider: str, client_id: str | None = None) -> Any:
        """A provider that is not configured has no pages; allauth would fail on them."""
        try:
            return super().get_app(request, provider, client_id=client_id)
        except (ObjectDoesNotExist, MultipleObjectsReturned) as error:
            raise Http404 from error
