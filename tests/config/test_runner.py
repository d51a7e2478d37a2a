"""`manage.py test`: its processes, its counts and retries, and that nothing is left behind."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import psutil
import pytest

from tests.runner import contained, postgresql, run
from tests.scheduling import APART, LONGEST, rank_of, unit_of
from tests.stack import BASE_DIR, MANAGE, clean_environment, wait_for

FAILS_ONCE = """
    from pathlib import Path
    import pytest

    SEEN = Path({folder!r}) / "seen"

    @pytest.mark.parametrize("number", range(6))
    def test_well(number):
        pass

    def test_fails_once():
        SEEN.touch() if (first := not SEEN.exists()) else None
        assert not first

    @pytest.mark.skip
    def test_skipped():
        pass

    @pytest.mark.full
    def test_too_long_for_the_gate():
        pass
"""


@pytest.fixture
def folder():
    """A folder with a short name, for sockets, and outside the folders that pytest collects."""
    with tempfile.TemporaryDirectory(prefix="hf-") as name:
        yield Path(name)


@pytest.fixture
def some_tests(folder):
    """Writes a file of tests that uses the project's settings and fixtures."""
    path = BASE_DIR / ".test" / folder.name / "test_made.py"
    path.parent.mkdir(parents=True)

    def write(source):
        path.write_text(textwrap.dedent(source).replace("{folder!r}", repr(str(folder))))
        return str(path.relative_to(BASE_DIR))

    yield write
    shutil.rmtree(path.parent)


def command(*arguments):
    plugins = ["-p", "no:cacheprovider", "-p", "tests.conftest"]
    return [sys.executable, MANAGE, "test", "-q", *plugins, *arguments]


def manage_test(*arguments, **more):
    env = clean_environment(**more)
    return subprocess.run(command(*arguments), env=env, capture_output=True, text=True)


def test_full_runs_all_tries_again_what_fails_counts_it_and_lists_the_slowest(some_tests):
    done = manage_test("-n", "1", "--retry", "--full", "--durations", some_tests(FAILS_ONCE))
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == "8 passed, 0 failed, 1 skipped, 1 of them only when repeated"
    assert lines[-2].startswith("passed only when repeated: ")
    assert lines[-2].endswith("test_made.py::test_fails_once")
    # The slowest files and tests of each run: on SQLite, repeated, and on PostgreSQL.
    assert done.stdout.count("slowest; ") == 3
    for name in (r"\S+test_made\.py", r"\S+::test_too_long_for_the_gate"):
        assert re.search(rf"^ +\d+\.\d s  {name}$", done.stdout, re.MULTILINE)


TOO_LONG = """
    import pytest

    def test_for_the_gate():
        pass

    def test_fails():
        assert False

    @pytest.mark.full
    def test_too_long_for_it():
        pass
"""


def test_the_gate_leaves_out_what_is_too_long_and_does_not_repeat_what_fails(some_tests):
    path = some_tests(TOO_LONG)
    names = ("test_for_the_gate", "test_fails", "test_too_long_for_it")
    done = manage_test(*(f"{path}::{name}" for name in names))
    assert done.returncode == 1, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == "1 passed, 1 failed"
    assert "slowest; " not in done.stdout


FOR_BOTH = """
    import pytest

    @pytest.mark.both_databases
    def test_that_postgresql_can_break(db):
        pass

    def test_that_it_cannot_break(db):
        pass

    def test_without_a_database():
        pass
"""


def test_the_gate_runs_what_is_marked_on_both_databases(some_tests):
    def run_on_postgresql(**environment):
        more = {"HOLDFAST_TEST_DATABASE": "postgresql", "HOLDFAST_TEST_DIRECTS": "1"} | environment
        plugins = ["-p", "no:cacheprovider", "-p", "tests.conftest"]
        collect = [sys.executable, "-m", "pytest", "--collect-only", "-q", *plugins, path]
        done = subprocess.run(
            collect, env=clean_environment(**more), cwd=BASE_DIR, capture_output=True, text=True
        )
        return [line.split("::")[1] for line in done.stdout.splitlines() if "::" in line]

    path = some_tests(FOR_BOTH)
    marked, not_marked = "test_that_postgresql_can_break", "test_that_it_cannot_break"
    assert run_on_postgresql() == [marked]
    assert run_on_postgresql(HOLDFAST_TEST_NAMED="1") == [marked, not_marked]


