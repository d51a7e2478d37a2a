"""The users of a data folder are recognized by its lock, never by the files in the folder."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from config.supervise import data_folder
from config.supervise.data_folder import (
    DataFolderError,
    claim,
    leftovers,
    read_run,
    running,
    stop_leftovers,
)
from streams.server.embedded import redis_command
from tests.stack import wait_for

SLEEP = [sys.executable, "-ISE", "-c", "import signal; print('up', flush=True); signal.pause()"]
DEAF = [SLEEP[0], "-ISE", "-c", "import signal; signal.signal(15, signal.SIG_IGN);" + SLEEP[3]]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def process():
    """Starts a process that has the lock of a folder open, like a child of `up`."""
    started = []

    def start(folder=None, argv=SLEEP):
        locks = claim(folder) if folder else []
        made = subprocess.Popen(
            argv, pass_fds=locks, stdout=subprocess.PIPE, start_new_session=True
        )
        made.stdout.readline()
        for lock in locks:
            os.close(lock)
        # Reaps it at once, as init would.
        threading.Thread(target=made.wait, daemon=True).start()
        started.append(made)
        return made

    yield start
    for made in started:
        if psutil.pid_exists(made.pid):
            os.killpg(made.pid, signal.SIGKILL)
        made.wait()
        made.stdout.close()


def record(folder, children, pid=999_999, **more):
    run = {"pid": pid, "url": "http://x", "children": children} | more
    (folder / "run.json").write_text(json.dumps(run))


def test_it_waits_for_what_a_killed_start_left_and_that_ends_by_itself(folder, process):
    left = process(folder)
    record(folder, {"web": [left.pid, time.time()]})
    threading.Timer(0.3, left.kill).start()
    locks = claim(folder)
    assert left.wait(60) == -signal.SIGKILL
    os.close(locks[0])


@pytest.mark.parametrize("argv", [SLEEP, DEAF])
def test_it_ends_what_a_killed_start_left_and_that_does_not_end(folder, process, argv, monkeypatch):
    monkeypatch.setattr(data_folder, "LEFTOVER_END_S", 0.1)
    monkeypatch.setattr(data_folder, "LEFTOVER_STOP_S", 0.5)
    left, other = process(folder, argv), process()
    record(folder, {"redis": [left.pid, 0], "web": [other.pid, 0]})
    os.close(claim(folder)[0])
    left.wait(60)  # A signal ends it.
    assert other.poll() is None  # Recorded, but it does not belong to this folder.


def test_the_processes_of_the_original_are_nothing_to_a_copy(folder, process, tmp_path):
    original = process(folder)
    record(folder, {"redis": [original.pid, time.time()]}, pid=original.pid)
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-a", str(folder), str(copy)], check=True)
    locks = claim(copy)
    assert leftovers(copy) == {} == running(copy)
    assert stop_leftovers(copy) == []
    assert original.poll() is None
    assert set(running(folder)) == {"redis"}
    os.close(locks[0])


def test_a_folder_that_was_moved_keeps_its_processes(folder, process, tmp_path):
    left = process(folder)
    record(folder, {"redis": [left.pid, 0]})
    folder.rename(tmp_path / "moved")
    assert set(running(tmp_path / "moved")) == {"redis"}


def test_what_a_child_has_started_is_known_by_its_session(folder, process):
    fork = "import os, signal; os.fork(); print('up', flush=True); signal.pause()"
    left = process(folder, [sys.executable, "-ISE", "-c", fork])
    record(folder, {"redis": [left.pid, 0]})
    wait_for(lambda: len(leftovers(folder)) == 2, 60)
    left.kill()
    left.wait()
    wait_for(lambda: len(leftovers(folder)) == 1, 60)
    [(name, child)] = leftovers(folder).items()
    assert name == f"redis (its process {child.pid})"
    assert stop_leftovers(folder) == [name]


def test_the_number_of_another_process_is_not_believed(folder):
    claimed = claim(folder)
    record(folder, {"redis": [os.getpid(), 0], "web": [1, 0], "worker-1": [os.getppid(), 0]})
    assert stop_leftovers(folder) == []
    os.close(claimed[0])


def test_what_an_earlier_release_left_is_known_without_a_lock(folder, tmp_path, monkeypatch):
    """A Redis left in the folder would write to the same file as the next one."""
    monkeypatch.setenv("HOLDFAST_DATA", str(folder))
    began = time.time()
    left = subprocess.Popen(SLEEP, stdout=subprocess.PIPE, start_new_session=True)
    threading.Thread(target=left.wait, daemon=True).start()
    try:
        record(folder, {"redis": [left.pid, began]})
        subprocess.run(["cp", "-a", str(folder), str(tmp_path / "copy")], check=True)
        for other in (tmp_path / "copy", folder):
            locks = claim(other)
            if other == folder:
                assert set(running(folder)) == {"redis"}
            assert stop_leftovers(other) == (["redis"] if other == folder else [])
            os.close(locks[0])
        left.wait(60)
    finally:
        left.kill()
        left.stdout.close()


def test_the_number_of_it_is_not_believed_with_another_time(folder, process, monkeypatch):
    monkeypatch.setenv("HOLDFAST_DATA", str(folder))
    other = process()
    record(folder, {"redis": [other.pid, time.time() - 60]})
    locks = claim(folder)
    assert stop_leftovers(folder) == [] and other.poll() is None
    os.close(locks[0])


def test_one_that_runs_is_named(folder, process):
    run = process(folder)
    record(folder, {}, pid=run.pid)
    with pytest.raises(DataFolderError, match=rf"already running on .*\(process {run.pid}, http"):
        claim(folder)
    assert run.poll() is None


def test_one_that_is_just_starting_is_left_alone(folder, process):
    """It holds the lock and has recorded nothing."""
    run = process(folder)
    with pytest.raises(DataFolderError, match="already running"):
        claim(folder)
    assert run.poll() is None


HOSTILE = [
    "",
    "{",
    "null",
    "[]",
    "3",
    '"x"',
    "[" * 100_000,
    '{"children": null}',
    '{"children": []}',
    '{"children": {"redis": null}}',
    '{"children": {"redis": []}}',
    '{"children": {"redis": [-1, 0]}}',
    '{"children": {"redis": [0, 0]}}',
    '{"children": {"redis": [1, 0]}}',
    '{"children": {"redis": [true, 0]}}',
    '{"children": {"redis": ["12", 0]}}',
    '{"children": {"redis": [1.5, 0]}}',
    '{"children": {"redis": [99999999999999999999, 0]}}',
    '{"pid": {}, "url": [], "children": {"": [4194305, "x"]}, "others": {"a": 1}}',
    '{"pid": -1, "others": [[-1], [], 3, null, ["x"]]}',
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nonsense_in_the_record_is_nothing(folder, text):
    (folder / "run.json").write_text(text)
    run = read_run(folder)
    assert run.pid == 0 and all(pid > 1 for pid in run.children.values()) and run.others == []
    assert running(folder) == leftovers(folder) == {}
    assert stop_leftovers(folder) == []
    os.close(claim(folder)[0])


@pytest.mark.parametrize("content", [b"\xff\xfe", b"\x00" * 50])
def test_bytes_that_are_no_text_neither(folder, content):
    (folder / "run.json").write_bytes(content)
    assert read_run(folder).children == {}


def test_a_record_that_is_a_folder_neither(folder):
    (folder / "run.json").mkdir()
    assert read_run(folder).children == {}
    data_folder.forget_run(folder)


@pytest.mark.parametrize("name", ["redis", "db.sqlite3"])
def test_a_copy_that_shares_a_part_with_its_original_is_refused(tmp_path, name):
    place = tmp_path / "elsewhere"
    place.mkdir() if name == "redis" else place.touch()
    for data in ("data", "copy"):
        (tmp_path / data).mkdir()
        (tmp_path / data / name).symlink_to(place)
    locks = claim(tmp_path / "data")
    with pytest.raises(DataFolderError, match=rf"{name} is a link to {place}, which another"):
        claim(tmp_path / "copy")
    for lock in locks:
        os.close(lock)
    for lock in claim(tmp_path / "copy"):
        os.close(lock)


def test_a_format_that_was_cut_off_by_a_full_disk_is_written_again(folder):
    (folder / "format").touch()
    os.close(claim(folder)[0])
    assert (folder / "format").read_text() == f"{data_folder.FORMAT}\n"


def test_the_lock_is_of_the_folder_by_whatever_path(folder, tmp_path, monkeypatch):
    locks = claim(folder)
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / "link", type(folder)("data"), folder / ".." / "data"):
        with pytest.raises(DataFolderError, match="already running"):
            claim(path)
    os.close(locks[0])


@pytest.mark.parametrize("name", ["a b", "q\"uo'te", "line\nbreak", "back\\slash", "ü例", "#%$?&"])
def test_redis_runs_in_a_folder_of_any_name(tmp_path, name):
    data = tmp_path / name
    argv = redis_command(data)
    redis = subprocess.Popen([*argv, "--loglevel", "warning"], stdout=subprocess.DEVNULL)
    try:
        wait_for((data / "redis" / "redis.sock").exists, 60)
        assert not [entry for entry in tmp_path.iterdir() if entry.name != name]
    finally:
        redis.terminate()
        redis.wait(20)
