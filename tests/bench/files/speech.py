"""Measures answers that are heard while their model speaks them: through the web process, and in a
browser."""

import asyncio
import contextlib
import re
import struct
import time
from collections.abc import AsyncIterator

import orjson
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Page, async_playwright

from tests.bench.bench import SETTINGS, Bench, scripted_model
from tests.bench.page_watch import ARGUMENTS, WIDE
from tests.bench.people import Person, crowd
from tests.bench.report import Row, percentile
from tests.bench.wire import Http
from tests.runner.chromium import find_complete_browser
from tests.stack import Stack

PIECE_BYTES = 4_800
RELAYED_MS, HEARD_MS, GOES_ON_S = 20, 400, 3
RELAYED_S, QUICK_RELAYED_S = 60, 5
# At the pace at which it is heard.
HEARD_S, QUICK_HEARD_S = 600, 10
FIRSTS = 3
# When the first sample is heard, in ms since the epoch: the player says how much it has played.
NOTE_FIRST = """() => {
  window.firstHeard = null;
  new MutationObserver(() => {
    const heard = Number(document.querySelector(".speech-bar [data-heard]")?.dataset.heard ?? 0);
    if (heard > 0) window.firstHeard ??= Date.now() - heard / 24;
  }).observe(document, { subtree: true, childList: true, attributes: true });
}"""


def script(seconds: float, **more: object) -> str:
    fields = {"tokens": round(seconds * 2), "rate": 2, "audio": round(seconds * 1e3)}
    return "&".join(f"{name}={value}" for name, value in (fields | more).items())


async def speech(bench: Bench) -> None:
    """Has a Holdfast of its own, whose models speak: the other measures are of models that do
    not."""
    env = SETTINGS | {"HOLDFAST_SPEAKING_MODELS": "known"}
    with scripted_model() as (model_url, _), Stack(model_url=model_url, env=env) as stack:
        await _measure(bench, stack, model_url)


async def _measure(bench: Bench, stack: Stack, model_url: str) -> None:
    async with crowd(stack.url, 1) as [person]:
        await person.first_exchange()
        seconds = QUICK_RELAYED_S if bench.quick else RELAYED_S
        delays = await _relayed_ms(person, seconds)
        bench.rows += [
            Row("speech", "model -> listener, p50", percentile(delays, 50), "ms", RELAYED_MS),
            Row("speech", "model -> listener, p99", percentile(delays, 99), "ms"),
        ]
        pauses = [await _pause_s(stack, person) for _ in range(1 if bench.quick else 3)]
        bench.rows.append(
            Row("speech", "kill -9 -> sound goes on, longest", max(pauses), "s", GOES_ON_S)
        )
    seconds = QUICK_HEARD_S if bench.quick else HEARD_S
    first_ms, underruns = await _in_a_browser(stack, model_url, seconds)
    bench.rows += [
        Row("speech", "first sound of the model -> heard", first_ms, "ms", HEARD_MS),
        Row("speech", f"gaps in {seconds} s, sound up to 200 ms late", underruns, "", 0),
    ]


async def _relayed_ms(person: Person, seconds: int) -> list[float]:
    """Each piece of sound begins with the time at which the model sent it."""
    delays, received = [], bytearray()
    async with _listening(person, f"[[{script(seconds, audio_stamps=1)}]] Speak") as pieces:
        async for piece, arrived_ns in pieces:
            first = -(-len(received) // PIECE_BYTES) * PIECE_BYTES
            received += piece
            for at in range(first, len(received) - 7, PIECE_BYTES):
                [sent_ns] = struct.unpack_from("<q", received, at)
                delays.append((arrived_ns - sent_ns) / 1e6)
    return delays


async def _pause_s(stack: Stack, person: Person) -> float:
    """The longest time without sound while one worker after the other is killed, of which one has
    the answer."""
    times: list[int] = []
    async with _listening(person, f"[[{script(12)}]] Speak") as pieces:
        async for _, arrived_ns in pieces:
            times.append(arrived_ns)
            if name := {20: "worker-1", 70: "worker-2"}.get(len(times)):
                stack.kill(name)
    gaps = (later - earlier for earlier, later in zip(times, times[1:], strict=False))
    return max(gaps) / 1e9


@contextlib.asynccontextmanager
async def _listening(person: Person, text: str) -> AsyncIterator[AsyncIterator[tuple[bytes, int]]]:
    """Ask the model that speaks, and listen: (bytes, arrived ns)."""
    await person.ask(text)
    file_id = await _sound_of(person)
    host, port = person.http.host.rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"Host: {person.http.host}\r\nCookie: {person.http.cookie}\r\n"
    writer.write(f"GET /files/{file_id}/live HTTP/1.1\r\n{head}\r\n".encode())
    first = await reader.readuntil(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 200"), first
    try:
        yield _chunks(reader)
    finally:
        writer.close()


async def _sound_of(person: Person) -> str:
    """The file that the answer is spoken into."""
    async with asyncio.timeout(30):
        while True:
            path = f"/api/chats/{person.chat}/events"
            _, _, content, _ = await person.http.request("GET", path)
            if found := re.search(rb'"sound":\s*"([^"]+)"', content):
                return found[1].decode()
            await asyncio.sleep(0.005)


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[tuple[bytes, int]]:
    while size := int(await reader.readuntil(b"\r\n"), 16):
        chunk = await reader.readexactly(size + 2)
        yield chunk[:-2], time.monotonic_ns()


async def _in_a_browser(stack: Stack, model_url: str, seconds: int) -> tuple[float, float]:
    """(ms from the first sound that the model sends until it is heard, gaps until the end)."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=find_complete_browser(), args=ARGUMENTS
        )
        page = await (await browser.new_context(**WIDE)).new_page()
        await page.add_init_script(f"({NOTE_FIRST})()")
        times = [await _first_ms(page, stack.url, model_url) for _ in range(FIRSTS)]
        await _listen(
            page, stack.url, f"[[{script(seconds, first_ms=3_000, jitter_ms=200)}]] Speak"
        )
        gaps = await _gaps(page)
        await browser.close()
    return percentile(times, 50), gaps


async def _listen(page: Page, url: str, text: str) -> None:
    """Ask, and listen before there is any sound."""
    await page.goto(url)
    await page.get_by_role("textbox", name="Your message").fill(text)
    await page.locator(".composer [type=submit]").click()
    await page.get_by_role("button", name="Listen", exact=True).click()


async def _first_ms(page: Page, url: str, model_url: str) -> float:
    await _listen(page, url, f"[[{script(3, first_ms=3_000)}]] Speak")
    await page.wait_for_function("() => window.firstHeard", timeout=60_000)
    heard_ms = float(await page.evaluate("window.firstHeard"))
    _, _, content, _ = await Http(model_url.removesuffix("/v1")).request("GET", "/_requests")
    spoke_at_s: float = orjson.loads(content)["requests"][-1]["spoke_at"]
    return heard_ms - spoke_at_s * 1_000


async def _gaps(page: Page) -> int:
    """How often there was nothing to hear, until the file takes over."""
    player = page.locator("[data-underruns]")
    await player.wait_for(timeout=30_000)
    gaps = 0
    while await player.count():
        with contextlib.suppress(PlaywrightError):  # It may be gone by now.
            gaps = int(await player.get_attribute("data-underruns", timeout=500) or gaps)
        await asyncio.sleep(0.2)
    return gaps
