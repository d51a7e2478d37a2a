"""Measures the CPU of reading a model's stream with our transport and with httpx2's own."""

import asyncio
import time

import httpx2

from chat.llm.http.transport import StreamTransport
from tests.bench.bench import Bench
from tests.bench.report import Row

STREAMS = 200
CHUNKS_A_SECOND = 50


async def transport(bench: Bench) -> None:
    """Measures this process's CPU per chunk, at 200 streams of 50 chunks a second."""
    library = httpx2.AsyncHTTPTransport(limits=httpx2.Limits(max_connections=STREAMS))
    for name, kind in (("ours", StreamTransport(10.0)), ("the library's", library)):
        cost_us = await _cost_us(kind, bench.stack.env["OPENAI_BASE_URL"], bench.quick)
        bench.rows.append(Row("transport", f"CPU per chunk, {name}", cost_us, "us"))


async def _cost_us(kind: httpx2.AsyncBaseTransport, url: str, quick: bool) -> float:
    chunks = CHUNKS_A_SECOND * (1 if quick else 4)
    script = f"[[rate={CHUNKS_A_SECOND}&tokens={chunks}&together={STREAMS}]] Hi"
    body = {
        "model": "script/known",
        "stream": True,
        "messages": [{"role": "user", "content": script}],
    }

    async def read() -> None:
        async with client.stream("POST", f"{url}/chat/completions", json=body) as response:
            async for _ in response.aiter_bytes():
                pass

    async with httpx2.AsyncClient(transport=kind, timeout=None) as client:
        began = time.process_time()
        await asyncio.gather(*(read() for _ in range(STREAMS)))
        return (time.process_time() - began) / (chunks * STREAMS) * 1e6
