"""Decodes pictures in a separate process with limits: accounts/preferences/image_child.py.

A picture of two kilobytes may decode to a gigabyte, and decoders written in C have had
vulnerabilities. So no process that has secrets or serves other people decodes one. Each of our
processes decodes one picture at a time, and few may wait.
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
# A JPEG is scaled down while it is decoded, which takes little memory. Other formats take up to 20
# bytes a pixel; 512 MB would be enough for twice these pixels.
MAX_PIXELS: Mapping[str, int] = {
    "JPEG": 40_000_000,
    "PNG": 16_000_000,
    "WEBP": 16_000_000,
    "GIF": 16_000_000,
}
MAX_WAITING = 3  # including the one being decoded
WAIT_S = 15.0
START_S = 10.0  # added to the process's own time limit, for its start on a busy machine


@dataclass(frozen=True, slots=True)
class Task:
    """How to convert a picture: to WebP in these sizes (pixels), largest first.

    With `square` the middle is cut out; otherwise the longer side has at most the size.
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
    """Too many pictures are waiting, or no process could be started."""


_places = threading.BoundedSemaphore(MAX_WAITING)
_decoding = threading.Lock()


def shrink(data: bytes, task: Task) -> list[bytes]:
    """The picture in each of the task's sizes. Raises ImageRefused and ImageBusy.

    Blocks for up to a minute, so never call it in the event loop.
    """
    with _one_at_a_time():
        return _results(_run(data, task), task)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    if not _places.acquire(blocking=False):
        raise ImageBusy
    try:
        if not _decoding.acquire(timeout=WAIT_S):
            raise ImageBusy
        try:
            yield
        finally:
            _decoding.release()
    finally:
        _places.release()


def _run(data: bytes, task: Task) -> bytes:
    """The child's output. It uses files instead of pipes, so that neither side waits for the other
    and the kernel limits the size of the output."""
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as result:
        source.write(data)
        source.seek(0)
        try:
            child = subprocess.Popen(  # noqa: S603  our own file
                [sys.executable, "-I", str(CHILD), _task_json(task)],
                stdin=source,
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


def _task_json(task: Task) -> str:
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


def _results(output: bytes, task: Task) -> list[bytes]:
    """The pictures. Trusts nothing in the output, since a picture may have taken over the child."""
    head, _, rest = output.partition(b"\n")
    try:
        result = json.loads(head)
        reason, lengths = result.get("refused"), result.get("lengths")
    except (ValueError, AttributeError, RecursionError):
        raise ImageRefused("damaged") from None
    if reason in ("kind", "pixels", "animated"):
        raise ImageRefused(reason)
    is_valid = isinstance(lengths, list) and all(type(n) is int and n > 0 for n in lengths)
    if not is_valid or len(lengths) != len(task.sizes) or sum(lengths) != len(rest):
        raise ImageRefused("damaged")
    pictures = []
    for length in lengths:
        pictures.append(rest[:length])
        rest = rest[length:]
    if not all(p[:4] == b"RIFF" and p[8:12] == b"WEBP" for p in pictures):
        raise ImageRefused("damaged")
    return pictures
