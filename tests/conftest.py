"""Fixtures for every test: Redis, complete stacks of real processes, and the run on PostgreSQL."""

import gc
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings
from django.db import connection, connections
from django.test import TransactionTestCase
from xdist.workermanage import NodeManager

from config.storage_url import file_storage
from config.web.database_threads import DatabaseThreads
from streams.server.embedded import redis_command
from tests.accounts.push_service import PushService, running_push_service
from tests.buckets.server import (
    KEY_ID,
    SECRET_KEY,
    bucket_environment,
    new_bucket,
    running_bucket_server,
)
from tests.emptying import Emptying
from tests.fake_model import FakeModel, running_fake_model
from tests.runner.chromium import find_browser
from tests.scheduling import Scheduling
from tests.stack import Stack, wait_for

# How many files and tests `manage.py test --durations` lists.
SLOWEST = 30
# A name of the shared stack that browsers do not take for this machine, so it is no secure context.
LAN_HOST = "chat.lan"
DATABASE_FIXTURES = {"db", "transactional_db", "django_db_reset_sequences"}


def pytest_configure(config: pytest.Config) -> None:
    # How long a process may take to stop its database and delete its files before it is killed.
    NodeManager.EXIT_TIMEOUT = 60


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Any:
    """Collects no garbage while the tests are collected, and leaves them out of later garbage
    collections, because they all stay. It took two fifths of the CPU time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling | None:
    return Scheduling(config, log) if config.getvalue("dist") == "load" else None


def pytest_keyboard_interrupt() -> None:
    """Ignores a second Ctrl-C, which would interrupt the cleanup."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Does not import files without a marked test for the gate's run on PostgreSQL."""
    if not _only_marked() or not collection_path.match("test_*.py"):
        return None
    return True if b"both_databases" not in collection_path.read_bytes() else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselects tests marked `full` unless --full is given. On PostgreSQL it keeps the tests marked
    `both_databases`; with --full, or if tests are named, all that use the database."""
    kept = items[:]
    if "HOLDFAST_TEST_FULL" not in os.environ:
        kept = [item for item in kept if not item.get_closest_marker("full")]
    if os.environ.get("HOLDFAST_TEST_DATABASE") == "postgresql":
        kept = [item for item in kept if _touches_database(item)]
    if _only_marked():
        kept = [item for item in kept if item.get_closest_marker("both_databases")]
    chosen = set(kept)
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = kept


def _only_marked() -> bool:
    """Returns whether this is the gate's run on PostgreSQL."""
    more = {"HOLDFAST_TEST_FULL", "HOLDFAST_TEST_NAMED"}
    is_postgresql = os.environ.get("HOLDFAST_TEST_DATABASE") == "postgresql"
    return is_postgresql and more.isdisjoint(os.environ)


def _touches_database(item: pytest.Item) -> bool:
    if item.get_closest_marker("django_db"):
        return True
    return not DATABASE_FIXTURES.isdisjoint(getattr(item, "fixturenames", ()))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Writes the counts to a file for `manage.py test`, which adds up those of its runs."""
    if path := os.environ.get("HOLDFAST_TEST_COUNTS"):
        stats = terminalreporter.stats
        failed = [*stats.get("failed", []), *stats.get("error", [])]
        counts = {
            "passed": len(stats.get("passed", [])) + len(stats.get("xfailed", [])),
            "failed": list(dict.fromkeys(report.nodeid for report in failed)),
            "skipped": len(stats.get("skipped", [])),
        }
        Path(path).write_text(json.dumps(counts))
    if "HOLDFAST_TEST_DURATIONS" in os.environ:
        _list_the_slowest(terminalreporter)


def _list_the_slowest(terminalreporter: Any) -> None:
    """Lists the slowest files and tests, with setup and teardown."""
    files: Counter[str] = Counter()
    tests: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                files[report.nodeid.split("::")[0]] += report.duration
                tests[report.nodeid] += report.duration
    terminalreporter.section(f"slowest; {sum(tests.values()):.0f} s in all")
    for counter in (files, tests):
        for name, seconds in counter.most_common(SLOWEST):
            terminalreporter.write_line(f"{seconds:8.1f} s  {name}")
        terminalreporter.write_line("")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """The migrated database. `Emptying` empties it after each test that commits."""
    with django_db_blocker.unblock():
        emptying = Emptying()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda _case: emptying.empty())
        yield


@pytest.fixture(scope="session")
def redis_server() -> Iterator[subprocess.Popen[bytes]]:
    """The embedded Redis at the address in the tests' settings, for the whole session."""
    process = subprocess.Popen(redis_command(settings.DATA_DIR), stdout=subprocess.DEVNULL)
    try:
        with redis.Redis.from_url(settings.REDIS_URL) as client:
            wait_for(lambda: answers(client), 20)
        yield process
    finally:
        process.terminate()
        process.wait(20)


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except (redis.ConnectionError, redis.BusyLoadingError):
        return False


