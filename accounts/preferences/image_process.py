"""Pictures are decoded in a process of their own, with limits: accounts/preferences/image_child.py.

A picture of two kilobytes may fill a gigabyte, and decoders written in C have had holes. So no
process that has secrets, or other people's requests, decodes one. One at a time in each process of
ours, and few wait.
"""

import json
import logging
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

logger = logging.getLogger(__name__)

CHILD = Path(__file__).with_name("image_child.py")
# Decoding can shrink a JPEG, so it costs little. All else is decoded whole, at up to 20 bytes a
# pixel; in 512 MB there is room for twice the pixels.
MAX_PIXELS: Mapping[str, int] = {
    "JPEG": 40_000_000,
    "PNG": 16_000_000,
    "WEBP": 16_000_000,
    "GIF": 16_000_000,
}
MAX_WAITING = 3  # with the one that is decoded
WAIT_S = 15.0
START_S = 10.0  # for the start of the process on a busy machine, beyond its own time


@dataclass(frozen=True, slots=True)
class Task:
    """What is to become of a picture: WebP in these sizes (pixels), the largest first.

    `square`: the middle of it; else the whole, whose longer side has the size at most.
    """

    sizes: tuple[int, ...]
    square: bool = True
    quality: int = 86
    max_pixels: Mapping[str, int] = field(default_factory=lambda: MAX_PIXELS)
    memory_bytes: int = 512 * 1024 * 1024
    result_bytes: int = 4_000_000
    cpu_s: int = 10
    wall_s: int = 20


class ImageRefused(Exception):
    """`reason`: "kind", "pixels", "animated" or "damaged"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ImageBusy(Exception):
    """Others are waiting already, or no process could be started."""


_places = threading.BoundedSemaphore(MAX_WAITING)
_one_at_a_time = threading.Lock()


def shrink(data: bytes, task: Task) -> list[bytes]:
    """A picture in each of the task's sizes. Raises ImageRefused, ImageBusy.

    Blocks for as long as a minute: never in the event loop.
    """
    with _turn():
        return _results(_run(data, task), task)


@contextmanager
def _turn() -> Iterator[None]:
    if not _places.acquire(blocking=False):
        raise ImageBusy
    try:
        if not _one_at_a_time.acquire(timeout=WAIT_S):
            raise ImageBusy
        try:
            yield
        finally:
            _one_at_a_time.release()
    finally:
        _places.release()


def _run(data: bytes, task: Task) -> bytes:
    """What the child says. Files take the place of pipes, as neither side then waits for the other,
    and the kernel bounds what is written."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as result:
        given.write(data)
        given.seek(0)
        try:
            child = subprocess.Popen(  # noqa: S603  our own file
                [sys.executable, "-I", str(CHILD), _said(task)],
                stdin=given,
                stdout=result,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
            )
        except OSError as error:
            logger.warning("no process for a picture could be started: %s", error)
            raise ImageBusy from error
        code = _wait(child, task)
        if code:
            logger.info("the process that read a picture ended with %s", code)
            raise ImageRefused("damaged")
        result.seek(0)
        return result.read(task.result_bytes + 1)


def _said(task: Task) -> str:
    return json.dumps({**asdict(task), "max_pixels": dict(task.max_pixels)})


def _wait(child: "subprocess.Popen[bytes]", task: Task) -> int:
    try:
        return child.wait(task.wall_s + START_S)
    except subprocess.TimeoutExpired:
        return -1
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()


def _results(said: bytes, task: Task) -> list[bytes]:
    """The pictures. A child that a picture has taken over may say anything."""
    head, _, rest = said.partition(b"\n")
    try:
        answer = json.loads(head)
        reason, lengths = answer.get("refused"), answer.get("lengths")
    except (ValueError, AttributeError, RecursionError):
        raise ImageRefused("damaged") from None
    if reason in ("kind", "pixels", "animated"):
        raise ImageRefused(reason)
    is_sound = isinstance(lengths, list) and all(type(n) is int and n > 0 for n in lengths)
    if not is_sound or len(lengths) != len(task.sizes) or sum(lengths) != len(rest):
        raise ImageRefused("damaged")
    pictures = []
    for length in lengths:
        pictures.append(rest[:length])
        rest = rest[length:]
    if not all(p[:4] == b"RIFF" and p[8:12] == b"WEBP" for p in pictures):
        raise ImageRefused("damaged")
    return pictures
