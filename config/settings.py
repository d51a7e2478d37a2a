"""Settings, read top to bottom; what differs between machines comes from the environment.

Every variable is described in `.env.example` and `docs/configuration.md`: a test compares them.
"""

import os
import sys
from pathlib import Path
from typing import Any

import django_stubs_ext
from csp.constants import NONE, SELF
from environs import Env, validate

from config.env import (
    allauth_rates,
    email_settings,
    embedded_redis_url,
    env_secret,
    generated_secret,
    key_encryption_keys,
    origin_of,
    site_of,
    trusted_proxies,
)

django_stubs_ext.monkeypatch()  # Lets classes say `ModelAdmin[User]`.

BASE_DIR = Path(__file__).resolve().parent.parent

env = Env()
# What the environment says wins over the file. HOLDFAST_ENV_FILE= (empty) reads no file.
if ENV_FILE := env.str("HOLDFAST_ENV_FILE", str(BASE_DIR / ".env")):
    env.read_env(ENV_FILE, recurse=False)

DEBUG = env.bool("DEBUG", False)

# --- Where and how it listens ---
DATA_DIR = Path(env.str("HOLDFAST_DATA", "") or BASE_DIR / "data").resolve()
HOST = env.str("HOLDFAST_HOST", "127.0.0.1")
PORT = env.int("HOLDFAST_PORT", 8_000, validate=validate.Range(0, 65_535))
WORKERS = env.int("HOLDFAST_WORKERS", 2, validate=validate.Range(0, 64))

# --- Names and addresses the browser may use ---
URL = env.str("HOLDFAST_URL", "").rstrip("/")
_SCHEME, _NAME = origin_of(URL)
URL_HOST = _NAME
HTTPS = _SCHEME == "https"
# The loopback names stay allowed: health checks use them, and nobody else's page can.
ALLOWED_HOSTS = [*env.list("ALLOWED_HOSTS", []), *filter(None, [_NAME])]
ALLOWED_HOSTS += ["localhost", "127.0.0.1", "[::1]"]
CSRF_TRUSTED_ORIGINS = [*env.list("CSRF_TRUSTED_ORIGINS", []), *filter(None, [URL])]
TRUST_PROXY = env.bool("HOLDFAST_TRUST_PROXY", False)
# A number of proxies, or the networks they are in: accounts/client_address.py.
TRUSTED_PROXIES = trusted_proxies(env.str("HOLDFAST_TRUSTED_PROXIES", "1"))
if TRUST_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# --- Secrets ---
SECRET_KEY = env_secret(env, "SECRET_KEY") or generated_secret(DATA_DIR / "secret-key")
# What people's provider keys are encrypted with, by version; the first encrypts.
KEY_ENCRYPTION_KEYS = key_encryption_keys(
    env_secret(env, "HOLDFAST_KEY_ENCRYPTION_KEYS"), DATA_DIR / "key-encryption-key"
)

# --- Parts ---
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "channels",
    "config",
    "streams",
    "accounts",
    "billing",
    "chat",
    # After ours: our templates and commands come first.
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.github",
    "allauth.socialaccount.providers.google",
    "allauth.socialaccount.providers.openid_connect",
]
# These are Django's own (and django-csp's), subclassed so that an async request passes them without
# a hop to a thread for each: config/middleware.py.
MIDDLEWARE = [
    "config.middleware.SecurityMiddleware",
    "config.middleware.CSPMiddleware",
    "config.middleware.SessionMiddleware",
    "config.middleware.CommonMiddleware",
    "config.middleware.refuse_large_bodies",
    "config.middleware.CsrfViewMiddleware",
    "config.middleware.AuthenticationMiddleware",
    "config.middleware.MessageMiddleware",
    "accounts.device_locale.preferences_of_request",
    "accounts.middleware.guests_are_visitors",
    "accounts.middleware.leaving_people_wait",
    "accounts.site_data.forget_in_browser",
    "allauth.account.middleware.AccountMiddleware",
    "config.middleware.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "accounts.device_locale.context",
            ]
        },
    }
]
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

# --- Database: PostgreSQL by DATABASE_URL, else SQLite in the data folder ---
DATABASE_URL = env_secret(env, "DATABASE_URL")
DATABASE: dict[str, Any]
if DATABASE_URL:
    os.environ.setdefault("DATABASE_URL", DATABASE_URL)  # It may have come from DATABASE_URL_FILE.
    DATABASE = dict(env.dj_db_url("DATABASE_URL"))
