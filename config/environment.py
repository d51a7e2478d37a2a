"""The settings that all others build on: the environment, the data folder, addresses and names."""

from pathlib import Path

from environs import Env, validate

from config.env import data_path, trusted_proxies
from config.public_url import allowed_hosts, public_url

BASE_DIR = Path(__file__).resolve().parent.parent

env = Env()
# Environment variables take precedence over the file. HOLDFAST_ENV_FILE= (empty) reads no file.
if ENV_FILE := env.str("HOLDFAST_ENV_FILE", str(BASE_DIR / ".env")):
    env.read_env(ENV_FILE, recurse=False)

DEBUG = env.bool("DEBUG", False)

# --- Data folder, listening address, workers ---
DATA_DIR = data_path(env.str("HOLDFAST_DATA", "") or str(BASE_DIR / "data"))
HOST = env.str("HOLDFAST_HOST", "127.0.0.1")
PORT = env.int("HOLDFAST_PORT", 8_000, validate=validate.Range(0, 65_535))
WORKERS = env.int("HOLDFAST_WORKERS", 2, validate=validate.Range(0, 64))

# --- Host names and origins ---
_PUBLIC = public_url(env.str("HOLDFAST_URL", ""))
URL = _PUBLIC.origin
URL_HOST = _PUBLIC.name
HTTPS = _PUBLIC.scheme == "https"
# Loopback names stay allowed for health checks; no public page can have them.
ALLOWED_HOSTS = [*allowed_hosts(env.list("ALLOWED_HOSTS", [])), *filter(None, [_PUBLIC.host])]
ALLOWED_HOSTS += ["localhost", "127.0.0.1", "[::1]"]
_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", [])
CSRF_TRUSTED_ORIGINS = [origin.strip().rstrip("/") for origin in _ORIGINS]
CSRF_TRUSTED_ORIGINS += filter(None, [URL])
TRUST_PROXY = env.bool("HOLDFAST_TRUST_PROXY", False)
# A number of proxies, or their networks: accounts/client_address.py.
TRUSTED_PROXIES = trusted_proxies(env.str("HOLDFAST_TRUSTED_PROXIES", "1"))
if TRUST_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
