"""The people of the kill run, who know every byte that they may receive.

Each message contains a mark with the numbers of its person and of itself (`p03m017`), and the model
repeats that mark in every chunk of its answer (tests/fake_model.py, mode=marked).
"""

import asyncio
import contextlib
import json
import random
import uuid
from collections import Counter
from dataclasses import dataclass, field

import httpx2
import websockets

from tests.client import Client
from tests.fake_model import MARK, FakeModel, text_of

ANSWER_WITHIN_S = 60.0
RECONNECT_S = 0.2
# One model is asked for the rest of an interrupted answer, the other continues it by prefill.
MODELS = ("openrouter/script/known", "openrouter/script/prefill")
ACTS = {
    "say": 10,
    "say_three_times": 3,
    "stop": 4,
    "answer_anew": 2,
    "go_on": 3,
    "drop_a_socket": 3,
    "add_a_socket": 1,
    "delete": 0.5,
}


@dataclass(eq=False)
class Exchange:
    """A message and the replies that were requested to it."""

    message: str
    text: str
    whole: str  # the complete text of each answer
    tokens: int
    may_be_refused: bool = False  # the model sends its answer as a web page
    replies: set[str] = field(default_factory=set)


class Watcher(Client):
    """A socket that follows one chat and searches each frame for the marks of other people."""

    def __init__(self, person: "Person", chat: str) -> None:
        super().__init__(person.url)
        self.person, self.chat, self.http, self.keep = person, chat, person.http, True

    async def _follow(self) -> None:
        while True:
            with contextlib.suppress(OSError, websockets.WebSocketException, TimeoutError):
                await self._one_socket()
            if self.socket is not None:
                self.person.closes[self.socket.close_code] += 1
            await asyncio.sleep(RECONNECT_S)

    def _take(self, text: str) -> None:
        self.person.look_at(text, f"a frame of chat {self.chat}")
        super()._take(text)

    def drop(self) -> None:
        """Aborts the connection without a close frame, as when the network fails."""
        if self.socket is not None:
            self.socket.transport.abort()


@dataclass
class Talk:
    """A chat with its sockets and messages."""

    chat: str
    watchers: list[Watcher] = field(default_factory=list)
    exchanges: dict[str, Exchange] = field(default_factory=dict)
    stopped: set[str] = field(default_factory=set)  # replies that the person stopped
    is_deleted: bool = False

    @property
    def replies(self) -> dict[str, Exchange]:
        return {
            reply: exchange for exchange in self.exchanges.values() for reply in exchange.replies
        }


