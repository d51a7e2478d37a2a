"""Measures the tasks of a page's main thread."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Page

# A task of any kind: scripts, styles, layout, painting, garbage collection.
TASK, CATEGORIES = "ThreadControllerImpl::RunTask", ["toplevel"]
MAIN, DEVTOOLS = "CrRendererMain", "DevToolsSession"


@contextmanager
def page_tasks(page: Page) -> Iterator[list[float]]:
    """Yields a list that has, after the block, the milliseconds of CPU of each task, longest first.
    Other processes hardly affect CPU time. The tasks in which Playwright looks at the page are left
    out."""
    browser = page.context.browser
    assert browser is not None
    tasks: list[float] = []
    browser.start_tracing(page=page, categories=CATEGORIES)
    try:
        yield tasks
    finally:
        tasks += sorted(_cpu_ms(json.loads(browser.stop_tracing())["traceEvents"]), reverse=True)


def _cpu_ms(events: list[dict[str, Any]]) -> Iterator[float]:
    names = {
        (event["pid"], event["tid"]): event["args"]["name"]
        for event in events
        if event["name"] == "thread_name"
    }
    own = [event for event in events if names.get((event["pid"], event["tid"])) == MAIN]
    looks = [event["ts"] for event in own if DEVTOOLS in json.dumps(event.get("args", {}))]
    for event in own:
        if event["name"] == TASK and "tdur" in event:
            until = event["ts"] + event["dur"]
            if not any(event["ts"] <= look <= until for look in looks):
                yield float(event["tdur"]) / 1000
