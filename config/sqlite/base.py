"""SQLite as Django uses it, except that writers queue for the write lock and connections stay open.

SQLite lets a writer that finds the lock taken sleep, for up to 100 ms, and try again; with many
writers most of them sleep while the lock is free. Here a writer first takes its turn in a
`WriteQueue`, so that it finds SQLite's own lock free. Programs that do not use this backend, such
as the `sqlite3` shell, only have SQLite's lock, which still decides.
"""

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import OperationalError
from django.db.backends.sqlite3 import base

from config.sqlite.write_queue import WriteQueue, queue_of

DEFAULT_TIMEOUT_S = 5.0
READ_ONLY = ("SELECT", "PRAGMA", "EXPLAIN", "SAVEPOINT", "RELEASE", "ROLLBACK", "BEGIN", "COMMIT")


class DatabaseWrapper(base.DatabaseWrapper):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._queue: WriteQueue | None = None
        self._has_turn = False

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        connection = super().get_new_connection(conn_params)
        self._queue = None if self.is_in_memory_db() else _queue_beside(conn_params["database"])
        return connection

    def create_cursor(self, name: str | None = None) -> Any:
        return self.connection.cursor(factory=functools.partial(QueuedCursor, self))

    def is_usable(self) -> bool:
        """Django asks this only after an error. A new connection is cheap, and free of whatever
        broke this one."""
        return False

    def _start_transaction_under_autocommit(self) -> None:
        self.take_turn()
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]
        except BaseException:
            self.end_turn()
            raise

    def _commit(self) -> None:
        super()._commit()  # type: ignore[misc]
        self.end_turn()

    def _rollback(self) -> None:
        try:
            super()._rollback()  # type: ignore[misc]
        finally:
            self.end_turn()

    def _close(self) -> None:
        try:
            super()._close()  # type: ignore[misc]
        finally:
            self.end_turn()

    @contextmanager
    def turn_for(self, query: str) -> Iterator[None]:
        """Wait for the turn if the statement writes; within a transaction, it has it already."""
        is_read = query.lstrip()[:9].upper().startswith(READ_ONLY)
        has_taken = not is_read and self.take_turn()
        try:
            yield
        finally:
            if has_taken:
                self.end_turn()

    def take_turn(self) -> bool:
        """Wait for this connection's turn to write; False if it has it already. Raises
        OperationalError after the `timeout` of the database's OPTIONS."""
        if self._queue is None or self._has_turn:
            return False
        timeout_s = self.settings_dict["OPTIONS"].get("timeout", DEFAULT_TIMEOUT_S)
        if not self._queue.acquire(timeout_s):
            raise OperationalError("database is locked")
        self._has_turn = True
        return True

    def end_turn(self) -> None:
        if self._queue is not None and self._has_turn:
            self._has_turn = False
            self._queue.release()


def _queue_beside(database: str | os.PathLike[str]) -> WriteQueue | None:
    """None for somebody who may not write beside the database; SQLite's own lock is left then."""
    try:
        return queue_of(os.path.realpath(database))  # The database may be a link.
    except OSError:
        return None


class QueuedCursor(base.SQLiteCursorWrapper):
    """Lets a statement that writes outside a transaction wait for its turn, too."""

    def __init__(self, wrapper: DatabaseWrapper, connection: Any) -> None:
        super().__init__(connection)
        self._wrapper = wrapper

    def execute(self, query: Any, params: Any = None) -> Any:
        with self._wrapper.turn_for(query):
            return super().execute(query, params)

    def executemany(self, query: Any, param_list: Any) -> Any:
        with self._wrapper.turn_for(query):
            return super().executemany(query, param_list)
