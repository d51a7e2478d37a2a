"""How many frames one WebSocket may send: a token bucket."""

import time

# A page answers heartbeats, acknowledges each frame that it took and changes chats with the keys.
FRAMES_PER_S = 100
BURST_FRAMES = 500


class FrameRate:
    def __init__(self) -> None:
        self._left = float(BURST_FRAMES)
        self._at = time.monotonic()

    def take(self) -> bool:
        """Count one frame; False when it is one too many."""
        now = time.monotonic()
        self._left = min(BURST_FRAMES, self._left + (now - self._at) * FRAMES_PER_S)
        self._at = now
        self._left -= 1
        return self._left >= 0