@pytest.fixture(scope="session")
def bucket_server() -> Iterator[str]:
    """The address of a server of the S3 protocol."""
    with running_bucket_server() as server:
        yield server


@pytest.fixture
def bucket(bucket_server: str, settings: Any) -> str:
    """The name of a new bucket, in which the default storage keeps its files."""
    name = new_bucket(bucket_server)
    url = bucket_environment(bucket_server, name)["HOLDFAST_STORAGE_URL"]
    settings.STORAGES = settings.STORAGES | {"default": file_storage(url, KEY_ID, SECRET_KEY)}
    return name


@pytest.fixture
def own_storage(request: pytest.FixtureRequest, settings: Any, tmp_path: Path) -> None:
    """The storage of one test: a folder, or a bucket (tests/buckets/storages.py)."""
    settings.MEDIA_ROOT = tmp_path / "files"
    if getattr(request, "param", "folder") == "bucket":
        request.getfixturevalue("bucket")


@pytest.fixture
def redis_url(redis_server: subprocess.Popen[bytes]) -> Iterator[str]:
    """The URL of the session's Redis, which is emptied after each test that uses it."""
    yield settings.REDIS_URL
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.flushall()


@pytest.fixture
def shared_database(transactional_db: None, tmp_path: Path) -> Iterator[None]:
    """A database that threads can use concurrently.

    The tests' in-memory SQLite fails where a database in a file waits, so it is copied to a file.
    """
    if connection.vendor != "sqlite":
        yield
        return
    path = str(tmp_path / "shared.sqlite3")
    with connection.cursor() as cursor:
        cursor.execute("VACUUM INTO %s", [path])
    in_memory, name = connections["default"], connections.settings["default"]["NAME"]
    connections.settings["default"]["NAME"] = path
    connections["default"] = connections.create_connection("default")
    yield
    connections["default"].close()
    connections.settings["default"]["NAME"] = name
    connections["default"] = in_memory


@pytest.fixture(scope="session", autouse=True)
def no_session_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Closes all connections at the end, because PostgreSQL refuses to drop a database with any."""
    if os.environ.get("HOLDFAST_TEST_DATABASE") != "postgresql":
        yield
        return
    blocker = request.getfixturevalue("django_db_blocker")
    request.getfixturevalue("django_db_setup")
    yield
    with blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.fixture(autouse=True)
def no_offers_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A web process keeps which models have a price, perhaps in the database of an earlier test."""
    if module := sys.modules.get("chat.charging.offered"):
        monkeypatch.setattr(module, "_known", None)


@pytest.fixture(autouse=True)
def new_request_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The application keeps threads with their connections to the database, which may be that of
    an earlier test."""
    if asgi := sys.modules.get("config.asgi"):
        monkeypatch.setattr(asgi.django_application, "_threads", DatabaseThreads())


@pytest.fixture(scope="session")
def browser_path() -> str:
    """Returns the path of a Chromium, which is installed if there is none."""
    return find_browser()


@pytest.fixture(scope="session")
def fake_model() -> Iterator[FakeModel]:
    with running_fake_model() as fake:
        yield fake


@pytest.fixture(scope="session")
def push_service() -> Iterator[PushService]:
    with running_push_service() as running:
        yield running


@pytest.fixture(scope="session")
def stack(fake_model: FakeModel, push_service: PushService) -> Iterator[Stack]:
    """A running stack, shared by all tests that do not change its settings. A test that kills or
    freezes a part waits until it is replaced, or thaws it."""
    env = {
        "ALLOWED_HOSTS": LAN_HOST,
        "PUSH_CONTACT": "operator@example.org",
        "PUSH_SERVICES": push_service.url,
    }
    with Stack(model_url=fake_model.base_url, env=env) as running:
        yield running


@pytest.fixture
def make_stack() -> Iterator[Callable[..., Stack]]:
    """Creates stacks for one test, not started yet. All are stopped after the test."""
    made: list[Stack] = []

    def make(**options: Any) -> Stack:
        made.append(Stack(**options))
        return made[-1]

    yield make
    for created in made:
        created.close()
