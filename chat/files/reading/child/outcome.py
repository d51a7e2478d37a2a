"""The bounds that a file must keep, and what the process says about one that does."""

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["image", "audio", "document", "text"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """chat/files/reading/reader.py has the values."""

    image_bytes: int
    document_bytes: int
    text_bytes: int
    pixels: int
    pages: int
    zip_entries: int
    inflated_bytes: int
    chars: int
    rendered_pages: int
    rendition_bytes: int
    view_side: int
    model_side: int
    thumb_side: int
    thumb_bytes: int
    sound_bytes: int
    wav_bytes: int
    sound_s: int


@dataclass(slots=True)
class Outcome:
    kind: Kind
    type: str
    width: int | None = None
    height: int | None = None
    pages: int | None = None
    chars: int | None = None
    is_cut: bool = False
    duration_ms: int | None = None
    # Whether a WAV is 16 kHz mono 16-bit.
    is_plain_wav: bool = False
    # The files that were written.
    names: list[str] = field(default_factory=list)
