"""Rows of the result: a value, its budget (the bound it must meet, the one it aims for), and
whether it is met."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """`must` and `aim` are upper bounds, or lower bounds if more is better; None: no budget."""

    measure: str
    name: str
    value: float
    unit: str
    must: float | None = None
    aim: float | None = None
    more_is_better: bool = False

    def meets(self, bound: float | None) -> bool | None:
        if bound is None:
            return None
        return self.value >= bound if self.more_is_better else self.value <= bound

    def to_dict(self) -> dict[str, Any]:
        met = {"met": self.meets(self.must), "aim_met": self.meets(self.aim)}
        return asdict(self) | met


def percentile(values: Sequence[float], percent: float) -> float:
    """Returns the percentile by nearest rank; infinity if there are no values."""
    if not values:
        return float("inf")
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * percent / 100))]


def spread(values: Sequence[float]) -> dict[str, float]:
    return {f"p{percent}": percentile(values, percent) for percent in (50, 95, 99)}


def table(rows: Sequence[Row]) -> str:
    lines = [("measure", "value", "unit", "must", "aim", "")]
    last = ""
    measures = list(dict.fromkeys(row.measure for row in rows))
    for row in sorted(rows, key=lambda row: measures.index(row.measure)):
        if row.measure != last:
            lines.append((f"[{row.measure}]", "", "", "", "", ""))
            last = row.measure
        lines.append(
            (
                "  " + row.name,
                _number(row.value),
                row.unit,
                _number(row.must),
                _number(row.aim),
                _verdict(row),
            )
        )
    widths = [max(len(line[column]) for line in lines) for column in range(6)]
    return "\n".join(
        (
            line[0].ljust(widths[0])
            + "  "
            + "  ".join(
                cell.ljust(width) if column == 1 else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(line[1:5], widths[1:5], strict=True))
            )
            + "  "
            + line[5]
        ).rstrip()
        for line in lines
    )


def _verdict(row: Row) -> str:
    if row.meets(row.must) is False:
        return "MISSED"
    if row.must is None and row.aim is None:
        return ""
    return "met" if row.meets(row.aim) is False else "met, aim too"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value == round(value) else f"{value:.2f}".rstrip("0")
