"""Creates long chats by writing their messages into the log, as a worker does."""

import asyncio
import json
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from chat import events as ev
from config.env import embedded_redis_url
from streams.log import Event, Log
from tests.browser.chat_page import ChatPage
from tests.stack import Stack

BATCH = 500


def write_chat(alice: ChatPage, stack: Stack, said: Iterable[tuple[str, str]]) -> None:
    """Makes a chat of these questions and answers, and opens it."""
    events: list[ev.AnyEvent] = []
    parent: str | None = None
    for question, answer in said:
        asked, reply = str(uuid.uuid4()), str(uuid.uuid4())
        events += _exchange(asked, reply, parent, question, answer)
        parent = reply
    write_events(alice, stack, events)


def write_events(alice: ChatPage, stack: Stack, events: list[ev.AnyEvent]) -> None:
    """Makes a chat of these events, and opens it."""
    alice.ask("[[tokens=3]] A first question")
    address = alice.page.url
    chat = address.rsplit("/", 1)[1]
    alice.page.reload()
    config = json.loads(alice.page.locator("#config").text_content() or "")
    alice.page.goto("about:blank")
    stream = f"u:{uuid.UUID(config['user']['id']).hex}"
    logged = [ev.log_event(chat, event, str(uuid.uuid4())) for event in events]
    # Playwright's own loop runs in this thread.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, _write(stack, stream, logged)).result()
    alice.page.goto(address)


async def _write(stack: Stack, stream: str, events: list[Event]) -> None:
    async with Log(embedded_redis_url(stack.data)) as log:
        for start in range(0, len(events), BATCH):
            await log.append(stream, events[start : start + BATCH])


def _exchange(
    asked: str, reply: str, parent: str | None, question: str, answer: str
) -> list[ev.AnyEvent]:
    length, sha256 = ev.fingerprint(answer)
    return [
        ev.MessageCreated(message=asked, role="user", parent=parent, text=question),
        ev.MessageCreated(message=reply, role="assistant", parent=asked, model="openai/known"),
        ev.MessageStarted(message=reply, attempt=1, model="openai/known"),
        ev.MessageCompleted(
            message=reply,
            finish="stop",
            model="openai/known",
            length=length,
            sha256=sha256,
            duration_ms=1,
            text=answer,
        ),
    ]
