"""Checks all that the process says and writes, since a file may have taken it over."""

import json
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from chat.files.reading.child.outcome import Bounds

Kind = Literal["image", "audio", "document", "text"]

REASONS = {
    "kind", "too_large", "too_many_pixels", "too_long", "damaged", "locked", "empty",
}  # fmt: skip
_TYPES: dict[str, Kind] = {
    **dict.fromkeys(
        ("image/jpeg", "image/png", "image/gif", "image/webp", "image/avif", "image/heic"), "image"
    ),
    **dict.fromkeys(
        (
            "application/pdf",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            "application/vnd.openxmlformats-officedocument.presentationml.presentation",
            "application/vnd.oasis.opendocument.spreadsheet",
        ),
        "document",
    ),
    **dict.fromkeys(
        ("audio/wav", "audio/mpeg", "audio/mp4", "audio/ogg", "audio/webm", "audio/flac"), "audio"
    ),
    "text/plain": "text",
}
_OUTPUT_BYTES = 16_384
_PAGE = re.compile(r"page-([1-9][0-9]{0,2})")
_BYTES_PER_CHAR = 4  # in UTF-8; JSON escapes few characters, and not all are long
_LABEL_BYTES = 400
_JSON_BYTES = 300_000  # for its marks and the names of pages


class FileRefused(Exception):
    """`reason` is one of REASONS."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ReadFile:
    """What a file is. `width` and `height` are those of the upright image."""

    kind: Kind
    type: str
    width: int | None
    height: int | None
    pages: int | None  # of a PDF; slides; sheets
    chars: int | None  # of the text that was taken out
    is_cut: bool  # whether there was more text
    thumb: bytes | None  # WebP
    # `view` (WebP) and `model` (JPEG or PNG) of an image; `text` of the others: a JSON list of
    # {"page": a number, a sheet's name or null, "text"}; `page-<n>` (JPEG) of a PDF's pages
    # without text.
    renditions: dict[str, Path]
    duration_ms: int | None = None  # of sound
    is_plain_wav: bool = False  # 16 kHz mono 16-bit


class _Wrong(Exception):
    """The process says or writes what the unmodified child never would."""


def checked(output: bytes, folder: Path, bounds: Bounds) -> ReadFile:
    """What the output and the files in the folder say. Raises FileRefused."""
    try:
        result = _parsed(output)
        if "refused" in result:
            reason = result["refused"]
            raise FileRefused(reason if reason in REASONS else "damaged")
        return _read_file(result, folder, bounds)
    except (_Wrong, OSError, ValueError, TypeError, KeyError, RecursionError):
        raise FileRefused("damaged") from None


def _parsed(output: bytes) -> dict[str, Any]:
    result = json.loads(output) if len(output) <= _OUTPUT_BYTES else None
    if not isinstance(result, dict):
        raise _Wrong
    return result


def _read_file(result: dict[str, Any], folder: Path, bounds: Bounds) -> ReadFile:
    kind = _TYPES[result["type"]]
    names = _names(result["names"], kind, bounds)
    if result["kind"] != kind or sorted(names) != sorted(os.listdir(folder)):
        raise _Wrong
    width, height = _size(result, kind, bounds)
    chars = _number(result["chars"], bounds.chars, is_needed=kind in ("document", "text"))
    is_pdf = result["type"] == "application/pdf"
    data = {name: _content(folder / name, name, bounds) for name in names}
    if "text" in data and _chars(data["text"]) != chars:
        raise _Wrong
    return ReadFile(
        kind=kind,
        type=result["type"],
        width=width,
        height=height,
        pages=_number(result["pages"], bounds.pages, is_needed=is_pdf),
        chars=chars,
        is_cut=result["is_cut"] is True,
        thumb=data.get("thumb"),
        renditions={name: folder / name for name in names if name != "thumb"},
        duration_ms=_number(
            result["duration_ms"], bounds.sound_s * 1_000, is_needed=kind == "audio"
        ),
        is_plain_wav=result["is_plain_wav"] is True,
    )


def _names(names: Any, kind: Kind, bounds: Bounds) -> list[str]:
    """The names of the files, which are those that a file of this kind has."""
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise _Wrong
    if len(set(names)) < len(names):
        raise _Wrong
    pages = [name for name in names if (m := _PAGE.fullmatch(name)) and int(m[1]) <= bounds.pages]
    others = set(names) - set(pages)
    expected: dict[Kind, list[set[str]]] = {
        "image": [{"view", "model", "thumb"}],
        "audio": [set()],
        "document": [{"text"}, {"text", "thumb"}],
        "text": [{"text"}],
    }
    most_pages = bounds.rendered_pages if kind == "document" else 0
    if others not in expected[kind] or len(pages) > most_pages:
        raise _Wrong
    return names


def _size(result: dict[str, Any], kind: Kind, bounds: Bounds) -> tuple[int | None, int | None]:
    is_image = kind == "image"
    width = _number(result["width"], bounds.pixels, is_needed=is_image)
    height = _number(result["height"], bounds.pixels, is_needed=is_image)
    if (width or 0) * (height or 0) > bounds.pixels:
        raise _Wrong
    return width, height


def _number(value: Any, most: int, *, is_needed: bool) -> int | None:
    if value is None and not is_needed:
        return None
    if type(value) is not int or not 0 <= value <= most:
        raise _Wrong
    return value


def _content(path: Path, name: str, bounds: Bounds) -> bytes:
    """The file, if it is a plain one of the right kind and within its bounds."""
    most = {
        "thumb": bounds.thumb_bytes,
        "text": bounds.chars * _BYTES_PER_CHAR + _JSON_BYTES,
    }.get(name, bounds.rendition_bytes)
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        # A hard link could expose somebody else's file.
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise _Wrong
        data = file.read(most + 1)
    if len(data) > most or not _is_of_its_kind(data, name):
        raise _Wrong
    return data


def _is_of_its_kind(data: bytes, name: str) -> bool:
    is_webp = data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    is_jpeg = data[:3] == b"\xff\xd8\xff"
    is_png = data[:8] == b"\x89PNG\r\n\x1a\n"
    if name in ("view", "thumb"):
        return is_webp
    if name == "model":
        return is_jpeg or is_png
    return name == "text" or is_jpeg


def _chars(data: bytes) -> int:
    """How many characters a `text` holds."""
    pages = json.loads(data)
    if not isinstance(pages, list):
        raise _Wrong
    for page in pages:
        if not isinstance(page, dict) or set(page) != {"page", "text"}:
            raise _Wrong
        label = page["page"]
        if not isinstance(page["text"], str) or "\0" in page["text"]:
            raise _Wrong
        page["text"].encode()  # Halves of surrogate pairs raise an error.
        is_name = isinstance(label, str) and len(label.encode()) <= _LABEL_BYTES
        if label is not None and type(label) is not int and not is_name:
            raise _Wrong
    return sum(len(page["text"]) for page in pages)
