"""Writes to the database that need not outlive a crash of the machine."""

import functools
from collections.abc import Callable
from typing import ParamSpec

from django.db import connection, transaction

P = ParamSpec("P")


def without_sync(write: Callable[P, None]) -> Callable[P, None]:
    """Do not wait for the disk when this write commits. Sync, outside of transactions.

    For what is done again when it is lost: an `fsync` costs milliseconds, and holds up those of
    the log, which is on the same disk. All that was committed before is as safe as ever.
    """

    @functools.wraps(write)
    def unsynced(*args: P.args, **kwargs: P.kwargs) -> None:
        if connection.in_atomic_block:  # It commits with the rest.
            write(*args, **kwargs)
        elif connection.vendor == "sqlite":
            _on_sqlite(lambda: write(*args, **kwargs))
        else:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET LOCAL synchronous_commit TO OFF")
                write(*args, **kwargs)

    return unsynced


def _on_sqlite(write: Callable[[], None]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA synchronous=NORMAL")
        try:
            write()
        finally:
            cursor.execute("PRAGMA synchronous=FULL")
