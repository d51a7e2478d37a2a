"""The one writer of a process: gathers the appends of all answers into one pipeline.

The first append goes out at once; those that come while it is in flight go together in the next
round trip. An append that is not acknowledged is sent again, the very same bytes; the script drops
what was stored the first time. Appends that are awaited one after another keep their order; of
appends made at the same time, any may come first.
"""

from collections.abc import Sequence

from redis.exceptions import ResponseError

from .entries import Event, Fence
from .errors import FencedError, InvalidNameError, StreamsError
from .keys import stream_keys, valid_name
from .pipe import Pipe, Script
from .sizes import COSTS

APPEND = Script("append")
RAISE_FENCE = Script("raise_fence")
# Redis takes a script's arguments from Lua's stack; far below any limit, and short for the others.
MAX_EVENTS = 1_000


class Writer:
    def __init__(self, pipe: Pipe, *, prefix: str) -> None:
        self._pipe = pipe
        self._prefix = prefix

    async def append(self, stream: str, events: Sequence[Event], fence: Fence | None) -> list[str]:
        if not events:
            return []
        packed = self._pack(stream, events, fence)
        try:
            reply: list[bytes] = await self._pipe.submit(packed)
        except ResponseError as error:
            raise _translate(error, fence) from error
        return [entry.decode() for entry in reply]

    async def raise_fence(self, stream: str, fence: Fence) -> None:
        keys = stream_keys(self._prefix, stream)
        packed = RAISE_FENCE.call([keys.fences], valid_name(fence.name), fence.token)
        try:
            await self._pipe.submit(packed)
        except ResponseError as error:
            raise _translate(error, fence) from error

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
                keys += (names.live(chat), names.told(chat))
                group = valid_name(event.part_of)
                if event.whole is not None:
                    raise InvalidNameError("an event is a part or a whole, not both")
            args += (valid_name(event.id), chat, event.type, event.data, group, event.whole or "")
        return APPEND.call(keys, *args)


def _translate(error: ResponseError, fence: Fence | None) -> StreamsError:
    text = str(error)
    if fence is not None and "FENCED" in text:
        token = int(text.rpartition("FENCED ")[2].split()[0])
        return FencedError(
            f"{fence.name}: the fence stands at {token}, this writer has {fence.token}", token
        )
    return StreamsError(f"Redis refused the append: {text}")
