"""What allauth's forms and refusals are called on our pages: our words, in place of a library's."""

ACCOUNT_ERRORS = {
    "account_inactive": "This account is suspended. Write to the people who run this site.",
    "cannot_remove_primary_email": "This is your main address. Make another the main one first.",
    "duplicate_email": "You have this address already.",
    "email_password_mismatch": "Address and password do not belong together. Check both.",
    "email_taken": "There is an account with this address already. Sign in to it.",
    "enter_current_password": "This is not your current password.",
    "incorrect_code": "This is not the code. Look again, or ask for a new one.",
    "incorrect_password": "This is not your password. Try again.",
    "invalid_or_expired_key": "This link is too old. Ask for a new one.",
    "invalid_login": "This did not work. Try again.",
    "invalid_password_reset": "This link is too old. Ask for a new one.",
    "max_email_addresses": "An account can have %d addresses. Remove one first.",
    "too_many_login_attempts": "Too many attempts. Wait a few minutes and try again.",
    "unknown_email": "There is no account with this address.",
    "unverified_primary_email": "Confirm this address before you make it the main one.",
    "same_as_current": "This is the one you have now. Choose another.",
    "rate_limited": "That was too often. Wait a minute and try again.",
}
SECOND_FACTOR_ERRORS = {
    "add_email_blocked": "Turn off the second factor before you add an address.",
    "cannot_delete_authenticator": "This second factor cannot be removed.",
    "cannot_generate_recovery_codes": "Set up a second factor first.",
    "incorrect_code": "This is not the code. Wait for the next one and try again.",
    "unverified_email": "Confirm your address before you set up a second factor.",
}
SERVICE_ERRORS = {
    "email_taken": "There is an account with this address already. Sign in to it, then connect %s.",
    "invalid_token": "The other service did not tell us who you are. Try again.",
    "no_password": "Set a password first; otherwise you could not sign in any more.",
    "no_verified_email": "Confirm your address first; otherwise you could not sign in any more.",
    "disconnect_last": "It is your only way to sign in. Set a password first.",
    "connected_other": "That account is connected to somebody else here already.",
}
WAYS_TO_PROVE = {
    "reauthenticate": "Use my password",
    "mfa_reauthenticate": "Use a code",
    "mfa_reauthenticate:webauthn": "Use my passkey",
}
# By form and field.
LABELS = {
    ("ChangePasswordForm", "oldpassword"): "Current password",
    ("ChangePasswordForm", "password1"): "New password",
    ("ChangePasswordForm", "password2"): "New password, again",
    ("ResetPasswordKeyForm", "password1"): "New password",
    ("ResetPasswordKeyForm", "password2"): "New password, again",
    ("SetPasswordForm", "password2"): "Password, again",
    ("ActivateTOTPForm", "code"): "Code",
    ("AddWebAuthnForm", "passwordless"): "Sign in with it alone, without a password",
}
GOOD_ENOUGH = "Eight characters or more, and not one that many people use."
HELP = {
    ("SignupForm", "password1"): f"{GOOD_ENOUGH} Or leave it empty, and sign in by mail.",
    ("ChangePasswordForm", "password1"): GOOD_ENOUGH,
    ("ResetPasswordKeyForm", "password1"): GOOD_ENOUGH,
    ("SetPasswordForm", "password1"): GOOD_ENOUGH,
    ("AddWebAuthnForm", "passwordless"): "The device then asks for your finger, face or PIN.",
}