else:
    DATABASE = {"ENGINE": "django.db.backends.sqlite3", "NAME": DATA_DIR / "db.sqlite3"}
if DATABASE["ENGINE"] == "django.db.backends.sqlite3":
    DATABASE["OPTIONS"] = {
        # A transaction takes the write lock when it begins: one that reads first and writes later
        # can otherwise fail at once with "database is locked", whatever the timeout.
        "transaction_mode": "IMMEDIATE",
        "init_command": (
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA secure_delete=ON;"
        ),
        "timeout": 20,
    }
else:
    # Persistent connections and ASGI do not go together (each request may have its own thread).
    DATABASE["OPTIONS"] = DATABASE.get("OPTIONS", {}) | {
        "pool": {"min_size": 1, "max_size": 8, "timeout": 10},
        "connect_timeout": 5,
    }
DATABASES = {"default": DATABASE}

# --- Redis: REDIS_URL, else the embedded one, on a socket in the data folder ---
REDIS_URL = env_secret(env, "REDIS_URL")
EMBEDDED_REDIS = not REDIS_URL
if EMBEDDED_REDIS:
    REDIS_URL = embedded_redis_url(DATA_DIR)
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": "hf-layer"},
    }
}

CACHES = {
    # What allauth counts for its limits must be the same on every web process.
    "default": {
        "BACKEND": "config.redis_cache.SharedRedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "hf-cache",
    }
}

# --- Accounts (allauth): who may sign in, and how ---
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "/"
ACCOUNT_ADAPTER = "accounts.adapters.AccountAdapter"
SOCIALACCOUNT_ADAPTER = "accounts.adapters.SocialAccountAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
# Without a password one signs in by code, passkey or provider.
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1"]
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = True
ACCOUNT_EMAIL_VERIFICATION_SUPPORTS_RESEND = True
# The page would offer it for addresses without an account only, and so tell which ones have one.
ACCOUNT_EMAIL_VERIFICATION_SUPPORTS_CHANGE = False
ACCOUNT_LOGIN_BY_CODE_ENABLED = True
ACCOUNT_LOGIN_BY_CODE_SUPPORTS_RESEND = True
ACCOUNT_LOGIN_BY_CODE_TIMEOUT = 15 * 60
ALLAUTH_USER_CODE_FORMAT = {"numeric": True, "dashed": False, "length": 6}
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https" if HTTPS else "http"
ACCOUNT_MAX_EMAIL_ADDRESSES = 5
MFA_ADAPTER = "accounts.adapters.MFAAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_PASSKEY_SIGNUP_ENABLED = True
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not HTTPS  # http://localhost, which browsers trust too.
USERSESSIONS_ADAPTER = "accounts.adapters.SessionsAdapter"
# Each provider is shown only when it is configured.
SOCIALACCOUNT_EMAIL_VERIFICATION = "mandatory"
SOCIALACCOUNT_PROVIDERS: dict[str, Any] = {
    "github": {"SCOPE": ["read:user", "user:email"], "APPS": []},
    "google": {"SCOPE": ["profile", "email"], "OAUTH_PKCE_ENABLED": True, "APPS": []},
    "openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": []},
}
if GITHUB_CLIENT_ID := env.str("GITHUB_CLIENT_ID", ""):
    SOCIALACCOUNT_PROVIDERS["github"]["APPS"] = [
        {"client_id": GITHUB_CLIENT_ID, "secret": env_secret(env, "GITHUB_CLIENT_SECRET")}
    ]
if GOOGLE_CLIENT_ID := env.str("GOOGLE_CLIENT_ID", ""):
    SOCIALACCOUNT_PROVIDERS["google"]["APPS"] = [
        {"client_id": GOOGLE_CLIENT_ID, "secret": env_secret(env, "GOOGLE_CLIENT_SECRET")}
    ]
OIDC_ISSUER = env.str("OIDC_ISSUER", "")
if OIDC_CLIENT_ID := env.str("OIDC_CLIENT_ID", ""):
    SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"] = [
        {
            "provider_id": "oidc",
            "name": env.str("OIDC_NAME", "Single sign-on"),
            "client_id": OIDC_CLIENT_ID,
            "secret": env_secret(env, "OIDC_CLIENT_SECRET"),
            # By HTTP Basic, which every provider must take; the body is an extra that some refuse.
            "settings": {"server_url": OIDC_ISSUER, "token_auth_method": "client_secret_basic"},
        }
    ]
