"""The outline of a chat equals that of its transcript, and only new entries are read for it."""

import asyncio
import uuid

import pytest
from asgiref.sync import sync_to_async
from hypothesis import given, settings
from hypothesis import strategies as st

from chat import events as ev
from chat.models import ChatOutline
from chat.outline import Outline, outline_of
from streams import reader
from streams.log import get_log
from tests.chat.random_logs import chat_logs, entries_of
from tests.examples import examples
from tests.folding import fold_entries

LONG_BYTES = 20_000


@given(log=chat_logs(), data=st.data())
@settings(deadline=None, max_examples=examples(80))
def test_an_outline_equals_the_transcript_wherever_it_was_stored(log, data):
    entries = entries_of(log)
    cut = data.draw(st.integers(0, len(entries)))
    outline = Outline()
    for entry in entries[:cut]:
        outline.add(entry)
    outline = Outline.from_dict(outline.to_dict(), outline.cursor)
    for entry in entries[cut:]:
        outline.add(entry)
    transcript = fold_entries(entries)
    messages = {m.id: (m.role, m.parent) for m in transcript.messages.values()}
    assert list(outline.messages.items()) == list(messages.items())
    assert outline.children == transcript.children
    assert outline.chosen == transcript.chosen
    assert outline.cursor == transcript.cursor
    for message in messages:
        assert outline.leaf_below(message) == transcript.leaf_below(message).id


@pytest.fixture
def entries_read(monkeypatch):
    """The number of entries of each page that is read from a log."""
    found: list[int] = []
    page = reader.Reader.page

    async def noting(self, *args, **kwargs):
        result = await page(self, *args, **kwargs)
        found.append(len(result[0]))
        return result

    monkeypatch.setattr(reader.Reader, "page", noting)
    return found


async def write_long(alice, count, parent=None):
    """Write long messages, each below the one before; returns their ids."""
    written = [str(uuid.uuid4()) for _ in range(count)]
    above = [parent, *written]
    said = [
        ev.MessageCreated(m, "user", p, "x" * LONG_BYTES)
        for m, p in zip(written, above[:-1], strict=True)
    ]
    logged = [ev.log_event(alice.chat, event, f"{event.message}:created") for event in said]
    await get_log().append(alice.stream, logged)
    return written


async def test_a_branch_reads_what_is_new_alone(no_worker, alice, entries_read):
    first, reply = await alice.send("One")
    await write_long(alice, 60, parent=reply)
    other, _ = await alice.send("Other", edit=True)
    path = f"/api/chats/{alice.chat}/branch"
    entries_read.clear()
    assert (await alice.post(path, message=first)).status_code == 200
    assert sum(entries_read) >= 60
    assert (max(entries_read) - 4) * LONG_BYTES <= reader.PAGE_BYTES
    for message in (other, first, other):
        entries_read.clear()
        assert (await alice.post(path, message=message)).status_code == 200
        assert sum(entries_read) <= 4  # the choices since then
    path = (await alice.transcript()).path()
    assert [message.id for message in path[:1]] == [other]


async def test_many_at_once_read_the_chat_once(no_worker, alice, entries_read):
    first, reply = await alice.send("One")
    await write_long(alice, 60, parent=reply)
    path = f"/api/chats/{alice.chat}/branch"
    entries_read.clear()
    answers = await asyncio.gather(*(alice.post(path, message=first) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert sum(entries_read) < 2 * 60 + 8 * 8


async def test_a_short_chat_has_no_row(no_worker, alice):
    first, _ = await alice.send("One")
    await alice.post(f"/api/chats/{alice.chat}/branch", message=first)
    assert await ChatOutline.objects.acount() == 0


async def test_an_outline_of_another_log_is_not_used(no_worker, alice, bob):
    """A chat that a guest brought to an account has new entries."""
    _, reply = await alice.send("One")
    written = await write_long(alice, 8, parent=reply)
    await bob.send("Mine")
    me, somebody = [await person.row() for person in (alice, bob)]
    chat_id = uuid.UUID(alice.chat)
    assert written[-1] in (await outline_of(me, chat_id)).messages
    assert await ChatOutline.objects.acount() == 1
    assert (await outline_of(somebody, chat_id)).messages == {}
    await sync_to_async(me.chats.all().delete)()
    assert await ChatOutline.objects.acount() == 0
