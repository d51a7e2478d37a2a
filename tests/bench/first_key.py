"""Measures a first visit in a real Chromium on a slow line: what it fetches, and when one can type.
On a slow phone also how long a key takes, and how much moves while a long answer comes.

Chromium delays each response and limits the rate (Network.emulateNetworkConditions). It does not
delay the opening of a connection, so a real line is slower by a round trip for each of its six.
"""

import asyncio
from typing import Any

from playwright.async_api import Browser, Page, async_playwright

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
TOKENS, QUICK_TOKENS = 17_000, 1_000
TOKENS_A_SECOND = 600
KEY_MS, MOST_SHIFT = 100, 0.05
TYPED = "And while the answer comes?"
KEY_DELAY_MS = 80
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
# Notes the time from each key to the next frame, and what moved without any input.
WATCH_KEYS = """
window.keys = [];
window.shifted = 0;
new PerformanceObserver((list) => {
  for (const event of list.getEntries())
    if (/^key|input$/.test(event.name)) window.keys.push(event.duration);
}).observe({ type: "event", durationThreshold: 16, buffered: true });
new PerformanceObserver((list) => {
  for (const shift of list.getEntries()) if (!shift.hadRecentInput) window.shifted += shift.value;
}).observe({ type: "layout-shift", buffered: true });
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
        await _slow_phone(browser, bench)
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
    await page.wait_for_function("() => window.there.send")
    await asyncio.sleep(0.5)
    found: dict[str, float] = await page.evaluate(READ)
    found |= {"requests": len(sizes), "bytes": sum(sizes)}
    await context.close()
    return found


async def _slow_phone(browser: Browser, bench: Bench) -> None:
    """Types on the empty page and while a long answer comes; then loads its chat again."""
    tokens = QUICK_TOKENS if bench.quick else TOKENS
    context = await browser.new_context(**PHONE, service_workers="block")
    page = await context.new_page()
    page.set_default_timeout(tokens / TOKENS_A_SECOND * 4_000 + 60_000)
    await slowed(page)
    await page.add_init_script(WATCH_KEYS)
    await page.goto(bench.url)
    await page.wait_for_function("() => document.querySelector('.composer [type=submit]')")
    field = page.locator(".composer-field")
    await field.tap()
    longest = {"on the empty page": await _type(page)}
    await field.fill(f"[[tokens={tokens}&rate={TOKENS_A_SECOND}]] Bench")
    await page.locator(".composer [type=submit]").tap()
    await page.locator(".message-answer .md-block").first.wait_for()
    await asyncio.sleep(tokens / TOKENS_A_SECOND / 2)
    longest["in a long answer"] = await _type(page)
    ended = page.locator(".message-answer[aria-busy=false] .message-foot")
    await ended.wait_for()
    moved = {"in a long answer": await page.evaluate("window.shifted")}
    await page.reload()
    await ended.wait_for()
    await asyncio.sleep(1)
    moved["when its chat is loaded again"] = await page.evaluate("window.shifted")
    await context.close()
    bench.rows += [
        Row("first-key", f"slow phone: longest key {where}", value, "ms", KEY_MS)
        for where, value in longest.items()
    ]
    bench.rows += [
        Row("first-key", f"slow phone: layout shift {where}", value, "", MOST_SHIFT)
        for where, value in moved.items()
    ]


async def _type(page: Page) -> float:
    """Returns the ms from the slowest key to the frame that shows it."""
    await page.evaluate("window.keys = []")
    await page.keyboard.type(TYPED, delay=KEY_DELAY_MS)
    await asyncio.sleep(0.5)
    return float(await page.evaluate("Math.max(0, ...window.keys)"))
