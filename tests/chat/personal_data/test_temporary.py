"""Temporary chats: while one is open it is a chat like any other; elsewhere it leaves nothing."""

import asyncio
import uuid
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from billing.models import Usage
from chat.chats import titles_of
from chat.drafts import export as export_drafts
from chat.models import Chat, Draft, ErasedChat, MessageText, Reply
from chat.personal_data import erase as chat_erasing
from chat.personal_data import temporary
from chat.personal_data.export import export
from chat.search import indexer
from chat.websocket import consumer
from streams.log import get_log
from tests.chat.conftest import MODEL
from tests.chat.page_requests import new_message, post_message, put_draft
from tests.chat.websocket.socket_client import Socket
from tests.chat.workers import settled_row

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


@pytest.fixture
async def chat(alice, worker):
    _, reply = await alice.send("[[tokens=3]] Quokka", temporary=True)
    await settled_row(reply)
    return alice.chat


async def answer(person, path, method="post"):
    response = await getattr(person.client, method)(f"/api/chats/{person.chat}{path}")
    return response.status_code, response.json() if response.content else None


async def row(chat):
    return await Chat.objects.filter(id=chat).afirst()


async def ago(chat, **fields):
    await Chat.objects.filter(id=chat).aupdate(**fields)


async def settle_long_ago():
    """Erasing waits some minutes after the last answer and the deletion."""
    hour = timezone.now() - timedelta(hours=1)
    await Reply.objects.aupdate(state="done", finished_at=hour)
    await Chat.objects.exclude(deleted_at=None).aupdate(deleted_at=hour)


async def test_it_is_in_no_list_search_title_or_export(alice, worker, settings):
    settings.BACKGROUND_CALLS = True
    _, reply = await alice.send("[[tokens=3]] Quokka", temporary=True)
    await alice.settled(reply)
    _, reply = await alice.send("Kept", chat=(other := str(uuid.uuid4())))
    await alice.settled(reply, other)
    async with asyncio.timeout(20):  # The title of the other chat is asked for later.
        while not await Usage.objects.filter(purpose=Usage.Purpose.TITLE).aexists():
            await asyncio.sleep(0.05)
    temporary_chat = await row(alice.chat)
    await sync_to_async(indexer.start_over)()
    await indexer.catch_up_all()
    assert temporary_chat.title == "" and temporary_chat.title_by == Chat.TitleBy.START
    for view in ("open", "archived", "deleted"):
        listed = (await alice.client.get(f"/api/chats?view={view}")).json()["chats"]
        assert [chat["id"] for chat in listed] == ([other] if view == "open" else [])
    assert (await alice.client.get("/api/search?q=quokka")).json()["results"] == []
    assert not await MessageText.objects.filter(chat_id=alice.chat).aexists()
    person = await alice.row()
    names = [file.path async for file in export(person)]
    assert len(names) == 2 and all(other[:8] in name for name in names)
    titled = Usage.objects.filter(purpose=Usage.Purpose.TITLE)
    assert [usage.chat_id async for usage in titled] == [uuid.UUID(other)]


async def test_a_page_that_has_its_address_shows_it_and_no_other_page_does(alice, chat):
    shown = (await alice.client.get(f"/c/{chat}")).content.decode()
    assert '"temporary": true' in shown and "Quokka" in shown and '"is_alone": true' in shown
    assert "Quokka" not in (await alice.client.get("/")).content.decode()
    status, body = await answer(alice, "", "get")
    assert status == 200 and body["chat"]["temporary"] is True


async def test_strangers_cannot_keep_or_leave_it(alice, bob, chat):
    await bob.send("Mine")
    for path in ("keep", "leave"):
        response = await bob.post(f"/api/chats/{chat}/{path}")
        assert response.status_code == 404
    assert (await row(chat)).is_temporary and (await row(chat)).left_at is None


async def test_its_draft_is_on_its_own_page_only(alice, chat):
    async with Socket(alice) as socket:
        await socket.until_type("welcome")
        assert (await put_draft(alice, "Wombat", chat=chat)).status_code == 200
        await put_draft(alice, "For all")
        # The next one is heard, so the first was not sent.
        assert (await socket.until_type("draft"))["text"] == "For all"
    assert "Wombat" in (await alice.client.get(f"/c/{chat}")).content.decode()
    assert "Wombat" not in (await alice.client.get("/")).content.decode()
    listed = (await alice.client.get("/api/drafts")).json()["drafts"]
    assert [draft["text"] for draft in listed] == ["For all"]
    exported = [file async for file in export_drafts(await alice.row())]
    assert b"Wombat" not in b"".join([part async for part in exported[0].chunks])


async def test_usage_is_counted_without_a_link_to_it(alice, chat):
    assert await Usage.objects.filter(chat_id=chat).acount() == 1
    person = await alice.row()
    assert await sync_to_async(titles_of)(person.id, [uuid.UUID(chat)]) == {}


