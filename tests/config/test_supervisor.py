"""The supervisor with small children: whatever dies, hangs or cannot be started at which moment, it
knows every process, none is left over, and what runs goes on."""

import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from tests.stack import BASE_DIR, clean_environment, wait_for

# Each child writes its number down first. Files in the folder say how the next ones behave.
CHILD = """
import os, signal, sys, time
name, folder = sys.argv[1:]
with open(f"{folder}/started", "a") as file:
    file.write(f"{os.getpid()}\\n")
if os.path.exists(f"{folder}/crash"):
    sys.exit(3)
if os.path.exists(f"{folder}/deaf"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
while os.path.exists(f"{folder}/hang"):
    time.sleep(0.02)
if os.path.exists(f"{folder}/flood"):
    for number in range(300):
        try:
            os.write(1, (b"x" * 100 + b"\\n") * 100)
        except BlockingIOError:
            time.sleep(0.01)
os.write(int(os.environ["HOLDFAST_READY_FD"]), b"ready\\n")
open(f"{folder}/ready", "a").close()
while True:
    signal.pause()
"""
SUPERVISE = """
import asyncio, json, os, sys
from config import bounded_output, child, supervisor
child.REPLACE_READY_S = {ready_s}
supervisor.FIRST_RETRY_S = {retry_s}
bounded_output.install()
plan = json.loads(os.environ.pop("HOLDFAST_PLAN"))
plan["services"] = [child.Service(**each) for each in plan["services"]]
it = supervisor.Supervisor(supervisor.Plan(**plan), watched={watched})
sys.exit(asyncio.run(it.run()))
"""


class Supervised:
    def __init__(
        self, folder, *, names=("web", "worker-1"), ready_s=60, retry_s=600, watched=False
    ):
        self.folder = folder
        self.names = names
        self.lines = []
        self.code = SUPERVISE.format(ready_s=ready_s, retry_s=retry_s, watched=watched)
        self.python = sys.executable
        self.process = self.reader = None

    def launch(self, stdout=subprocess.PIPE):
        plan = {
            "services": [self._service(name) for name in self.names],
            "url": "http://localhost",
            "host": "127.0.0.1",
            "port": 9,
            "run_path": str(self.folder / "run.json"),
            "title": "small",
            "notes": [],
        }
        self.process = subprocess.Popen(
            [self.python, "-c", self.code],
            cwd=BASE_DIR,
            env=clean_environment(HOLDFAST_PLAN=json.dumps(plan)),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.STDOUT,
        )
        if stdout == subprocess.PIPE:
            self.reader = threading.Thread(target=self._read, daemon=True)
            self.reader.start()

    def start(self):
        self.launch()
        wait_for(lambda: self.output.count("| ready") == len(self.names), 60)
        return self

    def _service(self, name):
        return {
            "name": name,
            "argv": [sys.executable, "-ISE", "-c", CHILD, name, str(self.folder)],
            "ready": ["pipe"],
            "stage": 1,
            "stop_within_s": 1.0,
            "reloads": True,
        }

    def _read(self):
        with self.process.stdout as output:
            for line in output:
                self.lines.append(line.decode().rstrip())

    @property
    def output(self):
        return "\n".join(self.lines)

    def said(self, pattern, times=1, within_s=60):
        wait_for(lambda: len(re.findall(pattern, self.output)) >= times, within_s)

    def send(self, number):
        self.process.send_signal(number)

    def stop(self):
        self.send(signal.SIGTERM)
        return self.process.wait(60)

    def behave(self, how, wanted=True):
        path = self.folder / how
        path.touch() if wanted else path.unlink(missing_ok=True)

    def started(self):
        path = self.folder / "started"
        return {int(line) for line in path.read_text().split()} if path.exists() else set()

    def alive(self):
        return {pid for pid in self.started() if is_alive(pid)}

    def hurt(self, choices):
        if victims := sorted(self.alive()):
            os.kill(choices.choice(victims), choices.choice([signal.SIGKILL, signal.SIGTERM]))

    def known(self):
        """By name; empty while nothing is recorded."""
        path = self.folder / "run.json"
        children = json.loads(path.read_text())["children"] if path.exists() else {}
        return {name: pid for name, (pid, _) in children.items()}

    def pid(self, name):
        return self.known()[name]