def test_programs_of_the_administrator_are_found_or_named(monkeypatch, folder):
    """The PATH of a service may lack /usr/sbin, where `useradd` is."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(postgresql, "USER", "nobody-has-this-name")
    monkeypatch.setattr(postgresql, "ADMINISTRATION", (str(folder),))
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(postgresql.PostgresqlError, match="apt install passwd") as told:
        postgresql.prepare()
    assert "\n" not in str(told.value)
    useradd = folder / "useradd"
    useradd.touch(mode=0o755)
    postgresql.prepare()
    assert shutil.which("useradd") == str(useradd)


def test_what_does_not_exist_is_a_failure():
    done = manage_test("tests/there_is_no_such_test.py")
    assert done.returncode > 1
    assert done.stdout.splitlines()[-1] == "0 passed, 2 failed"


def test_how_many_processes(monkeypatch):
    monkeypatch.setattr(run, "cores", lambda: 2)
    monkeypatch.delenv("HOLDFAST_TEST_PROCESSES", raising=False)
    assert (run.processes(everything=True), run.processes(everything=False)) == ("4", "0")
    monkeypatch.setattr(run, "cores", lambda: 64)
    assert run.processes(everything=True) == str(run.MOST_PROCESSES)
    monkeypatch.setenv("HOLDFAST_TEST_PROCESSES", "5")
    assert (run.processes(everything=True), run.processes(everything=False)) == ("5", "0")


def test_files_stay_together_and_the_longest_work_comes_first():
    crash = "tests/crash/test_kill_run.py::test_a[x::y]"
    nodes = [
        "tests/chat/web/test_views.py::test_b[1]",
        "tests/chat/web/test_views.py::test_c",
        crash,
    ]
    units = sorted({unit_of(node) for node in nodes}, key=rank_of)
    assert units == [crash, "tests/chat/web/test_views.py"]
    files = [f"/{path.relative_to(BASE_DIR)}" for path in (BASE_DIR / "tests").rglob("*.py")]
    assert all(any(f"/{name}" in file for file in files) for name in (*LONGEST, *APART))


def test_a_second_try_keeps_the_options_and_selects_nothing():
    given = ["-x", "-k", "stop", "-m", "postgresql", "-p", "no:cacheprovider", "--maxfail=3"]
    kept = ["-x", "-p", "no:cacheprovider", "--maxfail=3"]
    assert run.options([*given, "tests/chat", "-kstop"]) == kept
    assert run.options(kept) == kept


LEAVES = """
    import os, signal, subprocess, sys, tempfile, time
    started = subprocess.Popen(["sleep", "300"], start_new_session=True)
    tempfile.mkdtemp()
    print(started.pid, os.environ["TMPDIR"], flush=True)
    signal.signal(signal.SIGINT, lambda *_: sys.exit(3))
    time.sleep({seconds})
    sys.exit(3)
"""


CONTAINS = """
    import os, sys
    from pathlib import Path
    from tests.runner import contained
    contained.PATIENCE_S[0] = 0.1
    with contained.own_folder() as folder:
        command = [sys.executable, "-c", sys.argv[1]]
        status = contained.run(command, cwd=Path("."), env=os.environ | {"TMPDIR": str(folder)})
    sys.exit(status)
"""


def containing(seconds):
    """Runs a command that leaves a process and a file; returns their pid and folder."""
    script = textwrap.dedent(LEAVES).format(seconds=seconds)
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CONTAINS), script],
        cwd=BASE_DIR,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process.stdout:
        pid, folder = process.stdout.readline().split()
    return process, int(pid), Path(folder)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives orphans to their grandparent")
def test_nothing_is_left_of_what_ended():
    process, pid, folder = containing(seconds=0)
    assert process.wait(30) == 3
    assert not psutil.pid_exists(pid)
    assert not folder.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives orphans to their grandparent")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_of_what_is_interrupted(number):
    process, pid, folder = containing(seconds=300)
    process.send_signal(number)
    assert process.wait(30) == contained.INTERRUPTED
    assert not psutil.pid_exists(pid)
    assert not folder.exists()


WAITS = """
    from pathlib import Path
    import time, os

    def test_waits_with_all_that_is_costly(transactional_db, redis_url, stack):
        numbers = [str(pid) for pid in (os.getpid(), *stack.processes().values())]
        (Path({folder!r}) / "new").write_text(" ".join(numbers))
        (Path({folder!r}) / "new").rename(Path({folder!r}) / "running")
        time.sleep(300)
"""


def test_an_interrupted_run_ends_its_stack_and_says_so(some_tests, folder):
    started = subprocess.Popen(
        command("-n", "1", some_tests(WAITS)),
        env=clean_environment() | {"TMPDIR": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    running = folder / "running"
    wait_for(lambda: running.exists() or started.poll() is not None, 120)
    started.send_signal(signal.SIGINT)
    output, _ = started.communicate(timeout=120)
    numbers = [int(number) for number in running.read_text().split()] if running.exists() else []
    assert started.returncode == contained.INTERRUPTED, output
    assert numbers
    assert "PostgreSQL" not in output
    assert not any(psutil.pid_exists(number) for number in numbers)
    assert list(folder.glob("hf-*")) == []
