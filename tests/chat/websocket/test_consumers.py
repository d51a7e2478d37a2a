"""The WebSocket: its messages, their order and recipients, and how it ends."""

import asyncio
import contextlib
import json
import uuid

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings as django_settings
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accounts.models import Preferences, User
from accounts.preferences.store import settings_json
from accounts.sockets import group_of, send_to_group
from billing import ledger
from chat import events as ev
from chat.models import Chat
from chat.websocket import consumer as consumers
from chat.websocket import log_socket, open_sockets, paced_socket
from chat.websocket.commands import MAX_COMMAND_BYTES, parse_command
from chat.websocket.flow import FreeFlow
from chat.websocket.session_socket import is_own_page
from streams.log import get_log
from tests.chat.websocket.socket_client import Socket, append, delta, renamed
from tests.examples import examples
from tests.folding import fold_entries

pytestmark = pytest.mark.django_db(transaction=True)


def own_frame_of(chat):
    return lambda message: message.get("chat") == chat and "entries" in message


# Admission


async def test_the_welcome_has_cursor_person_and_balance(online):
    tail = await get_log().tail(online.stream)
    async with Socket(online) as socket:
        assert await socket.hear() == {
            "type": "welcome",
            "cursor": tail,
            "heartbeat_ms": consumers.HEARTBEAT_MS,
            "user": online.user,
            "settings": settings_json(await User.objects.aget(), Preferences()),
            "projects": [],
            "balance": {
                "balance_micro_usd": 500_000,
                "held_micro_usd": 0,
                "level": "ok",
                "free_credit_at": None,
                "can_top_up": False,
                "can_use_own_keys": False,
                "sign_up_micro_usd": 2_000_000,
            },
        }


async def test_a_new_balance_reaches_every_socket_of_its_person_only(online, bob):
    await bob.send("Hello")
    person_id = uuid.UUID(online.user["id"])
    post = sync_to_async(ledger.post)
    async with Socket(online) as one, Socket(online) as other, Socket(bob) as his:
        for socket in (one, other, his):
            await socket.until_type("welcome")
        await post(person_id, "adjustment", 70_000, key=str(person_id), reason="A present")
        for socket in (one, other):
            message = await socket.until_type("balance")
            assert message["balance"]["balance_micro_usd"] >= 70_000
        await post(uuid.UUID(bob.user["id"]), "adjustment", 1, key="his", reason="A micro-dollar")
        # The first change that Bob receives is his own.
        assert (await his.until_type("balance"))["balance"]["balance_micro_usd"] % 10_000 == 1


@pytest.mark.parametrize("cookies", ["", "sessionid=made-up", "hf_visitor=a:b:c"])
async def test_a_visitor_is_refused_with_sign_in(no_worker, cookies):
    async with Socket(cookies=cookies) as socket:
        assert socket.open  # Only an open socket can receive a close code.
        assert await socket.until_closed() == 4401


async def test_an_inactive_person_is_refused_with_sign_in(online):
    await User.objects.aupdate(is_active=False)
    async with Socket(online) as socket:
        assert await socket.until_closed() == 4401


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://localhost.evil.example",
        "http://evil.example#localhost",
        "http://localhost@evil.example",
        "http://localhost:8001",
        "null",
        "localhost",
        "http://[::1",
        "file://",
        "\xff",
    ],
)
async def test_a_foreign_page_is_refused(online, origin):
    async with Socket(online, origin=origin) as socket:
        assert await socket.until_closed() == 4403


@pytest.mark.parametrize(("origin", "code"), [("http://localhost", 4403), ("https://localhost", 0)])
async def test_with_https_a_page_without_it_is_refused(online, settings, origin, code):
    settings.HTTPS = True
    async with Socket(online, origin=origin) as socket:
        if code:
            assert await socket.until_closed() == code
        else:
            assert (await socket.hear())["type"] == "welcome"


@pytest.mark.parametrize("host", ["evil.example", "", "localhost.evil.example", "local host", "["])
async def test_an_unknown_host_is_refused(online, host):
    async with Socket(online, host=host, origin=f"http://{host}") as socket:
        assert await socket.until_closed() == 4403


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost", None),
        ("localhost:8000", "http://localhost:8000"),
        ("[::1]:8000", "http://[::1]:8000"),
        ("LOCALHOST", "http://localhost"),
        ("localhost", "https://chat.example.org"),
    ],
)
async def test_own_pages_are_admitted(online, settings, host, origin):
    settings.CSRF_TRUSTED_ORIGINS = ["https://chat.example.org"]
    async with Socket(online, host=host, origin=origin) as socket:
        assert (await socket.hear())["type"] == "welcome"