def is_alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def supervised(tmp_path):
    made = []

    def make(**options):
        made.append(Supervised(tmp_path, **options))
        return made[-1]

    yield make
    for each in made:
        if each.process and each.process.poll() is None:
            each.process.kill()
            each.process.wait(20)
        if each.reader:
            each.reader.join(20)
        for pid in each.alive():
            os.kill(pid, signal.SIGKILL)


def test_it_knows_every_process_whoever_dies_during_whatever(supervised):
    small = supervised(names=("web", "worker-1", "worker-2"), retry_s=0.2).start()
    choices = random.Random(11)
    for _ in range(60):
        steps = [lambda: small.send(signal.SIGHUP), lambda: small.hurt(choices)]
        choices.shuffle(steps)
        for step in steps:
            step()
            time.sleep(choices.choice([0, 0.001, 0.002, 0.004, choices.random() * 0.05]))
    wait_for(lambda: small.alive() == set(small.known().values()) and len(small.alive()) == 3, 60)
    small.send(signal.SIGHUP)
    assert small.stop() == 0
    assert small.alive() == set()


def test_one_that_dies_before_its_successor_is_ready_is_followed_by_that(supervised):
    small = supervised(names=("web",)).start()
    small.behave("hang")
    small.send(signal.SIGHUP)
    wait_for(lambda: len(small.started()) == 2)
    os.kill(small.pid("web"), signal.SIGKILL)
    small.said("before its successor was ready")
    small.behave("hang", wanted=False)
    wait_for(lambda: small.alive() == {small.pid("web")})
    assert len(small.started()) == 2
    assert small.stop() == 0
    assert small.alive() == set()


def test_a_deploy_of_something_broken_leaves_what_runs(supervised):
    small = supervised().start()
    before = small.known()
    small.behave("crash")
    small.send(signal.SIGHUP)
    small.said(r"web +\| not replaced: it ended while starting \(exit status 3\)")
    assert small.known() == before and small.alive() == set(before.values())
    small.behave("crash", wanted=False)
    small.send(signal.SIGHUP)
    small.said("replaced by process", times=2)
    assert small.alive() == set(small.known().values())
    assert not small.alive() & set(before.values())


def test_a_deploy_that_hangs_leaves_what_runs_and_is_tried_again(supervised):
    small = supervised(names=("web",), ready_s=0.5, retry_s=0.3).start()
    before = small.known()
    small.behave("hang")
    small.send(signal.SIGHUP)
    small.said("not replaced: it was not ready within 0.5 s", times=2)
    assert small.known() == before
    small.behave("hang", wanted=False)
    small.said("replaced by process")
    assert small.alive() == set(small.known().values()) != set(before.values())


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits of another process: Linux")
def test_without_descriptors_what_runs_goes_on_until_there_are_some(supervised):
    small = supervised(retry_s=0.3).start()
    before = small.known()
    pid = small.process.pid
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (5, limits[1]))
    small.send(signal.SIGHUP)
    small.said("not replaced: it could not be started .*Too many open files", times=2)
    assert small.known() == before and small.process.poll() is None
    os.kill(before["worker-1"], signal.SIGKILL)
    small.said(r"worker-1 \| could not be started .*Too many open files")
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    small.said(r"web +\| replaced by process")
    wait_for(lambda: len(small.alive()) == 2 and small.alive() == set(small.known().values()), 40)
    assert small.stop() == 0
    assert small.alive() == set()


