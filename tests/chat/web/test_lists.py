"""Lists of chats and changes to them: each change happens once, in order, and is sent live."""

import time
import uuid

import pytest
from asgiref.sync import sync_to_async

from chat.models import Chat
from tests.chat.websocket.socket_client import Socket
from tests.folding import fold_entries

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


def change():
    return f"?change={uuid.uuid4()}"


async def call(person, method, path, body=None):
    return await getattr(person.client, method)(
        f"/api/chats{path}", body, content_type="application/json"
    )


async def listed(person, query=""):
    response = await person.client.get(f"/api/chats{query}")
    assert response.status_code == 200, response.content
    return response.json()


async def ids(person, query=""):
    return [row["id"] for row in (await listed(person, query))["chats"]]


async def types(person, chat=None):
    return [entry.type for entry in await person.entries(chat)]


@pytest.fixture
async def chat(alice, worker):
    _, reply = await alice.send("[[tokens=3]] Hello")
    await alice.settled(reply)
    return alice.chat


async def test_a_change_repeated_happens_once(alice, chat):
    for method, path, body in [
        ("patch", f"/{chat}", {"title": "Mine"}),
        ("put", f"/{chat}/pin", None),
        ("put", f"/{chat}/archive", None),
        ("delete", f"/{chat}", None),
        ("post", f"/{chat}/restore", {}),
    ]:
        same = path + change()
        before = len(await alice.entries())
        for _ in range(3):
            assert (await call(alice, method, same, body)).status_code in (200, 204)
        assert len(await alice.entries()) == before + 1, path
    assert (await types(alice))[-5:] == [
        "chat.renamed",
        "chat.pinned",
        "chat.archived",
        "chat.deleted",
        "chat.restored",
    ]


async def test_a_late_repetition_does_not_undo_a_later_change(alice, chat):
    first, second = f"/{chat}{change()}", f"/{chat}{change()}"
    await call(alice, "patch", first, {"title": "First"})
    await call(alice, "patch", second, {"title": "Second"})
    await call(alice, "patch", first, {"title": "First"})
    pinned, unpinned = f"/{chat}/pin{change()}", f"/{chat}/pin{change()}"
    await call(alice, "put", pinned)
    await call(alice, "delete", unpinned)
    await call(alice, "put", pinned)
    deleted, restored = f"/{chat}{change()}", f"/{chat}/restore{change()}"
    await call(alice, "delete", deleted)
    await call(alice, "post", restored, {})
    assert (await call(alice, "delete", deleted)).status_code == 204
    row = await Chat.objects.aget(id=chat)
    assert (row.title, row.pinned_at, row.deleted_at) == ("Second", None, None)
    transcript = fold_entries(await alice.entries())
    assert (transcript.title, transcript.deleted) == ("Second", False)


async def test_a_late_repetition_does_not_change_the_branch(alice, chat):
    transcript = await alice.transcript()
    question, first = transcript.path()
    body = {"id": str(uuid.uuid4()), "parent": question.id, "model": "openai/script/known"}
    assert (await alice.post(f"/api/chats/{chat}/replies", **body)).status_code == 202
    await alice.settled(body["id"])
    earlier, later = f"/{chat}/branch{change()}", f"/{chat}/branch{change()}"
    await call(alice, "post", earlier, {"message": first.id})
    await call(alice, "post", later, {"message": body["id"]})
    await call(alice, "post", earlier, {"message": first.id})
    assert str((await Chat.objects.aget(id=chat)).tip_id) == body["id"]
    assert (await alice.transcript()).path()[-1].id == body["id"]
    assert (await types(alice)).count("branch.chosen") == 2


async def test_deleting_without_a_change_id_happens_once_until_restored(alice, chat):
    for _ in range(2):
        await call(alice, "delete", f"/{chat}")
    await call(alice, "post", f"/{chat}/restore", {})
    for _ in range(2):
        await call(alice, "delete", f"/{chat}")
    kinds = await types(alice)
    assert (kinds.count("chat.deleted"), kinds.count("chat.restored")) == (2, 1)
    assert await ids(alice) == []


