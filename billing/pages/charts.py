"""Computes bar charts as SVG coordinates, which templates draw. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 720, 200
# Margins for the axis labels.
LEFT, BOTTOM, TOP = 84, 34, 14
GAP_PERCENT = 24
MAX_LABELS = 8
# Keeps bars of small values visible.
MIN_BAR = 1.5
# Bars of short ranges would be too wide.
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
    """A label of the horizontal axis."""

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
    """Bars for (label, value) pairs, in their order. Negative bars extend below the zero line."""
    numbers = [value for _, value in values]
    high, low = max(numbers, default=0), min(numbers, default=0)
    step = nice_top(max(high, -low)) // 2
    # Numbers of grid lines above and below zero.
    above = max(2 if low >= 0 else 0, -(-high // step))
    below = 0 if low >= 0 else -(low // step)
    step_height = (HEIGHT - TOP - BOTTOM) / (above + below)
    zero = TOP + step_height * above
    slot = (width - LEFT) / max(1, len(values))
    bar_width = min(slot * (100 - GAP_PERCENT) / 100, MAX_BAR_WIDTH)
    bars = []
    for n, (label, value) in enumerate(values):
        height = max(MIN_BAR, abs(value) / step * step_height) if value else 0
        bars.append(
            Bar(
                x=_text(LEFT + n * slot + (slot - bar_width) / 2),
                y=_text(zero - height if value > 0 else zero),
                width=_text(bar_width),
                height=_text(height),
                label=label,
                value=value,
            )
        )
    lines = [(_text(zero - step_height * part), step * part) for part in range(-below, above + 1)]
    every = max(1, -(-len(values) // MAX_LABELS))
    labels = [
        Mark(_text(LEFT + n * slot + slot / 2), values[n][0]) for n in range(0, len(values), every)
    ]
    return Chart(bars, lines, labels, width)


def nice_top(highest: int) -> int:
    """Rounds up to the next round number (2, 5, 10, 20, 50, ...), the end of the axis."""
    if highest <= 2:
        return 2
    unit = int("1".ljust(len(str(highest)), "0"))
    for factor in (1, 2, 5, 10):
        if highest <= factor * unit:
            return factor * unit
    raise AssertionError


def share(value: int, highest: int) -> str:
    """Width of a row's bar, in percent of the widest."""
    return _text(100 * value / highest if highest else 0)


def _text(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")
