"""Records every state of every purse with a trigger that the test creates, for assertions about all
intermediate states, not only the last one."""

from typing import Any

CREATE_TABLE = "CREATE TABLE purse_history (balance BIGINT NOT NULL, held BIGINT NOT NULL)"
INSERT = "INSERT INTO purse_history VALUES (NEW.balance_micro_usd, NEW.held_micro_usd)"
CREATE_TRIGGER = "CREATE TRIGGER purse_history_insert AFTER UPDATE ON billing_purse FOR EACH ROW"
INSTALL = {
    "sqlite": (CREATE_TABLE, f"{CREATE_TRIGGER} BEGIN {INSERT}; END"),
    "postgresql": (
        CREATE_TABLE,
        "CREATE FUNCTION purse_history_insert() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN {INSERT}; RETURN NULL; END $$",
        f"{CREATE_TRIGGER} EXECUTE FUNCTION purse_history_insert()",
    ),
}
REMOVE = (
    "DROP TRIGGER purse_history_insert ON billing_purse",
    "DROP FUNCTION purse_history_insert()",
    "DROP TABLE purse_history",
)
# (number of states, lowest available credit, lowest balance)
MINIMA = "SELECT COUNT(*), MIN(balance - held), MIN(balance) FROM purse_history"


def check(minima: tuple[Any, ...], at_least: int) -> None:
    """Assert that no purse ever held more than its balance or had a negative balance.

    `at_least` is how many states must have been recorded.
    """
    count, available, balance = minima
    assert count >= at_least
    assert available >= 0
    assert balance >= 0
