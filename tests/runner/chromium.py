"""Finds a Chromium for the browser tests and the bench, or installs one."""

import fcntl
import os
import shutil
import subprocess
import sys

from tests.runner.machine import say

# The headless shell draws pages as Chromium does in half of the CPU time: it has no windows.
SHELLS = ("chromium-headless-shell", "chrome-headless-shell")
COMPLETE = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


class BrowserError(Exception):
    """One line: why there is no browser and what to do."""


def find_browser() -> str:
    """The path of a headless shell or a Chromium; installs one if needed. Raises BrowserError."""
    return _found_or_installed((*SHELLS, *COMPLETE), ("chromium-headless-shell", "chromium"))


def find_complete_browser() -> str:
    """The path of a Chromium as people use it, for measurements. Raises BrowserError."""
    return _found_or_installed(COMPLETE, ("chromium",))


def _found_or_installed(names: tuple[str, ...], packages: tuple[str, ...]) -> str:
    """Older systems lack the first package."""
    if named := os.environ.get("HOLDFAST_TEST_BROWSER"):
        return named
    if found := _on_path(names) or _of_playwright():
        return found
    with open(__file__, "rb") as lock:  # Several processes may need it at once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if found := _on_path(names) or _of_playwright():
            return found
        for package in packages:
            _install(package)
            if found := _on_path(names) or _of_playwright():
                return found
    raise BrowserError(
        "There is no Chromium and none could be installed. Install one (Debian: apt install "
        "chromium) or name it in HOLDFAST_TEST_BROWSER."
    )


def _install(package: str) -> None:
    if os.getuid() == 0 and shutil.which("apt-get"):
        say(f"Installing Debian's {package} for the browser tests.")
        _quietly(["apt-get", "update"])
        _quietly(["apt-get", "install", "-y", "--no-install-recommends", package])
    else:
        say("Installing Playwright's Chromium for the browser tests.")
        _quietly([sys.executable, "-m", "playwright", "install", "chromium"])


def _on_path(names: tuple[str, ...]) -> str:
    return next((path for name in names if (path := shutil.which(name))), "")


def _of_playwright() -> str:
    code = (
        "from playwright.sync_api import sync_playwright as s\n"
        "with s() as p: print(p.chromium.executable_path)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True)
    path = done.stdout.strip()
    return path if os.path.exists(path) else ""


def _quietly(command: list[str]) -> None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
