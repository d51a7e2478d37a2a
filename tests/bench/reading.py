"""Reading in a real Chromium: a long answer as it streams, and a long chat as it opens."""

import asyncio
import uuid
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import BrowserContext, Page, async_playwright

from config.testing import find_browser
from tests.bench.bench import Bench
from tests.bench.opening import fill
from tests.bench.people import Person
from tests.bench.report import Row, percentile

ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
TOKENS, QUICK_TOKENS = 20_000, 2_000
TOKENS_PER_SECOND = 200
MESSAGES, QUICK_MESSAGES = 10_000, 1_000
OPENINGS = 3
# What the page was busy with, in tasks long enough to be felt, and in all.
WATCH = """() => {
  window.longTasks = [];
  new PerformanceObserver((list) => {
    for (const task of list.getEntries()) window.longTasks.push(task.duration);
  }).observe({type: "longtask"});
}"""
OPENED = """async () => {
  const seen = () => document.querySelector(".message-answer .md")?.textContent.trim();
  while (!seen()) await new Promise((done) => requestAnimationFrame(done));
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  return performance.now();
}"""


async def reading(bench: Bench) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_browser(), args=ARGUMENTS)
        context = await browser.new_context(viewport={"width": 1280, "height": 860})
        await _long_answer(bench, await context.new_page())
        await _long_chat(bench, context)
        await browser.close()


async def _long_answer(bench: Bench, page: Page) -> None:
    """Markdown of every kind at 200 tokens/s; each quarter of it costs the page the same."""
    tokens = QUICK_TOKENS if bench.quick else TOKENS
    await page.goto(bench.url)
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable")
    script = f"[[mode=code&tokens={tokens}&rate={TOKENS_PER_SECOND}]]"
    await page.locator(".composer-field").fill(f"{script} Bench")
    await page.keyboard.press("Enter")
    await page.locator(".message-answer .md").wait_for()
    await page.evaluate(WATCH)
    spent = [await _busy_s(session)]
    for _ in range(4):
        await asyncio.sleep(tokens / TOKENS_PER_SECOND / 4)
        spent.append(await _busy_s(session))
    done = page.locator(".message-answer[aria-busy=false]")
    await done.wait_for(timeout=120_000)
    await asyncio.sleep(1)
    tasks = await page.evaluate("window.longTasks")
    cost = [
        (after - before) * 4e6 / tokens for before, after in zip(spent, spent[1:], strict=False)
    ]
    bench.details["reading"] = {"long tasks, ms": tasks, "us a token, by quarter": cost}
    bench.rows += [
        Row("reading", f"{tokens:,} tokens: tasks over 50 ms", len(tasks), "", 0),
        Row("reading", "longest task over 50 ms", max(tasks, default=0), "ms", 50),
        Row("reading", "page's cost of a token, first quarter", cost[0], "us"),
        Row("reading", "page's cost of a token, last quarter", cost[3], "us"),
        Row("reading", "last quarter to first", cost[3] / cost[0], "x", 1.5, 1.1),
    ]


async def _busy_s(session: Any) -> float:
    metrics = await session.send("Performance.getMetrics")
    return float(next(one["value"] for one in metrics["metrics"] if one["name"] == "TaskDuration"))


async def _long_chat(bench: Bench, context: BrowserContext) -> None:
    """From asking for the page until the newest messages are drawn and can be scrolled."""
    messages = QUICK_MESSAGES if bench.quick else MESSAGES
    person = Person(bench.url)
    await person.visit()
    await person.ask("[[tokens=1]] Bench")
    stream = f"u:{uuid.UUID(person.user).hex}"
    async with bench.log() as log:
        await fill(log, stream, person.chat, messages * 2, deltas=0)
    host = urlsplit(bench.url).hostname or ""
    await context.clear_cookies()
    await context.add_cookies(
        [
            {"name": name, "value": value, "domain": host, "path": "/"}
            for name, value in person.http.cookies.items()
        ]
    )
    times, heaps = [], []
    for _ in range(OPENINGS):
        page = await context.new_page()
        await page.add_init_script(f"({WATCH})()")
        await page.goto(f"{bench.url}/c/{person.chat}", wait_until="commit")
        times.append(await page.evaluate(OPENED))
        await page.wait_for_function(
            "(count) => document.querySelectorAll('.message').length >= count",
            arg=messages,
            timeout=60_000,
        )
        heaps.append(await page.evaluate("performance.memory.usedJSHeapSize / 1e6"))
        tasks = await page.evaluate("window.longTasks")
        await page.close()
    person.close()
    bench.details["opening in a browser"] = {"ms": times, "long tasks, ms": tasks}
    name = f"open {messages:,} messages"
    bench.rows += [
        Row("reading", f"{name} from the server", percentile(times, 50), "ms", 1_500, 1_000),
        Row("reading", f"{name}: JavaScript heap, all there", percentile(heaps, 50), "MB"),
    ]
