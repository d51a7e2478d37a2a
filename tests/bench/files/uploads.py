"""Uploads as the page does, and measures when files are ready, seen in the composer, and in a chat.

The budgets are those of docs/decisions/files.md.
"""

import asyncio
import base64
import hashlib
import io
import random
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from PIL import Image, ImageChops, ImageStat
from playwright.async_api import FilePayload, Page, async_playwright

from chat import events as ev
from tests.bench.bench import Bench
from tests.bench.opening import measure_opening
from tests.bench.page_watch import ARGUMENTS, WIDE
from tests.bench.people import Person, crowd
from tests.bench.report import Row, percentile
from tests.chat.files.reading.pdf_files import pdf, shows
from tests.runner.chromium import find_complete_browser

REPEATS, QUICK_REPEATS = 7, 2
PHOTO_PX = (4_000, 3_000)
PAGES, LINES = 100, 40
PICTURES, THUMB_BYTES = 200, 6_000
READY_MS, SEEN_MS, MORE_PERCENT = 2_000, 100, 10
TIMEOUT_S = 60.0
# Notes when a file is chosen, in ms since 1970.
WATCH = """
window.chosenMs = null;
document.addEventListener("change", ({ target, timeStamp }) => {
  if (target.type === "file") window.chosenMs = performance.timeOrigin + timeStamp;
}, { capture: true });
"""
# By then the picture is on the screen, and its smaller copy has replaced it.
SHOWN_AFTER_S = 1.5
# How far the brightness of the place of the picture is from what it is in the end, in the mean.
ALIKE = 12.0
EDGE_PX = 4


async def files(bench: Bench) -> None:
    repeats = QUICK_REPEATS if bench.quick else REPEATS
    photo, document = photograph(), long_document()
    async with crowd(bench.url, 1) as [person]:
        await person.first_exchange()
        for name, content in (("12 MP photo", photo), ("100-page PDF", document)):
            times = [await ready_ms(person, name, content) for _ in range(repeats)]
            row = Row("files", f"{name}: ready", percentile(times, 50), "ms", READY_MS)
            bench.rows.append(row)
        bench.rows.append(await _seen_in_composer(bench, photo, repeats))
        await _many_pictures(bench, person)


def photograph() -> bytes:
    """A JPEG of 12 megapixels and about 4 MB, with the fine detail of a camera's noise."""
    small = Image.frombytes("RGB", (500, 375), random.Random(1).randbytes(500 * 375 * 3))
    out = io.BytesIO()
    small.resize(PHOTO_PX, Image.Resampling.BICUBIC).save(out, "JPEG", quality=92)
    return out.getvalue()


def long_document() -> bytes:
    words = [f"word{number}" for number in range(12)]
    return pdf(
        [
            shows(*(f"{page} {line} {' '.join(words)}" for line in range(LINES)))
            for page in range(PAGES)
        ]
    )


async def upload(person: Person, name: str, content: bytes) -> dict[str, Any]:
    """Uploads a file in parts; returns its state when it has been checked."""
    digest = hashlib.sha256(content).hexdigest()
    body = {"id": str(uuid.uuid4()), "name": name, "bytes": len(content), "sha256": digest}
    state = await _call(person, "POST", "/api/files", body)
    path, size = f"/api/files/{state['id']}", state["part_bytes"]
    for number, start in enumerate(range(0, len(content), size)):
        await _call(person, "PUT", f"{path}/parts/{number}", content[start : start + size])
    state = await _call(person, "POST", f"{path}/complete", {})
    async with asyncio.timeout(TIMEOUT_S):
        while state["state"] == "checking":
            await asyncio.sleep(0.02)
            state = await _call(person, "GET", path)
    assert state["state"] == "ready", state
    return state


async def ready_ms(person: Person, name: str, content: bytes) -> float:
    began = time.monotonic()
    await upload(person, name, content)
    return (time.monotonic() - began) * 1000


async def _call(person: Person, method: str, path: str, body: Any = None) -> dict[str, Any]:
    status, _, answer, _ = await person.http.request(method, path, body)
    assert status in (200, 202), (method, path, status, answer)
    state: dict[str, Any] = orjson.loads(answer)
    return state


async def _seen_in_composer(bench: Bench, photo: bytes, repeats: int) -> Row:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=find_complete_browser(), args=ARGUMENTS
        )
        page = await (await browser.new_context(**WIDE)).new_page()
        await page.add_init_script(WATCH)
        # The first time includes fetching the modules for files.
        times = [await _seen_ms(page, bench.url, photo) for _ in range(repeats + 1)][1:]
        await browser.close()
    return Row("files", "12 MP photo: seen in the composer", percentile(times, 50), "ms", SEEN_MS)


