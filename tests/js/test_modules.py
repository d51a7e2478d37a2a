"""Runs the tests of the pure JavaScript modules in node, one pytest case a file."""

import subprocess
from pathlib import Path

import pytest

from tests.node import NODE

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("*.test.mjs"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_passes_in_node(path):
    options = ["--disable-warning=MODULE_TYPELESS_PACKAGE_JSON", "--test", "--test-force-exit"]
    command = [str(NODE), *options, str(path)]
    run = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "# tests 0" not in run.stdout
