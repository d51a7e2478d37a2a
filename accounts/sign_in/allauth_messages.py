"""Our texts in place of allauth's, for its errors, labels and help texts."""

from django.utils.translation import gettext_lazy as _

ACCOUNT_ERRORS = {
    "account_inactive": _("This account is suspended. Write to the people who run this site."),
    "cannot_remove_primary_email": _("This is your main address. Make another the main one first."),
    "duplicate_email": _("You have this address already."),
    "codes_locked": _(
        "Too many wrong codes. They work again tomorrow. Until then, sign in another way."
    ),
    "email_password_mismatch": _("Address and password do not belong together. Check both."),
    "email_taken": _("There is an account with this address already. Sign in to it."),
    "enter_current_password": _("This is not your current password."),
    "incorrect_code": _("This is not the code. Look again, or ask for a new one."),
    "incorrect_password": _("This is not your password. Try again."),
    "invalid_or_expired_key": _("This link is too old. Ask for a new one."),
    "invalid_login": _("This did not work. Try again."),
    "invalid_password_reset": _("This link is too old. Ask for a new one."),
    "max_email_addresses": _("An account can have %d addresses. Remove one first."),
    "too_many_login_attempts": _("Too many attempts. Wait a few minutes and try again."),
    "unknown_email": _("There is no account with this address."),
    "unverified_primary_email": _("Confirm this address before you make it the main one."),
    "same_as_current": _("This is the one you have now. Choose another."),
    "rate_limited": _("That was too often. Wait a minute and try again."),
}
SECOND_FACTOR_ERRORS = {
    "add_email_blocked": _("Turn off the second factor before you add an address."),
    "cannot_delete_authenticator": _("This second factor cannot be removed."),
    "cannot_generate_recovery_codes": _("Set up a second factor first."),
    "codes_locked": _(
        "Too many wrong codes. Use a passkey or a recovery code, or wait until tomorrow."
    ),
    "incorrect_code": _("This is not the code. Wait for the next one and try again."),
    "unverified_email": _("Confirm your address before you set up a second factor."),
}
SERVICE_ERRORS = {
    "email_taken": _(
        "There is an account with this address already. Sign in to it, then connect %s."
    ),
    "invalid_token": _("The other service did not tell us who you are. Try again."),
    "no_password": _("Set a password first; otherwise you could not sign in any more."),
    "no_verified_email": _("Confirm your address first; otherwise you could not sign in any more."),
    "disconnect_last": _("It is your only way to sign in. Set a password first."),
    "connected_other": _("That account is connected to somebody else here already."),
}
WAYS_TO_PROVE = {
    "reauthenticate": _("Use my password"),
    "mfa_reauthenticate": _("Use a code"),
    "mfa_reauthenticate:webauthn": _("Use my passkey"),
}
# By (form class, field).
LABELS = {
    ("ChangePasswordForm", "oldpassword"): _("Current password"),
    ("ChangePasswordForm", "password1"): _("New password"),
    ("ChangePasswordForm", "password2"): _("New password, again"),
    ("ResetPasswordKeyForm", "password1"): _("New password"),
    ("ResetPasswordKeyForm", "password2"): _("New password, again"),
    ("SetPasswordForm", "password2"): _("Password, again"),
    ("ActivateTOTPForm", "code"): _("Code"),
    ("AddWebAuthnForm", "name"): _("Name"),
    ("AddWebAuthnForm", "passwordless"): _("Sign in with it alone, without a password"),
}
GOOD_ENOUGH = _("Eight characters or more, and not one that many people use.")
HELP = {
    ("SignupForm", "password1"): _(
        "Eight characters or more, and not one that many people use. "
        "Or leave it empty, and sign in by mail."
    ),
    ("ChangePasswordForm", "password1"): GOOD_ENOUGH,
    ("ResetPasswordKeyForm", "password1"): GOOD_ENOUGH,
    ("SetPasswordForm", "password1"): GOOD_ENOUGH,
    ("AddWebAuthnForm", "passwordless"): _("The device then asks for your finger, face or PIN."),
}
