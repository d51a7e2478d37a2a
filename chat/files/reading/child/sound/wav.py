"""Measures WAV by what is there, since recorders that were cut off announce more."""

from chat.files.reading.child.sound.measured import Damaged, Measured, OtherKind

_PCM, _FLOAT, _A_LAW, _MU_LAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
_FORMATS = (_PCM, _FLOAT, _A_LAW, _MU_LAW)
_RATES = range(4_000, 384_001)
_CHANNELS = range(1, 9)
_CHUNKS = 1_000
_PLAIN = (_PCM, 1, 16_000, 16)


def measure(data: bytes) -> Measured:
    """Raises Damaged, OtherKind."""
    form: tuple[int, int, int, int] | None = None
    at = 12
    for _ in range(_CHUNKS):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8
        if name == b"fmt ":
            form = _form(data[at : at + size])
        elif name == b"data" and form:
            return _measured(form, min(size or len(data), len(data) - at))
        if at >= len(data):
            break
        at += size + size % 2
    raise Damaged


def _form(chunk: bytes) -> tuple[int, int, int, int]:
    """Encoding, channels, rate and bits."""
    if len(chunk) < 16:
        raise Damaged
    encoding, channels = _number(chunk[0:2]), _number(chunk[2:4])
    rate, block, bits = _number(chunk[4:8]), _number(chunk[12:14]), _number(chunk[14:16])
    if encoding == _EXTENSIBLE and len(chunk) >= 26:
        encoding = _number(chunk[24:26])
    if encoding not in _FORMATS:
        raise OtherKind
    if rate not in _RATES or channels not in _CHANNELS or bits not in (8, 16, 24, 32, 64):
        raise Damaged
    if block != channels * bits // 8:
        raise Damaged
    return encoding, channels, rate, bits


def _measured(form: tuple[int, int, int, int], size: int) -> Measured:
    _, channels, rate, bits = form
    block = channels * bits // 8
    return Measured(size // block / rate, size, form == _PLAIN)


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")