def test_without_a_python_what_runs_goes_on_until_there_is_one(supervised, tmp_path):
    small = supervised(names=("web",), retry_s=0.3)
    python = tmp_path / "python"
    python.symlink_to(sys.executable)
    small.python = str(python)
    small.start()
    before = small.known()
    python.unlink()
    small.send(signal.SIGHUP)
    small.said("not replaced: it could not be started .*No such file")
    assert small.known() == before and small.alive() == set(before.values())
    python.symlink_to(sys.executable)
    small.said("replaced by process")


def test_a_full_disk_is_no_reason_to_stop(supervised, tmp_path):
    small = supervised(names=("web",)).start()
    (tmp_path / "run.json.new").mkdir()  # As good: it cannot be written.
    os.kill(small.pid("web"), signal.SIGKILL)
    small.said("run.json cannot be written")
    wait_for(lambda: len(small.alive()) == 1)
    assert small.stop() == 0
    assert small.alive() == set()


def test_hanging_up_while_something_starts_replaces_it_once_it_is_there(supervised):
    small = supervised(names=("web",))
    small.behave("hang")
    small.launch()
    wait_for(lambda: len(small.started()) == 1, 30)
    small.send(signal.SIGHUP)
    small.send(signal.SIGHUP)
    small.behave("hang", wanted=False)
    small.said("replaced by process")
    assert small.stop() == 0
    assert small.alive() == set()


@pytest.mark.parametrize("numbers", [(1, 15), (15, 1), (1, 1, 15), (15, 15), (1, 15, 15, 1)])
def test_signals_that_come_together_leave_nothing(supervised, numbers):
    small = supervised().start()
    for number in numbers:
        small.send(number)
    assert small.process.wait(60) == 0
    assert small.alive() == set()


def test_stopping_while_a_successor_starts_ends_both(supervised):
    small = supervised(names=("web",)).start()
    small.behave("hang")
    small.send(signal.SIGHUP)
    wait_for(lambda: len(small.started()) == 2)
    assert small.stop() == 0
    assert small.alive() == set()


def test_what_is_deaf_to_the_signal_is_killed_after_a_while(supervised):
    small = supervised(names=("web",))
    small.behave("deaf")
    small.start()
    small.send(signal.SIGHUP)
    small.said("replaced by process")
    small.said("did not stop within 1 s; killed")
    assert small.stop() == 0
    assert small.alive() == set()


@pytest.mark.parametrize("watched", [False, True])
def test_nothing_outlives_a_supervisor_that_is_killed(supervised, watched):
    """`watched`: as where the kernel does not see to it."""
    if not watched and sys.platform != "linux":
        pytest.skip("the kernel of this system does not")
    small = supervised(watched=watched).start()
    small.behave("hang")
    small.send(signal.SIGHUP)
    wait_for(lambda: len(small.started()) == 3)
    os.kill(small.pid("worker-1"), signal.SIGSTOP)  # What is stopped has to end as well.
    small.process.kill()
    wait_for(lambda: not small.alive(), 15)


# What it prints


def test_nobody_reads_what_it_prints(supervised):
    reader, writer = os.pipe()
    try:
        small = supervised(names=("web",))
        small.behave("flood")  # 3 MB, more than anything holds.
        small.launch(stdout=writer)
        os.close(writer)
        wait_for(lambda: len(small.known()) == 1, 30)
        first = small.pid("web")
        small.send(signal.SIGHUP)
        wait_for(lambda: small.pid("web") != first and small.alive() == {small.pid("web")}, 60)
        assert small.stop() == 0
        assert small.alive() == set()
    finally:
        os.close(reader)


def test_who_read_what_it_prints_has_gone(supervised):
    reader, writer = os.pipe()
    small = supervised(names=("web",))
    small.behave("flood")
    small.launch(stdout=writer)
    os.close(writer)
    os.close(reader)
    wait_for(lambda: (small.folder / "ready").exists(), 30)
    first = small.pid("web")
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: small.pid("web") != first, 30)
    assert small.stop() == 0
    assert small.alive() == set()