class Person:
    """Acts at random until paused. `foreign` lists the marks of others that the person received."""

    def __init__(self, number: int, url: str, model: FakeModel, dice: random.Random) -> None:
        self.name, self.url, self.dice = f"p{number:02d}", url.rstrip("/"), dice
        self.model = model
        self.http = httpx2.AsyncClient(base_url=self.url, timeout=10, verify=False)
        self.messages = 0
        self.talks: list[Talk] = []
        self.foreign: list[str] = []
        self.closes: Counter[int | None] = Counter()
        self.acts: Counter[str] = Counter()

    async def enter(self) -> None:
        """Begins two chats; the first message makes the person a guest."""
        response = await self.http.get("/")
        response.raise_for_status()
        for _ in range(2):
            await self.begin_a_chat()

    async def leave(self) -> None:
        for talk in self.talks:
            await self.unfollow(talk)
        await self.http.aclose()

    async def live(self, pause: asyncio.Event) -> None:
        names, weights = list(ACTS), list(ACTS.values())
        while not pause.is_set():
            name = self.dice.choices(names, weights)[0]
            self.acts[name] += 1
            await getattr(self, name)(self.some_talk())
            await asyncio.sleep(self.dice.uniform(0.05, 0.8))

    def look_at(self, text: str, where: str) -> None:
        """Notes the marks of other people in a text that this person received."""
        marks = {mark for mark in MARK.findall(text) if not mark.startswith(self.name)}
        if marks:
            self.foreign.append(f"{self.name} was shown {sorted(marks)[:5]} in {where}")

    def some_talk(self) -> Talk:
        return self.dice.choice([talk for talk in self.talks if not talk.is_deleted])

    # Acts

    async def begin_a_chat(self) -> None:
        talk = Talk(str(uuid.uuid4()))
        self.talks.append(talk)
        await self.say(talk)
        for _ in range(self.dice.choice([1, 1, 2])):
            await self.add_a_socket(talk)

    async def add_a_socket(self, talk: Talk) -> None:
        if len(talk.watchers) < 4:
            talk.watchers.append(Watcher(self, talk.chat))
            talk.watchers[-1].connect()

    async def drop_a_socket(self, talk: Talk) -> None:
        self.dice.choice(talk.watchers).drop()

    async def say(self, talk: Talk, times: int = 1) -> None:
        """Sends a message below the shown ones or, sometimes, as a branch at the start."""
        self.messages += 1
        script, tokens = self.script()
        text = f"[[{script}]] {self.name}m{self.messages:03d} what?"
        whole = text_of(text, tokens, "marked")
        exchange = Exchange(str(uuid.uuid4()), text, whole, tokens, "mislabelled" in script)
        talk.exchanges[exchange.message] = exchange
        model = self.dice.choice(MODELS)
        body = {"id": exchange.message, "text": text, "model": model, "parent": None}
        body["edit"] = len(talk.exchanges) > 1 and self.dice.random() < 0.1
        path = f"/api/chats/{talk.chat}/messages"
        responses = await asyncio.gather(*(self.command("POST", path, body) for _ in range(times)))
        assert {response.status_code for response in responses} == {202}, responses[0].text
        [reply] = {response.json()["reply"] for response in responses}
        exchange.replies.add(reply)
        if self.dice.random() < 0.6:
            await asyncio.sleep(tokens / 30)

    def script(self) -> tuple[str, int]:
        """Returns the model's script for a message, and the number of tokens of its answer."""
        dice, tokens = self.dice, self.dice.randint(12, 80)
        parts = [f"mode=marked&tokens={tokens}&rate={dice.randint(15, 45)}"]
        parts.append(f"per_chunk={dice.choice([1, 1, 2, 5])}")
        if dice.random() < 0.4:
            parts.append(f"burst_after={dice.randint(1, tokens)}")
        if dice.random() < 0.3:
            parts.append(f"trailer_ms={dice.randint(200, 1500)}")
        if dice.random() < 0.3:
            parts.append("surplus=1")
        if dice.random() < 0.05:
            parts.append("mislabelled=1")
        return "&".join(parts), tokens

    async def say_three_times(self, talk: Talk) -> None:
        await self.say(talk, times=3)

    async def stop(self, talk: Talk) -> None:
        """Stops a reply, in most cases while the rest of its answer arrives at once."""
        reply, exchange = self.dice.choice(list(talk.replies.items())[-4:])
        talk.stopped.add(reply)
        path = f"/api/chats/{talk.chat}/replies/{reply}/stop"
        stopping = asyncio.create_task(self.command("POST", path, {}))
        await asyncio.sleep(self.dice.uniform(0, 0.08))
        if self.dice.random() < 0.7:
            self.model.hurry(exchange.text)
        await stopping

    async def answer_anew(self, talk: Talk) -> None:
        exchange, reply = self.dice.choice(list(talk.exchanges.values())), str(uuid.uuid4())
        if not exchange.replies:
            return
        exchange.replies.add(reply)
        body = {"id": reply, "parent": exchange.message, "model": self.dice.choice(MODELS)}
        response = await self.command("POST", f"/api/chats/{talk.chat}/replies", body)
        assert response.status_code == 202, response.text

    async def go_on(self, talk: Talk) -> None:
        """Continues an answer that was stopped or has failed, if there is one."""
        messages = talk.watchers[0].transcript.messages.values()
        if ended := [one.id for one in messages if one.status in ("stopped", "error")]:
            path = f"/api/chats/{talk.chat}/replies/{self.dice.choice(ended)}/attempts"
            response = await self.command("POST", path, {})
            assert response.status_code in (202, 409), response.text

    async def delete(self, talk: Talk) -> None:
        """Deletes a chat, which may have running answers, and begins another."""
        talk.is_deleted = True
        await self.unfollow(talk)
        response = await self.command("DELETE", f"/api/chats/{talk.chat}")
        assert response.status_code == 204, response.text
        await self.begin_a_chat()

    # Over the wire

    async def unfollow(self, talk: Talk) -> None:
        await asyncio.gather(*(watcher.disconnect() for watcher in talk.watchers))

    async def command(self, method: str, path: str, body: object = None) -> httpx2.Response:
        """Makes a request, repeated as the page does until the server responds. Repeats it after a
        400 with a page, too: Django responds so if the database dies while it saves a session."""
        jar = self.http.cookies
        headers = {"X-CSRFToken": jar.get("csrftoken", ""), "Origin": self.url}
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                while True:
                    with contextlib.suppress(httpx2.TransportError):
                        response = await self.http.request(method, path, json=body, headers=headers)
                        if response.status_code < 500 and not is_a_page_of_400(response):
                            self.look_at(response.text, path)
                            return response
                    await asyncio.sleep(RECONNECT_S)
        except TimeoutError:
            raise AssertionError(f"{method} {path} was not answered in time") from None

    async def events(self, chat: str) -> list[tuple[str, dict]]:
        """Returns all entries of the chat, read from the start."""
        entries: list[tuple[str, dict]] = []
        more = True
        while more:
            after = entries[-1][0] if entries else "0-0"
            page = await self.command("GET", f"/api/chats/{chat}/events?after={after}")
            assert page.status_code == 200, page.text
            found = json.loads(page.text)
            entries += [(entry, event) for entry, event in found["entries"]]
            more = found["more"]
        return entries


def is_a_page_of_400(response: httpx2.Response) -> bool:
    return response.status_code == 400 and "html" in response.headers.get("content-type", "")