@given(st.text(max_size=40), st.text(max_size=40))
@hypothesis_settings(deadline=None, max_examples=examples(50))
def test_is_own_page_accepts_any_headers(host, origin):
    headers = {
        b"host": host.encode("latin-1", "replace"),
        b"origin": ("http://" + origin).encode("latin-1", "replace"),
    }
    if is_own_page(headers):
        assert host.lower().strip(".").split(":")[0].strip("[]") in ("localhost", "127.0.0.1", "")


async def test_too_many_sockets_of_one_person_are_refused(online, bob, monkeypatch):
    await bob.send("Hello")
    monkeypatch.setattr(open_sockets, "MAX_SOCKETS_PER_USER", 2)
    async with Socket(online) as first, Socket(online) as second:
        for socket in (first, second):
            assert (await socket.hear())["type"] == "welcome"
        async with Socket(online) as third:
            assert await third.until_closed() == 4429
        async with Socket(bob) as other:
            assert (await other.hear())["type"] == "welcome"
        await first.wire.disconnect()
        async with Socket(online) as fourth:
            assert (await fourth.hear())["type"] == "welcome"
    assert not open_sockets.counts


async def test_too_many_sockets_of_one_address_are_refused(online, bob, settings):
    await bob.send("Hello")
    settings.SOCKETS_AT_ONCE_ADDRESS = 2
    async with Socket(online) as first, Socket(bob) as second:
        for socket in (first, second):
            assert (await socket.hear())["type"] == "welcome"
        async with Socket(bob) as third:
            assert (await third.hear())["retry_after_s"] == consumers.TOO_MANY_RETRY_S
            assert await third.until_closed() == 4429
        await first.wire.disconnect()
        async with Socket(bob) as fourth:
            assert (await fourth.hear())["type"] == "welcome"
    assert not open_sockets.counts


# Clients that do not read


class Unread(FreeFlow):
    """The flow of a client that reads nothing until `reads()`."""

    def __init__(self, socket):
        self.is_full = False
        self._read = asyncio.Event()
        self.shared = {}
        self.held_bytes = self.most_held_bytes = 0
        socket.wire.scope["holdfast.flow"] = self

    def fills(self):
        self.is_full = True
        self._read.clear()

    def reads(self):
        self.is_full = False
        self._read.set()

    async def room(self):
        if self.is_full:
            await self._read.wait()

    def share(self, owner, most_bytes):
        self.shared[owner] = most_bytes

    @contextlib.contextmanager
    def hold(self, count):
        self.held_bytes += count
        self.most_held_bytes = max(self.most_held_bytes, self.held_bytes)
        yield
        self.held_bytes -= count


@pytest.fixture
async def unread(online):
    """(socket, flow) of Alice; the flow is full."""
    socket = Socket(online)
    flow = Unread(socket)
    async with socket:
        await socket.until_type("welcome")
        flow.fills()
        yield socket, flow


async def write_draft(person, text, chat=None):
    body = {"chat": chat, "text": text, "pastes": [], "age_ms": 0, "tab": f"tab-{text}"}
    response = await person.client.put(
        "/api/drafts", json.dumps(body), content_type="application/json"
    )
    assert response.status_code == 200, response.content


async def test_waiting_bytes_are_bounded_by_person_and_by_address(online, unread, settings):
    _, flow = unread
    assert flow.shared == {
        f"user {online.user['id']}": settings.SOCKET_WAITING_BYTES_USER,
        "address unknown": settings.SOCKET_WAITING_BYTES_ADDRESS,
    }


async def test_a_full_socket_gets_the_last_draft_once_there_is_room(online, unread):
    socket, flow = unread
    for text in ("one", "two", ""):
        await write_draft(online, text)
    await write_draft(online, "three", online.chat)
    assert await socket.wire.receive_nothing(0.3)
    flow.reads()
    drafts = [await socket.until_type("draft") for _ in range(2)]
    assert {(draft["chat"], draft["text"], draft["tab"]) for draft in drafts} == {
        (None, "", "tab-"),
        (online.chat, "three", "tab-three"),
    }
    assert await socket.is_quiet()


async def test_a_full_socket_with_drafts_of_many_chats_is_closed(online, unread, monkeypatch):
    monkeypatch.setattr(consumers, "MAX_LATE_DRAFTS", 1)
    socket, _ = unread
    await write_draft(online, "one")
    await write_draft(online, "two", online.chat)
    assert await socket.until_closed() == 4408