async def test_each_view_has_its_chats(alice, chat):
    await call(alice, "put", f"/{chat}/archive")
    assert (await ids(alice), await ids(alice, "?view=archived")) == ([], [chat])
    await call(alice, "delete", f"/{chat}/archive")
    await call(alice, "delete", f"/{chat}")
    assert (await ids(alice), await ids(alice, "?view=deleted")) == ([], [chat])
    assert (await call(alice, "post", f"/{chat}/restore", {})).status_code == 200
    assert (await ids(alice), await ids(alice, "?view=deleted")) == ([chat], [])


async def test_a_chat_cannot_be_restored_after_the_undo_period(alice, chat, settings):
    await call(alice, "delete", f"/{chat}")
    settings.CHAT_UNDO_HOURS = 0
    assert (await call(alice, "post", f"/{chat}/restore", {})).status_code == 404
    assert await ids(alice, "?view=deleted") == []


async def test_pages_have_every_chat_once_and_pinned_ones_first(alice, chat):
    user = await Chat.objects.aget(id=chat)
    made = [
        Chat(id=uuid.UUID(int=n + 1), owner_id=user.owner_id, title=f"{n}", updated_at=at)
        for n, at in enumerate([user.updated_at] * 30)
    ]
    await sync_to_async(Chat.objects.bulk_create)(made)
    await call(alice, "put", f"/{made[3].id}/pin")
    page = await listed(alice, "?limit=7")
    assert page["chats"][0]["id"] == str(made[3].id) and page["chats"][0]["pinned_ms"]
    found = [row["id"] for row in page["chats"]]
    while page["next"]:
        page = await listed(alice, f"?limit=7&before={page['next']}")
        found += [row["id"] for row in page["chats"]]
    assert len(found) == 31 and set(found) == {chat, *(str(one.id) for one in made)}
    for bad in ("?before=x", "?limit=0", "?limit=501", "?limit=٣", "?view=all", "?limit="):
        assert (await alice.client.get(f"/api/chats{bad}")).status_code == 400, bad


async def test_an_answer_is_unread_until_it_is_marked_read(alice, chat):
    async def marks():
        row = (await listed(alice))["chats"][0]
        return row["ended_ms"], row["read_ms"]

    async def eventually_ended():
        for _ in range(500):
            if (await marks())[0]:
                return await marks()
            await sync_to_async(lambda: None)()
        raise AssertionError("the end was not noted")

    ended, read = await eventually_ended()
    assert ended > read == 0
    for until in (ended, ended - 5, ended):
        assert (await call(alice, "post", f"/{chat}/read", {"until_ms": until})).status_code == 204
    assert await marks() == (ended, ended)
    assert (await types(alice)).count("chat.read") == 1
    for bad in ("1", -1, None, 2**53, 1.5):
        assert (await call(alice, "post", f"/{chat}/read", {"until_ms": bad})).status_code == 400
    # An answer cannot be read before it exists.
    await call(alice, "post", f"/{chat}/read", {"until_ms": 2**51})
    assert (await marks())[1] < 2**50


async def test_an_answer_from_before_the_clock_was_set_back_can_be_marked_read(alice, chat):
    ahead = round(time.time() * 1000) + 3_600_000
    await Chat.objects.filter(id=chat).aupdate(ended_ms=ahead)
    await call(alice, "post", f"/{chat}/read", {"until_ms": ahead})
    row = (await listed(alice))["chats"][0]
    assert row["read_ms"] == row["ended_ms"] == ahead


async def test_other_devices_receive_the_change(alice, chat):
    cookies = "; ".join(f"{name}={one.value}" for name, one in alice.client.cookies.items())
    async with Socket(cookies=cookies) as socket:
        await socket.until_type("welcome")
        await call(alice, "put", f"/{chat}/pin")
        await call(alice, "put", f"/{chat}/archive")
        await call(alice, "delete", f"/{chat}")
        await call(alice, "post", f"/{chat}/restore", {})
        told = []
        while len(told) < 4:
            frame = await socket.hear()
            told += [event["type"] for _, event in frame.get("entries", [])]
        assert told == ["chat.pinned", "chat.archived", "chat.deleted", "chat.restored"]


async def test_a_bad_change_id_is_refused(alice, chat):
    response = await call(alice, "put", f"/{chat}/pin?change=1")
    assert response.status_code == 400
    assert (await Chat.objects.aget(id=chat)).pinned_at is None
