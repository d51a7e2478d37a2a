"""How often somebody may be wrong about the codes of an account, in any day.

allauth bounds the tries of one code and the codes of a minute, which still lets one address guess
some ten thousand times a day. So every try is counted by whose code it is, before it is compared,
and a right one clears the count. Past the limit no code of that kind is right until the day is
over, and the owner of the account gets one mail. The other ways in stay open: the password for who
signs in by mailed codes, passkeys and recovery codes for who uses an app. Recovery codes have a
count of their own.
"""

from typing import Any

from allauth.account import forms as account_forms
from allauth.account.adapter import get_adapter
from allauth.account.stages import LoginByCodeStage, LoginStageController
from allauth.core import context
from allauth.mfa.adapter import get_adapter as get_second_factor_adapter
from allauth.mfa.base import forms as second_factor_forms
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.forms import ActivateTOTPForm as BaseActivateTOTPForm

from accounts import limits, mail
from accounts.errors import LimitReached
from accounts.models import User
from accounts.sign_in.allauth_internals import mark_totp_code_used


class ConfirmLoginCodeForm(account_forms.ConfirmLoginCodeForm):  # type: ignore[misc]
    """The code that was mailed to somebody who signs in. There is none for an unknown address."""

    def clean_code(self) -> str:
        stage = LoginStageController.enter(context.request, LoginByCodeStage.key)
        person = stage.login.user if stage else None
        if person is None:
            code: str = super().clean_code()
            return code
        who = f"mailed code of {person.pk}"
        _count(who, person, get_adapter())
        code = super().clean_code()
        limits.forget_code_guesses(who)
        return code


class ConfirmEmailVerificationCodeForm(account_forms.ConfirmEmailVerificationCodeForm):  # type: ignore[misc]
    """The code that shows that an address is one's own. Its owner may be somebody else, who has no
    account here and gets no mail about it."""

    def clean_code(self) -> str:
        who = f"code to {str(self.email).lower()}"
        _count(who, None, get_adapter())
        code: str = super().clean_code()
        limits.forget_code_guesses(who)
        return code


class _SecondFactorForm(second_factor_forms.BaseAuthenticateForm):  # type: ignore[misc]
    """The code of an app, or a recovery code."""

    def clean_code(self) -> str:
        who = f"second factor of {self.user.pk}"
        try:
            limits.take_code_guess(who)
        except LimitReached:
            return self._recovery_code()
        code: str = super().clean_code()
        limits.forget_code_guesses(who)
        return code

    def _recovery_code(self) -> str:
        """The only kind that is still taken."""
        adapter = get_second_factor_adapter()
        who = f"recovery code of {self.user.pk}"
        _tell_once(self.user)
        _count(who, None, adapter)
        code: str = self.cleaned_data["code"]
        kept = Authenticator.objects.filter(
            user=self.user, type=Authenticator.Type.RECOVERY_CODES
        ).first()
        if kept is None or not kept.wrap().validate_code(code):
            raise adapter.validation_error("codes_locked")
        kept.user = self.user
        self.authenticator = kept
        limits.forget_code_guesses(who)
        return code


class AuthenticateForm(_SecondFactorForm, second_factor_forms.AuthenticateForm):  # type: ignore[misc]
    pass


class ReauthenticateForm(_SecondFactorForm, second_factor_forms.ReauthenticateForm):  # type: ignore[misc]
    pass


class ActivateTOTPForm(BaseActivateTOTPForm):  # type: ignore[misc]
    def clean_code(self) -> str:
        """The code counts as used: whoever saw it being typed cannot sign in with it."""
        code: str = super().clean_code()
        mark_totp_code_used(self.user, code)
        return code


def _count(who: str, person: User | None, adapter: Any) -> None:
    """One try. Raises allauth's ValidationError when there were too many."""
    try:
        limits.take_code_guess(who)
    except LimitReached as error:
        if person is not None:
            _tell_once(person)
        raise adapter.validation_error("codes_locked") from error


def _tell_once(person: User) -> None:
    if limits.take_notice_of_locked_codes(person):
        mail.send(person, "account/email/codes_locked")
