"""Assigns tests to processes: a file runs in one process, and the longest files start first.

Starting with the longest work makes all processes finish at about the same time. A test that starts
its own stack shares nothing with the other tests of its file, so any process may run it.
"""

from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

# Folders and files that take long, the longest first. The other files follow, those with the most
# tests first (xdist's order). `manage.py test --durations` lists the slowest.
LONGEST = (
    "tests/crash/",
    "tests/bench/",
    "test_up.py",
    "tests/browser/accounts/",
    "tests/browser/connection/",
    "tests/browser/",
    "test_local_model.py",
    "test_runner.py",
    "tests/config/",
    "test_access.py",
    "test_top_up_state_machine.py",
    "test_money_state_machine.py",
    "test_key_leaks.py",
    "test_leaving.py",
)
APART = (
    "test_kill_run.py",
    "test_paid_crashes.py",
    "test_paid_crowd.py",
    "tests/bench/",
)


class Scheduling(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)

    def _assign_work_unit(self, node: WorkerController) -> None:
        self.workqueue.move_to_end(min(self.workqueue, key=rank_of), last=False)
        super()._assign_work_unit(node)


def unit_of(nodeid: str) -> str:
    """Returns the test or the file that one process runs as a whole."""
    apart = any(_is_in(nodeid, name) for name in APART)
    return nodeid if apart else nodeid.split("::", 1)[0]


def rank_of(unit: str) -> int:
    """Returns the rank of a unit; units with a lower rank start earlier."""
    ranks = (rank for rank, name in enumerate(LONGEST) if _is_in(unit, name))
    return next(ranks, len(LONGEST))


def _is_in(nodeid: str, name: str) -> bool:
    """Returns whether the unit is in the folder `name`, or its file is called `name`."""
    return f"/{name}" in "/" + nodeid.split("::", 1)[0]
