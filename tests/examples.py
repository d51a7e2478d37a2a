"""How much of random and repeated work the tests do: `manage.py test --full` does more."""

import os

FULL = "HOLDFAST_TEST_FULL" in os.environ
TIMES_IN_FULL = 5


def examples(in_the_gate: int) -> int:
    """Returns the value for hypothesis' `max_examples`."""
    return in_the_gate * (TIMES_IN_FULL if FULL else 1)
