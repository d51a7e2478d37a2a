import socketserver
import threading
from collections.abc import Iterator

import pytest
from django.core.checks import run_checks
from django.core.management.base import SystemCheckError

from streams.server.checks import TAG, ensure_durable_redis, redis_messages
from streams.server.inspect import ainspect_redis, inspect_redis


@pytest.fixture
def config(server) -> Iterator:
    """Changes the server's configuration for one test."""
    with server.client() as client:
        names = ("appendonly", "appendfsync", "maxmemory-policy")
        before = {name: client.config_get(name)[name] for name in names}
        yield lambda name, value: client.config_set(name, value)
        for name, value in before.items():
            client.config_set(name, value)


def _ids() -> list[str]:
    return [message.id for message in redis_messages()]


async def test_the_embedded_redis_is_durable(server):
    report = await ainspect_redis(server.url)
    assert report.durable
    assert report.reachable
    assert (report.append_only, report.append_fsync) == (True, "always")
    assert report.eviction_policy == "noeviction"
    assert report.role == "master"
    assert report.used_memory_bytes > 0
    assert _ids() == []
    ensure_durable_redis()


def test_the_check_runs_only_when_asked_for(settings):
    """Not with every command, because it connects to Redis."""
    settings.REDIS_URL = "unix:///nowhere/redis.sock"
    assert run_checks(tags=[TAG]) == []
    found = run_checks(tags=[TAG], include_deployment_checks=True)
    assert [message.id for message in found] == ["streams.E001"]


@pytest.mark.parametrize(
    "url",
    [
        "unix:///nowhere/redis.sock",
        "redis://127.0.0.1:1/0",
        "http://x",
        "redis://:secret@127.0.0.1:1",
    ],
)
def test_e001_unreachable(settings, url):
    settings.REDIS_URL = url
    assert _ids() == ["streams.E001"]
    assert not inspect_redis(url).reachable
    message = redis_messages()[0]
    assert message.hint
    assert "secret" not in f"{message.msg}{message.hint}"


@pytest.mark.parametrize(("name", "value"), [("appendonly", "no"), ("appendfsync", "everysec")])
def test_e002_forgetful(config, name, value):
    config(name, value)
    assert _ids() == ["streams.E002"]
    assert value in redis_messages()[0].msg


def test_e003_evicting(config):
    config("maxmemory-policy", "allkeys-lru")
    assert _ids() == ["streams.E003"]


def test_e004_too_old(settings):
    with _scripted_redis(info=b"redis_version:6.0.16\r\nrole:master\r\naof_enabled:1\r\n") as url:
        settings.REDIS_URL = url
        assert "streams.E004" in _ids()


def test_e005_opaque(server):
    """A user without permission for CONFIG, as in many hosted services."""
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "guest", "on", "nopass", "~*", "+@all", "-config")
    url = server.url.replace("unix://", "unix://guest:x@")
    assert [p.code for p in inspect_redis(url).problems] == ["opaque"]
    assert [m.id for m in redis_messages(inspect_redis(url))] == ["streams.E005"]


def test_e006_replica(server):
    with server.client() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", "1")
        try:
            assert _ids() == ["streams.E006"]
        finally:
            client.execute_command("REPLICAOF", "NO", "ONE")


def test_e007_failing(settings):
    info = b"redis_version:8.0.0\r\nrole:master\r\naof_enabled:1\r\naof_last_write_status:err\r\n"
    with _scripted_redis(info=info) as url:
        settings.REDIS_URL = url
        assert "streams.E007" in _ids()


def test_w001_lossy_but_allowed(config, settings):
    config("appendfsync", "no")
    with pytest.raises(SystemCheckError, match="streams.E002"):
        ensure_durable_redis()
    settings.STREAMS_ALLOW_LOSSY_REDIS = True
    assert _ids() == ["streams.W001"]
    ensure_durable_redis()


def test_problems_that_cannot_work_are_not_permitted(settings):
    settings.STREAMS_ALLOW_LOSSY_REDIS = True
    settings.REDIS_URL = "unix:///nowhere/redis.sock"
    with pytest.raises(SystemCheckError, match="streams.E001"):
        ensure_durable_redis()


class _scripted_redis:
    """A server with the given reply to INFO, in place of old and failing servers."""

    def __init__(self, info: bytes) -> None:
        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while line := self.rfile.readline():
                    words = [self._word() for _ in range(int(line[1:]))]
                    if words[0].upper() == b"INFO":
                        self.wfile.write(b"$%d\r\n%s\r\n" % (len(info), info))
                    elif words[0].upper() == b"CONFIG":
                        self.wfile.write(b"-NOPERM no\r\n")
                    else:
                        self.wfile.write(b"+OK\r\n")

            def _word(self) -> bytes:
                size = int(self.rfile.readline()[1:])
                return self.rfile.read(size + 2)[:-2]

        self._server = socketserver.TCPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> str:
        self._thread.start()
        return f"redis://127.0.0.1:{self._server.server_address[1]}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
