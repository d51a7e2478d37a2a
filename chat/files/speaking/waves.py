"""The sound that providers send, as WAV: read, and joined into one. Blocks."""

import io
import struct
import wave
from collections.abc import Sequence
from dataclasses import dataclass

from chat.llm.errors import ProviderError

PCM, EXTENSIBLE = 1, 0xFFFE
BITS = 16
RATES = range(8_000, 48_001)


@dataclass(frozen=True, slots=True)
class Form:
    """16-bit PCM. `channels`: 1 or 2."""

    rate: int
    channels: int

    @property
    def frame_bytes(self) -> int:
        return self.channels * BITS // 8

    def ms(self, frames: int) -> int:
        return round(frames * 1_000 / self.rate)


def read_wav(data: bytes) -> tuple[Form, bytes]:
    """The form and the frames. A provider that streams does not know the length when it writes the
    header, so the frames may end earlier than that says. Raises ProviderError."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise ProviderError("bad_stream")
    form, at = None, 12
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        body = at + 8
        if name == b"fmt ":
            form = _form(data[body : body + size])
        if name == b"data" and form is not None:
            frames = data[body : body + size]
            whole = len(frames) // form.frame_bytes * form.frame_bytes
            if not whole:
                break
            return form, frames[:whole]
        at = body + size + size % 2
    raise ProviderError("bad_stream")


def _form(chunk: bytes) -> Form:
    try:
        kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", chunk)
    except struct.error:
        raise ProviderError("bad_stream") from None
    is_known = kind in (PCM, EXTENSIBLE) and bits == BITS and channels in (1, 2) and rate in RATES
    if not is_known:
        raise ProviderError("bad_stream")
    return Form(rate, channels)


def write_wav(form: Form, pieces: Sequence[bytes]) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setnchannels(form.channels)
        sound.setsampwidth(BITS // 8)
        sound.setframerate(form.rate)
        sound.writeframes(b"".join(pieces))
    return out.getvalue()
