"""The writer of a process: sends the appends of all answers through one connection.

The first append is sent at once; those made during its round trip are sent together in the next
one. An append that is not acknowledged is sent again, byte for byte, and the script drops events
that are already stored. Appends that are awaited one after another keep their order; concurrent
appends may be stored in any order.
"""

from collections.abc import Sequence

from redis.exceptions import ResponseError

from .entries import Event, Fence
from .errors import FencedError, InvalidNameError, StreamsError
from .keys import stream_keys, valid_name
from .pipe import PipelinedConnection, Script
from .sizes import COSTS

APPEND = Script("append")
RAISE_FENCE = Script("raise_fence")
# Redis passes arguments on Lua's stack. Far below its limit, and short enough not to delay others.
MAX_EVENTS = 1_000


class Writer:
    def __init__(self, pipe: PipelinedConnection, *, prefix: str) -> None:
        self._pipe = pipe
        self._prefix = prefix

    async def append(self, stream: str, events: Sequence[Event], fence: Fence | None) -> list[str]:
        if not events:
            return []
        packed = self._pack(stream, events, fence)
        try:
            reply: list[bytes] = await self._pipe.submit(packed)
        except ResponseError as error:
            raise translate(error, fence) from error
        return [entry.decode() for entry in reply]

    async def raise_fence(self, stream: str, fence: Fence) -> None:
        keys = stream_keys(self._prefix, stream)
        packed = RAISE_FENCE.call([keys.fences], valid_name(fence.name), fence.token)
        try:
            await self._pipe.submit(packed)
        except ResponseError as error:
            raise translate(error, fence) from error

    def _pack(self, stream: str, events: Sequence[Event], fence: Fence | None) -> bytes:
        if len(events) > MAX_EVENTS:
            raise ValueError(f"{len(events)} events in one append; {MAX_EVENTS} are allowed")
        names = stream_keys(self._prefix, stream)
        keys = [names.log, names.fences, names.sizes]
        args: list[str | bytes | int] = [
            fence.name if fence else "",
            fence.token if fence else "",
            names.wake,
            *COSTS,
        ]
        for event in events:
            chat = valid_name(event.chat)
            if event.part_of is None:
                keys += (names.chat(chat), names.ids)
                group = ""
            else:
                keys += (names.live(chat), names.part_ids(chat))
                group = valid_name(event.part_of)
                if event.whole is not None:
                    raise InvalidNameError("an event cannot be both a part and a whole")
            args += (valid_name(event.id), chat, event.type, event.data, group, event.whole or "")
        return APPEND.call(keys, *args)


def translate(error: ResponseError, fence: Fence | None) -> StreamsError:
    text = str(error)
    if fence is not None and "FENCED" in text:
        token = int(text.rpartition("FENCED ")[2].split()[0])
        return FencedError(
            f"{fence.name}: the fence has token {token}, this writer has {fence.token}", token
        )
    return StreamsError(f"Redis refused the append: {text}")
