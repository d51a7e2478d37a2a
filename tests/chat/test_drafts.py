"""Drafts: the one written last wins, other devices are told, and they go along with a guest."""

import asyncio
import uuid

import pytest
from asgiref.sync import sync_to_async

from accounts import guest_joins
from accounts.models import User
from chat import drafts
from chat.models import Chat, Draft
from tests.chat.conftest import Person
from tests.chat.test_consumers import Socket

pytestmark = pytest.mark.django_db(transaction=True)


async def put(person, draft, **fields):
    body = {"chat": None, "text": draft, "age_ms": 0} | fields
    return await person.client.put("/api/drafts", body, content_type="application/json")


async def listed(person):
    answer = await person.client.get("/api/drafts")
    return {draft["chat"]: (draft["text"], draft["pastes"]) for draft in answer.json()["drafts"]}


def cookies_of(person):
    return "; ".join(f"{name}={value.value}" for name, value in person.client.cookies.items())


async def test_a_draft_is_kept_for_each_chat_and_for_a_new_one(no_worker, alice):
    await alice.send("Hello")
    assert (await put(alice, "here", chat=alice.chat, pastes=["long"])).status_code == 200
    assert (await put(alice, "new")).status_code == 200
    assert await listed(alice) == {alice.chat: ("here", ["long"]), None: ("new", [])}
    page = (await alice.client.get("/")).content.decode()
    assert '"text": "here"' in page
    await put(alice, "", chat=alice.chat)
    assert await listed(alice) == {None: ("new", [])}
    assert await Draft.objects.acount() == 2


async def test_the_one_written_last_wins_whatever_arrives_last(no_worker, alice):
    await alice.send("Hello")
    await put(alice, "later")
    answer = await put(alice, "written an hour ago", age_ms=3_600_000)
    assert answer.status_code == 200
    assert answer.json()["draft"]["text"] == "later"
    await put(alice, "")
    await put(alice, "late and old", age_ms=60_000)
    assert await listed(alice) == {}


async def test_what_was_written_over_a_draft_is_later_than_it_however_slow_its_request_was(
    no_worker, alice
):
    """The first request took longer than the second, so that its text looks younger."""
    await alice.send("Hello")
    first = (await put(alice, "begun")).json()["draft"]
    answer = await put(alice, "", age_ms=5_000, seen_ms=first["written_ms"])
    assert answer.json()["draft"]["text"] == ""
    assert answer.json()["draft"]["written_ms"] > first["written_ms"]
    assert await listed(alice) == {}
    await put(alice, "of another device", age_ms=4_000, seen_ms=first["written_ms"])
    assert await listed(alice) == {}


async def test_two_at_once_leave_one(no_worker, alice):
    await alice.send("Hello")
    answers = await asyncio.gather(*(put(alice, f"text {n}") for n in range(4)))
    assert {answer.status_code for answer in answers} == {200}
    assert await Draft.objects.acount() == 1


async def test_other_devices_are_told_and_strangers_are_not(no_worker, alice, bob):
    await alice.send("Hello")
    await bob.send("Hello")
    async with (
        Socket(cookies=cookies_of(alice)) as socket,
        Socket(cookies=cookies_of(bob)) as other,
    ):
        await socket.until_type("welcome")
        await other.until_type("welcome")
        await put(alice, "half a", chat=alice.chat, tab="tab-1")
        told = await socket.until_type("draft")
        assert (told["chat"], told["text"], told["tab"]) == (alice.chat, "half a", "tab-1")
        await put(bob, "mine")
        assert (await other.until_type("draft"))["text"] == "mine"


@pytest.mark.parametrize(
    "fields",
    [
        {"text": None},
        {"text": "a\x00b"},
        {"pastes": "long"},
        {"pastes": [""]},
        {"pastes": [1]},
        {"age_ms": -1},
        {"age_ms": 1.5},
        {"age_ms": True},
        {"seen_ms": "1"},
        {"tab": "<b>"},
        {"tab": 1},
        {"chat": "new"},
    ],
)
async def test_what_is_no_draft_is_refused(no_worker, alice, fields):
    await alice.send("Hello")
    answer = await put(alice, "text", **fields)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")


async def test_it_is_bounded(no_worker, alice, settings):
    await alice.send("Hello")
    assert (await put(alice, "x" * 200_001)).status_code == 413
    assert (await put(alice, "", pastes=["x"] * 21)).status_code == 413
    assert (await put(alice, "", chat=str(uuid.uuid4()))).status_code == 404
    settings.LIMIT_DRAFTS_PER_MINUTE_USER = 1
    assert [(await put(alice, "x")).status_code for _ in range(2)] == [200, 429]


async def test_the_draft_of_a_deleted_chat_is_gone(no_worker, alice):
    await alice.send("Hello")
    await put(alice, "begun", chat=alice.chat)
    await alice.client.delete(f"/api/chats/{alice.chat}")
    assert await listed(alice) == {}
    assert (await put(alice, "more", chat=alice.chat)).status_code == 404


async def test_drafts_go_along_when_a_guest_joins_an_account(no_worker, alice):
    await alice.send("Hello")
    await put(alice, "in the chat", chat=alice.chat)
    await put(alice, "newer")
    guest = await User.objects.aget(id=alice.user["id"])
    account = await sync_to_async(User.objects.create_user)("alice@example.org", "x")
    await drafts.write(account, drafts.Writing(None, "older", [], 60_000, ""))
    assert await sync_to_async(guest_joins.record)(guest, account)
    await guest_joins.arrive(account)
    kept = {
        draft["chat"]: draft["text"] for draft in await sync_to_async(drafts.drafts_of)(account)
    }
    assert kept == {alice.chat: "in the chat", None: "newer"}
    assert (await Chat.objects.aget()).owner_id == account.id
    assert not await Draft.objects.filter(owner=guest).aexists()


async def test_a_message_written_by_somebody_else_is_not_sent(no_worker, alice, bob):
    await alice.send("Hello")
    body = {"id": str(uuid.uuid4()), "text": "Private", "model": "openai/script/known"}
    body |= {"parent": None, "person": str(uuid.uuid4())}
    path = f"/api/chats/{uuid.uuid4()}/messages"
    answer = await alice.post(path, **body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "other_person")
    assert (await alice.post(path, **body | {"person": alice.user["id"]})).status_code == 202
    visitor = Person()
    await visitor.visit()
    body |= {"id": str(uuid.uuid4()), "person": None}
    assert (await visitor.post(f"/api/chats/{uuid.uuid4()}/messages", **body)).status_code == 202
