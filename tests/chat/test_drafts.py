"""Drafts: the last one written wins, other devices are notified, and a guest's drafts are kept
when the guest joins an account."""

import asyncio
import gzip
import json
import re
import uuid

import pytest
from asgiref.sync import sync_to_async

from accounts.guests import merge as guest_joins
from accounts.models import User
from chat import drafts
from chat.models import Chat, Draft, Reply
from tests.chat.conftest import Person
from tests.chat.page_requests import put_draft
from tests.chat.websocket.socket_client import Socket

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


async def listed(person):
    answer = await person.client.get("/api/drafts")
    return {draft["chat"]: (draft["text"], draft["pastes"]) for draft in answer.json()["drafts"]}


def cookies_of(person):
    return "; ".join(f"{name}={value.value}" for name, value in person.client.cookies.items())


async def test_a_draft_is_kept_for_each_chat_and_for_a_new_one(no_worker, alice):
    await alice.send("Hello")
    assert (await put_draft(alice, "here", chat=alice.chat, pastes=["long"])).status_code == 200
    assert (await put_draft(alice, "new")).status_code == 200
    assert await listed(alice) == {alice.chat: ("here", ["long"]), None: ("new", [])}
    page = (await alice.client.get("/")).content.decode()
    assert '"text": "here"' in page
    await put_draft(alice, "", chat=alice.chat)
    assert await listed(alice) == {None: ("new", [])}
    assert await Draft.objects.acount() == 2


async def test_the_one_written_last_wins_whatever_arrives_last(no_worker, alice):
    await alice.send("Hello")
    await put_draft(alice, "later")
    answer = await put_draft(alice, "written an hour ago", age_ms=3_600_000)
    assert answer.status_code == 200
    assert answer.json()["draft"]["text"] == "later"
    await put_draft(alice, "")
    await put_draft(alice, "late and old", age_ms=60_000)
    assert await listed(alice) == {}


async def test_a_draft_that_replaces_one_is_newer_however_slow_the_first_request_was(
    no_worker, alice
):
    """The first request took longer than the second, so its text seems to be newer."""
    await alice.send("Hello")
    first = (await put_draft(alice, "begun")).json()["draft"]
    answer = await put_draft(alice, "", age_ms=5_000, seen_ms=first["written_ms"])
    assert answer.json()["draft"]["text"] == ""
    assert answer.json()["draft"]["written_ms"] > first["written_ms"]
    assert await listed(alice) == {}
    await put_draft(alice, "of another device", age_ms=4_000, seen_ms=first["written_ms"])
    assert await listed(alice) == {}


async def test_two_at_once_leave_one(no_worker, alice):
    await alice.send("Hello")
    answers = await asyncio.gather(*(put_draft(alice, f"text {n}") for n in range(4)))
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
        await put_draft(alice, "half a", chat=alice.chat, tab="tab-1")
        told = await socket.until_type("draft")
        assert (told["chat"], told["text"], told["tab"]) == (alice.chat, "half a", "tab-1")
        await put_draft(bob, "mine")
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
    answer = await put_draft(alice, "text", **fields)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")


async def test_it_is_bounded(no_worker, alice, settings):
    await alice.send("Hello")
    assert (await put_draft(alice, "x" * 200_001)).status_code == 413
    assert (await put_draft(alice, "", pastes=["x"] * 21)).status_code == 413
    assert (await put_draft(alice, "", chat=str(uuid.uuid4()))).status_code == 404
    settings.LIMIT_DRAFTS_PER_MINUTE_USER = 1
    assert [(await put_draft(alice, "x")).status_code for _ in range(2)] == [200, 429]


async def test_the_draft_of_a_deleted_chat_is_gone(no_worker, alice):
    await alice.send("Hello")
    await put_draft(alice, "begun", chat=alice.chat)
    await alice.client.delete(f"/api/chats/{alice.chat}")
    assert await listed(alice) == {}
    assert (await put_draft(alice, "more", chat=alice.chat)).status_code == 404


async def test_drafts_go_along_when_a_guest_joins_an_account(no_worker, alice):
    await alice.send("Hello")
    await put_draft(alice, "in the chat", chat=alice.chat)
    await put_draft(alice, "newer")
    guest = await alice.row()
    account = await sync_to_async(User.objects.create_user)("alice@example.org", "x")
    await drafts.write(account, drafts.Writing(None, "older", [], 60_000, ""))
    assert await sync_to_async(guest_joins.record)(guest, account)
    await guest_joins.wait_for_joins(account)
    found, _ = await sync_to_async(drafts.drafts_of)(account)
    kept = {draft["chat"]: draft["text"] for draft in found}
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


