"""Settings of the memory of web processes and workers: short pauses, and memory given back."""

import contextlib
import ctypes
import gc

# Parameters of glibc's mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
# glibc's own start value. Larger blocks are mapped, so freeing one returns its memory at once.
LARGE_BYTES = 128 * 1024


def return_large_blocks() -> None:
    """Call it at the start. Otherwise glibc raises the threshold with each large block that is
    freed, and further blocks come from the heap, which small ones behind them keep from shrinking.
    """
    with contextlib.suppress(AttributeError, OSError):  # Another C library.
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, LARGE_BYTES)
        mallopt(_TRIM_THRESHOLD, LARGE_BYTES)


def begin_start() -> None:
    """Call it before Django is imported. A fifth of the CPU time of a start was spent in garbage
    collections, which find hardly any garbage then, because modules and classes stay."""
    gc.disable()


def freeze_start() -> None:
    """Call it once the process is ready; from now on garbage is collected. A full collection visits
    every object, and 200,000 modules, functions and models held the event loop for 50 ms. They stay
    for good, so collections leave them out."""
    gc.collect()
    gc.freeze()
    gc.enable()