async def test_a_full_socket_gets_no_pong(unread):
    socket, flow = unread
    await socket.say(type="ping")
    assert await socket.wire.receive_nothing(0.2)
    flow.reads()
    assert await socket.is_quiet()


async def test_a_full_socket_gets_each_change_once(online, unread):
    socket, flow = unread
    group = group_of(uuid.UUID(online.user["id"]))
    for kind in ("balance.changed", "person.set") * 5:
        await send_to_group(group, {"type": kind})
    assert await socket.wire.receive_nothing(0.3)
    flow.reads()
    assert sorted([(await socket.hear())["type"] for _ in range(2)]) == ["balance", "user"]
    assert await socket.is_quiet()


async def test_a_full_socket_of_a_suspended_person_is_closed(online, unread):
    socket, _ = unread
    await send_to_group(group_of(uuid.UUID(online.user["id"])), {"type": "balance.changed"})
    await User.objects.aupdate(is_active=False)
    await send_to_group(group_of(uuid.UUID(online.user["id"])), {"type": "person.changed"})
    assert await socket.until_closed() == 4401


async def test_a_full_socket_reads_no_log_and_counts_one_frame(online, unread):
    socket, flow = unread
    await append(online, delta("x" * 400_000))
    await socket.say(type="follow", chat=online.chat, after=None)
    assert await socket.wire.receive_nothing(0.3)
    assert flow.most_held_bytes == 0  # Nothing was read from the log yet.
    flow.reads()
    await socket.until_type("live", chat=online.chat)
    assert 400_000 < flow.most_held_bytes < 500_000 and flow.held_bytes == 0


# Following


async def test_a_replay_from_every_entry_gives_the_same_transcript(worker, alice):
    _, reply = await alice.send("[[tokens=12&rate=400]] Go")
    await alice.settled(reply)
    entries = await alice.entries()
    kept = await alice.kept()
    whole = fold_entries(entries).to_dict()
    async with Socket(alice) as socket:
        for seen in range(len(entries) + 1):
            before = fold_entries(entries[:seen])
            socket.entries.clear()
            await socket.follow(alice.chat, before.cursor if seen else None)
            gone = {entry.id for entry in entries[:seen]}
            expected = [entry.id for entry in kept if entry.id not in gone]
            assert [entry_id for entry_id, _ in socket.entries.get(alice.chat, [])] == expected
            assert socket.transcript(alice.chat, into=before).to_dict() == whole


async def test_an_answer_followed_live_is_the_answer_read_later(worker, alice):
    await alice.send("[[tokens=1]] First")
    async with Socket(alice) as socket:
        await socket.follow(alice.chat)
        _, reply = await alice.send("[[tokens=60&rate=300&mode=unicode]] Go", parent=None)
        while True:
            await socket.until(own_frame_of(alice.chat))
            message = socket.transcript(alice.chat).messages.get(reply)
            if message is not None and message.status == "done":
                break
    text = str(message.text)
    assert (message.length, message.sha256) == ev.fingerprint(text)
    assert text == str((await alice.message(reply)).text)
    ids = [entry_id for entry_id, _ in socket.entries[alice.chat]]
    assert len(ids) == len(set(ids)) and ids == sorted(ids, key=_order)


def _order(entry_id):
    return tuple(map(int, entry_id.split("-")))


async def test_changing_the_chat_while_both_stream_leaves_no_gap_and_no_double(online):
    """Alternate between two chats that are both being written, without reconnecting."""
    chats, writing = [online.chat, str(uuid.uuid4())], True
    written = {chat: [] for chat in chats}

    async def write():
        number = 0
        while writing:
            for chat in chats:
                written[chat] += await append(online, delta(f"{number} "), chat=chat)
            number += 1

    await Chat.objects.acreate(
        id=uuid.UUID(chats[1]), owner_id=online.user["id"], updated_at="2026-01-01T00:00:00Z"
    )
    start = {chat: await get_log().tail(online.stream) for chat in chats}
    async with Socket(online) as socket:
        writer = asyncio.create_task(write())
        got = {chat: [] for chat in chats}
        for turn in range(24):
            chat = chats[turn % 2]
            after = got[chat][-1] if got[chat] else start[chat]
            await socket.say(type="follow", chat=chat, after=after)
            await socket.until_type("live", chat=chat)
            if turn % 3:  # Some rounds receive live frames, some end at once.
                await socket.until(own_frame_of(chat))
            for name in chats:
                got[name] += [entry_id for entry_id, _ in socket.entries.pop(name, [])]
            await socket.say(type="ack", bytes=socket.received)
        writing = False
        await writer
        for chat in chats:
            await socket.follow(chat, got[chat][-1])
            for name in chats:
                got[name] += [entry_id for entry_id, _ in socket.entries.pop(name, [])]
    assert got == written
    assert min(map(len, written.values())) > 20


