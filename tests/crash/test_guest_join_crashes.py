"""A guest joins an account in a process that is really killed, at each of its steps."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from streams.server.embedded import redis_command
from tests.stack import BASE_DIR, MANAGE, clean_environment, wait_for

DRIVER = Path(__file__).with_name("join_driver.py")
STEPS = 12


@pytest.fixture
def data(tmp_path_factory):
    """A data folder with a database and a running Redis, and nothing else of Holdfast."""
    folder = Path(tmp_path_factory.mktemp("hfj", numbered=True))
    env = clean_environment(HOLDFAST_DATA=str(folder))
    subprocess.run([sys.executable, MANAGE, "migrate", "-v0"], env=env, check=True, timeout=120)
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


def drive(env, *arguments):
    return subprocess.run(
        [sys.executable, str(DRIVER), *map(str, arguments)],
        env=env | {"PYTHONPATH": str(BASE_DIR), "DJANGO_SETTINGS_MODULE": "config.settings"},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_process_killed_at_any_step_loses_and_doubles_nothing(data):
    killed = 0
    for step in range(1, STEPS + 1):
        ended = drive(data, "join", step)
        assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
        killed += ended.returncode == -signal.SIGKILL
        if ended.returncode == 0:
            break
    assert killed >= 6
    checked = drive(data, "finish")
    assert checked.returncode == 0, checked.stderr
    joins = json.loads(checked.stdout.splitlines()[-1])
    assert len(joins) == step
    for join in joins:
        assert join["before"] == join["after"], join
        assert not join["doubled"] and not join["guest_left"] and join["finished"]
