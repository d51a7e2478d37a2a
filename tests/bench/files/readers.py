"""Measures the memory that slow readers of a large file take in the web process."""

import asyncio

from tests.bench.bench import Bench
from tests.bench.files.uploads import long_document, upload
from tests.bench.people import Person, crowd
from tests.bench.processes import memory_mb
from tests.bench.report import Row

FILE_BYTES = 25_000_000
READERS = 50
READ_BYTES = 1_000
STALLED_S = 3.0
MORE_MB = 64


async def slow_readers(bench: Bench) -> None:
    """Each reader reads a little and then waits, as a phone on a bad line does."""
    # Readers of PDF files skip what follows the end.
    content = long_document().ljust(FILE_BYTES, b" ")
    async with crowd(bench.url, 1) as [person]:
        await person.first_exchange()
        state = await upload(person, "long.pdf", content)
        web = {"web": bench.pids()["web"]}
        before = memory_mb(web)["web"]
        writers = [await _begin(person, state["id"]) for _ in range(READERS)]
        await asyncio.sleep(STALLED_S)
        more = memory_mb(web)["web"] - before
        for writer in writers:
            writer.transport.abort()
    name = f"{READERS} slow readers of 25 MB: web's memory"
    bench.rows.append(Row("slow-readers", name, more, "MB more", MORE_MB))


async def _begin(person: Person, file_id: str) -> asyncio.StreamWriter:
    host, port = person.http.host.rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port), limit=READ_BYTES)
    head = f"Host: {person.http.host}\r\nCookie: {person.http.cookie}\r\n"
    writer.write(f"GET /files/{file_id}/original HTTP/1.1\r\n{head}\r\n".encode())
    first = await reader.read(READ_BYTES)
    assert first.startswith(b"HTTP/1.1 200"), first
    return writer
