"""Settings. Values that differ between machines come from the environment.

`.env.example` and `docs/configuration.md` describe every variable; a test compares them. Large
subjects have a module of their own, `config/settings_*.py`.
"""

import os
import sys
from pathlib import Path
from typing import Any

import django_stubs_ext
from environs import validate

from config.env import (
    email_settings,
    embedded_redis_url,
    env_secret,
    generated_secret,
    key_encryption_keys,
)
from config.env_headers import env_key
from config.environment import *  # noqa: F403
from config.environment import BASE_DIR, DATA_DIR, DEBUG, URL_HOST, env
from config.i18n import languages
from config.settings_accounts import *  # noqa: F403
from config.settings_limits import *  # noqa: F403
from config.settings_models import *  # noqa: F403
from config.settings_money import *  # noqa: F403
from config.settings_security import *  # noqa: F403
from config.storage_url import file_storage
from config.web.log_records import one_short_line

django_stubs_ext.monkeypatch()  # Lets classes say `ModelAdmin[User]`.

# --- Secrets ---
SECRET_KEY = env_secret(env, "SECRET_KEY") or generated_secret(DATA_DIR / "secret-key")
# The keys that encrypt people's provider keys, by version; the first encrypts.
KEY_ENCRYPTION_KEYS = key_encryption_keys(
    env_secret(env, "HOLDFAST_KEY_ENCRYPTION_KEYS"), DATA_DIR / "key-encryption-key"
)

# --- Apps and middleware ---
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
    # allauth comes after our apps, so that our templates and commands take precedence.
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.github",
    "allauth.socialaccount.providers.google",
    "allauth.socialaccount.providers.openid_connect",
]
# Django's and django-csp's middleware is subclassed, so that an async request passes it without a
# thread hop for each class: config/web/middleware.py.
MIDDLEWARE = [
    "config.web.middleware.SecurityMiddleware",
    "config.web.middleware.CSPMiddleware",
    "config.web.middleware.XFrameOptionsMiddleware",
    "config.web.middleware.answer_probes",
    "config.web.middleware.SessionMiddleware",
    "config.web.middleware.CommonMiddleware",
    "config.web.middleware.refuse_large_bodies",
    "config.web.middleware.CsrfViewMiddleware",
    "config.web.middleware.AuthenticationMiddleware",
    "config.web.middleware.MessageMiddleware",
    "accounts.preferences.locale.preferences_of_request",
    "accounts.middleware.treat_guests_as_visitors",
    "accounts.middleware.redirect_leaving_people",
    "accounts.sign_in.site_data.clear_site_data",
    "allauth.account.middleware.AccountMiddleware",
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
                "accounts.preferences.locale.context",
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
    os.environ.setdefault("DATABASE_URL", DATABASE_URL)  # May come from DATABASE_URL_FILE.
    DATABASE = dict(env.dj_db_url("DATABASE_URL"))
else:
    DATABASE = {"ENGINE": "django.db.backends.sqlite3", "NAME": DATA_DIR / "db.sqlite3"}
if DATABASE["ENGINE"] == "django.db.backends.sqlite3":
    DATABASE["ENGINE"] = "config.sqlite"
    DATABASE["CONN_MAX_AGE"] = None  # Threads outlive requests (config/web/database_threads.py).
    DATABASE["OPTIONS"] = {
        # A transaction takes the write lock when it begins. Otherwise, one that reads and later
        # writes can fail at once with "database is locked", despite the timeout.
        "transaction_mode": "IMMEDIATE",
        "init_command": (
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA secure_delete=ON;"
        ),
        "timeout": 20,
    }
else:
    # A pool, because persistent connections do not work with ASGI: each request may have its own
    # thread.
    DATABASE["OPTIONS"] = DATABASE.get("OPTIONS", {}) | {
        "pool": {"min_size": 1, "max_size": 8, "timeout": 10},
        "connect_timeout": 5,
    }
DATABASES = {"default": DATABASE}

# --- Redis: REDIS_URL, else an embedded one on a socket in the data folder ---
REDIS_URL = env_secret(env, "REDIS_URL")
EMBEDDED_REDIS = not REDIS_URL
# `maxmemory` of the embedded Redis; 0 means a share of the machine's or container's memory.
REDIS_MAX_MEMORY_MB = env.int(
    "HOLDFAST_REDIS_MAX_MEMORY_MB", 0, validate=validate.Range(0, 100_000_000)
)
# From these percentages of `maxmemory` on, new text of guests, then of accounts, is refused. The
# rest is for running replies, sessions and queues.
_PERCENT = validate.Range(1, 100)
REDIS_PERCENT_FOR_GUESTS = env.int("HOLDFAST_REDIS_PERCENT_FOR_GUESTS", 85, validate=_PERCENT)
REDIS_PERCENT_FOR_ACCOUNTS = env.int("HOLDFAST_REDIS_PERCENT_FOR_ACCOUNTS", 92, validate=_PERCENT)
if EMBEDDED_REDIS:
    REDIS_URL = embedded_redis_url(DATA_DIR)
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "config.web.channel_layer.ChannelLayer",
        # Timeouts, because all messages of a process wait behind an unanswered one.
        "CONFIG": {
            "hosts": [{"address": REDIS_URL, "socket_timeout": 3, "socket_connect_timeout": 2}],
            "prefix": "hf-layer",
        },
    }
}

