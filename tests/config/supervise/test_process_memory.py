"""Memory of web processes and workers (config/supervise/process_memory.py)."""

import platform
import subprocess
import sys
import urllib.request

import pytest

from config.supervise.process_memory import LARGE_BYTES
from tests.stack import BASE_DIR

# Small blocks that stay, between large ones that are freed, as with frames that wait for a client.
WAITED = """
import sys
from config.supervise import process_memory
if sys.argv[1] == "returns":
    process_memory.return_large_blocks()
def used():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096
first = bytearray({large})
del first
before = used()
stay, waiting = [], []
for number in range(200):
    waiting.append(bytearray({large}))
    stay.append(bytearray(2_000))
most = used()
waiting.clear()
print(most - before, used() - before)
"""
OUR_PACKAGES = ("accounts.", "billing.", "chat.", "config.", "streams.", "allauth.", "genai_prices")
FROZEN = """
import gc
from config.supervise import process_memory
process_memory.begin_start()
is_enabled = gc.isenabled()
kept = [[number] for number in range(1_000)]
process_memory.freeze_start()
print(gc.get_freeze_count(), len(gc.get_objects()), int(is_enabled), int(gc.isenabled()))
"""


def run(code, *arguments):
    command = [sys.executable, "-c", code, *arguments]
    out = subprocess.run(command, cwd=BASE_DIR, capture_output=True, text=True, check=True).stdout
    return map(int, out.split())


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's malloc")
def test_large_blocks_are_returned_when_they_are_freed():
    code = WAITED.format(large=LARGE_BYTES + 60_000)
    most, left = run(code, "returns")
    assert left < most / 10
    most, left = run(code, "keeps")
    assert left > most / 2


def test_garbage_collections_leave_out_what_exists_at_the_start():
    frozen, visited, is_enabled_before, is_enabled = run(FROZEN)
    assert frozen > 1_000
    assert visited < 1_000
    assert (is_enabled_before, is_enabled) == (False, True)


def test_the_first_page_finds_everything_loaded(make_stack):
    """Otherwise it holds the event loop, and what it loads takes part in garbage collections."""
    stack = make_stack(workers=1, env={"PYTHONPROFILEIMPORTTIME": "1"}).start()
    before = len(stack.output)
    with urllib.request.urlopen(stack.url) as page:
        assert page.status == 200
    web = [line for line in stack.output[before:].splitlines() if "web" in line]
    imported = [line.rpartition("|")[2].strip() for line in web if "import time:" in line]
    assert not [name for name in imported if name.startswith(OUR_PACKAGES)], imported
    assert len(imported) < 100, imported
