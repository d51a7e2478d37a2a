"""How many examples a property test draws: some in the gate, many with `manage.py test --full`."""

import os

TIMES_IN_FULL = 5


def examples(in_the_gate: int) -> int:
    """For hypothesis' `max_examples`."""
    return in_the_gate * (TIMES_IN_FULL if "HOLDFAST_TEST_FULL" in os.environ else 1)
