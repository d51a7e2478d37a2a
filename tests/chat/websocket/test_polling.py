"""Long polling: contents of responses, when they are sent, access, and refusals."""

import asyncio
import json
import uuid
from urllib.parse import urlencode

import pytest
from asgiref.sync import sync_to_async
from channels.testing import ApplicationCommunicator
from django.db.models import F
from django.utils import timezone

from accounts.models import User
from accounts.sockets import close_guest_sockets, recheck_sockets
from billing import ledger
from chat.websocket import consumer as consumers
from chat.websocket import log_socket, open_sockets, polling
from config.asgi import application
from streams.log import Entry, get_log
from tests.chat.websocket.socket_client import append, cookies_of, delta, renamed
from tests.folding import fold_entries

pytestmark = pytest.mark.django_db(transaction=True)

LATER_S = 20


class Poll:
    """A request that may still be waiting."""

    def __init__(self, person=None, *, method="GET", headers=(), query=None, **asked):
        packed = query if query is not None else urlencode({"watch": "0-0"} | asked).encode()
        given = {"host": "localhost", "cookie": cookies_of(person)} | dict(headers)
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "path": "/api/follow",
            "raw_path": b"/api/follow",
            "query_string": packed,
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in given.items()],
            "client": ("127.0.0.1", 5),
        }
        self.wire = ApplicationCommunicator(application, scope)

    async def begin(self):
        await self.wire.send_input({"type": "http.request", "body": b"", "more_body": False})
        return self

    async def answer(self):
        start = await self.wire.receive_output(LATER_S)
        self.status = start["status"]
        self.headers = {k.decode(): v.decode() for k, v in start["headers"]}
        body = b""
        while True:
            part = await self.wire.receive_output(LATER_S)
            body += part["body"]
            if not part.get("more_body"):
                break
        await self.wire.wait(LATER_S)
        self.body = json.loads(body)
        return self

    async def leave(self):
        await self.wire.send_input({"type": "http.disconnect"})
        await self.wire.wait(LATER_S)

    @property
    def code(self):
        return self.body["error"]["code"]

    def of_chat(self, chat):
        return [
            entry
            for message in self.body["messages"]
            if message.get("chat") == chat and "entries" in message and "watch" not in message
            for entry in message["entries"]
        ]

    def watched(self):
        found = [message for message in self.body["messages"] if message.get("watch")]
        return [entry for message in found for entry in message["entries"]]

    def types(self):
        return [message.get("type") for message in self.body["messages"]]


async def poll(person=None, **asked):
    return await (await Poll(person, **asked).begin()).answer()


async def waiting(person, **asked):
    """A request that has caught up and is waiting."""
    first = await poll(person, **asked)
    state = first.body["state"]
    tail = await get_log().tail(person.stream)
    asked |= {"watch": tail, "state": state} | ({"after": tail} if "chat" in asked else {})
    found = await Poll(person, wait=25, **asked).begin()
    async with asyncio.timeout(LATER_S):
        while not _following(person):
            await asyncio.sleep(0.02)
    # It has caught up, so it has nothing to send.
    assert await found.wire.receive_nothing(0.3)
    return found


def _following(person):
    return open_sockets.counts[uuid.UUID(person.user["id"])]


# Contents


async def test_it_catches_up_with_a_chat_and_with_all_of_them(online):
    await append(online, delta("a"), delta("b"))
    found = await poll(online, chat=online.chat)
    assert found.status == 200
    kept = await online.entries()
    assert [entry[0] for entry in found.of_chat(online.chat)] == [entry.id for entry in kept]
    assert [entry[0] for entry in found.watched()] == [e.id for e in kept if not e.part]
    assert found.types()[0] == "welcome"
    assert found.body["cursor"] == kept[-1].id
    assert {"type": "live", "chat": online.chat, "cursor": kept[-1].id} in found.body["messages"]
    assert found.headers["cache-control"] == "private, no-store"
    assert found.headers["content-type"] == "application/json"


async def test_it_waits_until_something_happens(online):
    found = await waiting(online, chat=online.chat)
    [first] = await append(online, delta("now"))
    await found.answer()
    assert [entry[0] for entry in found.of_chat(online.chat)] == [first]


async def test_it_waits_no_longer_than_it_was_asked_to(online):
    tail = await get_log().tail(online.stream)
    state = (await poll(online)).body["state"]
    found = await poll(online, watch=tail, state=state, wait=1)
    assert found.status == 200
    assert found.types() == ["live"]


