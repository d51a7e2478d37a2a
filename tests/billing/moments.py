"""Every state that a purse was ever in, kept by a trigger of the test's own: for what must be true
at every moment, not only in the end."""

from typing import Any

TABLE = "CREATE TABLE moments (balance BIGINT NOT NULL, held BIGINT NOT NULL)"
KEEP = "INSERT INTO moments VALUES (NEW.balance_micro_usd, NEW.held_micro_usd)"
WHEN = "CREATE TRIGGER moments_kept AFTER UPDATE ON billing_purse FOR EACH ROW"
MAKE = {
    "sqlite": (TABLE, f"{WHEN} BEGIN {KEEP}; END"),
    "postgresql": (
        TABLE,
        "CREATE FUNCTION moments_kept() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN {KEEP}; RETURN NULL; END $$",
        f"{WHEN} EXECUTE FUNCTION moments_kept()",
    ),
}
DROP = (
    "DROP TRIGGER moments_kept ON billing_purse",
    "DROP FUNCTION moments_kept()",
    "DROP TABLE moments",
)
# How many there were, the least that was available, and the least balance.
LEAST = "SELECT COUNT(*), MIN(balance - held), MIN(balance) FROM moments"


def check(found: tuple[Any, ...], at_least: int) -> None:
    """Never was more held than there was, nor less there than nothing."""
    count, available, balance = found
    assert count >= at_least
    assert available >= 0
    assert balance >= 0
