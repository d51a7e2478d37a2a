"""A complete stack of real processes: `manage.py up`, with methods to kill, freeze and stop parts.

with Stack(tmp_path, model_url=fake.base_url) as stack:
    requests.get(stack.url); stack.kill("worker-1"); stack.wait_replaced("worker-1", pid)
"""

import atexit
import contextlib
import fcntl
import functools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self

import httpx2

BASE_DIR = Path(__file__).resolve().parent.parent
MANAGE = str(BASE_DIR / "manage.py")
READY = re.compile(r"Holdfast is ready: (\S+)")
# Long enough to collect the static files again on a busy machine.
START_S, STOP_S = 120.0, 40.0
DATABASE = "db.sqlite3"


def clean_environment(**more: str) -> dict[str, str]:
    """Returns the variables that any process needs and `more`, without Holdfast's configuration."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    own = {"HOLDFAST_ENV_FILE": "", "HOLDFAST_BOOTSTRAP": "False", "PYTHONUNBUFFERED": "1"}
    return kept | own | more


# Turns off the limits, because many people of the tests and the bench share one address.
UNLIMITED = {
    "LIMIT_GUESTS_PER_HOUR_ADDRESS": "0",
    "LIMIT_GUESTS_PER_DAY_ADDRESS": "0",
    "LIMIT_SIGN_UPS_PER_DAY_ADDRESS": "0",
    "LIMIT_SENDS_PER_MINUTE_ADDRESS": "0",
    "LIMIT_SENDS_PER_MINUTE_GUEST": "0",
    "LIMIT_SENDS_PER_DAY_GUEST": "0",
    "CONNECTIONS_AT_ONCE_ADDRESS": "0",
    "LIMIT_STORED_BYTES_GUEST": "0",
    "LIMIT_GUEST_BYTES_PER_DAY_ADDRESS": "0",
    "LIMIT_CHAT_BYTES": "0",
    "LIMIT_SOCKETS_PER_MINUTE_ADDRESS": "0",
    "LIMIT_SOCKETS_PER_MINUTE_USER": "0",
    "SOCKETS_AT_ONCE_ADDRESS": "0",
}


@functools.cache
def migrated() -> Path:
    """Returns the path of an empty, migrated database, created once to save each stack a second.
    The processes of a run share it in the folder that `manage.py test` makes for them."""
    if shared := os.environ.get("HOLDFAST_TEST_SHARED"):
        data = Path(shared, "migrated")
    else:
        data = Path(tempfile.mkdtemp(prefix="hf-migrated-"))
        atexit.register(shutil.rmtree, data, ignore_errors=True)
    data.mkdir(exist_ok=True)
    with (data / "migrated.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (data / "is-migrated").exists():
            _migrate(data)
            (data / "is-migrated").touch()
    return data / DATABASE


def _migrate(data: Path) -> None:
    command = [sys.executable, MANAGE, "migrate", "--verbosity=0"]
    subprocess.run(command, env=clean_environment(HOLDFAST_DATA=str(data)), cwd="/", check=True)


class Stack:
    """`model_url` is an OpenAI-compatible endpoint (".../v1"); more settings by `env`. With
    `unlimited` (the default) the limits on what one person or address may do are off.

    `processes()` names redis, web, worker-1, worker-2, ... and, without `model_url`, model. The
    data folder and the port stay the same over stop() and start(). A folder given as `data` is left
    as it is, so `up` creates its contents; the stack's own folder starts with a migrated database.
    """

    def __init__(
        self,
        data: Path | None = None,
        *,
        model_url: str = "",
        workers: int = 2,
        env: dict[str, str] | None = None,
        unlimited: bool = True,
    ) -> None:
        self._own_data = data is None
        self.data = data or Path(tempfile.mkdtemp(prefix="hf-stack-"))
        if self._own_data:
            shutil.copy(migrated(), self.data)
        self.workers = workers
        self.env = clean_environment(**(UNLIMITED if unlimited else {}) | (env or {}))
        if model_url:
            self.env |= {"OPENAI_BASE_URL": model_url, "OPENAI_API_KEY": "sk-test"}
        self.port = 0
        self.url = ""
        self.lines: list[str] = []
        self.earlier_lines: list[str] = []  # the output of earlier runs of `up`
        self.up: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    # Lifecycle

    def start(self) -> Self:
        """Starts `up`; returns once the URL responds."""
        self.launch()
        deadline = time.monotonic() + START_S
        while not (found := self.find(READY)):
            if self._ended() or time.monotonic() > deadline:
                self.close()
                raise AssertionError("`up` did not get ready:\n" + self.output)
            time.sleep(0.02)
        self.url = found.group(1)
        self.port = int(self.url.rsplit(":", 1)[1])
        return self

    def ensure_ready(self) -> Self:
        """Starts it unless it runs; returns once it is ready. For tests that share a stack and
        kill or stop its processes."""
        if self._ended():
            self.start()
        wait_for(self.is_ready, START_S)
        return self

    def is_ready(self) -> bool:
        """Whether /readyz says so; False if it does not answer, as on a busy machine."""
        with contextlib.suppress(httpx2.TransportError):
            return httpx2.get(f"{self.url}/readyz").status_code == HTTPStatus.OK
        return False

    def launch(self) -> None:
        """Starts `up` without waiting."""
        assert self.up is None or self._ended()
        self.earlier_lines += self.lines
        self.lines = []
        options = ["--port", str(self.port), "--data", str(self.data)]
        command = [sys.executable, MANAGE, "up", *options, "--workers", str(self.workers)]
        self.up = subprocess.Popen(
            command,
            cwd="/",
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Stops `up` and waits for all processes; returns its exit status."""
        assert self.up is not None
        self.up.send_signal(number)
        return self.wait()

    def wait(self, timeout_s: float = STOP_S) -> int:
        assert self.up is not None
        status = self.up.wait(timeout_s)
        assert self._reader is not None
        self._reader.join(timeout_s)
        return status

    def close(self) -> None:
        """Kills all processes that are still running."""
        if self.up is not None and not self._ended():
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                for pid in self.processes().values():
                    _signal(pid, signal.SIGKILL)
                self.up.kill()
                self.wait()
        if self._own_data:
            shutil.rmtree(self.data, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exception: object) -> None:
        self.close()

    # Parts

    def processes(self) -> dict[str, int]:
        try:
            run: dict[str, Any] = json.loads((self.data / "run.json").read_text())
        except FileNotFoundError:
            return {}
        return {name: pid for name, (pid, _started) in run["children"].items()}

    def pid(self, name: str) -> int:
        return self.processes()[name]

    def kill(self, name: str, number: int = signal.SIGKILL) -> int:
        """Sends a signal to a part; returns the process id."""
        pid = self.pid(name)
        os.kill(pid, number)
        return pid

    def freeze(self, name: str) -> int:
        return self.kill(name, signal.SIGSTOP)

    def thaw(self, name: str) -> int:
        return self.kill(name, signal.SIGCONT)

    @contextlib.contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        self.freeze(name)
        try:
            yield
        finally:
            self.thaw(name)

    def wait_replaced(self, name: str, old_pid: int, timeout_s: float = 30) -> int:
        """Waits for the process that `up` starts in place of `old_pid`; returns its id."""
        wait_for(lambda: self.processes().get(name, old_pid) != old_pid, timeout_s)
        return self.pid(name)

    def manage(self, *arguments: str, **run: Any) -> subprocess.CompletedProcess[str]:
        """Runs a management command on this data folder."""
        env = self.env | {"HOLDFAST_DATA": str(self.data)}
        command = [sys.executable, MANAGE, *arguments]
        return subprocess.run(command, env=env, cwd="/", capture_output=True, text=True, **run)

    @contextlib.contextmanager
    def another_web(self, **env: str) -> Iterator[str]:
        """A second web process on the same data folder, with more settings; yields its URL."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        env = self.env | {"HOLDFAST_DATA": str(self.data)} | env
        command = [sys.executable, MANAGE, "web", "--port", str(port)]
        process = subprocess.Popen(command, env=env, cwd="/")
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(lambda: _answers(url), START_S)
            yield url
        finally:
            process.terminate()
            process.wait(STOP_S)

    # Output

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def find(self, pattern: re.Pattern[str] | str) -> re.Match[str] | None:
        return re.search(pattern, self.output)

    def _read(self) -> None:
        assert self.up is not None and self.up.stdout is not None
        for line in self.up.stdout:
            self.lines.append(line.rstrip("\n"))
        self.up.stdout.close()

    def _ended(self) -> bool:
        return self.up is None or self.up.poll() is not None


def _answers(url: str) -> bool:
    with contextlib.suppress(httpx2.TransportError):
        return httpx2.get(f"{url}/healthz").status_code == HTTPStatus.OK
    return False


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def wait_for(condition: Any, timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