SIGN_IN_ORIGINS = ["https://github.com"] if GITHUB_CLIENT_ID else []
SIGN_IN_ORIGINS += ["https://accounts.google.com"] if GOOGLE_CLIENT_ID else []
SIGN_IN_ORIGINS += [site_of(OIDC_ISSUER)] if OIDC_CLIENT_ID else []
# A guest who does not come back for so long is removed, with everything they said.
GUEST_IDLE_DAYS = env.int("GUEST_IDLE_DAYS", 30, validate=validate.Range(1, 3_650))
# Who asked to be deleted can change their mind for so long; 0 is not at all.
ACCOUNT_DELETION_GRACE_DAYS = env.int(
    "ACCOUNT_DELETION_GRACE_DAYS", 7, validate=validate.Range(0, 365)
)
# How long a prepared download is kept.
EXPORT_KEEP_DAYS = env.int("EXPORT_KEEP_DAYS", 7, validate=validate.Range(1, 365))
# How long a deleted chat can be brought back; after that it is erased.
CHAT_UNDO_HOURS = env.int("CHAT_UNDO_HOURS", 24, validate=validate.Range(0, 24 * 365))
# How long the database may look for what somebody searches.
SEARCH_TIMEOUT_MS = env.int("SEARCH_TIMEOUT_MS", 3_000, validate=validate.Range(100, 60_000))

# --- Payments by Stripe: offered when there is a key (billing/stripe_api.py) ---
STRIPE_SECRET_KEY = env_secret(env, "STRIPE_SECRET_KEY")
# More than one while they are rotated, separated by commas.
STRIPE_WEBHOOK_SECRETS = [
    secret.strip()
    for secret in env_secret(env, "STRIPE_WEBHOOK_SECRET").split(",")
    if secret.strip()
]
STRIPE_API_BASE = env.str("STRIPE_API_BASE", "") or "https://api.stripe.com"
# Where Checkout's pages are: Stripe's own, or a domain of yours that you have set up there.
STRIPE_CHECKOUT_URL = env.str("STRIPE_CHECKOUT_URL", "") or "https://checkout.stripe.com"
STRIPE_RECONCILE_MINUTES = env.int("STRIPE_RECONCILE_MINUTES", 5, validate=validate.Range(1, 1_440))
CHECKOUT_ORIGINS = [site_of(STRIPE_CHECKOUT_URL)] if STRIPE_SECRET_KEY else []

# --- Mail: smtp://, smtp+tls:// or smtp+ssl://user:password@host:port; printed when not given ---
EMAIL_URL = env_secret(env, "EMAIL_URL")
EMAIL_TIMEOUT = 20
if EMAIL_URL:
    vars().update(email_settings(EMAIL_URL))
else:
    EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
DEFAULT_FROM_EMAIL = env.str("EMAIL_FROM", "") or f"Holdfast <no-reply@{_NAME or 'localhost'}>"
SERVER_EMAIL = DEFAULT_FROM_EMAIL

# --- Language, time, static files ---
LANGUAGE_CODE = "en"
# A person may choose among these; with one there is nothing to choose, and no field for it.
LANGUAGES = [("en", "English")]
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = Path(env.str("HOLDFAST_STATIC_ROOT", "") or BASE_DIR / "staticfiles").absolute()
STATICFILES_DIRS = [BASE_DIR / "static"]
# Pictures and archives. No address leads into it but views that ask who is asking.
MEDIA_ROOT = DATA_DIR / "files"
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o700
FILE_UPLOAD_PERMISSIONS = 0o600
FILE_UPLOAD_HANDLERS = [
    "accounts.uploads.BoundedUploadHandler",
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "config.static.HashedStaticFilesStorage"
    },
}

# --- Security ---
SESSION_ENGINE = "accounts.session_store"
# Browsers take a cookie of this prefix from this host alone: a page on a sister domain can plant
# neither a session nor a guest of its own.
COOKIE_PREFIX = "__Host-" if HTTPS else ""
SESSION_COOKIE_NAME = f"{COOKIE_PREFIX}sessionid"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = HTTPS
SESSION_COOKIE_AGE = 400 * 24 * 3_600  # The longest that browsers keep: a guest's chats hang on it.
CSRF_COOKIE_HTTPONLY = False  # The page reads it and sends it back as X-CSRFToken.
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SECURE = HTTPS
CSRF_FAILURE_VIEW = "chat.error_pages.csrf_failure"
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_HSTS_SECONDS = env.int("HOLDFAST_HSTS_SECONDS", 365 * 24 * 3_600) if HTTPS else 0
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:", "blob:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "worker-src": [SELF],
        # Browsers also apply it to where a form's answer leads: to the providers one signs in with,
        # to Checkout.
        "form-action": [SELF, *SIGN_IN_ORIGINS, *CHECKOUT_ORIGINS],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "report-uri": "/csp-reports",
    }
}
SILENCED_SYSTEM_CHECKS = [
    # These look for Django's own class names in MIDDLEWARE; ours are their subclasses, which
    # tests/config/test_middleware.py asserts.
    "security.W001",
    "security.W002",
    "security.W003",
    # HSTS binds what the operator alone can promise: every sub-domain, and for good.
    "security.W005",
    "security.W021",
]