async def test_it_is_erased_after_it_was_left(alice, chat):
    await put_draft(alice, "Wombat", chat=chat)
    for _ in range(2):
        assert await answer(alice, "/leave") == (204, None)
    await temporary.end_temporary_chats()
    assert (await row(chat)).deleted_at is None  # A page that is reloaded comes back.
    await ago(chat, left_at=timezone.now() - temporary.LEFT_FOR - timedelta(seconds=1))
    await temporary.end_temporary_chats()
    assert (await answer(alice, "", "get"))[0] == 404
    assert (await alice.entries())[-1].type == "chat.deleted"
    await settle_long_ago()
    await chat_erasing.erase_deleted_chats()
    assert await row(chat) is None and not await Draft.objects.filter(chat_id=chat).aexists()
    assert await get_log().read(alice.stream) == []
    assert await Usage.objects.filter(chat_id=chat).acount() == 1
    # A send that is repeated late does not bring it back.
    assert (await post_message(alice, new_message())).status_code == 404
    assert await ErasedChat.objects.filter(id=chat).aexists()


async def test_it_is_erased_sooner_than_other_deleted_chats(alice, chat):
    await alice.send("Kept for a day", chat=(other := str(uuid.uuid4())))
    for chat_id in (chat, other):
        await alice.client.delete(f"/api/chats/{chat_id}")
    await settle_long_ago()
    await chat_erasing.erase_deleted_chats()
    assert await row(chat) is None and await row(other) is not None


async def test_it_is_erased_when_nobody_uses_it(alice, chat, settings):
    settings.TEMPORARY_CHAT_HOURS = 2
    await ago(chat, updated_at=timezone.now() - timedelta(hours=1, minutes=59))
    await temporary.end_temporary_chats()
    assert (await row(chat)).deleted_at is None
    await ago(chat, updated_at=timezone.now() - timedelta(hours=2, minutes=1))
    await temporary.end_temporary_chats()
    assert (await row(chat)).deleted_at is not None


async def test_its_answer_is_stopped_when_it_ends(alice, worker):
    _, reply = await alice.send("[[tokens=5000&rate=50]] Long", temporary=True)
    await alice.until(reply, lambda message: message.status == "running" and str(message.text))
    await ago(alice.chat, left_at=timezone.now() - timedelta(hours=1))
    await temporary.end_temporary_chats()
    assert (await alice.settled(reply)).status == "stopped"


async def test_a_page_that_follows_it_stays(alice, chat, monkeypatch):
    monkeypatch.setattr(consumer, "HEARTBEAT_MS", 50)
    await answer(alice, "/leave")
    async with Socket(alice) as socket:
        await socket.say(type="follow", chat=chat)
        await socket.until_type("live", chat=chat)
        assert (await row(chat)).left_at is None  # It was reloaded.
        await answer(alice, "/leave")
        assert (await row(chat)).left_at is not None
        for _ in range(3):  # Another page was closed; this one is still open.
            await socket.until_type("ping")
            await socket.say(type="pong")
        assert (await row(chat)).left_at is None
        await socket.say(type="unfollow")
        await socket.until_type("ping")
        await answer(alice, "/leave")
        for _ in range(3):
            await socket.until_type("ping")
            await socket.say(type="pong")
        assert (await row(chat)).left_at is not None


async def test_keeping_makes_it_an_ordinary_chat(alice, chat):
    await answer(alice, "/leave")
    for _ in range(2):
        status, body = await answer(alice, "/keep")
        assert status == 200 and "temporary" not in body["chat"]
    assert body["chat"]["title"] == "[[tokens=3]] Quokka"
    assert [entry.type for entry in await alice.entries()].count("chat.kept") == 1
    assert not (await alice.transcript()).temporary
    await temporary.end_temporary_chats()
    await indexer.catch_up_all()
    [found] = (await alice.client.get("/api/search?q=quokka")).json()["results"]
    assert found["chat"]["id"] == chat
    # Leaving it is nothing now.
    await answer(alice, "/leave")
    assert (await row(chat)).left_at is None


async def test_keeping_is_finished_by_a_repetition(alice, chat, monkeypatch):
    class Killed(Exception):
        pass

    async def dies(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(type(get_log()), "append", dies)
        with pytest.raises(Killed):
            await temporary.keep(await alice.row(), uuid.UUID(chat))
    assert not (await row(chat)).is_temporary and (await alice.transcript()).temporary
    await temporary.keep(await alice.row(), uuid.UUID(chat))
    assert not (await alice.transcript()).temporary


async def test_it_is_not_kept_once_it_has_ended(alice, chat):
    await ago(chat, deleted_at=timezone.now())
    assert (await answer(alice, "/keep"))[0] == 404
    assert (await row(chat)).is_temporary


async def test_it_is_not_ended_if_it_was_kept_meanwhile(alice, chat, monkeypatch):
    await ago(chat, left_at=timezone.now() - timedelta(hours=1))
    due = await sync_to_async(temporary._ended)()
    await answer(alice, "/keep")
    monkeypatch.setattr(temporary, "_ended", lambda: due)
    await temporary.end_temporary_chats()
    assert (await row(chat)).deleted_at is None
    assert (await alice.entries())[-1].type == "chat.kept"


async def test_only_the_first_message_makes_a_chat_temporary(alice, chat):
    other = str(uuid.uuid4())
    await alice.send("Ordinary", chat=other)
    tip = str((await row(other)).tip_id)
    await alice.send("More", chat=other, parent=tip, temporary=True)
    assert not (await row(other)).is_temporary
    body = {"id": str(uuid.uuid4()), "text": "x", "model": MODEL, "parent": None}
    response = await alice.post(f"/api/chats/{other}/messages", **body, temporary="yes")
    assert response.status_code == 400
