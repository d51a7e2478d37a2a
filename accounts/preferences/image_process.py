"""Decodes pictures in a separate process with limits: accounts/preferences/image_child.py.

Each of our processes decodes one picture at a time, and few may wait.
"""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from accounts.child_process.run import Busy, Limits, Places, run

CHILD = Path(__file__).with_name("image_child.py")
# A JPEG is scaled down while it is decoded, which takes little memory. Other formats take up to 20
# bytes a pixel; 512 MB would be enough for twice these pixels.
MAX_PIXELS: Mapping[str, int] = {
    "JPEG": 40_000_000,
    "PNG": 16_000_000,
    "WEBP": 16_000_000,
    "GIF": 16_000_000,
}
LIMITS = Limits(memory_bytes=512 * 1024 * 1024, file_bytes=4_000_000, cpu_s=10, wall_s=20)
MAX_WAITING = 3  # including the one being decoded


@dataclass(frozen=True, slots=True)
class Task:
    """How to convert a picture: to WebP in these sizes (pixels), largest first.

    With `square` the middle is cut out; otherwise the longer side has at most the size.
    """

    sizes: tuple[int, ...]
    square: bool = True
    quality: int = 86
    max_pixels: Mapping[str, int] = field(default_factory=lambda: MAX_PIXELS)


class ImageRefused(Exception):
    """`reason`: "kind", "pixels", "animated" or "damaged"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ImageBusy(Exception):
    """Too many pictures are waiting, or no process could be started."""


places = Places(MAX_WAITING)


def shrink(data: bytes, task: Task, limits: Limits = LIMITS) -> list[bytes]:
    """The picture in each of the task's sizes. Raises ImageRefused and ImageBusy.

    Blocks for up to a minute, so never call it in the event loop.
    """
    try:
        with places.one_at_a_time():
            return _results(_run(data, task, limits), task)
    except Busy as error:
        raise ImageBusy from error


def _run(data: bytes, task: Task, limits: Limits) -> bytes:
    """The child's output."""
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as result:
        source.write(data)
        source.seek(0)
        if not run(CHILD, [_task_json(task)], limits, source=source, result=result):
            raise ImageRefused("damaged")
        result.seek(0)
        return result.read(limits.file_bytes + 1)


def _task_json(task: Task) -> str:
    return json.dumps({**asdict(task), "max_pixels": dict(task.max_pixels)})


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
