"""Settings of a stack whose answers cost something, and the audit of its books."""

import json

from tests.stack import wait_for

MODEL = "openrouter/script/known"
# The hold of a title whose worker is killed lasts for minutes: tests/chat/charging/test_pricing.py.
NO_TITLES = {"HOLDFAST_BACKGROUND_CALLS": "False"}


def check_the_books(stack, database, answers):
    """Waits until all replies have ended. No hold may be open, and the audit must be clean."""
    unfinished = "SELECT COUNT(*) FROM chat_reply WHERE finished_at IS NULL"
    open_holds = "SELECT COUNT(*) FROM billing_hold WHERE state = 'open'"
    held = "SELECT SUM(held_micro_usd) FROM billing_purse"
    wait_for(lambda: database.rows(stack, unfinished) == [(0,)], 60)
    assert database.rows(stack, open_holds) == [(0,)]
    assert database.rows(stack, held) == [(0,)]
    audit = stack.manage("audit_ledger", "--json", timeout=120)
    found = json.loads(audit.stdout)
    assert found["differences"] == []
    assert audit.returncode == 0
    assert found["checked"]["answers"] == answers