async def _seen_ms(page: Page, url: str, photo: bytes) -> float:
    """The ms from the choice of the file to the first frame on the screen that shows it. Not those
    to the end of `image.decode()`, which decodes all 12 megapixels where an <img> of this size
    decodes a fraction."""
    await page.goto(url)
    await page.locator(".composer [type=submit]").wait_for()
    file: FilePayload = {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": photo}
    async with _screen(page) as frames:
        await page.locator(".composer input[type=file]").set_input_files([file])
        image = page.locator(".composer .file-chip img")
        await image.wait_for()
        await asyncio.sleep(SHOWN_AFTER_S)
        box = await image.bounding_box()
    chosen_ms = float(await page.evaluate("window.chosenMs"))
    await page.locator(".composer .file-chip button").last.click()
    assert box is not None
    left, top = box["x"] + EDGE_PX, box["y"] + EDGE_PX
    right, bottom = box["x"] + box["width"] - EDGE_PX, box["y"] + box["height"] - EDGE_PX
    place = round(left), round(top), round(right), round(bottom)
    final = frames[-1][1].crop(place)
    after = [(at_ms, frame.crop(place)) for at_ms, frame in frames if at_ms >= chosen_ms]
    return next(at_ms for at_ms, shown in after if _is_alike(shown, final)) - chosen_ms


@asynccontextmanager
async def _screen(page: Page) -> AsyncGenerator[list[tuple[float, Image.Image]]]:
    """The frames that the page shows meanwhile: ms since 1970, and a picture in CSS pixels."""
    session = await page.context.new_cdp_session(page)
    frames: list[tuple[float, Image.Image]] = []
    received: list[dict[str, Any]] = []
    acknowledgements: set[asyncio.Task[Any]] = set()

    def receive(frame: dict[str, Any]) -> None:
        received.append(frame)
        answer = session.send("Page.screencastFrameAck", {"sessionId": frame["sessionId"]})
        acknowledgements.add(asyncio.ensure_future(answer))

    session.on("Page.screencastFrame", receive)
    await session.send("Page.startScreencast", {"format": "png"})
    yield frames
    await session.send("Page.stopScreencast")
    await asyncio.gather(*acknowledgements)
    await session.detach()
    for frame in received:
        shown, about = Image.open(io.BytesIO(base64.b64decode(frame["data"]))), frame["metadata"]
        size = round(about["deviceWidth"]), round(about["deviceHeight"])
        frames.append((about["timestamp"] * 1_000, shown.convert("L").resize(size)))


def _is_alike(shown: Image.Image, final: Image.Image) -> bool:
    return ImageStat.Stat(ImageChops.difference(shown, final)).mean[0] < ALIKE


async def _many_pictures(bench: Bench, person: Person) -> None:
    """Compares opening a chat of many messages with pictures and one of as many without."""
    stream = f"u:{uuid.UUID(person.user).hex}"
    chats = {}
    async with bench.log() as log:
        for with_pictures in (False, True):
            await person.first_exchange()
            chats[with_pictures] = person.chat
            await log.append(stream, _messages(person.chat, with_pictures))
        for number, way in enumerate(("HTTP", "socket")):
            plain = (await measure_opening(bench, person, chats[False]))[number]
            pictures = (await measure_opening(bench, person, chats[True]))[number]
            name = f"{way}: chat of {PICTURES} pictures opens"
            more = 100 * (pictures / plain - 1)
            bench.rows.append(Row("files", name, more, "% more", MORE_PERCENT))


def _messages(chat: str, with_pictures: bool) -> list[Any]:
    thumb = base64.b64encode(random.Random(3).randbytes(THUMB_BYTES)).decode()
    events = []
    for number in range(PICTURES):
        file = {
            "id": str(uuid.uuid4()),
            "kind": "image",
            "name": f"photo {number}.jpg",
            "type": "image/jpeg",
            "bytes": 4_000_000,
            "sha256": "0" * 64,
            "width": PHOTO_PX[0],
            "height": PHOTO_PX[1],
            "thumb": f"data:image/webp;base64,{thumb}",
        }
        message = ev.MessageCreated(
            message=str(uuid.uuid4()),
            role="user",
            parent=None,
            text="Look at this.",
            files=[file] if with_pictures else None,
        )
        events.append(ev.log_event(chat, message, str(uuid.uuid4())))
    return events
