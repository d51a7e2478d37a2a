"""The embedded Redis's `maxmemory`, from the machine's or container's memory."""

import os

import pytest
import redis

from config.supervise.machine_memory import memory_bytes, redis_max_bytes
from streams.server.embedded import redis_command
from tests.redis_server import RedisServer

MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("memory.max", "50000000\n", 50_000_000),
        ("memory.max", "max\n", MACHINE),
        ("memory/memory.limit_in_bytes", "60000000\n", 60_000_000),
        ("memory/memory.limit_in_bytes", "9223372036854771712\n", MACHINE),
        ("other", "1\n", MACHINE),
    ],
)
def test_a_container_has_its_own_limit(tmp_path, name, text, expected):
    (tmp_path / "memory").mkdir()
    (tmp_path / name).write_text(text)
    assert memory_bytes(tmp_path) == expected
    assert redis_max_bytes(0, tmp_path) == int(0.6 * expected)
    assert redis_max_bytes(64, tmp_path) == 64_000_000


def test_the_embedded_redis_is_full_before_the_machine_and_forgets_nothing():
    server = RedisServer()
    try:
        redis_command(server.data_dir, max_bytes=redis_max_bytes(0))
        written = (server.data_dir / "redis" / "redis.conf").read_text()
        assert f"\nmaxmemory {redis_max_bytes(0)}\n" in written
        server.start()
        with server.client() as client:
            client.config_set("maxmemory", 3_000_000)
            client.set("first", "x" * 100_000)
            with pytest.raises(redis.exceptions.OutOfMemoryError):
                for number in range(100):
                    client.set(f"more-{number}", "x" * 100_000)
            assert client.exists("first")
    finally:
        server.remove()
