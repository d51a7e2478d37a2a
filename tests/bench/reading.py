"""Measures the page in a real Chromium while a long answer streams."""

import asyncio
from typing import Any

from playwright.async_api import Page, async_playwright

from tests.bench.bench import Bench
from tests.bench.page_watch import ARGUMENTS, PHONE, WATCH_TASKS, WIDE, slowed
from tests.bench.report import Row
from tests.runner.chromium import find_complete_browser

TOKENS, QUICK_TOKENS = 20_000, 2_000
TOKENS_PER_SECOND = 200
PHONE_TOKENS, QUICK_PHONE_TOKENS = 2_000, 500
PHONE_TOKENS_PER_SECOND = 50
# The main thread's time by kind, as the DevTools protocol reports it; the rest is painting.
SPENT = {
    "all": "TaskDuration",
    "scripts": "ScriptDuration",
    "styles": "RecalcStyleDuration",
    "layout": "LayoutDuration",
}


async def reading(bench: Bench) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=find_complete_browser(), args=ARGUMENTS
        )
        context = await browser.new_context(**WIDE)
        await _long_answer(bench, await context.new_page())
        phone = await browser.new_context(**PHONE)
        await _on_a_phone(bench, await phone.new_page())
        await browser.close()


async def _long_answer(bench: Bench, page: Page) -> None:
    """Measures an answer with all kinds of Markdown at 200 tokens/s, and its cost per quarter."""
    tokens = QUICK_TOKENS if bench.quick else TOKENS
    session = await _ask(bench, page, tokens, TOKENS_PER_SECOND)
    spent = [await _spent_s(session)]
    for _ in range(4):
        await asyncio.sleep(tokens / TOKENS_PER_SECOND / 4)
        spent.append(await _spent_s(session))
    tasks = await _ended(page)
    quarters = [
        {name: (after[name] - before[name]) * 4e6 / tokens for name in SPENT}
        for before, after in zip(spent, spent[1:], strict=False)
    ]
    for quarter in quarters:
        quarter["rest"] = 2 * quarter["all"] - sum(quarter.values())
    bench.details["reading"] = {"long tasks, ms": tasks, "us a token, by quarter": quarters}
    first, last = quarters[0]["all"], quarters[3]["all"]
    bench.rows += [
        Row("reading", f"{tokens:,} tokens: tasks over 50 ms", len(tasks), "", 0),
        Row("reading", "longest task over 50 ms", max(tasks, default=0), "ms", 50),
        Row("reading", "CPU of the page per token, first quarter", first, "us"),
        Row("reading", "CPU of the page per token, last quarter", last, "us"),
        Row("reading", "last quarter / first quarter", last / first, "x", 1.5, 1.1),
    ]


async def _on_a_phone(bench: Bench, page: Page) -> None:
    tokens = QUICK_PHONE_TOKENS if bench.quick else PHONE_TOKENS
    await slowed(page)
    await _ask(bench, page, tokens, PHONE_TOKENS_PER_SECOND)
    tasks = await _ended(page)
    bench.details["reading on a phone"] = {"long tasks, ms": tasks}
    name = f"phone, {tokens:,} tokens at {PHONE_TOKENS_PER_SECOND}/s: longest task over 50 ms"
    bench.rows.append(Row("reading", name, max(tasks, default=0), "ms"))


async def _ask(bench: Bench, page: Page, tokens: int, rate: int) -> Any:
    """Returns a session that counts CPU time, once the answer is visible."""
    await page.goto(bench.url)
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable", {"timeDomain": "threadTicks"})
    await page.locator(".composer-field").fill(f"[[mode=code&tokens={tokens}&rate={rate}]] Bench")
    await page.locator(".composer").get_by_role("button", name="Send", exact=True).click()
    await page.locator(".message-answer .md").wait_for()
    await page.evaluate(WATCH_TASKS)
    return session


async def _ended(page: Page) -> list[float]:
    """Returns the long tasks up to the end of the answer."""
    await page.locator(".message-answer[aria-busy=false]").wait_for(timeout=120_000)
    await asyncio.sleep(1)
    tasks: list[float] = await page.evaluate("window.longTasks")
    return tasks


async def _spent_s(session: Any) -> dict[str, float]:
    metrics = await session.send("Performance.getMetrics")
    values = {one["name"]: float(one["value"]) for one in metrics["metrics"]}
    return {name: values[metric] for name, metric in SPENT.items()}
