"""Kills real processes while they answer: nothing stored is lost or repeated, all answers end."""

import asyncio
import contextlib
import itertools
import json
import os
import random
import signal
import sqlite3
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from redis.asyncio import Redis

from config.env import embedded_redis_url
from tests.chat.random_logs import entries_of
from tests.client import Client
from tests.examples import FULL
from tests.fake_model import running_fake_model, text_of
from tests.folding import fold_entries
from tests.stack import DATABASE, MANAGE, Stack

# How an interrupted answer is continued, and a model that is continued so.
MODELS = {"ask": "openai/script/known", "prefill": "openai/script/prefill"}
# Answers that are interrupted at once, for each means of continuing.
MANY = 25 if FULL else 12
QUESTION = "[[tokens=120&rate=40]] Question {}"


# So slow that all answers are still being written when the last of many begins.
LONG = "[[tokens=120&rate=8]] Question {}"


def answer(number: int, tokens: int = 120, question: str = QUESTION) -> str:
    return text_of(question.format(number), tokens)


@pytest.fixture(scope="module")
def model():
    with running_fake_model() as running:
        running.list_models(*(name.partition("/")[2] for name in MODELS.values()))
        yield running


@pytest.fixture(scope="module")
def shared_stack(model):
    env = {"HOLDFAST_PREFILL_MODELS": MODELS["prefill"]}
    created = Stack(model_url=model.base_url, env=env)
    yield created
    created.close()


@pytest.fixture
def own_stack(shared_stack):
    """A running stack that the tests of this file share, and whose processes they kill."""
    return shared_stack.ensure_ready()


@asynccontextmanager
async def asking(
    stack: Stack, count: int, question: str = QUESTION, models: tuple[str, ...] = (MODELS["ask"],)
) -> AsyncIterator[list[tuple[Client, str]]]:
    """Yields clients, each with a running answer of one of the models in turn."""
    async with AsyncExitStack() as clients:
        asked = []
        for number, model in zip(range(count), itertools.cycle(models), strict=False):
            client = await clients.enter_async_context(Client(stack.url, model))
            asked.append((client, question.format(number)))
        replies = await asyncio.gather(*(client.send(question) for client, question in asked))
        yield [(client, reply) for (client, _), reply in zip(asked, replies, strict=True)]


async def all_complete(
    asked: list[tuple[Client, str]], tokens: int = 120, question: str = QUESTION
) -> list:
    """Checks that each answer is its uninterrupted text, byte for byte, also when read again."""
    messages = []
    for number, (client, reply) in enumerate(asked):
        message = await client.settled(reply)
        assert message.status == "done", message.error
        assert str(message.text) == answer(number, tokens, question)
        again = await client.http.get(f"/api/chats/{client.chat}/events")
        ends = [
            event for _, event in again.json()["entries"] if event["type"] == "message.completed"
        ]
        assert [end["text"] for end in ends] == [answer(number, tokens, question)]
        messages.append(message)
    return messages


async def test_a_worker_killed_at_random_moments(own_stack):
    """Interrupts MANY answers for each means of continuing by `kill -9` of their worker."""
    async with asking(own_stack, MANY * len(MODELS), LONG, tuple(MODELS.values())) as asked:
        for client, reply in asked:
            await client.until(reply, lambda message: bool(message.text))
        for name in random.sample(["worker-1", "worker-2"], k=2):
            await asyncio.sleep(random.uniform(0, 0.6))
            own_stack.kill(name)
        messages = await all_complete(asked, question=LONG)
        for message, means in zip(messages, itertools.cycle(MODELS), strict=False):
            assert message.seams
            assert {seam["reason"] for seam in message.seams} == {"lost"}
            assert {seam["means"] for seam in message.seams} == {means}


async def test_redis_killed(own_stack):
    async with asking(own_stack, 10) as asked:
        for _ in range(2):
            await asyncio.sleep(0.7)
            own_stack.kill("redis")
        await all_complete(asked)


async def test_web_killed(own_stack):
    async with asking(own_stack, 10) as asked:
        for client, reply in asked:
            await client.until(reply, lambda message: bool(message.text))
        connects = [client.connects for client, _ in asked]
        own_stack.kill("web")
        await all_complete(asked)
        async with asyncio.timeout(60):
            for (client, _), before in zip(asked, connects, strict=True):
                while client.connects == before:
                    await asyncio.sleep(0.05)