# --- Log lines: to stderr, few ---
LOG_LEVEL = env.str("HOLDFAST_LOG_LEVEL", "INFO")
SUPERVISED = env.bool("HOLDFAST_SUPERVISED", False)  # Set by `up`, which stamps the lines itself.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "format": ("" if SUPERVISED else "%(asctime)s ") + "%(levelname)s %(name)s: %(message)s"
        }
    },
    "filters": {
        # Who answers 503 has logged why, or is a probe that waits for the start.
        "said_already": {
            "()": "django.utils.log.CallbackFilter",
            "callback": lambda record: getattr(record, "status_code", None) != 503,
        }
    },
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "stream": sys.stderr, "formatter": "line"}
    },
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        **{
            app: {"level": LOG_LEVEL}
            for app in ("config", "streams", "accounts", "billing", "chat")
        },
        "django": {"handlers": [], "level": "WARNING", "propagate": True},
        # A page not found is the visitor's affair; a refused host or a failed view is ours.
        "django.request": {"level": "ERROR", "filters": ["said_already"]},
        # Tells of every restart of Redis with a traceback; streams says the same in a line.
        "channels_redis": {"level": "CRITICAL"},
    },
}

# --- The durable log (streams/) ---
STREAMS_PREFIX = "hf"
STREAMS_ALLOW_LOSSY_REDIS = env.bool("HOLDFAST_ALLOW_LOSSY_REDIS", False)
STREAMS_APPEND_TIMEOUT_MS = 30_000
STREAMS_FOLLOW_POLL_MS = 1_000
STREAMS_FOLLOWER_BUFFER_BYTES = 1_000_000

