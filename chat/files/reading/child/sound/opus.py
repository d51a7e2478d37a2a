"""The duration of Opus packets, from their first bytes (RFC 6716, section 3.1)."""

RATE = 48_000
# In samples of 48 kHz, by the configuration: SILK, hybrid, CELT.
_FRAME = (
    *(480, 960, 1_920, 2_880) * 3,
    *(480, 960) * 2,
    *(120, 240, 480, 960) * 4,
)
_MOST = 5_760  # 120 ms


def samples_of(packet: bytes) -> int:
    """How many samples a packet holds, of which its first two bytes are given."""
    if not packet:
        return 0
    count = (1, 2, 2, packet[1] & 63 if len(packet) > 1 else 0)[packet[0] & 3]
    return min(_FRAME[packet[0] >> 3] * count, _MOST)
