"""Limits how often wrong codes can be entered for an account in a day.

allauth limits the attempts for one code and the codes per minute, which still allows some ten
thousand guesses a day. So each attempt is counted for the code's owner before it is compared, and a
correct code clears the count. Past the limit codes of that kind are refused for the rest of the
day, and the owner gets one mail. Other ways to sign in stay open: the password instead of mailed
codes, passkeys and recovery codes instead of an app. Recovery codes are counted separately.
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
    """A mailed code to sign in. For an unknown address there is none, and nothing is counted."""

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
    """A code that confirms an address. Its owner may have no account here, so no mail is sent."""

    def clean_code(self) -> str:
        who = f"code to {str(self.email).lower()}"
        _count(who, None, get_adapter())
        code: str = super().clean_code()
        limits.forget_code_guesses(who)
        return code


class _SecondFactorForm(second_factor_forms.BaseAuthenticateForm):  # type: ignore[misc]
    """A code from an app, or a recovery code."""

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
        """Past the limit, accept a recovery code only."""
        adapter = get_second_factor_adapter()
        who = f"recovery code of {self.user.pk}"
        _mail_once(self.user)
        _count(who, None, adapter)
        code: str = self.cleaned_data["code"]
        recovery_codes = Authenticator.objects.filter(
            user=self.user, type=Authenticator.Type.RECOVERY_CODES
        ).first()
        if recovery_codes is None or not recovery_codes.wrap().validate_code(code):
            raise adapter.validation_error("codes_locked")
        recovery_codes.user = self.user
        self.authenticator = recovery_codes
        limits.forget_code_guesses(who)
        return code


class AuthenticateForm(_SecondFactorForm, second_factor_forms.AuthenticateForm):  # type: ignore[misc]
    pass


class ReauthenticateForm(_SecondFactorForm, second_factor_forms.ReauthenticateForm):  # type: ignore[misc]
    pass


class ActivateTOTPForm(BaseActivateTOTPForm):  # type: ignore[misc]
    def clean_code(self) -> str:
        """Mark the code as used, so that somebody who saw it cannot sign in with it."""
        code: str = super().clean_code()
        mark_totp_code_used(self.user, code)
        return code


def _count(who: str, person: User | None, adapter: Any) -> None:
    """Count one attempt. Raises allauth's ValidationError past the limit."""
    try:
        limits.take_code_guess(who)
    except LimitReached as error:
        if person is not None:
            _mail_once(person)
        raise adapter.validation_error("codes_locked") from error


def _mail_once(person: User) -> None:
    if limits.take_notice_of_locked_codes(person):
        mail.send(person, "account/email/codes_locked")
