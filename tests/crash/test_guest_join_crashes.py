"""Kills the process in which a guest joins an account, at each of its steps."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from streams.server.embedded import redis_command
from tests.stack import BASE_DIR, clean_environment, migrated, wait_for

DRIVER = Path(__file__).with_name("join_driver.py")
STEPS = 12


@pytest.fixture
def data(tmp_path_factory):
    """A data folder with a database and a running Redis, and nothing else of Holdfast."""
    folder = Path(tmp_path_factory.mktemp("hfj", numbered=True))
    env = clean_environment(HOLDFAST_DATA=str(folder))
    shutil.copy(migrated(), folder)
    server = subprocess.Popen(redis_command(folder), stdout=subprocess.DEVNULL)
    try:
        with redis.Redis(unix_socket_path=str(folder / "redis" / "redis.sock")) as client:
            wait_for(lambda: _pings(client), 30)
        yield env
    finally:
        server.terminate()
        server.wait(30)


def _pings(client):
    try:
        return client.ping()
    except redis.ConnectionError:
        return False


def test_a_process_killed_at_any_step_loses_and_doubles_nothing(data):
    done = subprocess.run(
        [sys.executable, str(DRIVER), str(STEPS)],
        env=data | {"PYTHONPATH": str(BASE_DIR), "DJANGO_SETTINGS_MODULE": "config.settings"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["killed"] >= 6
    assert len(result["joins"]) in (result["killed"], result["killed"] + 1)
    for join in result["joins"]:
        assert join["before"] == join["after"], join
        assert not join["doubled"] and not join["guest_left"] and join["finished"]
