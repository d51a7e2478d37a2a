"""The preview in a page: the end of the shown path, or nothing."""

import json
import re
import uuid

import pytest

from chat.web import preview
from tests.chat.conftest import MODEL

pytestmark = pytest.mark.django_db(transaction=True)


async def last_of(person, chat):
    page = (await person.client.get(f"/c/{chat}")).content.decode()
    config = re.search(r'<script id="config" type="application/json">(.*?)</script>', page)[1]
    return json.loads(config)["glimpse"]


async def test_the_preview_is_the_end_of_the_transcript(worker, alice):
    reply = None
    for number in range(9):
        _, reply = await alice.send(f"question {number}", parent=reply)
        await alice.settled(reply)
    path = [message.to_dict() for message in (await alice.transcript()).path()]
    last = await last_of(alice, alice.chat)
    assert last[0]["role"] == "user" and len(last) >= 8
    whole = path[-len(last) :]
    whole[0]["parent"] = None  # The messages above were not read.
    assert last == whole


async def test_an_answer_that_is_being_written_is_left_out(no_worker, alice):
    await alice.send("nobody answers yet")
    assert [message["text"] for message in await last_of(alice, alice.chat)] == [
        "nobody answers yet"
    ]


async def test_there_is_no_preview_of_another_branch(worker, alice, monkeypatch):
    asked, reply = await alice.send("first")
    await alice.settled(reply)
    again = str(uuid.uuid4())
    replies = f"/api/chats/{alice.chat}/replies"
    answer = await alice.post(replies, id=again, parent=asked, model=MODEL)
    assert answer.status_code == 202
    await alice.settled(again)
    assert (await last_of(alice, alice.chat))[-1]["id"] == again
    answer = await alice.post(
        f"/api/chats/{alice.chat}/branch?change={uuid.uuid4()}", message=reply
    )
    assert answer.status_code < 300, answer.content
    # Chosen in the database; the log follows a moment later.
    ids = [message["id"] for message in await last_of(alice, alice.chat)]
    assert ids in ([], [asked, reply])
    # The entries that are read do not reach back to the shown branch.
    monkeypatch.setattr(preview, "MOST_ENTRIES", 1)
    assert await last_of(alice, alice.chat) == []


async def test_the_preview_is_bounded(worker, alice, monkeypatch):
    monkeypatch.setattr(preview, "MOST_CHARS", 40)
    _, reply = await alice.send("a question of more than forty characters, in all")
    await alice.settled(reply)
    last = await last_of(alice, alice.chat)
    assert sum(len(message["text"]) for message in last) <= 40
