"""A real Redis for tests, as `up` starts it: it can be killed, frozen and started again."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import redis

from config.env import embedded_redis_url
from streams.server.embedded import redis_command

START_TIMEOUT_S = 20.0


class RedisServer:
    """One server with a data folder of its own, which outlives kill() and start()."""

    def __init__(self, *options: str) -> None:
        # Not pytest's tmp_path: its names are too long for a unix socket.
        self.data_dir = Path(tempfile.mkdtemp(prefix="hf-"))
        self.url = embedded_redis_url(self.data_dir)
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "RedisServer":
        command = [*redis_command(self.data_dir), *self._options]
        with (self.data_dir / "redis.log").open("ab") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        give_up = time.monotonic() + START_TIMEOUT_S
        with self.client() as client:
            while True:
                try:
                    client.ping()
                    return self
                except redis.ConnectionError as error:
                    if time.monotonic() > give_up or self._process.poll() is not None:
                        output_text = (self.data_dir / "redis.log").read_text()
                        raise RuntimeError(f"Redis did not start: {output_text}") from error
                    time.sleep(0.005)

    def client(self) -> redis.Redis:
        """Returns a synchronous client; close it, or use it as a context manager."""
        return redis.Redis.from_url(self.url)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """Kills the server (SIGKILL); only what is on disk survives."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=START_TIMEOUT_S)
            self._process = None

    def remove(self) -> None:
        """Ends the server and deletes its data."""
        self._end(signal.SIGKILL)
        shutil.rmtree(self.data_dir, ignore_errors=True)
