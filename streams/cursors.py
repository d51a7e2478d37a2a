"""Entry ids, which are the cursors of readers: `<ms>-<seq>`, the time of the entry in ms since 1970
and a number that tells entries of the same ms apart. Everything that reads their text is here.
"""

import re

from .errors import InvalidCursorError

# Before the first entry of every log.
START = "0-0"
# Redis allows 20 digits; 15 keep both halves far below 2^64 for any clock until the year 33658.
_ENTRY_ID = re.compile(r"[0-9]{1,15}-[0-9]{1,15}")
_LAST_OF_MS = 10**15 - 1
_ENTRY_ID_OR_MS = re.compile(r"[0-9]{1,15}(-[0-9]{1,15})?")


def is_cursor(value: object) -> bool:
    """Whether a value from a client is the text of an entry id."""
    return isinstance(value, str) and _ENTRY_ID.fullmatch(value) is not None


def valid_cursor(after: str | None) -> str:
    """`after` as an entry id: START for None, and `<ms>-0` for a time without a number.

    Raises InvalidCursorError.
    """
    if after is None:
        return START
    if not _ENTRY_ID_OR_MS.fullmatch(after):
        raise InvalidCursorError(f"{after[:80]!r} is not the id of an entry")
    return after if "-" in after else f"{after}-0"


def order(entry_id: str | bytes) -> tuple[int, int]:
    """The key to sort entries by: ids compare as two numbers, not as text."""
    text = entry_id if isinstance(entry_id, str) else entry_id.decode()
    ms, _, seq = text.partition("-")
    return int(ms), int(seq or 0)


def is_after(entry_id: str, other: str) -> bool:
    """Whether the first entry is later in the log."""
    return order(entry_id) > order(other)


def before(entry_id: str) -> str:
    """The cursor from which the next entry is this one, if the log has it."""
    ms, seq = order(entry_id)
    return f"{ms}-{seq - 1}" if seq else f"{ms - 1}-{_LAST_OF_MS}"


def entry_ms(entry_id: str) -> int:
    """The time of an entry, in ms since 1970."""
    return order(entry_id)[0]