async def test_everything_replaced_in_turn_as_by_a_deploy(own_stack):
    """Sends SIGTERM to each process while answers stream."""
    async with asking(own_stack, MANY) as asked:
        for name in ("worker-1", "worker-2", "web", "redis"):
            await asyncio.sleep(0.4)
            own_stack.kill(name, signal.SIGTERM)
        await all_complete(asked)


async def test_everything_killed_and_started_again(own_stack):
    async with asking(own_stack, 5) as asked:
        await asyncio.sleep(0.6)
        for name in own_stack.processes():
            own_stack.kill(name)
        own_stack.up.kill()
        own_stack.wait()
        await asyncio.to_thread(own_stack.start)
        await all_complete(asked)


async def test_a_frozen_worker_cannot_add_a_byte(make_stack, model):
    """SIGSTOP beyond the lease, takeover, SIGCONT: the fence refuses the old writer."""
    stack = make_stack(model_url=model.base_url, workers=1).start()
    async with asking(stack, 3) as asked:
        for client, reply in asked:
            await client.until(reply, lambda message: bool(message.text))
        stack.freeze("worker-1")
        successor = await asyncio.create_subprocess_exec(
            sys.executable,
            MANAGE,
            "work",
            env=stack.env | {"HOLDFAST_DATA": str(stack.data)},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            for client, reply in asked:
                await client.until(reply, lambda message: bool(message.seams))
            stack.thaw("worker-1")
            messages = await all_complete(asked)
            assert all([seam["reason"] for seam in m.seams] == ["lost"] for m in messages)
            # The worker has noticed: it writes no answer, the queue is empty, and the attempt that
            # was frozen has neither an end nor a charge.
            await idle(stack)
            for client, reply in asked:
                ends = await ends_of(client, reply)
                assert [end["bill"]["attempt"] for end in ends] == [2]
        finally:
            successor.terminate()
            await successor.wait()
        assert stack.manage("audit_ledger").returncode == 0


async def test_a_machine_that_stands_still_takes_nothing_over(own_stack):
    """All processes stop for longer than a lease, as when a laptop is suspended or a disk hangs.
    Afterwards each worker has seen no renewal for as long, and must not blame the others."""
    async with asking(own_stack, 6, LONG) as asked:
        for client, reply in asked:
            await client.until(reply, lambda message: bool(message.text))
        *others, last = [own_stack.up.pid, *own_stack.processes().values()]
        for _ in range(3):
            for pid in (*others, last):
                os.kill(pid, signal.SIGSTOP)
            try:
                await asyncio.sleep(2)
            finally:
                for pid in others:
                    os.kill(pid, signal.SIGCONT)
                await asyncio.sleep(0.4)  # One worker looks at the leases before the other goes on.
                os.kill(last, signal.SIGCONT)
            await asyncio.sleep(1)
        messages = await all_complete(asked, question=LONG)
        assert [message.seams for message in messages] == [[]] * len(asked)


DELETE = """
import datetime, uuid
from django.utils import timezone
from accounts.models import User
from chat.models import Chat
old = timezone.now() - datetime.timedelta(days=30)
person = User.objects.create(id=uuid.uuid4(), is_guest=True)
dates = {"updated_at": old, "deleted_at": old}
chat = Chat.objects.create(id=uuid.uuid4(), owner=person, title="Gone", **dates)
print(chat.id)
"""


async def test_chores_go_on_when_the_worker_that_runs_them_is_lost(own_stack):
    """A killed worker is replaced; one that hangs is not, and another takes the chores over.
    Deleted chats are erased every minute, and at once by a worker that takes over or begins."""
    name = await leader(own_stack)
    await asyncio.sleep(2)  # Workers that have just begun would erase it, too.
    chat = await deleted_long_ago(own_stack)
    with own_stack.frozen(name):
        await is_erased(own_stack, chat)
    chat = await deleted_long_ago(own_stack)
    own_stack.wait_replaced(name, own_stack.kill(name))
    await is_erased(own_stack, chat)


async def leader(stack: Stack) -> str:
    """The worker whose name is the first of those alive (queue_beat.lua) runs the chores. Waits
    until both are alive."""
    async with Redis.from_url(embedded_redis_url(stack.data)) as redis, asyncio.timeout(30):
        while True:
            names = [name.decode() for name in await redis.zrange("hf:{q:answers}:beats", 0, -1)]
            processes = {str(pid): process for process, pid in stack.processes().items()}
            alive = [name for name in names if name.rpartition("-")[2] in processes]
            if len(alive) == 2:
                return processes[min(alive).rpartition("-")[2]]
            await asyncio.sleep(0.1)


async def deleted_long_ago(stack: Stack) -> uuid.UUID:
    run = await asyncio.to_thread(stack.manage, "shell", "--verbosity=0", "-c", DELETE)
    return uuid.UUID(run.stdout.strip())


async def is_erased(stack: Stack, chat: uuid.UUID) -> None:
    async with asyncio.timeout(30):
        while not _has_erased(stack, chat):
            await asyncio.sleep(0.2)


def _has_erased(stack: Stack, chat: uuid.UUID) -> bool:
    database = sqlite3.connect(f"file:{stack.data / DATABASE}?mode=ro", uri=True)
    with contextlib.closing(database):
        finished = "SELECT 1 FROM chat_erasedchat WHERE id = ? AND finished_at IS NOT NULL"
        return database.execute(finished, [chat.hex]).fetchone() is not None


async def ends_of(client: Client, reply: str) -> list[dict[str, Any]]:
    page = await client.http.get(f"/api/chats/{client.chat}/events")
    events = [event for _, event in page.json()["entries"]]
    return [e for e in events if e["type"] == "message.completed" and e["message"] == reply]


async def idle(stack: Stack) -> None:
    """Waits until all workers report that they write no answer, and no job is left."""
    async with Redis.from_url(embedded_redis_url(stack.data)) as redis, asyncio.timeout(30):
        while True:
            infos = await redis.hvals("hf:{q:answers}:infos")
            jobs = await redis.xlen("hf:{q:answers}:jobs")
            if not jobs and all(json.loads(info)["answers"] == 0 for info in infos):
                return
            await asyncio.sleep(0.1)


async def test_reconnecting_at_every_entry_gives_the_same_transcript(own_stack, javascript_fold):
    """Folds what a reader saw live up to each entry, then what the server replays after it."""
    async with Client(own_stack.url) as client:
        client.keep = True
        # So slow that even a busy machine writes many entries.
        reply = await client.send("[[tokens=40&rate=40]] Again and again")
        await client.settled(reply)
        whole = client.transcript.to_dict()
        live = [[entry_id, event] for _, entry_id, event in client.seen]
        assert len(live) > 20
        for seen in range(len(live) + 1):
            after = live[seen - 1][0] if seen else "0-0"
            response = await client.http.get(f"/api/chats/{client.chat}/events?after={after}")
            log = live[:seen] + response.json()["entries"]
            assert fold_entries(entries_of(log)).to_dict() == whole
            assert javascript_fold(log) == whole


async def test_a_socket_that_comes_back_anywhere_gets_the_rest(own_stack):
    async with Client(own_stack.url) as client:
        client.keep = True
        reply = await client.send("[[tokens=30&rate=300]] And again")
        await client.settled(reply)
        live = [[entry_id, event] for _, entry_id, event in client.seen]
        for seen in range(0, len(live) + 1, 5):
            reader = Client(own_stack.url)
            reader.http.cookies = client.http.cookies
            reader.chat = client.chat
            fold_entries(entries_of(live[:seen]), into=reader.transcript)
            reader.connect()
            await reader.settled(reply)
            assert reader.transcript.to_dict() == client.transcript.to_dict()
            await reader.disconnect()


async def test_the_same_send_twenty_times_over_the_wire(own_stack, model):
    """A visitor without a session repeats the send, as on an unreliable network."""
    async with Client(own_stack.url) as client:
        message_id = "0198c5a0-0000-7000-8000-00000000aaaa"
        question = "[[tokens=5]] Only once"
        replies = await asyncio.gather(
            *(client.send(question, message_id=message_id) for _ in range(20))
        )
        assert len(set(replies)) == 1
        await client.settled(replies[0])
        await asyncio.sleep(0.3)
        assert len(client.transcript.messages) == 2
        calls = [r for r in model.requests if r["prompt"] == question]
        assert len([c for c in calls if len(c["body"]["messages"]) <= 2]) == 1


async def test_workers_killed_before_search_knew_what_was_said(own_stack):
    """Kills the workers before they index a complete answer; their successors index it."""
    async with asking(own_stack, 4) as asked:
        for client, reply in asked:
            await client.settled(reply)
        for name in ("worker-1", "worker-2"):
            own_stack.kill(name)
        for number, (client, reply) in enumerate(asked):
            word = next(word for word in answer(number).split() if len(word) > 4).strip(".,")
            async with asyncio.timeout(60):
                while True:
                    found = await client.http.get("/api/search", params={"q": f"{word} "})
                    messages = [one for hit in found.json()["results"] for one in hit["messages"]]
                    if reply in [one["id"] for one in messages]:
                        break
                    await asyncio.sleep(0.2)