async def test_only_the_followed_chat_has_deltas(online):
    other = str(uuid.uuid4())
    async with Socket(online) as socket:
        await socket.follow(online.chat)
        socket.entries.clear()
        await append(online, delta("mine"))
        await append(online, delta("other's"), chat=other)
        await append(online, renamed(online, "Title"), chat=other)
        await append(online, delta(" again"))
        await socket.until(lambda _: len(socket.entries.get(online.chat, [])) == 2)
    assert [event["text"] for _, event in socket.entries[online.chat]] == ["mine", " again"]
    assert set(socket.entries) == {online.chat}
    assert [event["type"] for _, event in socket.watched] == ["chat.renamed"]


async def test_after_unfollow_a_chat_is_only_watched(online):
    async with Socket(online) as socket:
        await socket.follow(online.chat)
        await socket.say(type="unfollow")
        assert await socket.is_quiet()
        await append(online, delta("unseen"))
        await append(online, renamed(online, "Seen"))
        frame = await socket.until(lambda message: "entries" in message)
    assert frame["watch"] is True
    assert [event["type"] for _, event in frame["entries"]] == ["chat.renamed"]


@pytest.mark.parametrize("known", [True, False])
async def test_a_chat_that_is_not_yours_cannot_be_followed(online, bob, known):
    await bob.send("Bob's own")
    chat = online.chat if known else str(uuid.uuid4())
    async with Socket(bob) as socket:
        await socket.hear()
        await socket.say(type="follow", chat=chat, after=None)
        refused = await socket.hear()
        assert refused == {
            "type": "error",
            "code": "chat_not_found",
            "message": "This chat does not exist, or it is not yours.",
            "chat": chat,
        }
        await append(online, delta("secret"), renamed(online, "secret"))
        assert await socket.is_quiet()
        await socket.follow(bob.chat)  # The socket still works.
    assert "secret" not in json.dumps([socket.entries, socket.watched])


async def test_watching_excludes_other_peoples_chats(online, bob):
    await bob.send("Bob's own")
    async with Socket(bob) as socket:
        await socket.say(type="watch", after="0-0")
        await socket.until_type("live", chat=None)
        await append(online, renamed(online, "secret"))
        await append(bob, renamed(bob, "Bob's title"))
        await socket.until(lambda message: "entries" in message)
    assert {event.get("chat", bob.chat) for _, event in socket.watched} == {bob.chat}


async def test_a_refused_follow_leaves_the_followed_chat_as_it_is(online):
    async with Socket(online) as socket:
        await socket.follow(online.chat)
        await socket.say(type="follow", chat=str(uuid.uuid4()), after=None)
        await socket.until_type("error")
        [entry_id] = await append(online, delta("still here"))
        frame = await socket.until(own_frame_of(online.chat))
    assert frame["entries"][0][0] == entry_id


async def test_a_chat_that_is_deleted_says_so_and_cannot_be_followed_again(online):
    async with Socket(online) as socket:
        await socket.follow(online.chat)
        await online.client.delete(f"/api/chats/{online.chat}")
        frame = await socket.until(own_frame_of(online.chat))
        assert frame["entries"][0][1]["type"] == "chat.deleted"
        await socket.say(type="follow", chat=online.chat, after=None)
        assert (await socket.until_type("error"))["code"] == "chat_not_found"


async def test_a_long_replay_is_paged_and_complete(online, monkeypatch):
    monkeypatch.setattr(log_socket, "REPLAY_PAGE", 7)
    await append(online, *(delta(f"{number} ") for number in range(50)))
    expected = [entry.id for entry in await online.entries()]
    async with Socket(online) as socket:
        live = await socket.follow(online.chat)
    assert [entry_id for entry_id, _ in socket.entries[online.chat]] == expected
    assert live["cursor"] == expected[-1]


