"""Tests that the bench runs and writes every field of its report; asserts no timing."""

import json
import subprocess
import sys

from tests.bench.report import Row, percentile, table
from tests.stack import MANAGE, clean_environment

MEASURED = {"page", "page-cpu", "burst"}
FIELDS = {
    "measure",
    "name",
    "value",
    "unit",
    "must",
    "aim",
    "more_is_better",
    "met",
    "aim_met",
}


def bench(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, MANAGE, "bench", *options]
    return subprocess.run(command, env=clean_environment(), capture_output=True, text=True)


def test_it_measures_and_writes_every_field(tmp_path):
    path = tmp_path / "bench.json"
    only = [option for name in MEASURED for option in ("--only", name)]
    done = bench("--quick", *only, "--json", str(path))
    assert done.returncode == 0, done.stderr
    result = json.loads(path.read_text())
    assert result["failed"] == {}
    assert {"cpus", "python", "system", "load_before", "load_after"} <= set(result["machine"])
    assert {row["measure"] for row in result["rows"]} == MEASURED
    assert all(set(row) == FIELDS for row in result["rows"])
    assert all(row["value"] > 0 for row in result["rows"])
    assert "first load" in done.stdout
    assert "chunks/s" in done.stdout


def test_it_names_the_measures_there_are():
    done = bench("--only", "nothing")
    assert done.returncode == 1
    assert "There is no measure 'nothing'; there are: idle, " in done.stderr


def test_a_row_says_whether_its_budget_is_met():
    rows = [
        Row("a", "one", 6, "ms", must=5, aim=2),
        Row("a", "two", 4, "ms", must=5, aim=2),
        Row("a", "three", 4000, "1/s", must=3000, more_is_better=True),
    ]
    assert [(row.meets(row.must), row.meets(row.aim)) for row in rows] == [
        (False, False),
        (True, False),
        (True, None),
    ]
    assert "MISSED" in table(rows).splitlines()[2]


def test_a_percentile_is_one_of_the_values():
    assert percentile([5, 1, 3], 50) == 3
    assert percentile(list(range(100)), 99) == 99
    assert percentile([], 50) == float("inf")
