"""Writes to the database that need not outlive a crash of the machine."""

import functools
from collections.abc import Callable
from typing import ParamSpec

from django.db import connection, transaction

P = ParamSpec("P")


def relaxed_commit(write: Callable[P, None]) -> Callable[P, None]:
    """Decorate a write that need not wait for the disk when it commits. Sync; has no effect within
    a transaction.

    For writes that are repeated if they are lost: an `fsync` takes milliseconds, and delays those
    of the log, which is on the same disk. Earlier commits stay safe.
    """

    @functools.wraps(write)
    def write_without_sync(*args: P.args, **kwargs: P.kwargs) -> None:
        if connection.in_atomic_block:  # The write commits with the transaction.
            write(*args, **kwargs)
        elif connection.vendor == "sqlite":
            _on_sqlite(lambda: write(*args, **kwargs))
        else:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET LOCAL synchronous_commit TO OFF")
                write(*args, **kwargs)

    return write_without_sync


def _on_sqlite(write: Callable[[], None]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA synchronous=NORMAL")
        try:
            write()
        finally:
            cursor.execute("PRAGMA synchronous=FULL")
