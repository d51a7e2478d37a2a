"""The names of all keys in Redis.

All keys of a stream (or queue) have its name as their hash tag, so a Redis Cluster keeps them in
one slot and one script may access them all. Data under a name that is changed here is lost.
"""

import re
from functools import lru_cache

from .errors import InvalidNameError

# Braces would change the hash tag. The other limits keep names readable in redis-cli and safe in
# JSON.
_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,200}")


class StreamKeys:
    """Keys of one user's log.

    log     every entry, permanently: c (chat), t (type), d (data); a part also has an empty `p`
    chat()  the chat's index: a copy of its entries that are not parts, under the same ids
    live()  the parts of the chat's unfinished wholes, under the same ids; `p` names the whole
    ids     event id -> entry id of events that are not parts, until their chat is erased
    part_ids()  event id -> entry id of the chat's parts; expires after live() is removed
    fences  name -> token
    sizes   bytes stored: "total", of each chat "l:" (log) and "i:" (its index); "until" and "place"
            while entries of an earlier release are not counted; "noted": see sizes.py
    coming  bytes reserved for appends; expires
    sound() the sound of an answer, until it is stored elsewhere; expires
    sounds  the names of these
    wake    not a key: the pub/sub channel on which each append is announced
    """

    __slots__ = ("_tag", "coming", "fences", "ids", "log", "sizes", "sounds", "stream", "wake")

    def __init__(self, prefix: str, stream: str) -> None:
        self._tag = f"{prefix}:{{{stream}}}"
        self.stream = stream
        self.log = f"{self._tag}:log"
        self.ids = f"{self._tag}:ids"
        self.fences = f"{self._tag}:fences"
        self.sizes = f"{self._tag}:sizes"
        self.coming = f"{self._tag}:coming"
        self.sounds = f"{self._tag}:sounds"
        self.wake = f"{self._tag}:wake"

    def chat(self, chat: str) -> str:
        return f"{self._tag}:chat:{chat}"

    def live(self, chat: str) -> str:
        return f"{self._tag}:live:{chat}"

    def sound(self, name: str) -> str:
        return f"{self._tag}:speech.{name}"

    def part_ids(self, chat: str) -> str:
        return f"{self._tag}:told:{chat}"


# Few streams are in use at a time; a token should not pay for building their key names.
@lru_cache(maxsize=4096)
def stream_keys(prefix: str, stream: str) -> StreamKeys:
    return StreamKeys(prefix, valid_name(stream))


def valid_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise InvalidNameError(f"{name[:80]!r} cannot name a stream, a chat or an event")
    return name
