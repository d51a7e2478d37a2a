"""Reads an uploaded file: what it is, and what the page and the models need of it.

A process of its own reads it (chat/files/reading/child/), with limits; nothing that it says or
writes is trusted (chat/files/reading/results.py).
"""

import json
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

from accounts.child_process.run import Busy, Limits, Places, run
from chat.files.reading.child.outcome import Bounds
from chat.files.reading.results import FileRefused, ReadFile, checked

__all__ = ["FileRefused", "ReadFile", "ReaderBusy", "read_file"]

ROOT = Path(__file__).resolve().parents[3]
CHILD = Path(__file__).with_name("child") / "__main__.py"
BOUNDS = Bounds(
    image_bytes=20_000_000,
    document_bytes=32_000_000,
    text_bytes=5_000_000,
    pixels=50_000_000,
    pages=500,
    zip_entries=5_000,
    inflated_bytes=200_000_000,
    chars=1_000_000,
    rendered_pages=20,
    rendition_bytes=1_500_000,
    view_side=1_600,
    model_side=1_568,
    thumb_side=256,
    thumb_bytes=8_000,
    sound_bytes=25_000_000,
    wav_bytes=29_000_000,  # 15 minutes at 16 kHz take 28.8 MB.
    sound_s=15 * 60,
)
# The process yields to others, so on a busy machine it may take several times as long as it works.
LIMITS = Limits(memory_bytes=1024 * 1024 * 1024, file_bytes=8_000_000, cpu_s=20, wall_s=60)
MAX_WAITING = 3  # including the one being read
# The type of a text, by its file extension. Browsers execute none of these.
_TEXT_TYPES = {".csv": "text/csv", ".md": "text/markdown", ".tsv": "text/tab-separated-values"}

places = Places(MAX_WAITING)


class ReaderBusy(Exception):
    """Too many files wait, or no process could be started."""


def read_file(source: Path, name: str, into: Path) -> ReadFile:
    """Read a file and write its renditions into the folder, which must be empty.

    Raises FileRefused and ReaderBusy. Usually takes a second, at most a minute and a half, so never
    call it in the event loop. The name decides only the type of a text.
    """
    try:
        with places.one_at_a_time():
            output = _output(source, into)
    except Busy as error:
        raise ReaderBusy from error
    found = checked(output, into, BOUNDS)
    if found.kind != "text":
        return found
    return replace(found, type=_TEXT_TYPES.get(Path(name).suffix.lower(), found.type))


def _output(source: Path, into: Path) -> bytes:
    with source.open("rb") as data, tempfile.TemporaryFile() as result:
        arguments = [str(ROOT), bounds_json()]
        if not run(CHILD, arguments, LIMITS, source=data, result=result, folder=into):
            raise FileRefused("damaged")
        result.seek(0)
        return result.read(LIMITS.file_bytes + 1)


def bounds_json() -> str:
    return json.dumps(asdict(BOUNDS))
