"""Measures the CPU time and memory of processes."""

from collections.abc import Mapping

import psutil


def memory_mb(pids: Mapping[str, int]) -> dict[str, float]:
    """Returns the memory of each process and its children: PSS, which counts shared pages once,
    or RSS where the kernel does not report PSS."""
    found: dict[str, float] = {}
    for name, pid in pids.items():
        total = 0
        for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
            if process.pid != pid and process.pid in pids.values():
                continue
            memory = process.memory_full_info()
            total += getattr(memory, "pss", memory.rss)
        found[name] = total / 1e6
    return found


def cpu_s(pids: Mapping[str, int]) -> dict[str, float]:
    """Returns the CPU seconds of each process; PostgreSQL's include those of its children, which
    serve the connections."""
    return {name: _spent_s(name, pid) for name, pid in pids.items()}


def _spent_s(name: str, pid: int) -> float:
    process = psutil.Process(pid)
    children = process.children() if name == "postgresql" else []
    return float(sum(sum(one.cpu_times()[:2]) for one in [process, *children]))


class CpuMeter:
    """Counts CPU seconds from its creation on: of each process, and of all others together."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self.pids = dict(pids)
        self._before, self._busy_before = cpu_s(self.pids), _busy_s()

    def seconds(self) -> dict[str, float]:
        after, busy = cpu_s(self.pids), _busy_s() - self._busy_before
        spent = {name: after[name] - self._before[name] for name in self.pids}
        return spent | {"others": max(0.0, busy - sum(spent.values()))}


def _busy_s() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system)
