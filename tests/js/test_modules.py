"""Runs the tests of the pure JavaScript modules in node, one pytest case a file."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.node import NODE

HERE = Path(__file__).parent
FILES = sorted(HERE.rglob("*.test.mjs"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_passes_in_node(path):
    passes_in_node(path)


@pytest.mark.full
def test_every_hostile_shape_passes_at_full_size():
    passes_in_node(
        HERE / "markdown" / "hostile_shapes.test.mjs", timeout_s=3_600, HOLDFAST_FULL="1"
    )


def passes_in_node(path, timeout_s=120, **environment):
    options = ["--disable-warning=MODULE_TYPELESS_PACKAGE_JSON", "--test", "--test-force-exit"]
    command = [str(NODE), *options, str(path)]
    run = subprocess.run(
        command,
        cwd=HERE,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "# tests 0" not in run.stdout
