"""Tables for spreadsheets."""

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain

from django.http import HttpResponse

from billing.money import MICRO_PER_USD

# A spreadsheet takes what begins so for a formula; and titles are anybody's words.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def csv_response(name: str, header: list[str], rows: Iterable[list[object]]) -> HttpResponse:
    """A download."""
    # Whole, not streamed: under ASGI Django gathers what a sync iterator gives all the same.
    table = "".join(csv_lines(header, rows))
    response = HttpResponse(table, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response


def csv_lines(header: Iterable[str], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """Line by line, with a mark before the first that Excel looks for."""
    line = io.StringIO()
    writer = csv.writer(line)
    line.write("\ufeff")
    for row in chain([header], rows):
        writer.writerow(row)
        yield line.getvalue()
        line.seek(0)
        line.truncate()


def usd(micro_usd: int) -> str:
    """Dollars for a machine: "-1.234567", always six digits."""
    sign = "-" if micro_usd < 0 else ""
    whole, rest = divmod(abs(micro_usd), MICRO_PER_USD)
    return f"{sign}{whole}.{rest:06d}"


def moment(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def words(text: str) -> str:
    """What somebody wrote, so that it is no formula."""
    return f"'{text}" if text.startswith(FORMULA) else text