async def test_a_frame_of_a_replay_is_bounded_in_bytes(online):
    """A large entry has a frame of its own, and small ones share a frame."""
    small = [await append(online, delta(f"{number}")) for number in range(100)]
    large = [await append(online, delta("x" * 400_000)) for _ in range(5)]
    await append(online, delta("y" * 1_500_000))
    await append(online, delta("z"))
    sizes = []
    async with Socket(online) as socket:
        await socket.say(type="follow", chat=online.chat, after=None)
        async with asyncio.timeout(20):
            while (message := await socket.hear()).get("type") != "live":
                if message.get("chat") == online.chat:
                    sizes.append((len(message["entries"]), len(json.dumps(message))))
                await socket.say(type="ack", bytes=socket.received)
    before = len(await online.entries()) - len(small) - len(large) - 2
    assert [count for count, _ in sizes] == [before + 102, 2, 1, 1, 1]
    assert all(size < 1_100_000 for count, size in sizes if count > 1)
    expected = [entry.id for entry in await online.entries()]
    assert [entry_id for entry_id, _ in socket.entries[online.chat]] == expected


async def test_a_replay_of_large_entries_waits_for_the_client(online, monkeypatch):
    monkeypatch.setattr(paced_socket, "WINDOW_TIMEOUT_S", 0.3)
    for _ in range(20):  # 8 MB: twice the window, and fewer entries than a frame may have
        await append(online, delta("x" * 400_000))
    async with Socket(online) as socket:
        await socket.hear()
        await socket.say(type="follow", chat=online.chat, after=None)
        sizes = []
        while (output := await socket.wire.receive_output(10))["type"] == "websocket.send":
            sizes.append(len(output["text"]))
    assert output["code"] == 4408
    assert max(sizes) < 1_100_000
    assert sum(sizes) < paced_socket.WINDOW_BYTES + 1_100_000


async def test_few_pages_are_read_at_once(online, monkeypatch):
    monkeypatch.setattr(log_socket, "READS_AT_ONCE", 2)
    log, reading, most = get_log(), 0, 0
    read_page = log.read_page

    async def counted(*asked):
        nonlocal reading, most
        reading += 1
        most = max(most, reading)
        async with asyncio.timeout(20):
            while most < 2:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)  # Let a third start, if it may.
        page = await read_page(*asked)
        reading -= 1
        return page

    monkeypatch.setattr(log, "read_page", counted)
    async with contextlib.AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(Socket(online)) for _ in range(8)]
        for socket in sockets:
            await socket.until_type("welcome")
        await asyncio.gather(*(socket.follow(online.chat) for socket in sockets))
    assert most == 2


async def test_a_large_append_is_sent_in_bounded_frames(online):
    async with Socket(online) as socket:
        await socket.follow(online.chat)
        await append(online, *(delta("x" * 400_000) for _ in range(5)))
        counts = []
        while sum(counts) < 5:
            counts.append(len((await socket.until(own_frame_of(online.chat)))["entries"]))
            await socket.say(type="ack", bytes=socket.received)
    assert counts == [2, 2, 1]


async def test_an_append_during_a_replay_is_sent_once(online, monkeypatch):
    """Both the replay and `_serve_log`, which waits for the replay, read it."""
    monkeypatch.setattr(log_socket, "REPLAY_PAGE", 1)
    monkeypatch.setattr(paced_socket, "WINDOW_BYTES", 3_000)
    for number in range(4):
        await append(online, delta(f"{number}" + "x" * 2_000))
    async with Socket(online) as socket:
        await socket.say(type="follow", chat=online.chat, after=None)
        await socket.until(lambda message: "0xx" in json.dumps(message))  # Paused before the next.
        await append(online, delta("4"), delta("5"))
        while socket.entries[online.chat][-1][1].get("text") != "5":
            await socket.say(type="ack", bytes=socket.received)
            await socket.hear()
        await socket.say(type="ack", bytes=socket.received)
        [last] = await append(online, delta("6"))
        await socket.until_entry(online.chat, last)
    expected = [entry.id for entry in await online.entries()]
    assert [entry_id for entry_id, _ in socket.entries[online.chat]] == expected


async def test_a_future_cursor_replays_nothing(online):
    """A log that was restored to an earlier state must not silence a client permanently."""
    async with Socket(online) as socket:
        live = await socket.follow(online.chat, "9" * 15 + "-0")
        assert online.chat not in socket.entries
        assert live["cursor"] == "9" * 15 + "-0"


# Watching


