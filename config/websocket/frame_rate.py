"""A token bucket for the frames that one WebSocket client may send."""

import time

# A page answers heartbeats, acknowledges frames, and may change chats as fast as a key repeats.
FRAMES_PER_S = 100
BURST_FRAMES = 500


class FrameRate:
    def __init__(self) -> None:
        self._left = float(BURST_FRAMES)
        self._at = time.monotonic()

    def take(self) -> bool:
        """Count one frame; False if it exceeds the rate."""
        now = time.monotonic()
        self._left = min(BURST_FRAMES, self._left + (now - self._at) * FRAMES_PER_S)
        self._at = now
        self._left -= 1
        return self._left >= 0
