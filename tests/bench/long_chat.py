"""Measures a chat of 10,000 messages in a real Chromium: the time to open it from the server and
from the browser's store, its memory, and how smoothly it scrolls, also on a phone with a quarter of
the speed."""

import asyncio
import uuid
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from tests.bench.bench import Bench
from tests.bench.opening import fill
from tests.bench.page_watch import (
    ARGUMENTS,
    PHONE,
    SCROLL_UP,
    WATCH_TASKS,
    WIDE,
    heap_mb,
    renderer_mb,
    slowed,
)
from tests.bench.people import Person
from tests.bench.report import Row, percentile
from tests.runner.chromium import find_complete_browser

MESSAGES, QUICK_MESSAGES = 10_000, 1_000
OPENINGS = 3
SCROLL_FRAMES, QUICK_SCROLL_FRAMES = 600, 120
# Measures from the navigation, or from the click in the list, until the newest messages are drawn
# and can be scrolled, and until the whole chat is loaded and its buttons work.
OPENED = """async (isInList) => {
  const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const until = async (isSo) => {
    while (!isSo()) await new Promise((done) => requestAnimationFrame(done));
    await frame();
    return performance.now() - start;
  };
  if (isInList) {
    // Until then the modules that the first paint does not need have loaded.
    await new Promise((done) => setTimeout(done, 6_000));
  }
  const start = isInList ? performance.now() : 0;
  if (isInList) document.querySelector(".chat-list a").click();
  const read = await until(() => document.querySelector(".message-answer .md")?.textContent.trim());
  const whole = await until(() => document.querySelector(".message-foot:not([inert])"));
  return [read, whole];
}"""
KEPT = """(count) => new Promise((done) => {
  const opening = indexedDB.open("holdfast");
  opening.onsuccess = () => {
    const all = opening.result.transaction("heads").objectStore("heads").getAll();
    all.onsuccess = () => {
      opening.result.close();
      done(all.result.some((head) => head.count >= count));
    };
  };
})"""
READ, WHOLE = 0, 1
# Stores the last message of the chat in the database, as a send does.
END_OF_CHAT = """
from chat.models import Chat, Reply
from django.utils import timezone
last = Reply.objects.create(id="{last}", chat_id="{chat}", prompt_id="{prompt}",
                            model="openai/known", state="done", finished_at=timezone.now())
Chat.objects.filter(id="{chat}").update(tip=last)
"""
# Without a socket, all that is shown comes from the browser's own store.
NO_SOCKET = """window.WebSocket = class extends EventTarget {
  readyState = 0;
  send() {}
  close() {}
};"""


async def long_chat(bench: Bench) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=find_complete_browser(), args=ARGUMENTS
        )
        await _measure(bench, browser)
        await browser.close()


async def _measure(bench: Bench, browser: Browser) -> None:
    messages = QUICK_MESSAGES if bench.quick else MESSAGES
    person = await _with_long_chat(bench, messages)
    name = f"open {messages:,} messages"
    for label, options, must in (("", WIDE, True), ("phone, 4x slower: ", PHONE, False)):
        server, store, scroll, heap, memory = await _opened(bench, browser, person, options)
        bench.details[f"{label}{name}"] = {"server, ms": server, "store, ms": store}
        slow = [time for time in scroll if time > 50]
        bench.details[f"{label}frames while scrolling, ms"] = {
            "count": len(scroll),
            **{f"p{rank}": percentile(scroll, rank) for rank in (50, 95, 99)},
            "over 50 ms": slow,
        }
        budgets = ((1_500, 1_000), (500, 300)) if must else ((None, None), (None, None))
        bench.rows += [
            Row(
                "long chat",
                f"{label}{name} from the server",
                _median(server, READ),
                "ms",
                *budgets[0],
            ),
            Row(
                "long chat",
                f"{label}{name} from the browser's store",
                _median(store, READ),
                "ms",
                *budgets[1],
            ),
            Row(
                "long chat",
                f"{label}{name}: complete, from the server",
                _median(server, WHOLE),
                "ms",
            ),
            Row(
                "long chat",
                f"{label}{name}: complete, from the store",
                _median(store, WHOLE),
                "ms",
            ),
            Row("long chat", f"{label}{name}: JavaScript heap, complete", heap, "MB"),
            Row("long chat", f"{label}{name}: memory of the page's process", memory, "MB"),
            Row("long chat", f"{label}scrolling to the start: longest frame", max(scroll), "ms"),
            Row(
                "long chat",
                f"{label}scrolling to the start: frame p99",
                percentile(scroll, 99),
                "ms",
            ),
        ]
    person.close()