CACHES = {
    # allauth's rate limits must be shared by all web processes.
    "default": {
        "BACKEND": "config.web.redis_cache.SharedRedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "hf-cache",
    }
}

# --- Mail: smtp://, smtp+tls:// or smtp+ssl://user:password@host:port; printed without one ---
EMAIL_URL = env_secret(env, "EMAIL_URL").strip()
EMAIL_TIMEOUT = 20
if EMAIL_URL:
    vars().update(email_settings(EMAIL_URL))
else:
    EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
DEFAULT_FROM_EMAIL = env.str("EMAIL_FROM", "") or f"Holdfast <no-reply@{URL_HOST or 'localhost'}>"
SERVER_EMAIL = DEFAULT_FROM_EMAIL

# --- Language, time, static files ---
LANGUAGE_CODE = "en"
LOCALE_PATHS = [BASE_DIR / "locale"]
FORMAT_MODULE_PATH = ["config.formats"]
# People choose among these. With a single language the settings page has no field for it.
LANGUAGES = languages.available(*LOCALE_PATHS)
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = Path(env.str("HOLDFAST_STATIC_ROOT", "") or BASE_DIR / "staticfiles").absolute()
STATICFILES_DIRS = [BASE_DIR / "static"]
# Files of messages, pictures of people and archives, in a folder or in a bucket. Only views that
# check the user serve them.
MEDIA_ROOT = DATA_DIR / "files"
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o700
FILE_UPLOAD_PERMISSIONS = 0o600
FILE_UPLOAD_HANDLERS = [
    "accounts.preferences.uploads.BoundedUploadHandler",
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]
STORAGES = {
    "default": file_storage(
        env.str("HOLDFAST_STORAGE_URL", ""),
        env_key(env, "HOLDFAST_STORAGE_KEY_ID"),
        env_key(env, "HOLDFAST_STORAGE_SECRET_KEY"),
    ),
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "config.web.static_files.HashedStaticFilesStorage"
    },
}

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
        # The code that responds 503 has logged the reason, or a probe is waiting for the start.
        "already_logged": {
            "()": "django.utils.log.CallbackFilter",
            "callback": lambda record: getattr(record, "status_code", None) != 503,
        },
        "short_suspicious": {"()": "django.utils.log.CallbackFilter", "callback": one_short_line},
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "stream": sys.stderr,
            "formatter": "line",
            "filters": ["short_suspicious"],
        }
    },
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        **{
            app: {"level": LOG_LEVEL}
            for app in ("config", "streams", "accounts", "billing", "chat")
        },
        "django": {"handlers": [], "level": "WARNING", "propagate": True},
        # Failed views are logged, missing pages are not.
        "django.request": {"level": "ERROR", "filters": ["already_logged"]},
        # channels_redis logs every restart of Redis with a traceback; `streams` logs a line.
        "channels_redis": {"level": "CRITICAL"},
    },
}

# --- The durable log (streams/) ---
STREAMS_PREFIX = "hf"
STREAMS_ALLOW_LOSSY_REDIS = env.bool("HOLDFAST_ALLOW_LOSSY_REDIS", False)
STREAMS_APPEND_TIMEOUT_MS = 30_000
STREAMS_FOLLOW_POLL_MS = 1_000
STREAMS_FOLLOWER_BUFFER_BYTES = 1_000_000