async def test_a_watch_replays_all_chats_without_tokens(online):
    other = str(uuid.uuid4())
    await append(online, delta("one"), renamed(online, "A"))
    await append(online, delta("two"), ev.ChatRenamed(chat=other, title="B", by="user"), chat=other)
    tail = await get_log().tail(online.stream)
    async with Socket(online) as socket:
        await socket.say(type="watch", after="0-0")
        live = await socket.until_type("live", chat=None)
    assert live["cursor"] == tail
    types = [event["type"] for _, event in socket.watched]
    assert types == [
        "chat.created",
        "message.created",
        "message.created",
        "chat.renamed",
        "chat.renamed",
    ]
    assert socket.entries == {}


async def test_a_watch_from_the_end_gives_only_the_marker(online):
    tail = await get_log().tail(online.stream)
    async with Socket(online) as socket:
        await socket.hear()
        await socket.say(type="watch", after=tail)
        assert await socket.hear() == {"type": "live", "chat": None, "cursor": tail}


async def test_the_welcome_is_the_first_message(online, monkeypatch):
    """A page checks by it whether its person has changed, and would show earlier messages."""
    is_asked, may_answer, balance = (
        asyncio.Event(),
        asyncio.Event(),
        consumers.ChatConsumer._balance,
    )

    async def late_balance(self):
        is_asked.set()
        await may_answer.wait()
        return await balance(self)

    monkeypatch.setattr(consumers.ChatConsumer, "_balance", late_balance)
    async with Socket(online) as socket:
        group = group_of(uuid.UUID(online.user["id"]))
        await asyncio.wait_for(is_asked.wait(), 10)
        await send_to_group(
            group, {"type": "draft.written", "draft": {"chat": None, "text": "mine"}}
        )
        await send_to_group(group, {"type": "person.set"})
        assert await socket.wire.receive_nothing(0.3)
        may_answer.set()
        assert (await socket.hear())["type"] == "welcome"
        await socket.until_type("user")


async def test_a_watch_from_too_far_back_is_reset(online, monkeypatch):
    monkeypatch.setattr(log_socket, "MAX_WATCH_REPLAY", 3)
    for number in range(4):
        await append(online, renamed(online, str(number)))
    async with Socket(online) as socket:
        await socket.hear()
        await socket.say(type="watch", after="0-0")
        assert await socket.hear() == {"type": "reset"}
        await append(online, renamed(online, "live"))
        frame = await socket.hear()
    assert frame["watch"] and frame["entries"][0][1]["title"] == "live"


async def test_a_watch_of_too_many_bytes_is_reset(online):
    for _ in range(11):
        await append(online, ev.ChatInstructed(chat=online.chat, instructions="x" * 400_000))
    async with Socket(online) as socket:
        await socket.hear()
        await socket.say(type="watch", after="0-0")
        assert await socket.hear() == {"type": "reset"}


async def test_resuming_both_cursors_after_a_break_misses_nothing(online):
    """docs/protocol.md tells clients to do this after any interruption."""
    async with Socket(online) as socket:
        watch = (await socket.hear())["cursor"]
        chat_cursor = (await socket.follow(online.chat))["cursor"]
    missed = str(uuid.uuid4())
    await append(online, delta("missed"))
    await append(online, ev.ChatRenamed(chat=missed, title="Missed", by="user"), chat=missed)
    async with Socket(online) as socket:
        await socket.say(type="watch", after=watch)
        await socket.say(type="follow", chat=online.chat, after=chat_cursor)
        await socket.until_type("live", chat=online.chat)
    assert [event["text"] for _, event in socket.entries[online.chat]] == ["missed"]
    assert [event["title"] for _, event in socket.watched] == ["Missed"]


# Invalid commands

GOOD_CHAT = "0198c5a0-0000-7000-8000-000000000001"
BAD = [
    "hello",
    "null",
    "[]",
    "{}",
    '"ping"',
    "[" * 2_000,
    '{"type": "dance"}',
    '{"type": ["ping"]}',
    '{"type": null}',
    '{"type": "ack"}',
    '{"type": "ack", "bytes": -1}',
    '{"type": "ack", "bytes": "1"}',
    '{"type": "ack", "bytes": 1.5}',
    '{"type": "ack", "bytes": true}',
    '{"type": "ack", "bytes": 1e400}',
    '{"type": "watch"}',
    '{"type": "watch", "after": null}',
    '{"type": "watch", "after": 5}',
    '{"type": "watch", "after": "yesterday"}',
    '{"type": "watch", "after": "%s-0"}' % ("9" * 16),
    '{"type": "follow"}',
    '{"type": "follow", "chat": null}',
    '{"type": "follow", "chat": "x"}',
    '{"type": "follow", "chat": {"$ne": 1}}',
    json.dumps({"type": "follow", "chat": GOOD_CHAT.upper()}),
    json.dumps({"type": "follow", "chat": GOOD_CHAT, "after": "9-"}),
    json.dumps({"type": "follow", "chat": GOOD_CHAT, "after": "1-" + "9" * 20}),
    '{"type": "ping", "padding": "%s"}' % ("x" * MAX_COMMAND_BYTES),
]


