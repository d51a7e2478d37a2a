"""A real Chromium on a running stack. All pages are watched: a script error, a violation of the
content security policy or a request to another host fails the test in which it happens. If a test
fails, the report tells what its pages showed and requested last."""

import contextlib
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from tests.browser.chat_page import ChatPage
from tests.browser.echo_model import running_echo_model
from tests.browser.inspector import Inspector
from tests.conftest import LAN_HOST
from tests.stack import Stack

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--host-resolver-rules=MAP {LAN_HOST} 127.0.0.1",
]
# Console messages on an unreachable server, which some tests cause on purpose, and on plain http.
EXPECTED_NOISE = (
    "ERR_CONNECTION_REFUSED",
    "ERR_CONNECTION_RESET",
    "ERR_INTERNET_DISCONNECTED",
    "WebSocket connection to",
    "Failed to load resource: the server responded",
    "Cross-Origin-Opener-Policy header has been ignored",
)
# The layout of a desktop begins at a width of 960 px. A window with twice as many pixels takes a
# tenth more CPU time, because all of them are drawn without a graphics card.
VIEWPORT = {"width": 1024, "height": 640}
HOSTS = ("127.0.0.1", "localhost", LAN_HOST)
# Generous, because the machine may be busy.
PATIENCE_MS = 30_000
# How much the report of a failed test tells of each page, and of the requests of all pages.
REPORTED_CHARS = 2_000
REPORTED_LINES = 40
# The folder for screenshots; if it is unset, none are taken.
SHOTS = os.environ.get("HOLDFAST_TEST_SCREENSHOTS", "")


# Not session-scoped: Playwright keeps an event loop running in this thread, and asynchronous tests
# of other folders need to start their own.
@pytest.fixture(scope="package")
def browser(browser_path: str) -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=browser_path, args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture
def service_workers() -> str:
    """Whether pages may install their service worker: "allow" or "block". It is blocked where no
    test needs it, because each new context would fetch all scripts a second time."""
    return "block"


HAS_FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    if report.when == "call":
        item.stash[HAS_FAILED] = report.failed
    return report


@pytest.fixture
def new_context(
    request: pytest.FixtureRequest, browser: Browser, service_workers: str
) -> Iterator[Callable[..., BrowserContext]]:
    """Creates browser contexts, one for each person. A problem on any page fails the test."""
    contexts: list[BrowserContext] = []
    problems: list[str] = []
    traffic: deque[str] = deque(maxlen=REPORTED_LINES)

    def make(**options: Any) -> BrowserContext:
        defaults = {
            "viewport": VIEWPORT,
            "service_workers": service_workers,
        }
        context = browser.new_context(**defaults | options)
        context.set_default_timeout(PATIENCE_MS)
        context.on("weberror", lambda error: problems.append(str(error.error)))
        context.on("console", lambda message: _note_console(message, problems))
        context.on("request", lambda request: _note_host(request.url, problems))
        _note_traffic(context, traffic)
        contexts.append(context)
        return context

    yield make
    if request.node.stash.get(HAS_FAILED, False):
        _report_pages(contexts, traffic)
    for context in contexts:
        context.close()
    assert problems == []


def _note_traffic(context: BrowserContext, traffic: deque[str]) -> None:
    def note(what: str, url: str) -> None:
        if "/static/" not in url:
            traffic.append(f"{time.strftime('%X')} {what} {url}")

    context.on("request", lambda request: note(request.method, request.url))
    context.on("response", lambda response: note(str(response.status), response.url))
    context.on("requestfailed", lambda request: note(str(request.failure), request.url))


def _report_pages(contexts: list[BrowserContext], traffic: deque[str]) -> None:
    """Write to the report what the pages of a failed test show, and what they requested last."""
    lines = []
    for page in (page for context in contexts for page in context.pages):
        with contextlib.suppress(PlaywrightError):
            shown = page.locator("body").inner_text(timeout=1_000)
            lines.append(f"{page.url} shows at {time.strftime('%X')}:\n{shown[-REPORTED_CHARS:]}")
    sys.stdout.write("\n".join([*lines, "The last requests:", *traffic]) + "\n")


def _note_console(message: Any, problems: list[str]) -> None:
    is_noise = any(noise in message.text for noise in EXPECTED_NOISE)
    if message.type == "error" and not is_noise:
        problems.append(f"{message.text} ({message.location['url']})")


def _note_host(url: str, problems: list[str]) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("data", "blob") and parts.hostname not in HOSTS:
        problems.append(f"request to {url}")


@pytest.fixture
def alice(new_context: Callable[..., BrowserContext], stack: Stack) -> ChatPage:
    return ChatPage(new_context().new_page(), stack.url).visit()


@pytest.fixture(scope="session")
def echo_stack() -> Iterator[Stack]:
    with running_echo_model() as model_url, Stack(model_url=model_url, workers=1) as running:
        yield running


@pytest.fixture
def shot() -> Callable[[Page, str], None]:
    """Saves a screenshot if HOLDFAST_TEST_SCREENSHOTS names a folder. Screenshots are for people to
    look at, so a browser that is too busy to take one fails no test."""

    def keep(page: Page, name: str) -> None:
        if SHOTS:
            Path(SHOTS).mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(PlaywrightError):
                page.screenshot(path=Path(SHOTS, f"{name}.png"))

    return keep


@pytest.fixture
def inspect(shot: Callable[[Page, str], None]) -> Iterator[Callable[[Page], Inspector]]:
    """Creates inspectors of pages. Their problems fail the test at its end."""
    made: list[Inspector] = []

    def make(page: Page) -> Inspector:
        made.append(Inspector(page, shot))
        return made[-1]

    yield make
    problems = [problem for inspector in made for problem in inspector.problems]
    assert not problems, "\n".join(problems)
