"""The process of an upload, or of its check, dies at each step. The next one finishes the file:
once, with nothing left over, and with every byte counted."""

import json
import shutil
import subprocess
import sys

import pytest

from tests.buckets.server import bucket_environment, new_bucket
from tests.stack import BASE_DIR, clean_environment, migrated

STEPS = [
    "announced",
    "part-0 half stored",
    "part-0 stored",
    "part-0 noted",
    "part-1 half stored",
    "part-1 stored",
    "part-1 noted",
    "completed",
    "claimed",
    "parts joined",
    "read",
    "view half stored",
    "view stored",
    "model half stored",
    "model stored",
    "original half stored",
    "original stored",
    "row ready",
    "part-0 erased",
    "part-1 erased",
    "cleaned up",
]


@pytest.fixture(scope="module", params=["folder", "bucket"])
def outcomes(request, tmp_path_factory):
    """What became of each file, by the step at which its process died."""
    data = tmp_path_factory.mktemp("upload-steps")
    shutil.copy(migrated(), data)
    env = {"DJANGO_SETTINGS_MODULE": "config.settings", "HOLDFAST_DATA": str(data)}
    if request.param == "bucket":
        server = request.getfixturevalue("bucket_server")
        env |= bucket_environment(server, new_bucket(server))
    command = [sys.executable, "-m", "tests.chat.files.upload_driver"]
    done = subprocess.run(
        command, cwd=BASE_DIR, env=clean_environment(**env), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return {each["step"]: each for each in found}


def test_every_step_is_tried(outcomes):
    assert sorted(outcomes) == sorted(STEPS)


@pytest.mark.parametrize("step", STEPS)
def test_the_next_process_finishes_the_file(outcomes, step):
    assert outcomes[step] == {
        "step": step,
        "state": "ready",
        "is_leased": False,
        "names": ["model", "original", "view"],
        "is_exact": True,
        "is_whole": True,
    }
