"""Small sounds, made here. Those of other encoders are in tests/chat/files/reading/sounds."""

import io
import math
import struct
import wave

RATE = 16_000


def tone(seconds=1.0, rate=RATE, channels=1, width=2, volume=0.4):
    """A WAV with a tone of 440 Hz."""
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setnchannels(channels)
        sound.setsampwidth(width)
        sound.setframerate(rate)
        sound.writeframes(samples(seconds, rate, channels, width, volume))
    return out.getvalue()


def samples(seconds, rate, channels, width, volume):
    one_second = b"".join(
        struct.pack("<i", int(volume * 2**31 * math.sin(2 * math.pi * 440 * n / rate)))[-width:]
        * channels
        for n in range(rate)
    )
    size = round(seconds * rate) * channels * width
    return (one_second * (int(seconds) + 1))[:size]


def silence(seconds=1.0):
    return tone(seconds, volume=0.0)
