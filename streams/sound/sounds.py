"""Sound that is made while somebody hears it: bytes that are appended under a fence, and read by
their offset, from anywhere and at any time, until they are erased.

Each sound is a Redis Stream beside its owner's log. An entry's id is the size of the sound after
it. What append() has returned is on disk, and nobody reads it earlier, as in the log.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ResponseError

from ..entries import Fence
from ..keys import StreamKeys, stream_keys, valid_name
from ..pipe import (
    CONNECTION_ERRORS,
    PipelinedConnection,
    Script,
    backoff_s,
    connect,
    disconnect,
    pack,
)
from ..writer import translate

APPEND_SOUND = Script("append_sound")
# One that nobody erases, because its row is gone, does not stay for ever.
KEPT_MS = 24 * 3600 * 1000
# The most bytes of an entry. A reader holds at most READ_ENTRIES of them in memory.
MAX_ENTRY_BYTES = 32_000
READ_ENTRIES = 4
IDLE_MS = 1_000
WAIT_GRACE_S = 5.0


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of a sound up to the offset `end`. `attempt`: the one that made them, which began at
    the offset `begin`."""

    end: int
    data: bytes
    attempt: int
    begin: int

    @property
    def start(self) -> int:
        return self.end - len(self.data)


class Sounds:
    """The sounds of all logs. Belongs to an event loop."""

    def __init__(
        self, writing: PipelinedConnection, reading: PipelinedConnection, url: str, *, prefix: str
    ) -> None:
        self._writing, self._reading = writing, reading
        self._url, self._prefix = url, prefix

    async def append(self, stream: str, name: str, piece: Piece, fence: Fence | None) -> None:
        """Append a piece, durably. A repetition changes nothing.

        Raises FencedError, LogUnavailableError, and StreamsError if the sound has another size, as
        when Redis was restored to an earlier state.
        """
        await self._append(
            stream, name, fence, (piece.start, piece.attempt, piece.begin), piece.data
        )

    async def close(self, stream: str, name: str) -> None:
        """Say that nothing follows. Its writers must have stopped. A repetition changes nothing."""
        await self._append(stream, name, None, (0, 0, 0), b"")

    async def _append(
        self, stream: str, name: str, fence: Fence | None, place: tuple[int, ...], data: bytes
    ) -> None:
        names = stream_keys(self._prefix, stream)
        keys = [names.sound(valid_name(name)), names.fences, names.sounds]
        held = (fence.name, fence.token) if fence else ("", "")
        packed = APPEND_SOUND.call(keys, *held, name, *place, KEPT_MS, data)
        try:
            await self._writing.submit(packed)
        except ResponseError as error:
            raise translate(error, fence) from error

    async def last(self, stream: str, name: str) -> Piece | None:
        """The last piece; None without any."""
        key = self._keys(stream).sound(valid_name(name))
        rows = await self._reading.execute("XREVRANGE", key, "+", "-", "COUNT", 2)
        pieces = _pieces(rows[::-1])
        return pieces[-1] if pieces else None

    async def read(self, stream: str, name: str, position: int = 0) -> list[Piece]:
        """Some pieces after this offset, in their order; none at the end of what is there."""
        key = self._keys(stream).sound(valid_name(name))
        first = f"({position}-0"
        return _pieces(
            await self._reading.execute("XRANGE", key, first, "+", "COUNT", READ_ENTRIES)
        )

    async def follow(
        self, stream: str, name: str, position: int = 0
    ) -> AsyncGenerator[bytes, None]:
        """Yield the bytes from this offset on, then new ones as they come, until the sound is
        closed. Yields b"" after each second without any: the caller then looks whether the sound
        is still there. It outlives outages of Redis.

        It reads only when the caller asks for more, and has a connection of its own, because Redis
        lets a connection wait for one thing.
        """
        key = self._keys(stream).sound(valid_name(name))
        link: AbstractConnection | None = None
        failures = 0
        try:
            while True:
                try:
                    link = link or await connect(self._url)
                    rows = await _wait_for_entries(link, key, position)
                    failures = 0
                except CONNECTION_ERRORS:
                    if link is not None:
                        await disconnect(link)
                    link, failures = None, failures + 1
                    yield b""
                    await asyncio.sleep(backoff_s(failures))
                    continue
                if not rows:
                    yield b""
                for piece in _pieces(rows):
                    # A sound that was begun anew has less than this reader knows.
                    yield piece.data[max(position - piece.start, 0) :]
                    position = piece.end
                if rows and rows[-1][0].endswith(b"-1"):
                    return
        finally:
            if link is not None:
                await disconnect(link)

    async def erase(self, stream: str, name: str) -> None:
        names = self._keys(stream)
        await self._reading.execute("UNLINK", names.sound(valid_name(name)))
        await self._reading.execute("SREM", names.sounds, name)

    async def erase_all(self, stream: str) -> None:
        """Erase all sounds of a log. Their writers must have stopped."""
        names = self._keys(stream)
        known: Sequence[bytes] = await self._reading.execute("SMEMBERS", names.sounds)
        for name in known:
            await self._reading.execute("UNLINK", names.sound(name.decode()))
        await self._reading.execute("UNLINK", names.sounds)

    def _keys(self, stream: str) -> StreamKeys:
        return stream_keys(self._prefix, stream)


async def _wait_for_entries(link: AbstractConnection, key: str, position: int) -> Any:
    """The next entries after this offset; empty after IDLE_MS."""
    command = ("XREAD", "COUNT", READ_ENTRIES, "BLOCK", IDLE_MS, "STREAMS", key, f"{position}-0")
    async with asyncio.timeout(IDLE_MS / 1000 + WAIT_GRACE_S):
        await link.send_packed_command([pack(*command)], check_health=False)
        reply = await link.read_response()
    return reply[0][1] if reply else []


def _pieces(rows: Any) -> list[Piece]:
    pieces = []
    for entry_id, fields in rows:
        values = dict(zip(fields[::2], fields[1::2], strict=True))
        if b"d" in values:
            end = int(entry_id.partition(b"-")[0])
            pieces.append(Piece(end, values[b"d"], int(values[b"a"]), int(values[b"b"])))
    return pieces
