"""The queue of SQLite's writers: one turn at a time, in all threads and processes."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from config.sqlite import write_queue
from config.sqlite.write_queue import WriteQueue

ROOT = Path(__file__).resolve().parents[3]
COUNT = """
import sys
from config.sqlite.write_queue import WriteQueue
queue = WriteQueue(sys.argv[1])
for _ in range(int(sys.argv[2])):
    assert queue.acquire(60)
    with open(sys.argv[1], "r+") as file:
        count = int(file.read())
        file.seek(0)
        file.write(str(count + 1))
    queue.release()
"""
HOLD = """
import sys, time
from config.sqlite.write_queue import WriteQueue
queue = WriteQueue(sys.argv[1])
assert queue.acquire(60)
print("holding", flush=True)
sys.stdin.read()
queue.release()
"""


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "db.sqlite3"
    path.write_text("0")
    return str(path)


def start(code, *args):
    return subprocess.Popen(
        [sys.executable, "-c", code, *args],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def holder(database):
    """Another process, whose turn it is until its stdin is closed."""
    with start(HOLD, database) as process:
        assert process.stdout.readline() == "holding\n"
        yield process
        process.kill()


def test_processes_take_turns(database):
    processes = [start(COUNT, database, "100") for _ in range(4)]
    for process in processes:
        process.communicate(timeout=120)
        assert process.returncode == 0
    assert Path(database).read_text() == "400"


def test_threads_take_turns(database):
    queue = WriteQueue(database)
    inside, most = [], []

    def work():
        for _ in range(200):
            assert queue.acquire(60)
            inside.append(1)
            most.append(len(inside))
            inside.pop()
            queue.release()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 800
    assert max(most) == 1


def test_a_turn_that_does_not_come_in_time_is_refused(database, holder):
    queue = WriteQueue(database)
    assert not queue.acquire(0.05)
    holder.stdin.close()
    assert queue.acquire(60)


def test_a_killed_process_loses_its_turn(database, holder):
    os.kill(holder.pid, signal.SIGKILL)
    assert WriteQueue(database).acquire(60)


def test_waiting_ends_without_a_wake_up(database, holder, monkeypatch):
    """A holder that was killed wakes nobody."""
    monkeypatch.setattr(write_queue, "CHECK_AGAIN_S", 0.01)
    queue = WriteQueue(database)
    timer = threading.Timer(0.2, holder.kill)
    timer.start()
    assert queue.acquire(60)
    timer.join()


def test_a_file_system_without_named_pipes(database, holder, monkeypatch):
    def refuse(path, mode):
        raise PermissionError

    monkeypatch.setattr(os, "mkfifo", refuse)
    os.unlink(f"{database}-wakeups")
    queue = WriteQueue(database)
    assert not queue.acquire(0.05)
    holder.stdin.close()
    assert queue.acquire(60)
    queue.release()
