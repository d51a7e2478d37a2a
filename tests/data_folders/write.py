"""Writes a data folder as of this version, after use and a `kill -9`, to test later versions with.

    python -m tests.data_folders.write NAME       (in the environment of the tests)

It writes the folder to NAME.tar.xz, and to NAME.json what a later version must find in it.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sqlite3
import sys
import tarfile
import tempfile
import uuid
from pathlib import Path
from typing import Any

from chat.transcript import Transcript
from tests.accounts.mailbox import Mailbox, code_in, running_mailbox
from tests.accounts.preferences.images import plain
from tests.client import SETTLED, Client
from tests.fake_model import FakeModel, running_fake_model, text_of
from tests.stack import DATABASE, Stack, wait_for

HERE = Path(__file__).parent
EMAIL, PASSWORD, KEY = "anna@example.org", "a-Long-passphrase-9", "a-key-of-anna-AbCdEf-0042"
MODEL = "script/known?tokens=4"  # also the length of a title, in words
FREE, PAID = f"openai/{MODEL}", f"openrouter/{MODEL}"
TOKENS = 60
RUNNING = f"[[rate=20&tokens={TOKENS}]] Tell me of the sea"
# One for each chat whose first answer was not stopped.
TITLES = 4


def environment(model: FakeModel, mailbox: Mailbox | None = None) -> dict[str, str]:
    """Returns the settings of a stack on the folder, both to write it and to open it later."""
    env = {
        "OPENROUTER_API_KEY": "sk-or",
        "OPENROUTER_BASE_URL": model.openrouter_url,
        "HOLDFAST_ALLOW_PRIVATE_MODEL_URLS": "True",
        "GUEST_IDLE_DAYS": "3650",  # the folder keeps getting older
    }
    return env | ({"EMAIL_URL": f"smtp://127.0.0.1:{mailbox.port}"} if mailbox else {})


class Person(Client):
    async def form(self, path: str, **fields: str) -> None:
        response = await self.http.post(path, data=fields, headers=self._token)
        assert response.status_code == 302, response.text

    async def api(self, method: str, path: str, body: Any = None) -> Any:
        response = await self.command(method, path, body)
        assert response.status_code < 300, response.text
        return response.json()

    async def sign_up(self, mailbox: Mailbox) -> None:
        await self.form("/account/signup/", email=EMAIL, password1=PASSWORD)
        code = code_in(await asyncio.to_thread(mailbox.to, EMAIL))
        await self.form("/account/confirm-email/", code=code)
        await self.visit()

    async def sign_in(self) -> None:
        await self.form("/account/login/", login=EMAIL, password=PASSWORD)
        await self.visit()

    async def add_key(self, url: str) -> str:
        """Adds an own key; returns the id of a model that it gives access to."""
        await self.form("/account/reauthenticate/", password=PASSWORD)
        await self.form("/settings/keys", add="custom", label="Lab", base_url=url, key=KEY)
        models = (await self.api("GET", "/api/models"))["models"]
        return str(next(model["id"] for model in models if model["id"].startswith("my-")))

    async def set_picture(self) -> None:
        files = {"picture": ("me.png", plain(size=(64, 64)), "image/png")}
        path = "/api/settings/picture"
        response = await self.http.post(path, files=files, headers=self._token)
        assert response.status_code == 200, response.text

    @property
    def _token(self) -> dict[str, str]:
        return {"X-CSRFToken": self.http.cookies.get("csrftoken", ""), "Referer": self.url + "/"}

    async def look_into(self, chat: str) -> None:
        await self.disconnect()
        self.chat, self.transcript = chat, Transcript()

    async def say(self, text: str, model: str, chat: str = "", **more: Any) -> str:
        """Sends in `chat` or a new chat; returns the chat once the answer has ended."""
        await self.look_into(chat or str(uuid.uuid4()))
        self.model = model
        await self.settled(await self.send(text, **more))
        return self.chat

    async def say_begun(self, text: str, model: str) -> str:
        """Sends in a new chat; returns the reply once its answer has begun."""
        await self.look_into(str(uuid.uuid4()))
        self.model = model
        reply = await self.send(text)
        await self.until(reply, lambda message: len(str(message.text)) > 60)
        return reply

    async def messages(self, chat: str) -> list[list[str | None]]:
        """Returns (id, parent, role, status, text) of each message, once all answers have ended."""
        await self.look_into(chat)
        self.connect()
        async with asyncio.timeout(20):
            while not self._is_settled():
                await asyncio.sleep(0.02)
        said = self.transcript.messages.values()
        return [[m.id, m.parent, m.role, m.status, str(m.text)] for m in said]

    def _is_settled(self) -> bool:
        answers = [m for m in self.transcript.messages.values() if m.role == "assistant"]
        return bool(answers) and all(answer.status in SETTLED for answer in answers)

    async def everything(self) -> dict[str, Any]:
        """Returns the person's chats in order, messages, drafts and settings."""
        chats = (await self.api("GET", "/api/chats"))["chats"]
        archived = (await self.api("GET", "/api/chats?view=archived"))["chats"]
        drafts = (await self.api("GET", "/api/drafts"))["drafts"]
        return {
            "chats": [[chat["id"], chat["title"]] for chat in chats],
            "archived": [chat["id"] for chat in archived],
            "messages": {c["id"]: await self.messages(c["id"]) for c in chats + archived},
            "drafts": [[draft["chat"], draft["text"], draft["pastes"]] for draft in drafts],
            "settings": (await self.api("GET", "/api/settings"))["settings"],
        }


