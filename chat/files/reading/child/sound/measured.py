"""What a reader finds out about a sound."""

from dataclasses import dataclass


class Damaged(Exception):
    """This is no sound of the kind that its first bytes announce."""


class OtherKind(Exception):
    """This has pictures, or an encoding that only few programs play."""


@dataclass(frozen=True, slots=True)
class Measured:
    """`sound_bytes`: the bytes that hold the sound, without tags, covers and indexes."""

    seconds: float
    sound_bytes: int
    # Whether a WAV is 16 kHz mono 16-bit, as transcription wants it.
    is_plain: bool = False
