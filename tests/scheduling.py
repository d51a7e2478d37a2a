"""Which process runs which tests: a file stays together, and the longest work comes first.

A process that begins with what takes minutes ends when the others do. A test with a whole Holdfast
of its own shares nothing with its file, so it goes wherever there is room.
"""

from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

# Folders and files whose tests each start processes, the longest first.
LONGEST = (
    "tests/crash/",
    "tests/bench/",
    "tests/config/test_up.py",
    "tests/browser/",
    "tests/config/",
    "tests/chat/test_access.py",
)
APART = ("tests/crash/", "tests/bench/", "tests/config/test_up.py")


class Scheduling(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)

    def _assign_work_unit(self, node: WorkerController) -> None:
        self.workqueue.move_to_end(min(self.workqueue, key=rank_of), last=False)
        super()._assign_work_unit(node)


def unit_of(nodeid: str) -> str:
    """What is run by one process: a test or a file."""
    return nodeid if nodeid.startswith(APART) else nodeid.split("::", 1)[0]


def rank_of(unit: str) -> int:
    """The lower, the earlier."""
    ranks = (rank for rank, name in enumerate(LONGEST) if unit.startswith(name))
    return next(ranks, len(LONGEST))