async def act(stack: Stack, mailbox: Mailbox, model: FakeModel) -> dict[str, Any]:
    """Acts as a guest and as Anna; returns when half of a last answer is written."""
    async with Person(stack.url) as guest, Person(stack.url) as anna:
        await guest.say("[[tokens=12]] A guest asks for more", PAID)
        await guest.api("PUT", "/api/drafts", {"chat": None, "text": "Not sent by the guest"})
        await have_a_past(anna, mailbox, model)
        wait_for(lambda: len(titles(stack.data)) == TITLES, 30)
        found = {"anna": await anna.everything(), "guest": await guest.everything()}
        reply = await anna.say_begun(RUNNING, PAID)
        whole = text_of(RUNNING, TOKENS)
        return found | {"running": {"chat": anna.chat, "reply": reply, "text": whole}}


async def have_a_past(anna: Person, mailbox: Mailbox, model: FakeModel) -> None:
    """Begins as a guest and becomes an account."""
    plans = await anna.say("[[tokens=15]] My plans", FREE)
    await anna.sign_up(mailbox)
    answer = list(anna.transcript.messages)[-1]
    await anna.say("[[tokens=10&mode=unicode]] And then?", FREE, plans, parent=answer)
    await anna.say("[[tokens=15]] My other plans", FREE, plans, edit=True)
    thought = await anna.say("[[tokens=30&reasoning=8]] Think", PAID)
    await anna.say("[[tokens=9]] With my own key", await anna.add_key(model.base_url))
    reply = await anna.say_begun("[[rate=20&tokens=200]] Stop me", PAID)
    stopped = anna.chat
    await anna.api("POST", f"/api/chats/{stopped}/replies/{reply}/stop", {})
    await anna.settled(reply)
    await anna.api("PUT", f"/api/chats/{thought}/pin", {})
    await anna.api("PUT", f"/api/chats/{stopped}/archive", {})
    await anna.api("PATCH", "/api/settings", {"instructions": "Be brief.", "appearance": "dark"})
    await anna.set_picture()
    await anna.api("PUT", "/api/drafts", {"chat": plans, "text": "Not sent", "pastes": ["Paste"]})
    await anna.api("PUT", "/api/drafts", {"chat": None, "text": "Not begun"})


def rows(data: Path, query: str, *values: Any) -> list[Any]:
    with contextlib.closing(sqlite3.connect(data / DATABASE, timeout=20)) as database:
        return database.execute(query, values).fetchall()


def titles(data: Path) -> list[Any]:
    return rows(data, "SELECT title FROM chat_chat WHERE title_by = 'model'")


def kill_all(stack: Stack) -> None:
    """Kills all processes at once; `up` is frozen first, so that it restarts none."""
    assert stack.up is not None
    stack.up.send_signal(signal.SIGSTOP)
    for pid in stack.processes().values():
        os.kill(pid, signal.SIGKILL)
    stack.up.kill()
    stack.wait()


def pack(data: Path, archive: Path) -> None:
    """Packs the folder without sockets and without the owners of its files."""

    def nobodys(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        return member

    with tarfile.open(archive, "w:xz", preset=9) as tar:
        tar.add(data, ".", filter=nobodys)


def unpack(name: str, folder: Path) -> dict[str, Any]:
    """Unpacks the folder; returns its expected content."""
    with tarfile.open(HERE / f"{name}.tar.xz") as tar:
        # Python has the filter since 3.11.4, and later versions warn if none is given.
        tar.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    found: dict[str, Any] = json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))
    return found


def main(name: str) -> None:
    folder = Path(tempfile.mkdtemp(prefix="hf-write-"))
    with running_mailbox() as mailbox, running_fake_model() as model:
        model.list_models(MODEL)
        stack = Stack(folder, model_url=model.base_url, env=environment(model, mailbox))
        try:
            stack.start()
            found = asyncio.run(act(stack, mailbox, model))
            kill_all(stack)
        finally:
            stack.close()
    pack(folder, HERE / f"{name}.tar.xz")
    shutil.rmtree(folder)
    text = json.dumps(found, ensure_ascii=False, indent=1)
    (HERE / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
