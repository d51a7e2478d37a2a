"""Chats of any length are read in pieces that do not block other tasks."""

import asyncio
import uuid
from collections import Counter
from contextlib import aclosing

import pytest
from asgiref.sync import sync_to_async

from accounts.models import User
from chat import events as ev
from chat.charging import reconcile
from chat.generation.ends import _has_end
from chat.models import Chat, Reply
from chat.personal_data import merge_guest
from chat.personal_data.export import export
from chat.search import indexer
from streams import log as log_module
from streams import reader
from streams.log import Log, get_log
from tests.folding import fold_entries

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]

LONG_BYTES = 20_000


class Heartbeat:
    """Counts the entries that are decoded in each iteration of the event loop."""

    def __init__(self):
        self.turns = 0
        self.decoded = Counter()

    async def run(self):
        while True:
            self.turns += 1
            await asyncio.sleep(0)

    @property
    def total(self):
        return self.decoded.total()


@pytest.fixture
async def heartbeat(monkeypatch):
    heart, parse = Heartbeat(), ev.parse

    def noting(data):
        heart.decoded[heart.turns] += 1
        return parse(data)

    monkeypatch.setattr(ev, "parse", noting)
    beating = asyncio.create_task(heart.run())
    yield heart
    beating.cancel()


async def choose(alice, message, count):
    """Append this many short entries that are read with the chat."""
    chosen = [
        ev.log_event(alice.chat, ev.BranchChosen(message=message), str(uuid.uuid4()))
        for _ in range(count)
    ]
    await get_log().append(alice.stream, chosen)


async def create(alice, count):
    """Append this many short messages."""
    created = [
        ev.log_event(alice.chat, ev.MessageCreated(str(uuid.uuid4()), "user", text="x"), str(n))
        for n in range(count)
    ]
    await get_log().append(alice.stream, created)


async def write_long(alice, count):
    messages = [ev.MessageCreated(str(uuid.uuid4()), "user", text="x" * LONG_BYTES)] * count
    await get_log().append(
        alice.stream, [ev.log_event(alice.chat, said, str(uuid.uuid4())) for said in messages]
    )


async def person_of(alice):
    return await alice.row()


async def test_an_answer_is_taken_up_in_slices(worker, alice, heartbeat):
    _, reply = await alice.send("One")
    await alice.settled(reply)
    await create(alice, 900)
    heartbeat.decoded.clear()
    _, second = await alice.send("Two", parent=reply)
    await until_ended(second)
    assert heartbeat.total >= 900
    assert max(heartbeat.decoded.values()) <= log_module.SLICE_ENTRIES + 10
    assert (await alice.message(second)).status == "done"


async def until_ended(reply):
    async with asyncio.timeout(20):
        while not await Reply.objects.filter(id=reply, state=Reply.State.DONE).aexists():
            await asyncio.sleep(0.02)


async def test_to_go_on_with_an_answer_decodes_that_answer_alone(no_worker, alice, heartbeat):
    first, reply = await alice.send("One")
    await choose(alice, first, 900)
    heartbeat.decoded.clear()
    path = f"/api/chats/{alice.chat}/replies/{reply}/attempts"
    assert (await alice.post(path)).status_code == 202
    assert 1 <= heartbeat.total <= 5


async def test_audit_and_sweep_go_in_slices(worker, alice, heartbeat):
    first, reply = await alice.send("One")
    await until_ended(reply)
    await choose(alice, first, 900)
    heartbeat.decoded.clear()
    assert await reconcile._check_chat(uuid.UUID(alice.chat)) == (1, [])
    assert heartbeat.total >= 900
    assert max(heartbeat.decoded.values()) <= log_module.SLICE_ENTRIES
    row = await Reply.objects.select_related("chat__owner").aget(id=reply)
    assert await _has_end(get_log(), row)


async def test_an_archive_is_written_in_pieces(no_worker, alice):
    await alice.send("One")
    await write_long(alice, 40)
    largest = 0
    async for file in export(await person_of(alice)):
        async for piece in file.chunks:
            largest = max(largest, len(piece))
    assert largest <= log_module.SLICE_BYTES * 1.1


async def test_search_reads_a_page_at_a_time(no_worker, alice, monkeypatch):
    await alice.send("One")
    await write_long(alice, 120)
    sizes, texts = [], indexer._texts

    def noting(entries, speech):
        sizes.append(sum(len(entry.data) for entry in entries))
        return texts(entries, speech)

    monkeypatch.setattr(indexer, "_texts", noting)
    await indexer._catch_up(await Chat.objects.select_related("owner").aget(id=alice.chat))
    assert sum(sizes) > 120 * LONG_BYTES
    assert max(sizes) <= reader.PAGE_BYTES
    chat = await Chat.objects.aget(id=alice.chat)
    assert chat.searchable_to == (await alice.entries())[-1].id and chat.search_due_at is None


async def test_a_guests_chat_is_handed_over_in_pieces(no_worker, alice, monkeypatch):
    await alice.send("One")
    await write_long(alice, 60)
    guest = await person_of(alice)
    account = await sync_to_async(User.objects.create_user)("a@example.org", "a long password 1")
    before = fold_entries(await alice.entries()).to_dict()["messages"]
    sizes, counts, append = [], [], Log.append
    monkeypatch.setattr(merge_guest, "BATCH", 5)

    async def noting(self, stream, events, fence=None):
        sizes.append(sum(len(event.data) for event in events))
        counts.append(len(events))
        return await append(self, stream, events, fence)

    monkeypatch.setattr(Log, "append", noting)
    await merge_guest.move_chats(guest, account, last=True)
    assert sum(sizes) > 60 * LONG_BYTES
    assert max(sizes) <= merge_guest.BATCH_BYTES
    assert max(counts) == merge_guest.BATCH
    log = get_log()
    moved = fold_entries(await log.read(account.stream, alice.chat)).to_dict()["messages"]
    assert {m: (said["role"], said["text"]) for m, said in moved.items()} == {
        m: (said["role"], said["text"]) for m, said in before.items()
    }
    async with aclosing(log.slices(account.stream, alice.chat)) as slices:
        assert all([len(entries) <= log_module.SLICE_ENTRIES async for entries in slices])
