"""The supervisor with small children that die, hang or cannot be started at any moment: it knows
every process, leaves none behind, and the others go on."""

import os
import random
import resource
import signal
import sys
import time

import pytest

from tests.config.supervise.supervised import Supervised, eventually


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
            each.process.wait(120)
        if each.reader:
            each.reader.join(20)
        for pid in each.alive():
            os.kill(pid, signal.SIGKILL)


def test_it_knows_every_process_whichever_one_dies_at_any_moment(supervised):
    small = supervised(names=("web", "worker-1", "worker-2"), retry_s=0.2).start()
    choices = random.Random(11)
    for _ in range(60):
        steps = [lambda: small.send(signal.SIGHUP), lambda: small.hurt(choices)]
        choices.shuffle(steps)
        for step in steps:
            step()
            time.sleep(choices.choice([0, 0.001, 0.002, 0.004, choices.random() * 0.05]))
    eventually(lambda: small.alive() == set(small.known().values()) and len(small.alive()) == 3)
    small.send(signal.SIGHUP)
    assert small.stop() == 0
    assert small.alive() == set()


def test_a_process_that_dies_before_its_successor_is_ready_is_replaced_by_it(supervised):
    small = supervised(names=("web",)).start()
    small.behave("hang")
    small.send(signal.SIGHUP)
    eventually(lambda: len(small.started()) == 2)
    os.kill(small.pid("web"), signal.SIGKILL)
    small.said("before its successor was ready")
    small.behave("hang", wanted=False)
    eventually(lambda: small.alive() == {small.pid("web")})
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
    small.said("not replaced: it was not ready within 0.5 s")
    small.said("not replaced: it was not ready within 1 s")
    assert small.known() == before
    small.behave("hang", wanted=False)
    small.said("replaced by process")
    assert small.alive() == set(small.known().values()) != set(before.values())


def test_a_deploy_on_a_machine_that_is_too_slow_for_the_limit_comes_to_its_end(supervised):
    small = supervised(names=("web",), ready_s=0.5, retry_s=0.1).start()
    before = small.known()
    small.behave("slow")
    small.send(signal.SIGHUP)
    small.said("not replaced: it was not ready within 0.5 s")
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
    eventually(lambda: len(small.alive()) == 2 and small.alive() == set(small.known().values()))
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
    (tmp_path / "run.json.new").mkdir()  # So run.json cannot be written.
    os.kill(small.pid("web"), signal.SIGKILL)
    small.said("run.json cannot be written")
    eventually(lambda: len(small.alive()) == 1)
    assert small.stop() == 0
    assert small.alive() == set()


def test_hanging_up_while_something_starts_replaces_it_once_it_is_there(supervised):
    small = supervised(names=("web",))
    small.behave("hang")
    small.launch()
    eventually(lambda: len(small.started()) == 1)
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
    assert small.process.wait(120) == 0, small.output
    assert small.alive() == set()


def test_stopping_while_a_successor_starts_ends_both(supervised):
    small = supervised(names=("web",)).start()
    small.behave("hang")
    small.send(signal.SIGHUP)
    eventually(lambda: len(small.started()) == 2)
    assert small.stop() == 0
    assert small.alive() == set()


def test_a_process_that_ignores_the_signal_is_killed_after_a_while(supervised):
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
    """`watched`: for systems whose kernel does not end the children."""
    if not watched and sys.platform != "linux":
        pytest.skip("the kernel of this system does not")
    small = supervised(watched=watched).start()
    small.behave("hang")
    small.send(signal.SIGHUP)
    eventually(lambda: len(small.started()) == 3)
    os.kill(small.pid("worker-1"), signal.SIGSTOP)  # A stopped process has to end, too.
    small.process.kill()
    eventually(lambda: not small.alive())


# Output


def test_nobody_reads_what_it_prints(supervised):
    reader, writer = os.pipe()
    try:
        small = supervised(names=("web",))
        small.behave("flood")  # 3 MB, more than any buffer.
        small.launch(stdout=writer)
        os.close(writer)
        eventually(lambda: len(small.known()) == 1)
        first = small.pid("web")
        small.send(signal.SIGHUP)
        eventually(lambda: small.pid("web") != first and small.alive() == {small.pid("web")})
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
    eventually(lambda: len(small.known()) == 1)
    first = small.pid("web")
    small.send(signal.SIGHUP)  # Handled once the first one is ready.
    eventually(lambda: small.pid("web") != first and small.alive() == {small.pid("web")})
    second = small.pid("web")
    os.kill(second, signal.SIGKILL)
    eventually(lambda: small.pid("web") != second)
    assert small.stop() == 0
    assert small.alive() == set()
