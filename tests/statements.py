"""The statements that the database executes, counted and explained."""

import asyncio
import re

from django.db import connection, transaction

from chat.models import Reply

CONTROL = ("BEGIN", "SAVEPOINT", "RELEASE", "PRAGMA", "SET LOCAL")


class Statements(list):
    """The statements that any thread executes, with their parameters, in their order."""

    def note(self, sql, params):
        self.append((re.sub(r"\s+", " ", str(sql)), params))

    def take(self):
        """The statements since the last call, and how many transactions began."""
        counted = [(sql, params) for sql, params in self if not sql.startswith(CONTROL)]
        begun = sum(sql.startswith("BEGIN") for sql, _ in self)
        self.clear()
        return counted, begun


async def outboxes_empty():
    """Wait until all outboxes are empty, which happens after the response, for many sends
    together."""
    async with asyncio.timeout(20):
        while await Reply.objects.filter(outbox__isnull=False).aexists():
            await asyncio.sleep(0.05)


def scans(executed):
    """The statements that read or change rows without finding them by an index."""
    found = {"sqlite": _scans_on_sqlite, "postgresql": _scans_on_postgresql}[connection.vendor]
    reads = [(sql, params) for sql, params in executed if sql.startswith(("SELECT", "UPDATE"))]
    assert reads
    return [(sql, scan) for sql, params in reads if (scan := _rolled_back(found, sql, params))]


def _rolled_back(found, sql, params):
    with transaction.atomic(), connection.cursor() as cursor:
        scan = found(cursor, sql, params)
        transaction.set_rollback(True)
        return scan


def _scans_on_sqlite(cursor, sql, params):
    cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
    steps = [row[3] for row in cursor.fetchall()]
    return [step for step in steps if step.startswith("SCAN") and "CONSTANT" not in step]


def _scans_on_postgresql(cursor, sql, params):
    """PostgreSQL reads a small table whole. So the planner is made to believe that each table has a
    million rows of unknown values. It still plans for an empty table as for a small one."""
    cursor.execute("SET LOCAL enable_seqscan = off")
    cursor.execute("DELETE FROM pg_statistic")
    cursor.execute(
        "UPDATE pg_class SET reltuples = 1000000, relpages = 1 "
        "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    )
    cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", params)
    return [node for node in _nodes(cursor.fetchone()[0][0]["Plan"]) if _reads_all(node)]


def _nodes(plan):
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


def _reads_all(node):
    is_by_index = "Index Cond" in node or "Recheck Cond" in node
    return "Scan" in node["Node Type"] and "Relation Name" in node and not is_by_index
