"""A provider that responds with exact bytes: one case of tests/vectors/provider for each model.

A case is {"name", "type"?, "body": [parts], "expect": {...}}; a part is
  a string                 an event: `data: ` before it, an empty line after it
  {"text": "..."}          a chunk with this content
  {"delta": {...}, "finish"?: "..."}     a chunk
  {"raw": "...", "broken"?: "@"}         these characters; "broken" becomes an invalid UTF-8 byte
  {"sleep": seconds}       a pause
  {"cut": true}            aborts the connection
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CASES = Path(__file__).parent / "vectors" / "provider"


def cases() -> list[dict[str, Any]]:
    return [case for path in sorted(CASES.glob("*.json")) for case in json.loads(path.read_text())]


def body_of(case: dict[str, Any]) -> Iterator[bytes | float | None]:
    """Yields bytes to send, seconds to wait, or None to abort the connection."""
    for part in case["body"]:
        if isinstance(part, str):
            yield f"data: {part}\n\n".encode()
        elif "raw" in part:
            raw = part["raw"].encode()
            yield raw.replace(part["broken"].encode(), b"\xc3") if "broken" in part else raw
        elif "sleep" in part:
            yield float(part["sleep"])
        elif "cut" in part:
            yield None
        else:
            delta = part.get("delta", {"content": part.get("text", "")})
            choice = {"index": 0, "delta": delta, "finish_reason": part.get("finish")}
            yield b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


@dataclass
class RawProvider:
    """A running provider; `calls` lists the bodies of the requests, and `sent_whole` counts the
    responses that were sent to their end."""

    served: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    calls: list[dict[str, Any]] = field(default_factory=list)
    sent_whole: int = 0
    base_url: str = ""
    # The number of bytes per write; 0 writes each part at once.
    split: int = 0
    answering: set[asyncio.Task[None]] = field(default_factory=set)

    def serve(self, name: str, answers: list[dict[str, Any]]) -> None:
        """Sets the answers of a model: one case per call; the last one repeats."""
        self.served[name] = list(answers)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.answering.add(task)
        task.add_done_callback(self.answering.discard)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._read(reader, writer)
        finally:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        sizes = [line for line in head.lower().split("\r\n") if "content-length" in line]
        length = int(sizes[0].split(":")[1]) if sizes else 0
        request = json.loads(await reader.readexactly(length) or b"{}")
        if head.startswith("GET"):
            models = {"data": [_listed(name, answers) for name, answers in self.served.items()]}
            await self._send(writer, "application/json", [json.dumps(models).encode()])
        else:
            self.calls.append(request)
            answers = self.served[request["model"]]
            case = answers.pop(0) if len(answers) > 1 else answers[0]
            kind = case.get("type", "text/event-stream")
            await self._send(writer, kind, body_of(case))

    async def _send(self, writer: asyncio.StreamWriter, kind: str, body: Any) -> None:
        label = f"Content-Type: {kind}\r\n" if kind else ""
        head = f"HTTP/1.1 200 OK\r\n{label}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())
        for part in body:
            if part is None:
                await writer.drain()
                await asyncio.sleep(0.05)
                writer.transport.abort()
                return
            if isinstance(part, float):
                await writer.drain()
                await asyncio.sleep(part)
                continue
            for at in range(0, len(part), self.split or len(part) or 1):
                piece = part[at : at + (self.split or len(part))]
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        self.sent_whole += 1


def _listed(name: str, answers: list[dict[str, Any]]) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": name, "object": "model", "context_length": 8192}
    if pricing := answers[0].get("pricing"):
        entry |= {"pricing": pricing, "architecture": {"output_modalities": ["text"]}}
    return entry


@contextlib.asynccontextmanager
async def running_raw_provider() -> AsyncIterator[RawProvider]:
    provider = RawProvider()
    server = await asyncio.start_server(provider.answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    provider.base_url = f"http://127.0.0.1:{port}/v1"
    async with server:
        yield provider
        left = list(provider.answering)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
