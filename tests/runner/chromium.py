"""Finds a Chromium for the browser tests, or installs one."""

import fcntl
import os
import shutil
import subprocess
import sys

from tests.runner.machine import say

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


class BrowserError(Exception):
    """One line: why there is no browser and what to do."""


def find_browser() -> str:
    """The path of a Chromium, which is installed if there is none. Raises BrowserError."""
    if named := os.environ.get("HOLDFAST_TEST_BROWSER"):
        return named
    if found := _on_path() or _of_playwright():
        return found
    with open(__file__, "rb") as lock:  # Several processes may need it at once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _on_path() or _of_playwright() or _install_browser()


def _install_browser() -> str:
    if os.getuid() == 0 and shutil.which("apt-get"):
        say("Installing Debian's Chromium for the browser tests.")
        _quietly(["apt-get", "update"])
        _quietly(["apt-get", "install", "-y", "--no-install-recommends", "chromium"])
    else:
        say("Installing Playwright's Chromium for the browser tests.")
        _quietly([sys.executable, "-m", "playwright", "install", "chromium"])
    if found := _on_path() or _of_playwright():
        return found
    raise BrowserError(
        "There is no Chromium and none could be installed. Install one (Debian: apt install "
        "chromium) or name it in HOLDFAST_TEST_BROWSER."
    )


def _on_path() -> str:
    return next((path for name in BROWSERS if (path := shutil.which(name))), "")


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