async def test_a_draft_of_somebody_who_signed_out_belongs_to_no_new_guest(no_worker, alice):
    """This holds in a browser with a visitor cookie and in one without."""
    await alice.send("Hello")
    visitor = Person()
    await visitor.visit()
    before = await User.objects.acount()
    body = {"id": str(uuid.uuid4()), "text": "Private", "model": "openai/script/known"}
    body |= {"parent": None, "person": alice.user["id"]}
    for client in (visitor, Person()):
        answer = await client.post(f"/api/chats/{uuid.uuid4()}/messages", **body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "sign_in")
    assert await User.objects.acount() == before
    assert not await Reply.objects.filter(prompt_id=body["id"]).aexists()


async def test_a_guest_whose_session_got_lost_may_send_again(no_worker, alice):
    message, _ = await alice.send("Hello")
    body = {"id": message, "text": "Hello", "model": "openai/script/known"}
    body |= {"parent": None, "person": alice.user["id"]}
    del alice.client.cookies["sessionid"]
    answer = await alice.post(f"/api/chats/{alice.chat}/messages", **body)
    assert (answer.status_code, answer.json()["message"]) == (202, message)
    assert await User.objects.acount() == 1


async def test_a_draft_and_a_setting_of_somebody_else_are_not_kept(no_worker, alice, bob):
    await alice.send("Hello")
    await bob.send("Hello")
    await put_draft(bob, "bob's own")
    answer = await put_draft(bob, "alice's", person=alice.user["id"])
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "other_person")
    assert await listed(bob) == {None: ("bob's own", [])}
    assert (await put_draft(bob, "bob's next", person=bob.user["id"])).status_code == 200
    for person, status in ((alice, 409), (bob, 200)):
        answer = await bob.client.patch(
            f"/api/settings?person={person.user['id']}",
            {"name": "Bobby"},
            content_type="application/json",
        )
        assert answer.status_code == status
        named = await bob.row()
        assert named.name == ("" if status == 409 else "Bobby")


async def test_a_page_has_a_few_drafts_and_the_others_on_request(no_worker, alice):
    """A page has the draft of the shown chat, then the latest ones, up to the limit."""
    chats = [str(uuid.uuid4()) for _ in range(4)]
    for chat in chats:
        await alice.send("Hello", chat=chat)
    for number, chat in enumerate(chats):
        await put_draft(alice, f"{number}" + "🙂" * 89_999, chat=chat)

    async def on_page(path):
        config = await page_config(alice, path)
        return {draft["chat"] for draft in config["drafts"]}, config["drafts_more"]

    assert await on_page("/") == ({chats[3], chats[2]}, True)
    assert await on_page(f"/c/{chats[0]}") == ({chats[0], chats[3]}, True)
    answer = (await alice.client.get("/api/drafts")).json()
    assert [draft["chat"] for draft in answer["drafts"]] == [chats[3], chats[2]]
    assert answer["more"] is True
    answer = (await alice.client.get("/api/drafts", {"chat": chats[1]})).json()
    assert [draft["text"][:2] for draft in answer["drafts"]] == ["1🙂"]
    assert (await alice.client.get("/api/drafts", {"chat": "new"})).json()["drafts"] == []
    assert (await alice.client.get("/api/drafts", {"chat": "x"})).status_code == 400
    packed = await alice.client.get("/", headers={"accept-encoding": "gzip"})
    assert chats[3].encode() in gzip.decompress(packed.content)
    for chat in chats[1:]:
        await put_draft(alice, "short", chat=chat)
    assert await on_page("/") == (set(chats), False)


async def test_more_drafts_than_are_listed_are_said(no_worker, alice, monkeypatch):
    monkeypatch.setattr(drafts, "MAX_LISTED", 1)
    await alice.send("Hello")
    await put_draft(alice, "new")
    assert (await page_config(alice, "/"))["drafts_more"] is False
    await put_draft(alice, "here", chat=alice.chat)
    config = await page_config(alice, "/")
    assert ([draft["text"] for draft in config["drafts"]], config["drafts_more"]) == (["new"], True)


async def test_nobody_reads_the_draft_of_another(no_worker, alice, bob):
    await alice.send("Hello")
    await bob.send("Hello")
    await put_draft(alice, "mine", chat=alice.chat)
    answer = await bob.client.get("/api/drafts", {"chat": alice.chat})
    assert answer.json() == {"drafts": [], "more": False}
    assert (await Person().client.get("/api/drafts", {"chat": alice.chat})).status_code == 401


async def page_config(person, path):
    page = (await person.client.get(path)).content.decode()
    found = re.search(r'<script id="config" type="application/json">(.*?)</script>', page)
    return json.loads(found[1])
