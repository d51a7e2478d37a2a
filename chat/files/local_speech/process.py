"""The process that recognises and makes speech: one for each worker, while it is in use.

The first call starts it, and it ends after five minutes without one. It loads the recogniser
(250 MB) and the voice (100 MB) when they are first needed. It has no secrets, no files of ours and,
where the system allows that, no network (accounts/child_process/launch.py). It works on one call at
a time; the others wait in their order. It ends when its worker does, because its input closes.

A call that is cancelled, or takes too long, ends it: models cannot be interrupted.
"""

import asyncio
import contextlib
import json
import logging
import subprocess
from pathlib import Path
from typing import Any, Literal
from weakref import WeakKeyDictionary

from accounts.child_process.run import Limits, command
from chat.llm.errors import ProviderError

logger = logging.getLogger(__name__)

Task = Literal["recognise", "speak"]
ROOT = Path(__file__).resolve().parents[3]
CHILD = Path(__file__).with_name("child") / "__main__.py"
IDLE_S = 300.0
# The child ends by itself that much later, in case its worker has forgotten it.
CHILD_IDLE_S = 330
# `memory_bytes` bounds addresses, of which libraries reserve many.
LIMITS = Limits(memory_bytes=4 * 1024**3, file_bytes=1_000_000, cpu_s=86_400, wall_s=60)
GRACE_S = 15.0  # for its start on a busy machine, and for its own limit to end it first
MAX_HEADER_BYTES = 1_000
MAX_ANSWER_BYTES = 30_000_000
KILL_AGAIN_S = 0.1


class _Ended(Exception):
    """The process ended, or wrote something else than an answer."""


class _Child:
    """Its methods block."""

    def __init__(self) -> None:
        self._popen: subprocess.Popen[bytes] | None = None

    def exchange(self, task: Task, body: bytes, limit_s: int) -> tuple[dict[str, Any], bytes]:
        """Raises _Ended."""
        try:
            popen = self._started()
            assert popen.stdin is not None and popen.stdout is not None
            header = {"task": task, "bytes": len(body), "limit_s": limit_s}
            popen.stdin.write(json.dumps(header).encode() + b"\n" + body)
            popen.stdin.flush()
            facts = json.loads(popen.stdout.readline(MAX_HEADER_BYTES))
            size = facts["bytes"]
            if not 0 <= size <= MAX_ANSWER_BYTES:
                raise _Ended
            answer = popen.stdout.read(size)
            if len(answer) != size:
                raise _Ended
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _Ended from error
        return facts, answer

    def kill(self) -> None:
        popen = self._popen
        if popen is not None:
            popen.kill()

    def end(self) -> None:
        """End the process, and wait for that."""
        popen, self._popen = self._popen, None
        if popen is None:
            return
        popen.kill()
        popen.wait()
        for pipe in (popen.stdin, popen.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # What was not written is lost.
                    pipe.close()

    @property
    def pid(self) -> int | None:
        return self._popen.pid if self._popen is not None else None

    def _started(self) -> "subprocess.Popen[bytes]":
        if self._popen is not None and self._popen.poll() is None:
            return self._popen
        self.end()
        self._popen = subprocess.Popen(  # noqa: S603  our own file
            command(CHILD, [str(ROOT), str(CHILD_IDLE_S)], LIMITS),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
        )
        return self._popen


child = _Child()
_locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()
_idle: asyncio.TimerHandle | None = None


async def ask(task: Task, body: bytes, limit_s: int) -> tuple[dict[str, Any], bytes]:
    """The facts and the bytes of the answer. Raises ProviderError."""
    global _idle
    loop = asyncio.get_running_loop()
    async with _locks.setdefault(loop, asyncio.Lock()):
        if _idle is not None:
            _idle.cancel()
            _idle = None
        facts, answer = await _exchanged(task, body, limit_s)
        _idle = loop.call_later(IDLE_S, child.end)
    if error := facts.get("error"):
        logger.warning("local speech failed: %s (%s)", error, task)
        raise ProviderError("bad_request" if error == "sound" else "provider_down")
    return facts, answer


async def _exchanged(task: Task, body: bytes, limit_s: int) -> tuple[dict[str, Any], bytes]:
    exchange = asyncio.create_task(asyncio.to_thread(child.exchange, task, body, limit_s))
    try:
        async with asyncio.timeout(limit_s + GRACE_S):
            return await asyncio.shield(exchange)
    except _Ended as error:
        await asyncio.to_thread(child.end)
        logger.warning("the process of local speech ended (%s)", task)
        raise ProviderError("provider_down") from error
    except TimeoutError as error:
        await _interrupt(exchange)
        raise ProviderError("provider_timeout") from error
    except asyncio.CancelledError:
        await asyncio.shield(_interrupt(exchange))
        raise


async def _interrupt(exchange: "asyncio.Task[tuple[dict[str, Any], bytes]]") -> None:
    """End the process, so that the thread that waits for it ends too. It may just have been
    started."""
    while not exchange.done():
        child.kill()
        await asyncio.wait([exchange], timeout=KILL_AGAIN_S)
    exchange.exception()  # It is expected.
    await asyncio.to_thread(child.end)