# --- Limits: how often one address, guest or account may; 0 is none (accounts/limits.py) ---
_COUNT = validate.Range(0, 1_000_000)
LIMIT_SENDS_PER_MINUTE_GUEST = env.int("LIMIT_SENDS_PER_MINUTE_GUEST", 12, validate=_COUNT)
LIMIT_SENDS_PER_MINUTE_ACCOUNT = env.int("LIMIT_SENDS_PER_MINUTE_ACCOUNT", 30, validate=_COUNT)
# Many people may share an address: an office, a school, a phone network.
LIMIT_SENDS_PER_MINUTE_ADDRESS = env.int("LIMIT_SENDS_PER_MINUTE_ADDRESS", 240, validate=_COUNT)
LIMIT_SENDS_PER_DAY_GUEST = env.int("LIMIT_SENDS_PER_DAY_GUEST", 200, validate=_COUNT)
LIMIT_SENDS_PER_DAY_ACCOUNT = env.int("LIMIT_SENDS_PER_DAY_ACCOUNT", 2_000, validate=_COUNT)
LIMIT_GUESTS_PER_HOUR_ADDRESS = env.int("LIMIT_GUESTS_PER_HOUR_ADDRESS", 30, validate=_COUNT)
LIMIT_SEARCHES_PER_MINUTE_USER = env.int("LIMIT_SEARCHES_PER_MINUTE_USER", 120, validate=_COUNT)
# Renaming, pinning, choosing a branch, settings, ...: each is an entry in a log, or told around.
LIMIT_CHANGES_PER_MINUTE_USER = env.int("LIMIT_CHANGES_PER_MINUTE_USER", 300, validate=_COUNT)
LIMIT_SIGN_INS_PER_MINUTE_ADDRESS = env.int(
    "LIMIT_SIGN_INS_PER_MINUTE_ADDRESS", 10, validate=_COUNT
)
LIMIT_SIGN_INS_PER_HOUR_NAME = env.int("LIMIT_SIGN_INS_PER_HOUR_NAME", 30, validate=_COUNT)
LIMIT_LOGINS_PER_MINUTE_ADDRESS = env.int("LIMIT_LOGINS_PER_MINUTE_ADDRESS", 30, validate=_COUNT)
LIMIT_FAILED_LOGINS_PER_MINUTE_ADDRESS = env.int(
    "LIMIT_FAILED_LOGINS_PER_MINUTE_ADDRESS", 10, validate=_COUNT
)
LIMIT_FAILED_LOGINS_PER_HOUR_NAME = env.int(
    "LIMIT_FAILED_LOGINS_PER_HOUR_NAME", 30, validate=_COUNT
)
LIMIT_SIGN_UPS_PER_MINUTE_ADDRESS = env.int(
    "LIMIT_SIGN_UPS_PER_MINUTE_ADDRESS", 20, validate=_COUNT
)
LIMIT_CODES_PER_MINUTE_ADDRESS = env.int("LIMIT_CODES_PER_MINUTE_ADDRESS", 20, validate=_COUNT)
LIMIT_CODES_PER_MINUTE_NAME = env.int("LIMIT_CODES_PER_MINUTE_NAME", 3, validate=_COUNT)
LIMIT_RESETS_PER_MINUTE_ADDRESS = env.int("LIMIT_RESETS_PER_MINUTE_ADDRESS", 20, validate=_COUNT)
LIMIT_RESETS_PER_MINUTE_NAME = env.int("LIMIT_RESETS_PER_MINUTE_NAME", 5, validate=_COUNT)
# These are counted by allauth; what is not named here keeps its defaults.
ACCOUNT_RATE_LIMITS = {
    "login": allauth_rates((LIMIT_LOGINS_PER_MINUTE_ADDRESS, "m/ip")),
    "login_failed": allauth_rates(
        (LIMIT_FAILED_LOGINS_PER_MINUTE_ADDRESS, "m/ip"),
        (LIMIT_FAILED_LOGINS_PER_HOUR_NAME, "h/key"),
    ),
    "signup": allauth_rates((LIMIT_SIGN_UPS_PER_MINUTE_ADDRESS, "m/ip")),
    "request_login_code": allauth_rates(
        (LIMIT_CODES_PER_MINUTE_ADDRESS, "m/ip"), (LIMIT_CODES_PER_MINUTE_NAME, "m/key")
    ),
    "reset_password": allauth_rates(
        (LIMIT_RESETS_PER_MINUTE_ADDRESS, "m/ip"), (LIMIT_RESETS_PER_MINUTE_NAME, "m/key")
    ),
}
LIMIT_SOCKETS_PER_MINUTE_ADDRESS = env.int("LIMIT_SOCKETS_PER_MINUTE_ADDRESS", 600, validate=_COUNT)
LIMIT_SOCKETS_PER_MINUTE_USER = env.int("LIMIT_SOCKETS_PER_MINUTE_USER", 120, validate=_COUNT)
LIMIT_UPLOADS_PER_HOUR_USER = env.int("LIMIT_UPLOADS_PER_HOUR_USER", 60, validate=_COUNT)
LIMIT_EXPORTS_PER_DAY_USER = env.int("LIMIT_EXPORTS_PER_DAY_USER", 3, validate=_COUNT)
LIMIT_DRAFTS_PER_MINUTE_USER = env.int("LIMIT_DRAFTS_PER_MINUTE_USER", 240, validate=_COUNT)
# Of failed sign-ins to one account, those that its record keeps.
LIMIT_FAILURES_RECORDED_PER_HOUR_USER = 30
# Calls to the webhook that were not signed by Stripe: each is kept in a log.
LIMIT_REFUSED_WEBHOOKS_PER_MINUTE_ADDRESS = env.int(
    "LIMIT_REFUSED_WEBHOOKS_PER_MINUTE_ADDRESS", 60, validate=_COUNT
)
LIMIT_TOP_UPS_PER_HOUR_USER = env.int("LIMIT_TOP_UPS_PER_HOUR_USER", 20, validate=_COUNT)
LIMIT_CSP_REPORTS_PER_MINUTE_ADDRESS = env.int(
    "LIMIT_CSP_REPORTS_PER_MINUTE_ADDRESS", 20, validate=_COUNT
)

# A check asks the provider: not a way to try out keys, or to look around on the network.
LIMIT_KEY_CHECKS_PER_HOUR_USER = env.int("LIMIT_KEY_CHECKS_PER_HOUR_USER", 30, validate=_COUNT)

