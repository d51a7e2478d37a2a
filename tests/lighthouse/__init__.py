"""Lighthouse, Google's audit of pages, on the Node of the tests.

npm fetches it once (tests/npm.py). It audits pages in a running Chromium, as the person who is
signed in there, or in one that it starts.
"""

import json
import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, BrowserType

from tests import npm
from tests.node import NODE
from tests.npm import NotInstalledError

__all__ = ["NotInstalledError", "audit", "browser_to_audit", "installed"]

HERE = Path(__file__).parent
AUDIT_S = 240
# The emulated device: a slow phone on a slow network, or a desktop.
PHONE, DESKTOP = "phone", "desktop"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run"]


@dataclass(frozen=True, slots=True)
class Report:
    """`scores` has 0 to 100 for each category; `findings` has a line for each failed audit."""

    scores: dict[str, int]
    findings: list[str]
    timings: dict[str, str]


def installed() -> Path:
    """Returns Lighthouse's entry point, installing it if needed. Raises NotInstalledError."""
    return npm.installed(HERE) / "lighthouse" / "cli" / "index.js"


@contextmanager
def browser_to_audit(kind: BrowserType, browser_path: str) -> Iterator[tuple[BrowserContext, int]]:
    """Yields a context of a new Chromium, and the port for Lighthouse to connect to."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as profile:
        options = [*ARGUMENTS, f"--remote-debugging-port={port}"]
        context = kind.launch_persistent_context(
            profile, executable_path=browser_path, args=options
        )
        try:
            yield context, port
        finally:
            context.close()


def audit(url: str, device: str, categories: list[str], *, port: int = 0, browser: str) -> Report:
    """Returns Lighthouse's report on a page, on a device with an empty cache.

    `port` is that of `browser_to_audit`; without it Lighthouse starts the Chromium `browser`.
    """
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "report.json")
        command = [str(NODE), str(installed()), url, "--output=json", "--quiet"]
        command += [f"--output-path={path}", f"--only-categories={','.join(categories)}"]
        command += ["--preset=desktop"] if device == DESKTOP else []
        if "performance" not in categories:
            # Pictures of the page change no other score. The slow network does not either; it is
            # only computed from the requests. Without it Lighthouse would wait for 5 s of silence
            # in place of 1 s, four times for each page.
            command += ["--throttling-method=simulate", "--disable-full-page-screenshot"]
        flags = " ".join(["--headless=new", *ARGUMENTS])
        command += [f"--port={port}"] if port else [f"--chrome-flags={flags}"]
        environment = os.environ | {"HOME": place, "CI": "1", "CHROME_PATH": browser}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=AUDIT_S
        )
        assert path.exists(), f"Lighthouse gave no report of {url}: {done.stderr[-2_000:]}"
        found = json.loads(path.read_text())
    assert "runtimeError" not in found, found["runtimeError"]
    scores = {name: round(100 * one["score"]) for name, one in found["categories"].items()}
    return Report(scores, list(_findings(found)), _timings(found))


def _findings(found: dict[str, Any]) -> Iterator[str]:
    for name, category in found["categories"].items():
        for part in category["auditRefs"]:
            one = found["audits"][part["id"]]
            if part["weight"] and one["score"] is not None and one["score"] < 0.9:
                items = json.dumps(one.get("details", {}).get("items", []))[:400]
                yield f"{name}: {one['title']} {one.get('displayValue', '')} {items}"


def _timings(found: dict[str, Any]) -> dict[str, str]:
    names = ("first-contentful-paint", "largest-contentful-paint", "total-blocking-time")
    shown = {name: found["audits"].get(name, {}).get("displayValue", "") for name in names}
    return {name: text.replace("\xa0", " ") for name, text in shown.items() if text}
