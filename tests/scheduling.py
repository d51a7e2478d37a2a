"""Which process runs which tests: a file stays together, and the longest work comes first.

A process that begins with what takes minutes ends when the others do. A test with a whole Holdfast
of its own shares nothing with its file, so it goes wherever there is room.
"""

from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

# Folders and files whose tests each start processes, or take long, the longest first. After these
# come the files with most tests (xdist's order). `manage.py test --durations` says which are slow.
LONGEST = (
    "tests/crash/",
    "tests/bench/",
    "test_up.py",
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
APART = ("tests/crash/", "tests/bench/", "test_up.py")


class Scheduling(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)

    def _assign_work_unit(self, node: WorkerController) -> None:
        self.workqueue.move_to_end(min(self.workqueue, key=rank_of), last=False)
        super()._assign_work_unit(node)


def unit_of(nodeid: str) -> str:
    """What is run by one process: a test or a file."""
    apart = any(_is_in(nodeid, name) for name in APART)
    return nodeid if apart else nodeid.split("::", 1)[0]


def rank_of(unit: str) -> int:
    """The lower, the earlier."""
    ranks = (rank for rank, name in enumerate(LONGEST) if _is_in(unit, name))
    return next(ranks, len(LONGEST))


def _is_in(nodeid: str, name: str) -> bool:
    """Whether the test or file is in this folder, or is this file in any folder."""
    return f"/{name}" in "/" + nodeid.split("::", 1)[0]
