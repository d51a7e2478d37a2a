"""What Holdfast does while nobody uses it: next to nothing."""

import contextlib
import time

import redis

from config.env import embedded_redis_url
from tests.bench.bench import DATABASES
from tests.stack import Stack, wait_for

# `manage.py up` opens the file, too, so the name cannot be imported from the settings it selects.
FILE = "HOLDFAST_TEST_STATEMENTS"
QUIET_S, WATCH_S = 3.0, 20.0


class Watch:
    """Counts the statements and commands of all processes of a stack."""

    def __init__(self, stack, file):
        self._file = file
        self._redis = redis.Redis.from_url(embedded_redis_url(stack.data))

    def statements(self):
        return self._file.stat().st_size

    def commands(self):
        """The commands that clients have sent, without those that scripts execute."""
        calls = self._redis.info("commandstats")
        sent = ("evalsha", "xread", "publish", "script|load")
        return sum(calls.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in sent)

    def wait_quiet(self):
        """Waits until nothing has been executed for a while: each worker begins with all chores."""
        last = [self.statements(), time.monotonic()]

        def is_quiet():
            if (count := self.statements()) != last[0]:
                last[:] = [count, time.monotonic()]
            return time.monotonic() - last[1] > QUIET_S

        wait_for(is_quiet, 60)


def test_an_idle_stack_hardly_uses_its_database_and_redis(tmp_path, monkeypatch):
    """On both databases at once, because most of the time of this test is waiting."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with contextlib.ExitStack() as parts:
        watches = []
        for name, database in DATABASES.items():
            setting, _ = parts.enter_context(database())
            file = tmp_path / name
            counted = {"DJANGO_SETTINGS_MODULE": "tests.counted_settings", FILE: str(file)}
            # A model that is never asked.
            stack = Stack(model_url="http://127.0.0.1:9/v1", env=setting | counted)
            watches.append(Watch(parts.enter_context(stack), file))
        for watch in watches:
            watch.wait_quiet()
        before = [(watch.statements(), watch.commands()) for watch in watches]
        time.sleep(WATCH_S)
        for watch, (statements, commands) in zip(watches, before, strict=True):
            assert 0 < watch.statements() - statements <= WATCH_S
            assert watch.commands() - commands <= 5 * WATCH_S
