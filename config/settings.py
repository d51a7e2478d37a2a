"""Holdfast's settings, read top to bottom; what differs between machines comes from the environment."""

from pathlib import Path

from environs import Env

env = Env()

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.str("HOLDFAST_DATA", str(BASE_DIR / "data"))).resolve()

DEBUG = env.bool("DEBUG", False)
SECRET_KEY = env.str("SECRET_KEY", "development-only")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])

INSTALLED_APPS = [
    "daphne",
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
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
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

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA_DIR / "db.sqlite3",
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
            "timeout": 20,
        },
    }
}
REDIS_URL = env.str("REDIS_URL", f"unix://{DATA_DIR}/redis/redis.sock")
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": "hf-layer"},
    }
}

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]

STREAMS_PREFIX = "hf"
STREAMS_ALLOW_LOSSY_REDIS = env.bool("HOLDFAST_ALLOW_LOSSY_REDIS", False)
STREAMS_APPEND_TIMEOUT_MS = 30_000
STREAMS_FOLLOW_POLL_MS = 1_000
STREAMS_FOLLOWER_BUFFER_BYTES = 1_000_000

WORK_LEASE_MS = env.int("WORK_LEASE_MS", 1_500)
WORK_RENEW_MS = env.int("WORK_RENEW_MS", 400)
WORK_POLL_MS = env.int("WORK_POLL_MS", 200)
WORK_CONCURRENCY = env.int("WORK_CONCURRENCY", 200)
MAX_ATTEMPTS = 6

MODEL_CONNECT_TIMEOUT_MS = 10_000
MODEL_FIRST_TOKEN_TIMEOUT_MS = 60_000
MODEL_STALL_TIMEOUT_MS = 30_000
BACKGROUND_CALLS = env.bool("HOLDFAST_BACKGROUND_CALLS", True)
EMBEDDED_MODEL_URL = env.str("HOLDFAST_EMBEDDED_MODEL_URL", "")
OPENAI_API_KEY = env.str("OPENAI_API_KEY", "")
OPENAI_BASE_URL = env.str("OPENAI_BASE_URL", "https://api.openai.com/v1")
OPENROUTER_API_KEY = env.str("OPENROUTER_API_KEY", "")
OPENROUTER_BASE_URL = env.str("OPENROUTER_BASE_URL", "https://openrouter.ai/api/v1")
OLLAMA_HOST = env.str("OLLAMA_HOST", "")
