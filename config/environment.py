"""What the environment says, and what the rest of the settings is built on: where it listens, and
under which names."""

from pathlib import Path

from environs import Env, validate

from config.env import origin_of, trusted_proxies

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
