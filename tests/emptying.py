"""Empties the database after a test that committed to it.

Django's `flush` truncates every table and creates the content types, permissions and groups again,
which takes a tenth of a second after each of a thousand tests. `Emptying` deletes only from tables
that have changed, and restores the rows that the migrations created.
"""

from typing import Any

from django.db import connection, transaction

# Triggers that prevent deletion. On SQLite they are dropped and created again. On PostgreSQL the
# replication role `replica` runs no triggers and checks no foreign keys.
GUARD = "accounts_securityevent_no_delete"
GUARDS = "billing_%_is_not_deleted"

Rows = list[tuple[Any, ...]]


class Emptying:
    """Must be created right after the migrations, whose rows it restores."""

    def __init__(self) -> None:
        names = connection.introspection.django_table_names(only_existing=True, include_views=False)
        quote = connection.ops.quote_name
        self.tables = {name: quote(name) for name in sorted(names)}
        self.which = " UNION ALL ".join(
            f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM {quoted})"
            for name, quoted in self.tables.items()
        )
        with connection.cursor() as cursor:
            self.guards = _guards(cursor)
            self.first = {name: self._rows(cursor, name) for name in self._filled(cursor)}

    def empty(self) -> None:
        with connection.cursor() as cursor:
            changed = [name for name in self._filled(cursor) if name not in self.first]
            changed += [
                name for name, rows in self.first.items() if self._rows(cursor, name) != rows
            ]
            if changed:
                with transaction.atomic():
                    self._empty(cursor, changed)

    def _empty(self, cursor: Any, changed: list[str]) -> None:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL session_replication_role = 'replica'")
        guards = [guard for table, *guard in self.guards if table in changed]
        for name, _definition in guards:
            cursor.execute(f"DROP TRIGGER {name}")
        for table in changed:
            cursor.execute(f"DELETE FROM {self.tables[table]}")
            if rows := self.first.get(table):
                values = ", ".join(["%s"] * len(rows[0]))
                cursor.executemany(f"INSERT INTO {self.tables[table]} VALUES ({values})", rows)
        for _name, definition in guards:
            cursor.execute(definition)

    def _filled(self, cursor: Any) -> list[str]:
        """Returns the names of the tables that have rows."""
        cursor.execute(self.which)
        return [name for (name,) in cursor.fetchall()]

    def _rows(self, cursor: Any, name: str) -> Rows:
        cursor.execute(f"SELECT * FROM {self.tables[name]} ORDER BY 1")
        return list(cursor.fetchall())


def _guards(cursor: Any) -> list[tuple[str, str, str]]:
    """Returns the table, name and definition of each guard."""
    if connection.vendor != "sqlite":
        return []
    cursor.execute(
        "SELECT tbl_name, name, sql FROM sqlite_master WHERE type = 'trigger' "
        "AND (name = %s OR name LIKE %s)",
        [GUARD, GUARDS],
    )
    return list(cursor.fetchall())
