"""How a worker's try at an answer can end, and what may come between."""

import enum
import time
from dataclasses import dataclass

from chat.llm.client import Delta


class Outcome(enum.Enum):
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"
    HANDED_OVER = "handed over"  # by this worker, on its way out
    LOST = "lost"  # another worker holds the fence, or the log cannot be written


class Interrupt(enum.Enum):
    STOP = "stop"
    HAND_OVER = "hand over"
    LOST = "lost"


@dataclass(slots=True)
class Clock:
    """How long the model reasoned before it wrote, in this attempt."""

    reasoning_began: float | None = None
    reasoning_ms: int | None = None

    def saw(self, delta: Delta) -> None:
        if delta.reasoning and self.reasoning_began is None:
            self.reasoning_began = time.monotonic()
        if delta.text and self.reasoning_began is not None and self.reasoning_ms is None:
            self.reasoning_ms = round((time.monotonic() - self.reasoning_began) * 1000)
