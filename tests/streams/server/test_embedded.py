import os
import stat
from pathlib import Path

import pytest

from streams.server.embedded import (
    VERSION_FILE,
    EmbeddedRedisError,
    find_redis_server,
    parse_version,
    recorded_version,
    redis_command,
    redis_folder,
    redis_socket,
    server_version,
)
from tests.redis_server import RedisServer


@pytest.fixture
def data_dir() -> Path:
    server = RedisServer()
    yield server.data_dir
    server.remove()


@pytest.fixture
def on_path(tmp_path, monkeypatch):
    """Puts a redis-server of any version first on PATH."""

    def put(version: str) -> Path:
        program = tmp_path / "redis-server"
        program.write_text(f'#!/bin/sh\necho "Redis server v={version} sha=0:0 bits=64"\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        return program

    return put


@pytest.fixture
def nothing_bundled(monkeypatch):
    monkeypatch.setattr("streams.server.embedded.find_spec", lambda name: None)


def test_the_bundled_server_is_found_and_new_enough(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    server = find_redis_server()
    assert server.version >= (8, 0, 0)
    assert server_version(server.path) == server.version


def test_the_server_on_path_comes_first(on_path):
    program = on_path("7.2.4")
    assert find_redis_server().path == program


@pytest.mark.parametrize("version", ["6.0.16", "nonsense"])
def test_an_unusable_server_on_path_is_skipped(on_path, version):
    program = on_path(version)
    assert find_redis_server().path != program


def test_no_server_at_all(monkeypatch, nothing_bundled):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(EmbeddedRedisError, match="Install .*REDIS_URL"):
        find_redis_server()


def test_only_a_too_old_server(on_path, nothing_bundled):
    on_path("5.0.14")
    with pytest.raises(EmbeddedRedisError, match=r"6\.2\.0 or later .*only has Redis 5\.0\.14"):
        find_redis_server()


def test_the_command_makes_a_private_folder_and_no_tcp_port(data_dir):
    command = redis_command(data_dir)
    folder = redis_folder(data_dir)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    lines = Path(command[1]).read_text().splitlines()
    for line in ("port 0", "appendonly yes", "appendfsync always", 'save ""', "unixsocketperm 700"):
        assert line in lines
    assert "maxmemory-policy noeviction" in lines
    assert not any(line.startswith("loadmodule") for line in lines)
    assert recorded_version(data_dir) == find_redis_server().version


def test_the_command_runs_without_modules_and_keeps_its_data(make_server):
    server = make_server()
    with server.client() as client:
        # Redis 8 has a built-in module; a loaded one has a path.
        assert all(not module[b"path"] for module in client.module_list())
        assert client.config_get("port")["port"] == "0"
        client.set("k", "v")
        server.kill()
        server.start()
        assert client.get("k") == b"v"
    assert stat.S_IMODE(redis_socket(server.data_dir).stat().st_mode) == 0o700


def test_a_folder_with_spaces_and_quotes(data_dir):
    odd = RedisServer()
    odd.data_dir.rmdir()
    odd.data_dir = data_dir / 'a "b" c'
    odd.data_dir.mkdir()
    odd.url = f"unix://{redis_socket(odd.data_dir)}".replace(" ", "%20").replace('"', "%22")
    try:
        odd.start()
    finally:
        odd.remove()


def test_an_older_server_is_refused_and_a_newer_one_recorded(data_dir, on_path, nothing_bundled):
    on_path("8.2.3")
    redis_command(data_dir)
    on_path("7.2.4")
    with pytest.raises(
        EmbeddedRedisError, match=r"written by Redis 8\.2\.3.*only has Redis 7\.2\.4"
    ):
        redis_command(data_dir)
    assert recorded_version(data_dir) == (8, 2, 3)
    on_path("8.2.1")  # a patch release reads what another one wrote
    redis_command(data_dir)
    assert recorded_version(data_dir) == (8, 2, 3)
    on_path("8.4.0")
    redis_command(data_dir)
    assert recorded_version(data_dir) == (8, 4, 0)


def test_a_newer_bundled_server_is_preferred_to_an_older_one_on_path(data_dir, on_path):
    program = on_path("7.0.1")
    assert redis_command(data_dir)[0] == str(program)
    (redis_folder(data_dir) / VERSION_FILE).write_text("8.0.0\n")
    assert redis_command(data_dir)[0] != str(program)


def test_an_unreadable_version_is_not_guessed(data_dir):
    redis_folder(data_dir).mkdir()
    (redis_folder(data_dir) / VERSION_FILE).write_text("newest\n")
    with pytest.raises(EmbeddedRedisError, match="does not hold a version"):
        redis_command(data_dir)


def test_a_path_too_long_for_a_socket(data_dir):
    long = data_dir / ("x" * 100)
    with pytest.raises(EmbeddedRedisError, match="shorter data folder"):
        redis_command(long)
    elsewhere = data_dir / "s" / "redis.sock"
    config = Path(redis_command(long, elsewhere)[1]).read_text()
    assert f'unixsocket "{elsewhere}"' in config
    assert stat.S_IMODE(elsewhere.parent.stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_created(data_dir):
    blocked = data_dir / "file"
    blocked.write_text("")
    with pytest.raises(EmbeddedRedisError, match=r"cannot be (written|read)"):
        redis_command(blocked)


@pytest.mark.parametrize("text", ["", "8", "8.2", "8.2.3.4", "v8.2.3", "8.2.x"])
def test_an_invalid_version(text):
    assert parse_version(text) is None
