"""Cuts long sound into pieces that a provider takes, at quiet places. Blocks."""

import io
import wave
from array import array
from collections.abc import Iterator

# Providers take 25 MB; ten minutes as 16 kHz mono 16-bit WAV are 19.2 MB.
PIECE_S = 600
PIECE_BYTES = 24_000_000
# How far before the end of a piece a quiet place is looked for, and how long it is.
SEARCH_S = 30
QUIET_S = 0.2


def cut(data: bytes) -> list[bytes]:
    """The pieces of a WAV, each a WAV. Other sound, and WAV that is not 16-bit, stays whole."""
    try:
        with wave.open(io.BytesIO(data)) as sound:
            if sound.getsampwidth() != 2:
                return [data]
            form = sound.getparams()
            frames = sound.readframes(sound.getnframes())
    except (wave.Error, EOFError):
        return [data]
    block = 2 * form.nchannels
    longest = min(PIECE_S * form.framerate, PIECE_BYTES // block)
    if len(frames) // block <= longest and len(data) <= PIECE_BYTES:
        return [data]
    return [_wav(piece, form) for piece in _pieces(frames, block, form.framerate, longest)]


def _pieces(frames: bytes, block: int, rate: int, longest: int) -> Iterator[bytes]:
    at, count = 0, len(frames) // block
    while count - at > longest:
        start = at + max(longest - SEARCH_S * rate, longest // 2)
        end = start + _quietest(frames[start * block : (at + longest) * block], block, rate)
        yield frames[at * block : end * block]
        at = end
    yield frames[at * block :]


def _quietest(frames: bytes, block: int, rate: int) -> int:
    """The middle of the quietest place, in samples."""
    samples = array("h", frames[: len(frames) // block * block])
    step = max(int(QUIET_S * rate), 1) * (block // 2)
    starts = range(0, max(len(samples) - step, 0) + 1, step)
    quietest = min(starts, key=lambda at: sum(map(abs, samples[at : at + step])))
    return (quietest + step // 2) // (block // 2)


def _wav(frames: bytes, form: "wave._wave_params") -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setnchannels(form.nchannels)
        sound.setsampwidth(2)
        sound.setframerate(form.framerate)
        sound.writeframes(frames)
    return out.getvalue()


def seconds_of(piece: bytes, pieces: int, duration_ms: int) -> float:
    """How long a piece is. A sound that was not cut has its whole duration."""
    if pieces == 1:
        return duration_ms / 1_000
    with wave.open(io.BytesIO(piece)) as sound:
        return float(sound.getnframes() / sound.getframerate())
