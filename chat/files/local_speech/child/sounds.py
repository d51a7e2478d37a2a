"""Reads WAV as the recogniser wants it."""

import io
import wave
from typing import Any

import numpy as np

RATE = 16_000
Samples = Any  # an array of 32-bit floats; numpy is optional, so types cannot depend on it


class SoundError(Exception):
    """This is no sound that can be read."""


def read_wav(data: bytes) -> Samples:
    """Mono samples between -1 and 1, 16,000 a second, of 16-bit PCM. Raises SoundError."""
    try:
        with wave.open(io.BytesIO(data)) as sound:
            rate, channels, width = sound.getframerate(), sound.getnchannels(), sound.getsampwidth()
            frames = sound.readframes(sound.getnframes())
    except (wave.Error, EOFError) as error:
        raise SoundError from error
    if width != 2 or not channels or not 4_000 <= rate <= 192_000:
        raise SoundError
    whole = len(frames) // (2 * channels) * 2 * channels
    mono = np.frombuffer(frames[:whole], "<i2").reshape(-1, channels).mean(axis=1) / 32_768
    return _resampled(mono.astype(np.float32), rate)


def _resampled(samples: Samples, rate: int) -> Samples:
    """Each new sample is the mean of those around it, which is enough for speech."""
    if rate == RATE or not len(samples):
        return samples
    if rate > RATE:  # What is too high for the new rate would be heard as noise.
        width = round(rate / RATE)
        samples = np.convolve(samples, np.ones(width) / width, "same")
    places = np.arange(0, len(samples), rate / RATE)
    return np.interp(places, np.arange(len(samples)), samples).astype(np.float32)
