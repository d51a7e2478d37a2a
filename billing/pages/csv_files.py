"""Tables for spreadsheets, of any length: made and sent some rows at a time."""

import csv
import io
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import datetime
from itertools import chain

from asgiref.sync import sync_to_async
from django.http import StreamingHttpResponse

from billing.money import MICRO_PER_USD

# A spreadsheet takes what begins so for a formula; and titles are anybody's words.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
# What is put together before it is sent.
CHUNK_CHARS = 64 * 1024

# Rows that are read from the database at a time.
CSV_BATCH = 500


class CsvResponse(StreamingHttpResponse):
    """A download whose rows come from a sync iterator. Each chunk is made when it is asked for, on
    the request's own thread: left to itself Django would gather them all first under ASGI."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        chunks = iter(self)
        while chunk := await sync_to_async(_next)(chunks):
            yield chunk


def csv_response(name: str, header: list[str], rows: Iterable[list[object]]) -> CsvResponse:
    """A download. The first rows are fetched here, so that what cannot be read is an error page
    rather than half a file."""
    chunks = _chunks(csv_lines(header, rows))
    response = CsvResponse(_begun(next(chunks), chunks), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response


def _begun(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _chunks(lines: Iterator[str]) -> Iterator[str]:
    gathered: list[str] = []
    chars = 0
    for line in lines:
        gathered.append(line)
        chars += len(line)
        if chars >= CHUNK_CHARS:
            yield "".join(gathered)
            gathered, chars = [], 0
    if gathered:
        yield "".join(gathered)


def _next(chunks: Iterator[bytes]) -> bytes:
    """b"" at the end: StopIteration cannot leave a thread."""
    return next(chunks, b"")


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
