"""The people of the kill run. Every byte they may be shown is known beforehand: a message carries a
mark of its person and its own (`p03m017`), and the model answers with that mark in every chunk
(tests/fake_model.py, mode=marked)."""

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
# One is asked for the rest of a broken answer, the other continues it as the last turn.
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
class Said:
    """One message and the answers that were asked for it."""

    message: str
    text: str
    whole: str  # what each answer to it must be in the end
    tokens: int
    may_be_refused: bool = False  # the model calls its answer a web page
    replies: set[str] = field(default_factory=set)


class Watcher(Client):
    """A socket that follows one chat, and looks at every frame for the mark of somebody else."""

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
        """As when the network goes: nobody says goodbye."""
        if self.socket is not None:
            self.socket.transport.abort()


@dataclass
class Talk:
    """One chat: who follows it, what was said in it."""

    chat: str
    watchers: list[Watcher] = field(default_factory=list)
    said: dict[str, Said] = field(default_factory=dict)
    stopped: set[str] = field(default_factory=set)  # replies that somebody asked to stop
    is_deleted: bool = False

    @property
    def replies(self) -> dict[str, Said]:
        return {reply: said for said in self.said.values() for reply in said.replies}


class Person:
    """Acts at random until told to pause. `foreign` is what they were shown of others."""

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
        """Becomes a guest by a first message in the first of two chats."""
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
        """Nothing that this person is given holds the mark of another."""
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
        """Below what is shown, or now and then as a branch from the start of the chat."""
        self.messages += 1
        script, tokens = self.script()
        text = f"[[{script}]] {self.name}m{self.messages:03d} what?"
        whole = text_of(text, tokens, "marked")
        said = Said(str(uuid.uuid4()), text, whole, tokens, "mislabelled" in script)
        talk.said[said.message] = said
        model = self.dice.choice(MODELS)
        body = {"id": said.message, "text": text, "model": model, "parent": None}
        body["edit"] = len(talk.said) > 1 and self.dice.random() < 0.1
        path = f"/api/chats/{talk.chat}/messages"
        responses = await asyncio.gather(*(self.command("POST", path, body) for _ in range(times)))
        assert {response.status_code for response in responses} == {202}, responses[0].text
        [reply] = {response.json()["reply"] for response in responses}
        said.replies.add(reply)
        if self.dice.random() < 0.6:
            await asyncio.sleep(tokens / 30)

    def script(self) -> tuple[str, int]:
        """What the model does with this message, and how many tokens its answer has."""
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
        """Now and then just as the rest of the answer comes in one piece."""
        reply, said = self.dice.choice(list(talk.replies.items())[-4:])
        talk.stopped.add(reply)
        path = f"/api/chats/{talk.chat}/replies/{reply}/stop"
        stopping = asyncio.create_task(self.command("POST", path, {}))
        await asyncio.sleep(self.dice.uniform(0, 0.08))
        if self.dice.random() < 0.7:
            self.model.hurry(said.text)
        await stopping

    async def answer_anew(self, talk: Talk) -> None:
        said, reply = self.dice.choice(list(talk.said.values())), str(uuid.uuid4())
        if not said.replies:
            return
        said.replies.add(reply)
        body = {"id": reply, "parent": said.message, "model": self.dice.choice(MODELS)}
        response = await self.command("POST", f"/api/chats/{talk.chat}/replies", body)
        assert response.status_code == 202, response.text

    async def go_on(self, talk: Talk) -> None:
        """With an answer that was stopped or has failed; what has not is left as it is."""
        messages = talk.watchers[0].transcript.messages.values()
        if ended := [one.id for one in messages if one.status in ("stopped", "error")]:
            path = f"/api/chats/{talk.chat}/replies/{self.dice.choice(ended)}/attempts"
            response = await self.command("POST", path, {})
            assert response.status_code in (202, 409), response.text

    async def delete(self, talk: Talk) -> None:
        """A chat, while it is answered; another one is begun."""
        talk.is_deleted = True
        await self.unfollow(talk)
        response = await self.command("DELETE", f"/api/chats/{talk.chat}")
        assert response.status_code == 204, response.text
        await self.begin_a_chat()

    # Over the wire

    async def unfollow(self, talk: Talk) -> None:
        await asyncio.gather(*(watcher.disconnect() for watcher in talk.watchers))

    async def command(self, method: str, path: str, body: object = None) -> httpx2.Response:
        """Repeated, as the page does, until something answers; also when a database that dies while
        a session is saved makes Django answer 400 with a page."""
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
        """The chat as somebody reads it who has seen nothing of it yet."""
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