# --- Credit: micro-USD, a millionth of a dollar each (billing/) ---
# Off: the operator pays for every model, and nobody is asked for anything. Usage is counted.
BILLING = env.bool("HOLDFAST_BILLING", True)
_MICRO_USD = validate.Range(0, 1_000_000_000)
CREDIT_SIGN_UP_MICRO_USD = env.int("CREDIT_SIGN_UP_MICRO_USD", 2_000_000, validate=_MICRO_USD)
CREDIT_GUEST_MICRO_USD = env.int("CREDIT_GUEST_MICRO_USD", 500_000, validate=_MICRO_USD)
CREDIT_FREE_MICRO_USD = env.int("CREDIT_FREE_MICRO_USD", 500_000, validate=_MICRO_USD)
CREDIT_FREE_AFTER_DAYS = env.int("CREDIT_FREE_AFTER_DAYS", 30, validate=validate.Range(1, 3_650))
# What staff who may give credit, but not adjust it, may give one person at once.
STAFF_GIVES_AT_MOST_MICRO_USD = env.int(
    "STAFF_GIVES_AT_MOST_MICRO_USD", 20_000_000, validate=_MICRO_USD
)
AUDIT_EVERY_HOURS = 24
# Less than this is of no use: who has less is at zero.
CREDIT_ZERO_BELOW_MICRO_USD = 10_000
# An answer on credit is no longer than this, so that one chat does not hold all that is there.
CREDIT_MAX_ANSWER_TOKENS = env.int(
    "CREDIT_MAX_ANSWER_TOKENS", 32_000, validate=validate.Range(256, 10_000_000)
)

# --- Workers ---
WORK_LEASE_MS = env.int("WORK_LEASE_MS", 1_500)
WORK_RENEW_MS = env.int("WORK_RENEW_MS", 400)
WORK_POLL_MS = env.int("WORK_POLL_MS", 200)
WORK_CONCURRENCY = env.int("WORK_CONCURRENCY", 200)
MAX_ATTEMPTS = 6

# --- Models ---
MODEL_CONNECT_TIMEOUT_MS = env.int("MODEL_CONNECT_TIMEOUT_MS", 10_000)
MODEL_FIRST_TOKEN_TIMEOUT_MS = env.int("MODEL_FIRST_TOKEN_TIMEOUT_MS", 60_000)
MODEL_STALL_TIMEOUT_MS = env.int("MODEL_STALL_TIMEOUT_MS", 30_000)
BACKGROUND_CALLS = env.bool("HOLDFAST_BACKGROUND_CALLS", True)
DEFAULT_MODEL = env.str("HOLDFAST_DEFAULT_MODEL", "")
OPENAI_API_KEY = env_secret(env, "OPENAI_API_KEY")
OPENAI_BASE_URL = env.str("OPENAI_BASE_URL", "")
OPENROUTER_API_KEY = env_secret(env, "OPENROUTER_API_KEY")
OPENROUTER_BASE_URL = env.str("OPENROUTER_BASE_URL", "") or "https://openrouter.ai/api/v1"
OLLAMA_HOST = env.str("OLLAMA_HOST", "")
# Whether people's own keys may be for private networks: accounts/public_addresses.py.
ALLOW_PRIVATE_MODEL_URLS = env.bool("HOLDFAST_ALLOW_PRIVATE_MODEL_URLS", False)
# Models (as "endpoint/name", * allowed) that go on with a partial answer given as the last turn.
PREFILL_MODELS: list[str] = env.list("HOLDFAST_PREFILL_MODELS", [])
# auto: only when no other endpoint is configured (nor an Ollama found by `up`).
EMBEDDED_MODEL_CHOICE = env.str(
    "HOLDFAST_EMBEDDED_MODEL", "auto", validate=validate.OneOf(["auto", "True", "False"])
)
_OLLAMA = OLLAMA_HOST.strip() not in ("", "off")
_CONFIGURED = bool(OPENAI_API_KEY or OPENAI_BASE_URL or OPENROUTER_API_KEY or _OLLAMA)
EMBEDDED_MODEL = EMBEDDED_MODEL_CHOICE == "True" or (
    EMBEDDED_MODEL_CHOICE == "auto" and not _CONFIGURED
)
# Where the embedded model answers: `up` starts it and sets this for web and workers.
EMBEDDED_MODEL_URL = env.str("HOLDFAST_EMBEDDED_MODEL_URL", "")
OPENAI_BASE_URL = OPENAI_BASE_URL or "https://api.openai.com/v1"
