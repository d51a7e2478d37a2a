"""Settings are read and documented, and invalid values are refused."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from environs import Env

from chat.llm.stream.think_marks import Marks, marks_for
from config.env import data_path, embedded_redis_url, env_secret, generated_secret, think_marks
from tests.stack import clean_environment

BASE_DIR = Path(__file__).resolve().parents[2]
READ = re.compile(r'env(?:\.\w+|_\w+)\(\s*(?:env, )?"([A-Z_]+)"')
# Read before any file, or set by one process for another: in the second table of the docs only.
INTERNAL = {
    "HOLDFAST_ENV_FILE",
    "HOLDFAST_EMBEDDED_MODEL_URL",
    "HOLDFAST_EMBEDDED_MODEL_KEY",
    "HOLDFAST_SUPERVISED",
}


def test_every_variable_is_documented():
    sources = [BASE_DIR / "config/environment.py", *(BASE_DIR / "config").glob("settings*.py")]
    read = {name for path in sources for name in READ.findall(path.read_text())} - INTERNAL
    example = (BASE_DIR / ".env.example").read_text()
    docs = (BASE_DIR / "docs/configuration.md").read_text().partition("## Only in")[0]
    assert read == set(re.findall(r"^# ([A-Z_]+)=", example, re.MULTILINE))
    assert read == set(re.findall(r"^\| `([A-Z_]+)`", docs, re.MULTILINE))


def settings_with(tmp_path, expression, **env):
    code = f"from config import settings as s; print(repr(({expression})))"
    environment = clean_environment(HOLDFAST_DATA=str(tmp_path / "data"), **env)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
    )
    return (done.stdout or done.stderr.splitlines()[-1]).strip()


@pytest.mark.parametrize(
    ("expression", "env", "expected"),
    [
        ("s.EMBEDDED_MODEL", {}, "True"),
        (
            "s.STORAGES['default']",
            {"HOLDFAST_STORAGE_URL": " "},
            "{'BACKEND': 'config.folder_storage.FolderStorage'}",
        ),
        (
            "s.STORAGES['default']",
            {"HOLDFAST_STORAGE_URL": "s3:///x"},
            "django.core.exceptions.ImproperlyConfigured: HOLDFAST_STORAGE_URL must look like "
            "s3://bucket/folder?region=eu-central-1&endpoint=https://s3.example.org, but it must "
            "begin with s3:// and the name of a bucket.",
        ),
        ("s.EMBEDDED_MODEL", {"OPENAI_API_KEY": "k"}, "False"),
        ("s.EMBEDDED_MODEL", {"OLLAMA_HOST": "off"}, "True"),
        ("s.EMBEDDED_MODEL", {"OPENAI_API_KEY": "k", "HOLDFAST_EMBEDDED_MODEL": "True"}, "True"),
        ("s.DATABASES['default']['ENGINE']", {}, "'config.sqlite'"),
        (
            "s.DATABASES['default']['HOST']",
            {"DATABASE_URL": "postgres://u:p@db.example/x"},
            "'db.example'",
        ),
        ("s.SESSION_COOKIE_SECURE, s.SECURE_HSTS_SECONDS", {}, "(False, 0)"),
        (
            "s.SESSION_COOKIE_SECURE, s.SECURE_HSTS_SECONDS, s.ALLOWED_HOSTS[0]",
            {"HOLDFAST_URL": "https://chat.example.org/"},
            "(True, 31536000, 'chat.example.org')",
        ),
        ("s.SESSION_COOKIE_NAME", {}, "'sessionid'"),
        ("s.CSRF_COOKIE_NAME", {}, "'csrftoken'"),
        (
            "s.SESSION_COOKIE_NAME, s.CSRF_COOKIE_NAME, hasattr(s, 'SESSION_COOKIE_DOMAIN')",
            {"HOLDFAST_URL": "https://chat.example.org/"},
            "('__Host-sessionid', '__Host-csrftoken', False)",
        ),
        ("hasattr(s, 'SECURE_PROXY_SSL_HEADER')", {}, "False"),
        ("s.DEBUG", {}, "False"),
    ],
)
def test_what_the_environment_makes_of_them(tmp_path, expression, env, expected):
    assert settings_with(tmp_path, expression, **env) == expected


def test_a_file_beside_manage_py_is_read_and_the_environment_wins(tmp_path):
    (tmp_path / "env").write_text("HOLDFAST_PORT=1\nHOLDFAST_WORKERS=7\n")
    env = {"HOLDFAST_ENV_FILE": str(tmp_path / "env"), "HOLDFAST_PORT": "2"}
    assert settings_with(tmp_path, "(s.PORT, s.WORKERS)", **env) == "(2, 7)"


def test_a_secret_may_be_in_a_file(tmp_path, monkeypatch):
    (tmp_path / "key").write_text("from the file\n")
    monkeypatch.setenv("SOME_KEY_FILE", str(tmp_path / "key"))
    assert env_secret(Env(), "SOME_KEY") == "from the file"
    monkeypatch.setenv("SOME_KEY", "also set")
    with pytest.raises(ImproperlyConfigured, match="keep one"):
        env_secret(Env(), "SOME_KEY")


def test_a_secret_file_that_cannot_be_read_is_named(monkeypatch):
    monkeypatch.setenv("SOME_KEY_FILE", "/nowhere/key")
    with pytest.raises(ImproperlyConfigured, match=r"SOME_KEY_FILE .*/nowhere/key"):
        env_secret(Env(), "SOME_KEY")


def test_the_generated_key_is_made_once_by_many(tmp_path):
    path = tmp_path / "folder" / "secret-key"
    with ThreadPoolExecutor(16) as pool:
        keys = set(pool.map(generated_secret, [path] * 64))
    assert len(keys) == 1
    assert len(keys.pop()) >= 50
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["secret-key"]


def test_an_empty_key_is_no_key(tmp_path):
    (tmp_path / "secret-key").touch()
    assert len(generated_secret(tmp_path / "secret-key")) >= 50


def test_a_folder_with_odd_characters_is_quoted_in_the_address():
    assert embedded_redis_url(Path("/a b/50%")) == "unix:///a%20b/50%25/redis/redis.sock"


def test_a_folder_whose_name_is_not_text_is_refused(tmp_path):
    with pytest.raises(ImproperlyConfigured, match="not UTF-8"):
        data_path(os.fsdecode(bytes(tmp_path) + b"/\xff"))


def test_marks_of_thinking_are_read_strictly():
    entries = ["openai/qwq*=<a> </a>", " x/y=</think>", "x/z=off"]
    assert think_marks(entries) == [
        ("openai/qwq*", ("<a>", "</a>")),
        ("x/y", ("", "</think>")),
        ("x/z", ("", "")),
    ]
    for wrong in ("openai/x", "=<a> </a>", "openai/x=", "openai/x=a b c", ""):
        with pytest.raises(ImproperlyConfigured, match="HOLDFAST_THINK_MARKS"):
            think_marks([wrong])


def test_marks_of_thinking_are_those_of_the_model(settings):
    settings.THINK_MARKS = think_marks(["openai/*=<a> </a>", "openai/b=</b>", "openai/c=off"])
    assert marks_for("openai/a") == Marks((("<a>", "</a>"),), "", has_harmony=False)
    assert marks_for("openai/b") == Marks((("<a>", "</a>"),), "</b>", has_harmony=False)
    assert marks_for("other/x") == Marks()
    settings.THINK_MARKS = think_marks(["openai/c=off"])
    assert marks_for("openai/c") == Marks((), "", has_harmony=False)
