"""Settings: who may sign in and how, and how long things are kept."""

from typing import Any

from environs import validate

from config.env import site_of
from config.env_headers import env_line, env_secret_line
from config.environment import HTTPS, env

# --- Accounts (allauth): who may sign in, and how ---
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "/"
ACCOUNT_ADAPTER = "accounts.sign_in.adapters.AccountAdapter"
SOCIALACCOUNT_ADAPTER = "accounts.sign_in.adapters.SocialAccountAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
# People without a password sign in by code, passkey or provider.
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1"]
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = True
ACCOUNT_EMAIL_VERIFICATION_SUPPORTS_RESEND = True
# The page would offer a change only for addresses without an account, and so reveal accounts.
ACCOUNT_EMAIL_VERIFICATION_SUPPORTS_CHANGE = False
ACCOUNT_LOGIN_BY_CODE_ENABLED = True
ACCOUNT_LOGIN_BY_CODE_SUPPORTS_RESEND = True
ACCOUNT_LOGIN_BY_CODE_TIMEOUT = 15 * 60
ALLAUTH_USER_CODE_FORMAT = {"numeric": True, "dashed": False, "length": 6}
ACCOUNT_FORMS = {
    "confirm_login_code": "accounts.sign_in.code_guesses.ConfirmLoginCodeForm",
    "confirm_email_verification_code": (
        "accounts.sign_in.code_guesses.ConfirmEmailVerificationCodeForm"
    ),
}
MFA_FORMS = {
    "authenticate": "accounts.sign_in.code_guesses.AuthenticateForm",
    "reauthenticate": "accounts.sign_in.code_guesses.ReauthenticateForm",
    "activate_totp": "accounts.sign_in.code_guesses.ActivateTOTPForm",
}
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https" if HTTPS else "http"
ACCOUNT_MAX_EMAIL_ADDRESSES = 5
MFA_ADAPTER = "accounts.sign_in.adapters.MFAAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_PASSKEY_SIGNUP_ENABLED = True
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not HTTPS  # http://localhost, which browsers trust too.
USERSESSIONS_ADAPTER = "accounts.sign_in.adapters.SessionsAdapter"
# Each provider is shown only when it is configured.
SOCIALACCOUNT_EMAIL_VERIFICATION = "mandatory"
SOCIALACCOUNT_PROVIDERS: dict[str, Any] = {
    "github": {"SCOPE": ["read:user", "user:email"], "APPS": []},
    "google": {"SCOPE": ["profile", "email"], "OAUTH_PKCE_ENABLED": True, "APPS": []},
    "openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": []},
}
if GITHUB_CLIENT_ID := env_line(env, "GITHUB_CLIENT_ID"):
    SOCIALACCOUNT_PROVIDERS["github"]["APPS"] = [
        {"client_id": GITHUB_CLIENT_ID, "secret": env_secret_line(env, "GITHUB_CLIENT_SECRET")}
    ]
if GOOGLE_CLIENT_ID := env_line(env, "GOOGLE_CLIENT_ID"):
    SOCIALACCOUNT_PROVIDERS["google"]["APPS"] = [
        {"client_id": GOOGLE_CLIENT_ID, "secret": env_secret_line(env, "GOOGLE_CLIENT_SECRET")}
    ]
OIDC_ISSUER = env_line(env, "OIDC_ISSUER")
if OIDC_CLIENT_ID := env_line(env, "OIDC_CLIENT_ID"):
    SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"] = [
        {
            "provider_id": "oidc",
            "name": env.str("OIDC_NAME", "Single sign-on"),
            "client_id": OIDC_CLIENT_ID,
            "secret": env_secret_line(env, "OIDC_CLIENT_SECRET"),
            # HTTP Basic, which every provider must support; some refuse credentials in the body.
            "settings": {"server_url": OIDC_ISSUER, "token_auth_method": "client_secret_basic"},
        }
    ]
SIGN_IN_ORIGINS = ["https://github.com"] if GITHUB_CLIENT_ID else []
SIGN_IN_ORIGINS += ["https://accounts.google.com"] if GOOGLE_CLIENT_ID else []
SIGN_IN_ORIGINS += [site_of(OIDC_ISSUER)] if OIDC_CLIENT_ID else []
# A guest who does not come back for this long is deleted, with all chats.
GUEST_IDLE_DAYS = env.int("GUEST_IDLE_DAYS", 30, validate=validate.Range(1, 3_650))
# How long people who asked for deletion can change their mind; 0 means not at all.
ACCOUNT_DELETION_GRACE_DAYS = env.int(
    "ACCOUNT_DELETION_GRACE_DAYS", 7, validate=validate.Range(0, 365)
)
# How long a prepared download is kept.
EXPORT_KEEP_DAYS = env.int("EXPORT_KEEP_DAYS", 7, validate=validate.Range(1, 365))
# How long after its last message a temporary chat that nobody closed is erased.
TEMPORARY_CHAT_HOURS = env.int("TEMPORARY_CHAT_HOURS", 24, validate=validate.Range(1, 24 * 365))
# How long a deleted chat can be brought back; after that it is erased.
CHAT_UNDO_HOURS = env.int("CHAT_UNDO_HOURS", 24, validate=validate.Range(0, 24 * 365))
# How long the database may take for a search.
SEARCH_TIMEOUT_MS = env.int("SEARCH_TIMEOUT_MS", 3_000, validate=validate.Range(100, 60_000))

# --- Web Push: tells closed browsers of answers that have ended ---
# An e-mail address at which push services can reach the operator; Web Push is off without one.
PUSH_CONTACT = env.str(
    "PUSH_CONTACT", "", validate=lambda value: not value or validate.Email()(value)
)
# Where browsers may be reached: origins, also with *. for all hosts of a domain. These are the
# services of Chrome, Edge, Firefox and Safari.
PUSH_SERVICES = env.list(
    "PUSH_SERVICES",
    [
        "https://fcm.googleapis.com",
        "https://*.notify.windows.com",
        "https://*.push.services.mozilla.com",
        "https://*.push.apple.com",
    ],
)
