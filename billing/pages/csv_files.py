"""CSV downloads of any length, built and sent in chunks."""

import csv
import io
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import datetime
from itertools import chain

from asgiref.sync import sync_to_async
from django.http import StreamingHttpResponse

from billing.money import MICRO_PER_USD

# Spreadsheets read cells that begin like this as formulas, and anybody can choose a title.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
# Rows are joined into chunks of this size.
CHUNK_CHARS = 64 * 1024

# Rows per database query.
CSV_BATCH = 500


class CsvResponse(StreamingHttpResponse):
    """A download from a sync iterator. Each chunk is built when needed, in the request's thread; by
    default Django would collect the whole iterator first under ASGI."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        chunks = iter(self)
        while chunk := await sync_to_async(_next)(chunks):
            yield chunk


def csv_response(name: str, header: list[str], rows: Iterable[list[object]]) -> CsvResponse:
    """A download named `name`. Builds the first chunk immediately, so that an error becomes an
    error page rather than half a file."""
    chunks = _chunks(csv_lines(header, rows))
    response = CsvResponse(_prepend(next(chunks), chunks), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response


def _prepend(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _chunks(lines: Iterator[str]) -> Iterator[str]:
    buffer: list[str] = []
    chars = 0
    for line in lines:
        buffer.append(line)
        chars += len(line)
        if chars >= CHUNK_CHARS:
            yield "".join(buffer)
            buffer, chars = [], 0
    if buffer:
        yield "".join(buffer)


def _next(chunks: Iterator[bytes]) -> bytes:
    """The next chunk; b"" at the end, because StopIteration cannot cross threads."""
    return next(chunks, b"")


def csv_lines(header: Iterable[str], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """CSV lines. The first begins with a byte order mark, by which Excel recognises UTF-8."""
    line = io.StringIO()
    writer = csv.writer(line)
    line.write("\ufeff")
    for row in chain([header], rows):
        writer.writerow(row)
        yield line.getvalue()
        line.seek(0)
        line.truncate()


def usd(micro_usd: int) -> str:
    """USD with exactly six decimals: "-1.234567"."""
    sign = "-" if micro_usd < 0 else ""
    whole, rest = divmod(abs(micro_usd), MICRO_PER_USD)
    return f"{sign}{whole}.{rest:06d}"


def iso_time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def escape_formula(text: str) -> str:
    """Prefix an apostrophe to a text that a spreadsheet would read as a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text
