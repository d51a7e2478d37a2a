"""A process raises its limit of open files as far as it may."""

import resource
import subprocess
import sys
from contextlib import closing

import pytest

from config.supervise import open_files
from tests.stack import BASE_DIR, Stack, clean_environment

ASK = """
import resource
from config.supervise import open_files
open_files.ask_for_more()
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "then"), [(64, 900, 900), (900, 900, 900), (64, 70_000, open_files.WANTED)]
)
def test_it_raises_the_limit_as_far_as_allowed(soft, hard, then):
    if hard > resource.getrlimit(resource.RLIMIT_NOFILE)[1]:
        pytest.skip("this machine allows fewer")
    done = subprocess.run(
        [
            "sh",
            "-c",
            f'ulimit -Sn {soft}; ulimit -Hn {hard}; exec "$0" -c "$1"',
            sys.executable,
            ASK,
        ],
        cwd=BASE_DIR,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [str(then), str(hard)]


def test_web_and_workers_have_what_they_may_have(fake_model):
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, limits[1]))
    try:
        stack = Stack(model_url=fake_model.base_url, workers=1).start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    with closing(stack):
        for name in ("web", "worker-1"):
            soft, _ = resource.prlimit(stack.pid(name), resource.RLIMIT_NOFILE)
            assert soft == open_files.allowed()
