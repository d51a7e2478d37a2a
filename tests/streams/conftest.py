"""A shared Redis for most tests, and separate ones for tests that kill theirs."""

from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from streams.log import Log
from streams.queue import Queue
from tests.redis_server import RedisServer


@pytest.fixture(scope="session")
def shared_server() -> Iterator[RedisServer]:
    server = RedisServer()
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture
def server(shared_server: RedisServer, settings) -> Iterator[RedisServer]:
    settings.REDIS_URL = shared_server.url
    yield shared_server
    with shared_server.client() as client:
        client.flushall()


@pytest.fixture
def make_server(settings) -> Iterator[Callable[..., RedisServer]]:
    """Starts servers for one test; the settings refer to the last one."""
    made: list[RedisServer] = []

    def make(*options: str) -> RedisServer:
        made.append(RedisServer(*options))
        made[-1].start()
        settings.REDIS_URL = made[-1].url
        return made[-1]

    yield make
    for server in made:
        server.remove()


@pytest.fixture
async def log(server) -> AsyncIterator[Log]:
    async with Log() as log:
        yield log


@pytest.fixture
async def queue(server, settings) -> AsyncIterator[Queue]:
    settings.WORK_LEASE_MS = 150
    async with Queue("test") as queue:
        yield queue
