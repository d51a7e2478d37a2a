"""Bars as numbers for an SVG: the templates draw them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 720, 200
# Room for the figures at the side, and for the days below.
LEFT, BOTTOM, TOP = 84, 34, 14
GAP_PERCENT = 24
MAX_LABELS = 8
# A bar of something is never too low to be seen.
MIN_BAR = 1.5
# Of few days each would be a wall.
MAX_BAR_WIDTH = 40


@dataclass(frozen=True, slots=True)
class Bar:
    x: str
    y: str
    width: str
    height: str
    label: str
    value: int


@dataclass(frozen=True, slots=True)
class Mark:
    """A line across or a word below."""

    at: str
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    bars: list[Bar]
    lines: list[tuple[str, int]]
    labels: list[Mark]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT

    @property
    def is_empty(self) -> bool:
        return not any(bar.value for bar in self.bars)


def chart(values: Sequence[tuple[str, int]], width: int = WIDTH) -> Chart:
    """Bars of (label, value) in the order given; what is below zero hangs below its line."""
    numbers = [value for _, value in values]
    high, low = max(numbers, default=0), min(numbers, default=0)
    step = nice_top(max(high, -low)) // 2
    # How many lines there are above zero and below it.
    above = max(2 if low >= 0 else 0, -(-high // step))
    below = 0 if low >= 0 else -(low // step)
    tall = (HEIGHT - TOP - BOTTOM) / (above + below)
    zero = TOP + tall * above
    slot = (width - LEFT) / max(1, len(values))
    wide = min(slot * (100 - GAP_PERCENT) / 100, MAX_BAR_WIDTH)
    bars = []
    for n, (label, value) in enumerate(values):
        height = max(MIN_BAR, abs(value) / step * tall) if value else 0
        bars.append(
            Bar(
                x=_text(LEFT + n * slot + (slot - wide) / 2),
                y=_text(zero - height if value > 0 else zero),
                width=_text(wide),
                height=_text(height),
                label=label,
                value=value,
            )
        )
    lines = [(_text(zero - tall * part), step * part) for part in range(-below, above + 1)]
    every = max(1, -(-len(values) // MAX_LABELS))
    labels = [
        Mark(_text(LEFT + n * slot + slot / 2), values[n][0]) for n in range(0, len(values), every)
    ]
    return Chart(bars, lines, labels, width)


def nice_top(highest: int) -> int:
    """The next of 1, 2, 5, 10, 20, 50, ... that is even, for the line in the middle."""
    if highest <= 2:
        return 2
    unit = int("1".ljust(len(str(highest)), "0"))
    for factor in (1, 2, 5, 10):
        if highest <= factor * unit:
            return factor * unit
    raise AssertionError


def share(value: int, highest: int) -> str:
    """How wide the bar of a row is, out of 100."""
    return _text(100 * value / highest if highest else 0)


def _text(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")
