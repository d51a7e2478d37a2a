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

from config.env import embedded_redis_url, env_secret, generated_secret, origin_of

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
HTTPS = _SCHEME == "https"
# The loopback names stay allowed: health checks use them, and nobody else's page can.
ALLOWED_HOSTS = [*env.list("ALLOWED_HOSTS", []), *filter(None, [_NAME])]
ALLOWED_HOSTS += ["localhost", "127.0.0.1", "[::1]"]
CSRF_TRUSTED_ORIGINS = [*env.list("CSRF_TRUSTED_ORIGINS", []), *filter(None, [URL])]
TRUST_PROXY = env.bool("HOLDFAST_TRUST_PROXY", False)
if TRUST_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# --- Secrets ---
SECRET_KEY = env_secret(env, "SECRET_KEY") or generated_secret(DATA_DIR / "secret-key")

# --- Parts ---
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "config",
    "streams",
    "accounts",
    "chat",
]
# These are Django's own (and django-csp's), subclassed so that an async request passes them without
# a hop to a thread for each: config/middleware.py.
MIDDLEWARE = [
    "config.middleware.SecurityMiddleware",
    "config.middleware.CSPMiddleware",
    "config.middleware.SessionMiddleware",
    "config.middleware.CommonMiddleware",
    "config.middleware.CsrfViewMiddleware",
    "config.middleware.AuthenticationMiddleware",
    "config.middleware.MessageMiddleware",
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
            ]
        },
    }
]
AUTH_USER_MODEL = "accounts.User"
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
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
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

# --- Language, time, static files ---
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = Path(env.str("HOLDFAST_STATIC_ROOT", "") or BASE_DIR / "staticfiles").absolute()
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "config.static.HashedStaticFilesStorage"
    },
}

# --- Security ---
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = HTTPS
SESSION_COOKIE_AGE = 400 * 24 * 3_600  # The longest that browsers keep: a guest's chats hang on it.
CSRF_COOKIE_HTTPONLY = False  # The page reads it and sends it back as X-CSRFToken.
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SECURE = HTTPS
CSRF_FAILURE_VIEW = "chat.views.csrf_failure"
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
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
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
        **{app: {"level": LOG_LEVEL} for app in ("config", "streams", "accounts", "chat")},
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
