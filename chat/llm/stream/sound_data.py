"""Decodes the sound of a spoken answer: base64 of 16-bit PCM, however the provider has split it.

A piece may end in the middle of a group of base64 or of a sample, so what is left over waits for
the next piece. Some servers pad each piece instead.
"""

import binascii
import re

SAMPLE_BYTES = 2
RATE = 24_000  # samples a second, of the format "pcm16"
BYTES_PER_S = RATE * SAMPLE_BYTES
_BASE64 = re.compile(rb"[A-Za-z0-9+/]*={0,2}")
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_SPACES = b" \t\r\n"


class SoundReader:
    """`feed` it the base64 of each piece; `pop` returns whole samples.

    `size`: the decoded bytes so far. `is_damaged`: a piece was no base64 and was left out.
    """

    def __init__(self) -> None:
        self.size = 0
        self.is_damaged = False
        self._base64 = b""  # less than a group
        self._sound = bytearray()

    def feed(self, piece: str) -> None:
        encoded = piece.encode("ascii", "replace").translate(_URL_SAFE, _SPACES)
        if not _BASE64.fullmatch(encoded):
            # Where the next piece begins in a sample is unknown; usually it begins a new one.
            self.is_damaged = True
            self._base64 = b""
            del self._sound[len(self._sound) // SAMPLE_BYTES * SAMPLE_BYTES :]
            return
        joined = self._base64 + encoded
        if joined.endswith(b"="):
            self._base64 = b""
            joined = joined.rstrip(b"=")
            joined = joined[: len(joined) - (len(joined) % 4 == 1)]
            joined += b"=" * (-len(joined) % 4)
        else:
            whole = len(joined) // 4 * 4
            joined, self._base64 = joined[:whole], joined[whole:]
        decoded = binascii.a2b_base64(joined)
        self._sound += decoded
        self.size += len(decoded)

    def pop(self) -> bytes:
        """The whole samples since the last call."""
        whole = len(self._sound) // SAMPLE_BYTES * SAMPLE_BYTES
        sound = bytes(self._sound[:whole])
        del self._sound[:whole]
        return sound


def ms_of(size: int) -> int:
    """The length of so many bytes of sound, in milliseconds."""
    return size * 1_000 // BYTES_PER_S
