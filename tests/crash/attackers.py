"""Hostile guests: each repeats one attack as often as it can.

    python tests/crash/attackers.py NAME URL SECONDS ADDRESS

ADDRESS is the loopback address to connect from, such as 127.0.2.1. The process has a low priority,
so that the soak measures what an attacker does to the server and not to the people's clients.
Prints one line of JSON: how many requests succeeded and how many were refused.
"""

import asyncio
import contextlib
import io
import json
import os
import sys
import time
import uuid
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import httpx2
import websockets
from PIL import Image

QUICK = "[[tokens=4]] Hello"
# The soak gives attackers a model process of their own, because the people's would be busy with
# their answers.
MODEL = "ollama/script/known"
PARTS = 20_000
CONTROL = "\x01"


class Guest:
    def __init__(self, url, done, address):
        self.url, self.done, self.address = url, done, address
        transport = httpx2.AsyncHTTPTransport(verify=False, local_address=address)
        self.http = httpx2.AsyncClient(base_url=url, timeout=60, transport=transport)

    async def __aenter__(self):
        await self.http.get("/")
        return self

    async def __aexit__(self, *_):
        await self.http.aclose()

    async def command(self, method, path, **content):
        jar = self.http.cookies
        headers = {"X-CSRFToken": jar.get("csrftoken", ""), "Origin": self.url}
        try:
            answer = await self.http.request(method, path, headers=headers, **content)
        except httpx2.TransportError:
            self.done["cut off"] += 1
            return None
        self.done["refused" if answer.status_code >= 400 else "done"] += 1
        return answer

    async def begin(self, text=QUICK, chat=None, parent=None):
        chat, message = chat or str(uuid.uuid4()), str(uuid.uuid4())
        body = {"id": message, "text": text, "model": MODEL, "parent": parent}
        answer = await self.command("POST", f"/api/chats/{chat}/messages", json=body)
        return chat, message, answer

    def socket(self):
        cookie = "; ".join(f"{name}={value}" for name, value in self.http.cookies.items())
        return websockets.connect(
            self.url.replace("http", "ws", 1) + "/ws",
            additional_headers={"Cookie": cookie},
            origin=self.url,
            max_size=None,
            compression=None,
            ping_interval=None,
            local_addr=(self.address, 0),
        )


def times_up(until):
    return time.monotonic() >= until


def rounds(until):
    """Yields once, however long the attacker took to prepare, and then until the time is up."""
    yield
    while not times_up(until):
        yield


async def sockets_that_never_read(guest, until):
    """Saves large drafts, which the server sends to all pages of a person: 32 that never read."""
    await guest.begin()
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(32):
            with contextlib.suppress(OSError, websockets.WebSocketException):
                socket = await stack.enter_async_context(guest.socket())
                socket.transport.pause_reading()
        for _ in rounds(until):
            body = {"chat": None, "text": uuid.uuid4().hex * 6_000, "pastes": [], "age_ms": 0}
            await guest.command("PUT", "/api/drafts", json=body)


async def pings(guest, until):
    await guest.begin()
    for _ in rounds(until):
        with contextlib.suppress(OSError, websockets.WebSocketException):
            async with guest.socket() as socket:
                for _ in rounds(until):
                    for _ in range(200):
                        await socket.send('{"type":"ping"}')
                    guest.done["done"] += 200
                    await asyncio.sleep(0)
        guest.done["cut off"] += 1
        await asyncio.sleep(0.1)


async def acks_of_everything(guest, until):
    """Acknowledges everything and reads nothing, while a long answer is written."""
    text = "[[tokens=20000]] Go on"
    chat, _, _ = await guest.begin(text)
    for _ in rounds(until):
        with contextlib.suppress(OSError, websockets.WebSocketException):
            async with guest.socket() as socket:
                await socket.send(json.dumps({"type": "follow", "chat": chat, "after": None}))
                socket.transport.pause_reading()
                for _ in rounds(until):
                    await socket.send('{"type":"ack","bytes":1152921504606846976}')
                    guest.done["done"] += 1
                    await asyncio.sleep(0.01)
        guest.done["cut off"] += 1
        await asyncio.sleep(0.1)