@pytest.mark.parametrize("text", BAD, ids=lambda text: text[:40])
async def test_an_invalid_command_closes_the_socket(online, text):
    async with Socket(online) as socket:
        await socket.hear()
        await socket.wire.send_to(text_data=text)
        assert await socket.until_closed() == 4400


async def test_a_binary_message_closes_the_socket(online):
    async with Socket(online) as socket:
        await socket.hear()
        await socket.wire.send_to(bytes_data=b"\x00\xff")
        assert await socket.until_closed() == 4400


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=40)
    | st.sampled_from(["0-0", GOOD_CHAT, "9-9", "ping"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)
kinds = st.sampled_from(["watch", "follow", "unfollow", "ack", "ping", "pong", "dance"])
commands = st.fixed_dictionaries(
    {"type": kinds | values}, optional={"chat": values, "after": values, "bytes": values}
)


@given(commands.map(json.dumps) | st.text(max_size=60))
@hypothesis_settings(deadline=None, max_examples=examples(100))
def test_parse_command_returns_only_valid_commands(text):
    """Every command that it returns can be executed without raising."""
    command = parse_command(text)
    if command is None:
        return
    match command["type"]:
        case "ack":
            assert command["bytes"] >= 0
        case "follow":
            assert str(uuid.UUID(command["chat"])) == command["chat"]
        case "watch":
            assert _order(command["after"]) >= (0, 0)
        case kind:
            assert kind in {"ping", "pong", "unfollow"}


@given(st.lists(commands.map(json.dumps), max_size=6))
@hypothesis_settings(
    deadline=None,
    max_examples=examples(25),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    database=None,
)
def test_any_commands_leave_the_socket_open_or_close_it_with_4400(rejected, texts):
    assert rejected(texts) in (None, 4400)


@pytest.fixture
def rejected(transactional_db, redis_url):
    """Sends texts to a socket; returns its close code, or None if it stayed open."""
    from django.test import Client

    user = User.objects.create(is_guest=True, password="!")
    client = Client()
    client.force_login(user)
    cookies = f"sessionid={client.cookies['sessionid'].value}"

    def run(texts):
        async def converse():
            from streams.log import close_log

            pongs = 1 + sum((parse_command(text) or {}).get("type") == "ping" for text in texts)
            try:
                async with Socket(cookies=cookies) as socket:
                    assert (await socket.hear())["type"] == "welcome"
                    for text in texts:
                        await socket.wire.send_to(text_data=text)
                    await socket.wire.send_to(text_data='{"type": "ping"}')
                    while True:
                        output = await socket.wire.receive_output(5)
                        if output["type"] == "websocket.close":
                            return output["code"]
                        if json.loads(output["text"]) == {"type": "pong"}:
                            pongs -= 1
                            if not pongs:
                                return None
            finally:
                await close_log()

        return asyncio.run(converse())

    return run


# Limits


async def test_a_flood_of_commands_closes_the_socket(online, monkeypatch):
    monkeypatch.setattr(paced_socket, "WINDOW_BYTES", 500)  # The second replay waits for an ack.
    async with Socket(online) as socket:
        await socket.hear()
        for _ in range(consumers.MAX_COMMANDS_PENDING + 20):
            await socket.say(type="follow", chat=online.chat, after=None)
        assert await socket.until_closed() == 4429


async def test_many_commands_one_after_another_are_no_flood(online):
    async with Socket(online) as socket:
        for _ in range(2 * consumers.MAX_COMMANDS_PENDING):
            await socket.follow(online.chat)
            await socket.say(type="ack", bytes=socket.received)
        assert await socket.is_quiet()


async def test_pings_are_answered(online):
    async with Socket(online) as socket:
        await socket.hear()
        for _ in range(3):
            assert await socket.is_quiet()


async def test_a_flood_of_unread_pings_closes_the_socket(online, monkeypatch):
    monkeypatch.setattr(paced_socket, "WINDOW_BYTES", 500)
    async with Socket(online) as socket:
        await socket.hear()
        for _ in range(100):
            await socket.say(type="ping")
        assert await socket.until_closed() == 4408


async def test_a_client_that_acknowledges_nothing_is_paused_and_then_closed(
    online, monkeypatch, settings
):
    monkeypatch.setattr(paced_socket, "WINDOW_BYTES", 20_000)
    monkeypatch.setattr(paced_socket, "WINDOW_TIMEOUT_S", 0.5)
    async with Socket(online) as deaf, Socket(online) as other:
        await deaf.follow(online.chat)
        await other.follow(online.chat)
        sent = []
        for number in range(60):  # 300 kB
            sent += await append(online, delta(f"{number}:" + "x" * 5_000))
            await other.until_entry(online.chat, sent[-1])
            await other.say(type="ack", bytes=other.received)
        queued = deaf.wire.output_queue.qsize()
        assert queued < 10  # About the window; the rest stays in the log.
        assert await deaf.until_closed() == 4408
        assert [entry_id for entry_id, _ in other.entries[online.chat]][-60:] == sent
        [last] = await append(online, delta("continued"))
        await other.until_entry(online.chat, last)


async def test_a_paused_client_that_catches_up_has_missed_nothing(online, monkeypatch):
    monkeypatch.setattr(paced_socket, "WINDOW_BYTES", 20_000)
    async with Socket(online) as socket:
        await socket.follow(online.chat)
        sent = []
        for number in range(40):
            sent += await append(online, delta(f"{number}:" + "x" * 5_000))
        while socket.entries[online.chat][-1][0] != sent[-1]:
            await socket.hear()
            await socket.say(type="ack", bytes=socket.received)
    assert [entry_id for entry_id, _ in socket.entries[online.chat]][-40:] == sent


async def test_a_replay_waits_for_the_client(online, monkeypatch):
    monkeypatch.setattr(paced_socket, "WINDOW_BYTES", 20_000)
    monkeypatch.setattr(paced_socket, "WINDOW_TIMEOUT_S", 0.3)
    monkeypatch.setattr(log_socket, "REPLAY_PAGE", 1)
    for number in range(30):
        await append(online, delta(f"{number}:" + "x" * 5_000))
    async with Socket(online) as socket:
        await socket.hear()
        await socket.say(type="follow", chat=online.chat, after=None)
        assert await socket.until_closed() == 4408
        assert socket.wire.output_queue.qsize() == 0


async def test_acknowledging_more_than_was_sent_gains_nothing(online, monkeypatch):
    monkeypatch.setattr(paced_socket, "WINDOW_BYTES", 20_000)
    monkeypatch.setattr(paced_socket, "WINDOW_TIMEOUT_S", 0.3)
    async with Socket(online) as socket:
        await socket.follow(online.chat)
        await socket.say(type="ack", bytes=10**15)
        assert await socket.is_quiet()
        for number in range(30):
            await append(online, delta(f"{number}:" + "x" * 5_000))
        assert await socket.until_closed() == 4408


# Heartbeat


async def test_a_silent_client_is_pinged_and_then_closed(online, monkeypatch):
    monkeypatch.setattr(consumers, "HEARTBEAT_MS", 50)
    monkeypatch.setattr(consumers, "SILENT_AFTER_MS", 300)
    async with Socket(online) as socket:
        assert (await socket.hear())["heartbeat_ms"] == 50
        for _ in range(12):  # Twice as long as SILENT_AFTER_MS.
            await socket.until_type("ping")
            await socket.say(type="pong")
        assert await socket.until_closed() == 4408


async def test_the_end_of_the_session_closes_the_socket(online):
    """The channel layer sends this message when a session is revoked."""
    async with Socket(online) as socket:
        await socket.hear()
        await socket.wire.send_input({"type": "session.ended"})
        assert await socket.until_closed() == 4401


# Cleaning up


async def test_a_closed_socket_leaves_no_task_and_no_follower(online):
    before = {task for task in asyncio.all_tasks() if "streams" not in task.get_name()}
    for _ in range(5):
        async with Socket(online) as socket:
            await socket.follow(online.chat)
    async with asyncio.timeout(5):
        while get_log()._follower._followed:
            await asyncio.sleep(0.01)
    left = {task for task in asyncio.all_tasks() if "streams" not in task.get_name()} - before
    assert not {task for task in left if "consumers" in str(task.get_coro())}
    assert not open_sockets.counts


def test_the_constants_agree_with_the_protocol():
    assert consumers.HEARTBEAT_MS < consumers.SILENT_AFTER_MS
    assert paced_socket.WINDOW_BYTES > django_settings.STREAMS_FOLLOWER_BUFFER_BYTES
