"""A proxy in front of a real Redis that delays replies, splits them, or drops them."""

import asyncio
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit


class LateRedis:
    """Runs in a thread with its own event loop, so that blocking clients can be tested as well."""

    def __init__(self, url: str, seed: int) -> None:
        self._path = urlsplit(url).path
        self._random = random.Random(seed)
        self._started = threading.Event()
        self._accepted: set[asyncio.WriteTransport] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.url = ""
        self.late = self.cut = 0
        self.calm = False

    def _run(self) -> None:
        asyncio.run(self._until_stopped())

    async def _until_stopped(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        async with await asyncio.start_server(self._begin, "127.0.0.1", 0) as server:
            self.url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
            self._started.set()
            await self._stopped.wait()
            # asyncio does not close a connection that it has accepted and not yet begun to serve
            # when its server closes. So first all of them begin.
            self._loop.remove_reader(server.sockets[0].fileno())
            await asyncio.sleep(0.05)
            serving = [*self._serving]
            for task in serving:
                task.cancel()
            await asyncio.gather(*serving, return_exceptions=True)
            for transport in self._accepted:
                transport.abort()
            await asyncio.sleep(0.05)  # Aborted transports close in the loop.

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._accepted.add(writer.transport)
        task = self._loop.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError):  # Redis or the client has closed its connection.
                await self._serve_until_cut(reader, writer)
        finally:
            writer.transport.abort()

    async def _serve_until_cut(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        from_redis, to_redis = await asyncio.open_unix_connection(self._path)
        ways = self._pass(reader, to_redis, False), self._pass(from_redis, writer, True)
        tasks = [asyncio.create_task(way) for way in ways]
        try:
            with suppress(asyncio.CancelledError):
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            to_redis.transport.abort()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, replies: bool
    ) -> None:
        while data := await reader.read(65_536):
            dice = self._random.random()
            if replies and not self.calm and dice < 0.3:
                at = self._random.randrange(len(data) + 1)
                writer.write(data[:at])
                self.late += 1
                await asyncio.sleep(self._random.random() * 0.12)
                data = data[at:]
                if dice < 0.05:
                    self.cut += 1
                    return
            writer.write(data)
            await writer.drain()

    def start(self) -> None:
        self._thread.start()
        assert self._started.wait(20)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(20)


@contextmanager
def late_redis(url: str, seed: int) -> Iterator[LateRedis]:
    between = LateRedis(url, seed)
    between.start()
    try:
        yield between
    finally:
        between.stop()