async def forms_of_many_parts(guest, until):
    mark = "x"
    part = f'--{mark}\r\nContent-Disposition: form-data; name=""\r\n\r\n\r\n'
    body = (part * PARTS + f"--{mark}--\r\n").encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={mark}"}
    for _ in rounds(until):
        with contextlib.suppress(httpx2.TransportError):
            answer = await guest.http.post("/account/login/", content=body, headers=headers)
            guest.done["refused" if answer.status_code >= 400 else "done"] += 1


async def half_heads(guest, until):
    """Opens a thousand connections and sends half of a request on each."""
    parts = urlsplit(guest.url)
    held = []
    for _ in rounds(until):
        while len(held) < 1_000 and not times_up(until):
            try:
                _, writer = await asyncio.open_connection(
                    parts.hostname, parts.port, local_addr=(guest.address, 0)
                )
                writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX-A: ")
                held.append(writer)
                guest.done["done"] += 1
            except OSError:
                guest.done["cut off"] += 1
        await asyncio.sleep(0.5)
        held = [writer for writer in held if not writer.transport.is_closing()]
    for writer in held:
        writer.close()


async def branches_of_a_heavy_chat(guest, until):
    """Fills a chat with characters that take six bytes in JSON, and changes its branch."""
    chat, parent, _ = await guest.begin()
    messages = [parent]
    for _ in rounds(until):
        if len(messages) < 40:
            text = QUICK + CONTROL * 190_000
            _, message, answer = await guest.begin(text, chat, messages[-1])
            if answer is not None and answer.status_code == 202:
                messages.append(message)
        choice = {"message": messages[len(messages) // 2]}
        await guest.command("POST", f"/api/chats/{chat}/branch", json=choice)


async def instructions(guest, until):
    chat, _, _ = await guest.begin()
    for _ in rounds(until):
        body = {"instructions": uuid.uuid4().hex * 125}  # the longest allowed
        await guest.command("PATCH", f"/api/chats/{chat}", json=body)


async def pictures(guest, until):
    """Uploads a picture that is small when sent and, decoded, as large as allowed."""
    out = io.BytesIO()
    Image.new("RGB", (4_000, 4_000)).save(out, "WEBP", lossless=True, method=0)
    await guest.begin()
    for _ in rounds(until):
        files = {"picture": ("a.webp", out.getvalue(), "image/webp")}
        await guest.command("POST", "/api/settings/picture", files=files)


async def endless_answers(guest, until):
    """Requests the longest allowed answer, each time as a new guest."""
    for _ in rounds(until):
        async with Guest(guest.url, guest.done, guest.address) as another:
            chat, _, answer = await another.begin("[[tokens=200000&rate=20000&per_chunk=50]] Go on")
            await asyncio.sleep(1)
            if answer is not None and answer.status_code == 202:
                reply = answer.json()["reply"]
                await another.command("POST", f"/api/chats/{chat}/replies/{reply}/stop", json={})


# Attacks of which no request is accepted.
REFUSED = {"forms_of_many_parts"}
ATTACKS = {
    attack.__name__: attack
    for attack in (
        sockets_that_never_read,
        pings,
        acks_of_everything,
        forms_of_many_parts,
        half_heads,
        branches_of_a_heavy_chat,
        instructions,
        pictures,
        endless_answers,
    )
}


async def main(name, url, seconds, address):
    done = Counter()
    until = time.monotonic() + seconds
    async with Guest(url, done, address) as guest:
        attack = asyncio.create_task(ATTACKS[name](guest, until))
        await asyncio.wait({attack}, timeout=seconds + 20)  # its last request may take a while
        if attack.done() and attack.exception():
            done[repr(attack.exception())] += 1
        # Exits at once, because attackers do not close their sockets properly.
        sys.stdout.write(json.dumps(done) + "\n")
        sys.stdout.flush()
        os._exit(0)


if __name__ == "__main__":
    os.nice(10)
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4]))
