"""Measures how long it takes to write ten seconds of speech down on this machine.

The process of a worker is asked as the worker asks it: once with its start, then while it runs.
"""

import io
import time
import wave
from pathlib import Path

from chat.files.local_speech import packages, process
from chat.files.local_speech.calls import recognise
from tests.bench.bench import Bench
from tests.bench.report import Row, percentile

SENTENCE = Path(__file__).resolve().parents[2] / "browser" / "sound" / "sentence.wav"
SECONDS, MAX_S = 10, 4
REPEATS, QUICK_REPEATS = 7, 2


def ten_seconds() -> bytes:
    """The sentence, again and again."""
    with wave.open(str(SENTENCE)) as sound:
        form, frames = sound.getparams(), sound.readframes(sound.getnframes())
    size = SECONDS * form.framerate * form.nchannels * form.sampwidth
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setparams(form)
        sound.writeframes((frames * (size // len(frames) + 1))[:size])
    return out.getvalue()


async def dictation(bench: Bench) -> None:
    if packages.missing():
        return
    data, times = ten_seconds(), []
    try:
        for _ in range(1 + (QUICK_REPEATS if bench.quick else REPEATS)):
            began = time.monotonic()
            assert await recognise(data, SECONDS)
            times.append(time.monotonic() - began)
    finally:
        process.child.end()
    bench.rows.append(Row("dictation", "10 s written down, with the start", times[0], "s", MAX_S))
    median = percentile(times[1:], 50)
    bench.rows.append(Row("dictation", "10 s written down", median, "s", MAX_S))
