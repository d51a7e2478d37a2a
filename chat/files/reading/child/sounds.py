"""Reads sound: how long it is. It is measured, not decoded, because decoders are large and written
in C."""

from importlib import import_module
from typing import IO

from chat.files.reading.child import magic
from chat.files.reading.child.outcome import Bounds, Outcome
from chat.files.reading.child.refusals import Refused
from chat.files.reading.child.sound.measured import Damaged, Measured, OtherKind

_READERS = {
    magic.WAV: "wav",
    magic.MP3: "mp3",
    magic.M4A: "mp4",
    magic.OGG: "ogg",
    magic.WEBM: "webm",
    magic.FLAC: "flac",
}
# No encoding here needs more for a second, WAV apart. A file that has more hides how long it is,
# which decides what its transcript costs.
_MOST_BYTES_PER_S = 120_000
_SLACK_BYTES = 100_000


def read(source: IO[bytes], content_type: str, bounds: Bounds) -> Outcome:
    measured = measure(source.read(), content_type)
    if measured.seconds > bounds.sound_s:
        raise Refused("too_long")
    if not measured.seconds:
        raise Refused("empty")
    is_plain_wav = content_type == magic.WAV and measured.is_plain
    return Outcome(
        "audio",
        content_type,
        duration_ms=max(round(measured.seconds * 1_000), 1),
        is_plain_wav=is_plain_wav,
    )


def measure(data: bytes, content_type: str) -> Measured:
    """Raises Refused."""
    name = f"chat.files.reading.child.sound.{_READERS[content_type]}"
    try:
        measured: Measured = import_module(name).measure(data)
    except OtherKind:
        raise Refused("kind") from None
    except (Damaged, IndexError):
        raise Refused("damaged") from None
    is_packed = content_type not in (magic.WAV, magic.FLAC)
    if is_packed and measured.sound_bytes > measured.seconds * _MOST_BYTES_PER_S + _SLACK_BYTES:
        raise Refused("damaged")
    return measured
