"""Lighthouse, Google's audit of pages, on the Node of the tests.

`npm ci` installs what `package-lock.json` names by content, once, into `.test/` (which git does
not see). Pages are looked at in a Chromium that is there already, so with whoever is signed in
there, or in one that Lighthouse starts.
"""

import fcntl
import hashlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, BrowserType

from tests.node import NODE

HERE = Path(__file__).parent
CACHE = HERE.parent.parent / ".test"
NPM = NODE.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
INSTALL_S, AUDIT_S = 120, 240
# By itself npm waits minutes for a registry that does not answer, or whose certificate is unknown
# here, and asks each time after a longer pause.
NPM_OPTIONS = [
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--fetch-retries=1",
    "--fetch-retry-mintimeout=1000",  # ms, as below
    "--fetch-retry-maxtimeout=2000",
    "--fetch-timeout=10000",
]
# The device it plays: a slow phone on a slow network, or a desktop.
PHONE, DESKTOP = "phone", "desktop"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run"]


class NotInstalledError(Exception):
    """Lighthouse is not here, and npm could not fetch it; says why."""


@dataclass(frozen=True, slots=True)
class Report:
    """`scores`: 0 to 100 of each category. `findings`: what cost points, a line each."""

    scores: dict[str, int]
    findings: list[str]
    timings: dict[str, str]


def installed() -> Path:
    """Lighthouse's entry point, fetched when it is not there. Raises NotInstalledError."""
    lock = (HERE / "package-lock.json").read_bytes()
    folder = CACHE / f"lighthouse-{hashlib.sha256(lock).hexdigest()[:12]}"
    entry = folder / "node_modules" / "lighthouse" / "cli" / "index.js"
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "lighthouse.lock").open("w") as held:  # Tests run in several processes.
        fcntl.flock(held, fcntl.LOCK_EX)
        if not entry.exists():
            _install(folder)
    return entry


def _install(folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=CACHE) as place:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, place)
        command = [str(NODE), str(NPM), "ci", "--prefix", place, *NPM_OPTIONS]
        try:
            done = subprocess.run(
                command, cwd=place, capture_output=True, text=True, timeout=INSTALL_S
            )
        except subprocess.TimeoutExpired:
            raise NotInstalledError("npm did not fetch Lighthouse in time") from None
        if done.returncode:
            raise NotInstalledError(f"npm could not fetch Lighthouse: {_reason(done.stderr)}")
        shutil.rmtree(folder, ignore_errors=True)
        Path(place, "node_modules").rename(_made(folder) / "node_modules")


def _reason(output: str) -> str:
    """The first sentence of npm about it, which comes after its codes."""
    lines = output.splitlines()
    errors = [line.removeprefix("npm error ") for line in lines if line.startswith("npm error ")]
    sentences = [line for line in errors if not line.startswith(("code ", "errno ", "syscall "))]
    return (sentences or errors or ["no reason given"])[0]


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@contextmanager
def browser_to_audit(kind: BrowserType, browser_path: str) -> Iterator[tuple[BrowserContext, int]]:
    """A Chromium of its own, and the port by which Lighthouse gets into it."""
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
    """What Lighthouse says of a page, as a device that has never seen it.

    `port` is one of `browser_to_audit`; without it the Chromium `browser` is started for this.
    """
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "report.json")
        command = [str(NODE), str(installed()), url, "--output=json", "--quiet"]
        command += [f"--output-path={path}", f"--only-categories={','.join(categories)}"]
        command += ["--preset=desktop"] if device == DESKTOP else []
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
