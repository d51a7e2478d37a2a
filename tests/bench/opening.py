"""Measures opening a long chat, alone and among many others, and the first page load."""

import asyncio
import gzip
import importlib
import re
import time
import uuid
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from typing import Any
from urllib.parse import urljoin

from playwright.sync_api import sync_playwright

from chat import events as ev
from streams.log import Event, Log
from tests import lighthouse
from tests.bench.bench import Bench
from tests.bench.log import delta
from tests.bench.people import Person, crowd
from tests.bench.report import Row, percentile
from tests.bench.wire import Http
from tests.browser.chat_page import ChatPage
from tests.runner.chromium import find_complete_browser

# Compresses better than gzip; files are served with it where it is installed.
brotli: Any = importlib.import_module("brotli") if find_spec("brotli") else None
BATCH = 500
# The events of one question and its answer: two created, started, completed, and the deltas.
DELTAS_AN_ANSWER = 246
EVENTS_AN_ANSWER = DELTAS_AN_ANSWER + 4
REPEATS, QUICK_REPEATS = 15, 5
AUDITS = 3


async def opening(bench: Bench) -> None:
    """Measures chats of 1,000 and 10,000 events, the latter also among 100,000 events of others."""
    async with crowd(bench.url, 1) as [person], bench.log() as log:
        stream = f"u:{uuid.UUID(person.user).hex}"
        await fill(log, stream, await _new_chat(person), 250)  # warm
        small, large, short = [await _new_chat(person) for _ in range(3)]
        await fill(log, stream, small, 1_000)
        await fill(log, stream, large, 10_000)
        await fill(log, stream, short, 10_000, deltas=0)
        for name, chat in (("1,000", small), ("10,000", large)):
            await _report(bench, person, chat, f"{name} events", name == "10,000")
        await _report(bench, person, short, "10,000 events, no deltas", False)
        alone = await measure_opening(bench, person, large)
        others = 10_000 if bench.quick else 100_000
        for _ in range(others // 10_000):
            await fill(log, stream, str(uuid.uuid4()), 10_000)
        beside = await measure_opening(bench, person, large)
        again = await measure_opening(bench, person, large)
        both = [min(a, b) for a, b in zip(beside, again, strict=True)]
        for way, before, after in zip(("HTTP", "socket"), alone, both, strict=True):
            more = 100 * (after / before - 1)
            name = f"{way}: among {others:,} other events"
            bench.rows.append(Row("opening", name, more, "% more", 10, 0))
        await log.erase(stream)


async def _new_chat(person: Person) -> str:
    """Creates a chat by a first exchange, so that the database has a row for it."""
    await person.first_exchange()
    return person.chat


async def fill(
    log: Log, stream: str, chat: str, events: int, deltas: int = DELTAS_AN_ANSWER
) -> str | None:
    """Appends finished exchanges, as a worker does; returns the id of the last answer."""
    parent: str | None = None
    batch: list[Event] = []
    for _ in range(max(1, events // (deltas + 4))):
        asked, reply = str(uuid.uuid4()), str(uuid.uuid4())
        batch += _exchange(chat, asked, reply, parent, deltas)
        parent = reply
        while len(batch) >= BATCH:
            await log.append(stream, batch[:BATCH])
            batch = batch[BATCH:]
        if deltas:
            await log.append(stream, batch)
            batch = []
            await log.compact(stream, chat, reply)
    await log.append(stream, batch)
    return parent


def _exchange(chat: str, asked: str, reply: str, parent: str | None, deltas: int) -> list[Event]:
    words = [f" word{number}" for number in range(max(deltas, 20))]
    text = "".join(words)
    length, sha256 = ev.fingerprint(text)
    before: list[ev.AnyEvent] = [
        ev.MessageCreated(message=asked, role="user", parent=parent, text="What is a word?"),
        ev.MessageCreated(message=reply, role="assistant", parent=asked, model="openai/known"),
        ev.MessageStarted(message=reply, attempt=1, model="openai/known"),
    ]
    completed = ev.MessageCompleted(
        message=reply,
        finish="stop",
        model="openai/known",
        length=length,
        sha256=sha256,
        duration_ms=1,
        text=text,
    )
    return [
        *(ev.log_event(chat, event, str(uuid.uuid4())) for event in before),
        *(delta(chat, f"{reply}:{n}", word, reply) for n, word in enumerate(words[:deltas])),
        ev.log_event(chat, completed, str(uuid.uuid4())),
    ]


async def _report(bench: Bench, person: Person, chat: str, name: str, budget: bool) -> None:
    http, socket = await measure_opening(bench, person, chat)
    must, aim = (60, 15) if budget else (None, None)
    bench.rows += [
        Row("opening", f"HTTP: {name}", http, "ms", must, aim),
        Row("opening", f"socket: {name}", socket, "ms", must, aim),
    ]


async def measure_opening(bench: Bench, person: Person, chat: str) -> tuple[float, float]:
    """Returns the median ms to read the chat by HTTP, and to follow it by socket until live."""
    by_http, by_socket = [], []
    for _ in range(QUICK_REPEATS if bench.quick else REPEATS):
        began = time.monotonic()
        after, more = "0-0", True
        while more:
            path = f"/api/chats/{chat}/events?after={after}"
            status, _, content, _ = await person.http.request("GET", path)
            assert status == 200, status
            more = content.endswith(b'"more":true}')
            after = re.findall(rb'\["(\d+-\d+)",', content)[-1].decode() if more else after
        by_http.append((time.monotonic() - began) * 1000)
        began = time.monotonic()
        person.follow(chat)
        await asyncio.wait_for(person.live.wait(), 30)
        by_socket.append((time.monotonic() - began) * 1000)
    return percentile(by_http, 50), percentile(by_socket, 50)


async def page(bench: Bench) -> None:
    """Measures all that a browser with an empty cache fetches for the first page, with headers."""
    http = Http(bench.url)
    accepted = "gzip, br" if brotli else "gzip"
    encoding = {"Accept-Encoding": accepted, "Accept": "*/*"}
    sizes: dict[str, int] = {}
    times: list[float] = []
    todo = ["/"]
    while todo:
        path = todo.pop()
        if path in sizes:
            continue
        began = time.monotonic()
        status, headers, content, size = await http.request("GET", path, headers=encoding)
        times.append((time.monotonic() - began) * 1000)
        assert status == 200, (status, path)
        sizes[path] = size
        if headers.get("content-encoding") == "gzip":
            content = gzip.decompress(content)
        elif headers.get("content-encoding") == "br":
            content = brotli.decompress(content)
        todo += _links(path, content.decode(errors="replace"))
    http.close()
    bench.details["page"] = dict(sorted(sizes.items(), key=lambda item: -item[1]))
    bench.rows += [
        Row("page", "first load", sum(sizes.values()) / 1000, "kB", 150, 100),
        Row("page", "requests", len(sizes), ""),
        Row("page", "server time of the page itself", times[0], "ms"),
    ]


async def audit(bench: Bench) -> None:
    """Reports the median of Lighthouse's performance scores, 0 to 100, of the first page and of a
    chat."""
    lighthouse.installed()
    audits = 1 if bench.quick else AUDITS
    for name, reports in (await asyncio.to_thread(_audited, bench.url, audits)).items():
        scores = [report.scores["performance"] for report in reports]
        bench.details[f"lighthouse {name}"] = [report.timings for report in reports]
        row = Row("lighthouse", f"performance, {name}", percentile(scores, 50), "", 95, None)
        bench.rows.append(replace(row, more_is_better=True))


def _audited(url: str, audits: int) -> dict[str, list[lighthouse.Report]]:
    """Returns the reports by page and device. The chat is audited in its owner's browser."""
    browser = find_complete_browser()
    devices = (lighthouse.PHONE, lighthouse.DESKTOP)
    found = {}
    for device in devices:
        look = partial(lighthouse.audit, url, device, ["performance"], browser=browser)
        found[f"first page, {device}"] = [look() for _ in range(audits)]
    with (
        sync_playwright() as playwright,
        lighthouse.browser_to_audit(playwright.chromium, browser) as (context, port),
    ):
        page = context.new_page()
        ChatPage(page, url).visit().ask("[[tokens=300&rate=2000]] A chat to be opened")
        address = page.url
        page.close()
        for device in devices:
            look = partial(lighthouse.audit, address, device, ["performance"], browser=browser)
            found[f"a chat, {device}"] = [look(port=port) for _ in range(audits)]
    return found


def _links(path: str, text: str) -> list[str]:
    if path.endswith(".css"):
        found = re.findall(r"url\([\"']?([^\"')]+)", text) + re.findall(r"@import \"([^\"]+)", text)
    elif path.endswith(".js"):
        # Modules that `import()` fetches are not part of the first load.
        found = re.findall(r"(?:from|import)\s*[\"'](\.[^\"']+)", text)
    elif path.endswith((".svg", ".png", ".woff2")):
        found = []
    else:
        tags = re.findall(r"<(?:link|script|img)\b[^>]*>", text)
        found = [url for tag in tags for url in re.findall(r"(?:href|src)=\"([^\"]+)", tag)]
    joined = [urljoin(path, url) for url in found]
    return [url for url in joined if url.startswith("/")]
