"""Measures a first visit in a real Chromium on a slow line: what it fetches, and when one can type.

Chromium delays each response and limits the rate (Network.emulateNetworkConditions). It does not
delay the opening of a connection, so a real line is slower by a round trip for each of its six.
"""

import asyncio
from typing import Any

from playwright.async_api import Browser, async_playwright

from tests.bench.bench import Bench
from tests.bench.page_watch import ARGUMENTS, PHONE, WIDE, slowed
from tests.bench.report import Row, percentile
from tests.runner.chromium import find_complete_browser

REPEATS, QUICK_REPEATS = 7, 1
# Name: delay of a response in ms, kB/s, whether the CPU is slowed like a phone's.
LINES: dict[str, tuple[int, float, bool]] = {
    "fast line": (0, -1, False),
    "60 ms, 9 Mbit/s": (60, 9_000 / 8, False),
    "150 ms, 1.6 Mbit/s": (150, 1_600 / 8, False),
    "150 ms, 1.6 Mbit/s, slow phone": (150, 1_600 / 8, True),
}
BUDGETS = {"150 ms, 1.6 Mbit/s": 1_500}
REQUESTS, KILOBYTES = 25, 110
# Notes when the field and the button to send are there. One can type once the field is painted.
WATCH = """
window.there = {};
const parts = {field: ".composer-field", send: ".composer [type=submit]"};
const look = () => {
  for (const [name, selector] of Object.entries(parts))
    if (document.querySelector(selector)) window.there[name] ??= performance.now();
  if (!window.there.send) requestAnimationFrame(look);
};
look();
"""
READ = """() => {
  const paint = performance.getEntriesByName("first-contentful-paint")[0].startTime;
  const { field, send } = window.there;
  return { paint, typeable: Math.max(field, paint), send };
}"""


async def first_key(bench: Bench) -> None:
    repeats = QUICK_REPEATS if bench.quick else REPEATS
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=find_complete_browser(), args=ARGUMENTS
        )
        for name, line in LINES.items():
            visits = [await _visit(browser, bench.url, line) for _ in range(repeats)]
            bench.details[f"first key, {name}"] = visits
            median = {key: percentile([visit[key] for visit in visits], 50) for key in visits[0]}
            must = BUDGETS.get(name)
            bench.rows += [
                Row("first-key", f"{name}: first contentful paint", median["paint"], "ms"),
                Row("first-key", f"{name}: one can type", median["typeable"], "ms", must),
                Row("first-key", f"{name}: one can send", median["send"], "ms"),
            ]
        await browser.close()
    bench.rows += [
        Row("first-key", "requests of the first load", median["requests"], "", REQUESTS),
        Row("first-key", "bytes of the first load", median["bytes"] / 1000, "kB", KILOBYTES),
    ]


async def _visit(browser: Browser, url: str, line: tuple[int, float, bool]) -> dict[str, float]:
    """Returns the times in ms and the sizes of a visit with an empty cache."""
    delay_ms, rate, is_slow = line
    # The service worker would fetch the files for offline use meanwhile.
    context = await browser.new_context(**(PHONE if is_slow else WIDE), service_workers="block")
    page = await context.new_page()
    session = await context.new_cdp_session(page)
    sizes: list[float] = []

    def note(event: dict[str, Any]) -> None:
        sizes.append(event["encodedDataLength"])

    session.on("Network.loadingFinished", note)
    await session.send("Network.enable")
    bytes_a_second = rate * 1000 if rate > 0 else -1
    conditions = {"downloadThroughput": bytes_a_second, "uploadThroughput": bytes_a_second}
    await session.send(
        "Network.emulateNetworkConditions", {"offline": False, "latency": delay_ms, **conditions}
    )
    if is_slow:
        await slowed(page)
    await page.add_init_script(WATCH)
    await page.goto(url)
    await page.wait_for_function("window.there.send")
    await asyncio.sleep(0.5)
    found: dict[str, float] = await page.evaluate(READ)
    found |= {"requests": len(sizes), "bytes": sum(sizes)}
    await context.close()
    return found