async def test_a_polled_answer_equals_the_stored_one(worker, alice):
    """Nothing is lost or repeated between two requests."""
    message, reply = await alice.send("[[rate=60&tokens=80]] Hello")
    entries, asked = [], {"watch": "0-0", "after": None}
    async with asyncio.timeout(60):
        while not any(e[1]["type"] == "message.completed" for e in entries):
            given = {name: value for name, value in asked.items() if value}
            found = await poll(alice, chat=alice.chat, wait=5, **given)
            entries += found.of_chat(alice.chat)
            for each in found.body["messages"]:
                if each.get("type") == "live":
                    asked["after" if each["chat"] else "watch"] = each["cursor"]
            asked["state"] = found.body["state"]
            for each in found.body["messages"]:
                if "entries" in each:
                    asked["watch" if each.get("watch") else "after"] = each["entries"][-1][0]
    ids = [entry[0] for entry in entries]
    assert len(ids) == len(set(ids))
    stored = [
        Entry(entry_id, alice.chat, event["type"], json.dumps(event).encode())
        for entry_id, event in entries
    ]
    live = fold_entries(stored).messages[reply]
    assert str(live.text) == str((await alice.settled(reply)).text)
    assert live.status == "done"


async def test_only_the_followed_chat_has_deltas(online):
    other = "0198c5a0-0000-7000-8000-000000000001"
    found = await waiting(online, chat=online.chat)
    await append(online, renamed(online, "Mine"), delta("secret"), chat=other)
    await append(online, delta("told"))
    await found.answer()
    assert "secret" not in json.dumps(found.body)
    assert [event["type"] for _, event in found.watched()] == ["chat.renamed"]


async def test_a_long_chat_comes_in_pages(online, monkeypatch):
    monkeypatch.setattr(polling, "PAGE_BYTES", 40_000)
    monkeypatch.setattr(log_socket, "REPLAY_PAGE", 5)
    for _ in range(12):
        await append(online, *(delta("x" * 1_500) for _ in range(5)))
    kept, found, after, requests = await online.entries(), [], "0-0", 0
    while not found or found[-1][0] != kept[-1].id:
        page = await poll(online, chat=online.chat, after=after)
        found += page.of_chat(online.chat)
        after, requests = found[-1][0], requests + 1
        assert len(json.dumps(page.body)) < 90_000
    assert [entry[0] for entry in found] == [entry.id for entry in kept]
    assert requests > 2


async def test_a_watch_cursor_too_far_behind_is_reset(online, monkeypatch):
    monkeypatch.setattr(log_socket, "MAX_WATCH_REPLAY", 3)
    await append(online, *(renamed(online, f"Title {n}") for n in range(6)))
    found = await poll(online)
    assert "reset" in found.types()
    assert found.body["cursor"] == await get_log().tail(online.stream)


async def test_a_balance_change_between_two_requests_is_in_the_next(online, settings):
    settings.BILLING = True
    first = await poll(online)
    same = await poll(online, state=first.body["state"])
    assert "welcome" not in same.types()
    person_id = uuid.UUID(online.user["id"])
    await sync_to_async(ledger.post)(
        person_id, "adjustment", 70_000, key="gift", reason="A present"
    )
    changed = await poll(online, state=first.body["state"], wait=25)
    assert changed.types()[0] == "welcome"
    assert changed.body["state"] != first.body["state"]


# Access


async def test_a_visitor_is_refused_with_sign_in(no_worker):
    found = await poll()
    assert (found.status, found.code) == (401, "sign_in")


async def test_another_persons_chat_is_never_sent(online, bob):
    await bob.send("Mine alone")
    for asked in ({"chat": bob.chat}, {"chat": bob.chat, "after": "0-0"}):
        found = await poll(online, **asked)
        assert found.status == 200
        assert [m["code"] for m in found.body["messages"] if m.get("type") == "error"] == [
            "chat_not_found"
        ]
        assert bob.chat not in json.dumps([m for m in found.body["messages"] if "entries" in m])
        assert "Mine alone" not in json.dumps(found.body)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "https://evil.example"}, 403),
        ({"host": "evil.example"}, 403),
        ({"origin": "http://localhost"}, 200),
        # An image or a link on a foreign page sends no Origin.
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"sec-fetch-site": "same-site", "origin": "http://localhost"}, 200),
    ],
)
async def test_a_foreign_page_is_refused(online, headers, status):
    found = await poll(online, headers=headers)
    assert found.status == status
    assert "messages" not in found.body or status == 200
    assert status == 200 or found.code == "origin_not_allowed"
    assert open_sockets.counts == {}


