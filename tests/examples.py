"""The number of examples of a property test: few by default, many with `manage.py test --full`."""

import os

TIMES_IN_FULL = 5


def examples(in_the_gate: int) -> int:
    """Returns the value for hypothesis' `max_examples`."""
    return in_the_gate * (TIMES_IN_FULL if "HOLDFAST_TEST_FULL" in os.environ else 1)