def _median(times: list[tuple[float, float]], which: int) -> float:
    return percentile([time[which] for time in times], 50)


async def _with_long_chat(bench: Bench, messages: int) -> Person:
    person = Person(bench.url)
    await person.visit()
    await person.ask("[[tokens=1]] Bench")
    stream = f"u:{uuid.UUID(person.user).hex}"
    async with bench.log() as log:
        last = await fill(log, stream, person.chat, messages * 2, deltas=0)
    row = END_OF_CHAT.format(chat=person.chat, last=last, prompt=uuid.uuid4())
    done = await asyncio.to_thread(bench.stack.manage, "shell", "-c", row)
    assert done.returncode == 0, done.stderr
    return person


async def _opened(
    bench: Bench, browser: Browser, person: Person, options: dict[str, Any]
) -> tuple[list[tuple[float, float]], list[tuple[float, float]], list[float], float, float]:
    """Returns ms from the server, ms from the store, ms per frame while scrolling, MB of heap,
    and MB of memory."""
    messages = QUICK_MESSAGES if bench.quick else MESSAGES
    from_server = []
    for _ in range(OPENINGS):
        context = await _context_of(browser, person, options)
        page = await context.new_page()
        from_server.append(await _open(bench, page, person, options))
        if len(from_server) < OPENINGS:
            await context.close()
    await _all_there(page, messages)
    heap, memory = await heap_mb(page), await renderer_mb(browser)
    await page.wait_for_function(KEPT, arg=messages, timeout=60_000, polling=500)
    await page.close()
    from_store = []
    for _ in range(OPENINGS):
        page = await context.new_page()
        await page.add_init_script(NO_SOCKET)
        # Opened from the list, because the page of the chat would include its last messages.
        from_store.append(await _open(bench, page, person, options, is_in_list=True))
        if len(from_store) < OPENINGS:
            await page.close()
    await _all_there(page, messages)
    frames = QUICK_SCROLL_FRAMES if bench.quick else SCROLL_FRAMES
    scroll: list[float] = await page.evaluate(SCROLL_UP, frames)
    await context.close()
    return from_server, from_store, scroll, heap, memory


async def _context_of(browser: Browser, person: Person, options: dict[str, Any]) -> BrowserContext:
    """Returns a context with an empty store, signed in as the person."""
    context = await browser.new_context(**options)
    host = urlsplit(person.url).hostname or ""
    cookies = person.http.cookies.items()
    await context.add_cookies(
        [{"name": name, "value": value, "domain": host, "path": "/"} for name, value in cookies]
    )
    return context


async def _open(
    bench: Bench,
    page: Page,
    person: Person,
    options: dict[str, Any],
    *,
    is_in_list: bool = False,
) -> tuple[float, float]:
    """Returns the ms until the end of the chat is readable, and until all of it is loaded."""
    if options is PHONE:
        await slowed(page)
    await page.add_init_script(f"({WATCH_TASKS})()")
    place = "/" if is_in_list else f"/c/{person.chat}"
    await page.goto(f"{bench.url}{place}", wait_until="commit")
    read, whole = await page.evaluate(OPENED, is_in_list)
    return read, whole


async def _all_there(page: Page, messages: int) -> None:
    await page.wait_for_function(
        "(count) => document.querySelectorAll('.message').length >= count",
        arg=messages,
        timeout=120_000,
    )
    await asyncio.sleep(1)