async def test_the_end_of_a_session_ends_the_request(online):
    found = await waiting(online)
    await sync_to_async(_end_sessions)(online)
    await found.answer()
    assert (found.status, found.code) == (401, "sign_in")
    assert (await poll(online)).status == 401


def _suspend(person):
    rows = User.objects.filter(id=person.user["id"])
    rows.update(suspended_at=timezone.now(), is_active=False)
    recheck_sockets(rows.get())


def _end_sessions(person):
    User.objects.filter(id=person.user["id"]).update(session_epoch=F("session_epoch") + 1)
    recheck_sockets(User.objects.get(id=person.user["id"]))


async def test_a_suspended_person_is_refused(online):
    found = await waiting(online)
    await sync_to_async(_suspend)(online)
    await found.answer()
    assert (found.status, found.code) == (403, "suspended")


def _become(person):
    rows = User.objects.filter(id=person.user["id"])
    rows.update(is_guest=False, email="alice@example.org")
    close_guest_sockets(rows.get())


async def test_a_guest_who_becomes_an_account_ends_the_request(online):
    found = await waiting(online)
    await sync_to_async(_become)(online)
    await found.answer()
    assert (found.status, found.code) == (409, "other_person")


# Refusals


@pytest.mark.parametrize(
    "query",
    [
        b"",
        b"watch=",
        b"watch=abc",
        b"watch=0-0&after=1-1&chat=x",
        b"watch=0-0&chat=0198c5a0-0000-7000-8000-000000000001&after=nonsense",
        b"watch=99999999999999999999999999-0",
        b"watch=0-0&wait=26",
        b"watch=0-0&wait=-1",
        b"watch=0-0&wait=" + "٣".encode(),
        b"watch=0-0&wait=1e1",
        b"watch=%00",
        b"watch=\xff\xfe",
        b"watch=0-0&x=" + b"y" * 5_000,
        b"watch=0-0;drop",
        b"watch=0-0" + b"&" * 1_500,
    ],
)
async def test_an_invalid_query_is_refused(online, query):
    found = await poll(online, query=query)
    assert (found.status, found.code) == (400, "bad_request")


@pytest.mark.parametrize(
    "cookie", ["\xff\xfe=\xfd", "sessionid=" + "y" * 4_000, "=;=;;", "a" * 4_000]
)
async def test_an_invalid_cookie_is_a_visitors(online, cookie):
    found = await poll(online, headers={"cookie": cookie})
    assert (found.status, found.code) == (401, "sign_in")


async def test_an_error_has_the_form_of_the_api(online, monkeypatch, caplog):
    async def failing(self):
        raise ValueError("a fault of ours")

    monkeypatch.setattr(polling.PolledSocket, "connect", failing)
    found = await poll(online)
    assert (found.status, found.code) == (503, "log_unavailable")
    monkeypatch.setattr(polling, "Poll", None)
    found = await poll(online)
    assert (found.status, found.code) == (500, "internal_error")
    assert [r.getMessage() for r in caplog.records if r.exc_info] == [
        "a polled socket failed",
        "a poll failed",
    ]


async def test_only_get_is_allowed(online):
    found = await poll(online, method="POST")
    assert (found.status, found.headers["allow"]) == (405, "GET")


async def test_too_many_requests_are_refused_with_a_retry_time(online, settings):
    settings.LIMIT_POLLS_PER_MINUTE_USER = 1
    assert (await poll(online)).status == 200
    found = await poll(online)
    assert (found.status, found.code) == (429, "too_many_requests")
    assert 0 < int(found.headers["retry-after"]) <= 60


async def test_too_many_at_once_are_refused(online, monkeypatch):
    monkeypatch.setattr(open_sockets, "MAX_SOCKETS_PER_USER", 1)
    first = await waiting(online)
    found = await poll(online)
    assert found.status == 429
    assert int(found.headers["retry-after"]) > 0
    await first.leave()
    assert (await poll(online)).status == 200


async def test_a_cancelled_request_leaves_nothing_behind(online):
    found = await waiting(online, chat=online.chat)
    await found.leave()
    assert not _following(online)
    names = {task.get_name() for task in asyncio.all_tasks()}
    assert "polled-socket" not in names
    assert not get_log()._follower._followed


def test_the_longest_wait_is_shorter_than_a_heartbeat():
    assert polling.MAX_WAIT_S * 1000 <= consumers.HEARTBEAT_MS
