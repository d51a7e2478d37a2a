"""Files to attach, and how to attach them."""

import base64
import io
import random
import struct
import zlib
from typing import Any

from PIL import Image
from playwright.sync_api import Locator, expect

from tests.browser.chat_page import ChatPage

PART_BYTES = 4 * 1024 * 1024
TEXT = "The tide table of the harbour."
# Brings files like a person does who drags or pastes them: [[name, type, base64], …]
BRING = """(element, [kind, files, text]) => {
  const data = new DataTransfer();
  for (const [name, type, content] of files) {
    const bytes = Uint8Array.from(atob(content), (one) => one.charCodeAt(0));
    data.items.add(new File([bytes], name, { type }));
  }
  if (text) data.setData("text/plain", text);
  const options = { bubbles: true, cancelable: true };
  const events = kind === "paste"
    ? [new ClipboardEvent("paste", { clipboardData: data, ...options })]
    : ["dragover", "drop"].map((name) => new DragEvent(name, { dataTransfer: data, ...options }));
  return events.map((event) => (element.dispatchEvent(event), event.defaultPrevented));
}"""

File = dict[str, Any]


def picture(name: str = "sea.png", width: int = 640, height: int = 480, seed: int = 1) -> File:
    """A picture with two colours."""
    colours = random.Random(seed)
    image = Image.new("RGB", (width, height), tuple(colours.randrange(256) for _ in range(3)))
    image.paste(tuple(colours.randrange(256) for _ in range(3)), (0, height // 2, width, height))
    kind = "JPEG" if name.endswith("jpg") else "PNG"
    out = io.BytesIO()
    image.save(out, kind)
    return {"name": name, "mimeType": f"image/{kind.lower()}", "buffer": out.getvalue()}


def large_picture(name: str = "large.png") -> File:
    """A picture of three parts that is checked as fast as a small one: most of it is a chunk of a
    private type, which readers skip."""
    small = picture(name)
    content = b"hoLd" + random.Random(2).randbytes(2 * PART_BYTES)
    chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    end = small["buffer"].rindex(b"IEND") - 4
    return small | {"buffer": small["buffer"][:end] + chunk + small["buffer"][end:]}


def text_file(name: str = "tides.txt", text: str = TEXT) -> File:
    return {"name": name, "mimeType": "text/plain", "buffer": text.encode()}


def damaged(name: str = "torn.png") -> File:
    """The beginning of a picture."""
    whole = picture(name, 300, 300)
    return whole | {"buffer": whole["buffer"][:60]}


def chips(alice: ChatPage) -> Locator:
    return alice.page.locator(".composer .file-chip")


def attach(alice: ChatPage, *files: File) -> None:
    """Attaches files as the button of the composer does, and waits until they are shown."""
    count = chips(alice).count()
    alice.page.locator(".composer input[type=file]").set_input_files(list(files))
    expect(chips(alice)).to_have_count(count + len(files))


def are_ready(alice: ChatPage) -> None:
    """Waits until the server has checked all files of the composer."""
    expect(alice.page.locator(".composer .file-chip:not(.file-chip-ready)")).to_have_count(0)


def bring(target: Locator, kind: str, *files: File, text: str = "") -> list[bool]:
    """Drops or pastes files; returns for each event whether the page prevented the default."""
    content = [
        [one["name"], one["mimeType"], base64.b64encode(one["buffer"]).decode()] for one in files
    ]
    prevented: list[bool] = target.evaluate(BRING, [kind, content, text])
    return prevented
