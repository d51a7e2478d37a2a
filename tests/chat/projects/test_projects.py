"""The API of projects: their bounds, whose they are, and the chats in them."""

import asyncio
import uuid

import pytest

from chat.models import Chat, Project
from chat.projects import store
from tests.chat.conftest import MODEL
from tests.chat.projects.project_requests import (
    add,
    change,
    chats_in,
    code_of,
    move,
    names,
    remove,
    row_of,
)
from tests.chat.websocket.socket_client import Socket

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]

NOT_FOUND = (404, "project_not_found")
OTHER = "0198c5a0-0000-7000-8000-00000000000a"


@pytest.fixture
async def guest(no_worker, alice):
    await alice.send("Hello")
    return alice


async def test_a_project_is_added_changed_and_deleted(guest):
    project = await add(guest, "  Herb\n garden\u202e ", "  Be brief.\r\nBe kind. ")
    path = f"/api/projects/{project}"
    made = (await guest.client.get(path)).json()["project"]
    assert (made["name"], made["instructions"]) == ("Herb garden", "Be brief.\nBe kind.")
    assert (await change(guest, project, name="Roses")).status_code == 200
    changed = (await guest.client.get(path)).json()["project"]
    assert (changed["name"], changed["instructions"]) == ("Roses", "Be brief.\nBe kind.")
    assert made["created_ms"] == changed["created_ms"] < changed["updated_ms"]
    assert (await change(guest, project, instructions="")).json()["project"]["instructions"] == ""
    assert await names(guest) == ["Roses"]
    assert (await remove(guest, project)).json() == {"left": 0}
    assert await names(guest) == []
    for response in (
        await guest.client.get(path),
        await change(guest, project, name="Again"),
        await remove(guest, project),
    ):
        assert code_of(response) == NOT_FOUND


async def test_adding_one_again_adds_none(guest):
    project = str(uuid.uuid4())
    await asyncio.gather(*(add(guest, "Garden", project=project) for _ in range(3)))
    await add(guest, "Garden", project=project)
    assert await names(guest) == ["Garden"]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"name": ""}, "name"),
        ({"name": " \u202e\n"}, "name"),
        ({"name": "n" * 101}, "name"),
        ({"name": 7}, "name"),
        ({"instructions": "i" * 20_001}, "instructions"),
        ({"instructions": "nul\x00"}, "instructions"),
        ({"instructions": None}, "instructions"),
        ({"id": "1"}, "id"),
    ],
)
async def test_wrong_fields_are_refused_by_name(guest, fields, named):
    body = {"id": str(uuid.uuid4()), "name": "Garden", "instructions": ""} | fields
    refused = await guest.post("/api/projects", **body)
    assert code_of(refused) == (400, "bad_request")
    assert f"“{named}”" in refused.json()["error"]["message"]
    assert await names(guest) == []
    if named != "id":
        project = await add(guest)
        assert code_of(await change(guest, project, **fields)) == (400, "bad_request")


async def test_the_longest_ones_are_stored(guest):
    project = await add(guest, "n" * 100, "i" * 20_000)
    row = await Project.objects.aget(id=project)
    assert (len(row.name), len(row.instructions), row.size_bytes) == (100, 20_000, 20_100)


async def test_their_number_is_bounded(guest, monkeypatch):
    monkeypatch.setattr(store, "MAX_PROJECTS", 2)
    first = await add(guest, "a")
    await add(guest, "b")
    refused = await guest.post("/api/projects", id=str(uuid.uuid4()), name="c")
    assert code_of(refused) == (409, "too_many_projects")
    assert "as many projects as one can have" in refused.json()["error"]["message"]
    assert (await change(guest, first, name="A")).status_code == 200
    await remove(guest, first)
    await add(guest, "c")


async def test_they_count_towards_the_storage(guest, settings):
    settings.LIMIT_STORED_BYTES_GUEST = 6_000
    project = await add(guest, "Short", "y" * 100)
    long = "é" * 3_000
    body = {"id": str(uuid.uuid4()), "name": "Long", "instructions": long}
    assert code_of(await guest.post("/api/projects", **body)) == (413, "storage_full")
    assert code_of(await change(guest, project, instructions=long)) == (413, "storage_full")
    assert await names(guest) == ["Short"]
    assert (await change(guest, project, instructions="")).status_code == 200


async def test_a_change_is_counted(guest, settings):
    settings.LIMIT_CHANGES_PER_MINUTE_USER = 1
    await add(guest, "a")
    refused = await guest.post("/api/projects", id=str(uuid.uuid4()), name="b")
    assert code_of(refused) == (429, "too_many_requests")


async def test_a_page_of_somebody_else_gets_none(guest, bob):
    await add(guest)
    await bob.send("Hello")
    for person, status in ((bob.user["id"], 200), (guest.user["id"], 409)):
        response = await bob.client.get(f"/api/projects?person={person}")
        assert response.status_code == status
        assert "Garden" not in response.content.decode()


# Chats in projects


async def test_a_chat_begins_in_a_project_and_is_moved(guest):
    garden, kitchen = await add(guest, "Garden"), await add(guest, "Kitchen")
    await guest.send("When do I plant garlic?", chat=OTHER, project=garden)
    assert (await row_of(guest, OTHER))["project"] == garden
    assert await chats_in(guest, garden) == [OTHER]
    assert (await move(guest, OTHER, kitchen)).json() == {"chat": OTHER, "project": kitchen}
    assert (await chats_in(guest, garden), await chats_in(guest, kitchen)) == ([], [OTHER])
    assert (await move(guest, OTHER, None)).json() == {"chat": OTHER, "project": None}
    assert "project" not in await row_of(guest, OTHER)
    assert [e.type for e in await guest.entries(OTHER)][-2:] == ["chat.moved", "chat.moved"]


async def test_a_move_repeated_late_undoes_no_later_one(guest):
    garden, kitchen = await add(guest, "Garden"), await add(guest, "Kitchen")
    early = f"?change={uuid.uuid4()}"
    await move(guest, guest.chat, garden, early)
    await move(guest, guest.chat, kitchen)
    await move(guest, guest.chat, garden, early)
    assert (await row_of(guest, guest.chat))["project"] == kitchen


async def test_the_chats_of_a_project_come_in_pages(guest):
    project = await add(guest)
    chats = [str(uuid.uuid4()) for _ in range(3)]
    for chat in chats:
        await guest.send("Hello", chat=chat, project=project)
    first = (await guest.client.get(f"/api/chats?project={project}&limit=2")).json()
    assert [row["id"] for row in first["chats"]] == chats[:0:-1]
    assert await chats_in(guest, project, f"&limit=2&before={first['next']}") == chats[:1]
    await guest.client.put(f"/api/chats/{chats[0]}/archive")
    await guest.client.delete(f"/api/chats/{chats[1]}")
    assert await chats_in(guest, project) == [chats[2]]


async def test_somebody_elses_project_is_not_there(guest, bob):
    project = await add(guest)
    await guest.send("Secret", chat=OTHER, project=project)
    await bob.send("Hello")
    body = {"id": str(uuid.uuid4()), "text": "Hi", "model": MODEL, "project": project}
    path = f"/api/chats/{uuid.uuid4()}/messages"
    for response in (
        await bob.client.get(f"/api/projects/{project}"),
        await bob.client.get(f"/api/chats?project={project}"),
        await bob.post("/api/projects", id=project, name="Mine"),
        await change(bob, project, name="Mine"),
        await remove(bob, project),
        await remove(bob, project, "?chats=delete"),
        await move(bob, bob.chat, project),
        await bob.post(path, **body),
    ):
        assert code_of(response) == NOT_FOUND
    assert code_of(await move(bob, OTHER, None)) == (404, "chat_not_found")
    assert not await Chat.objects.filter(project=project).exclude(id=OTHER).aexists()
    assert (await names(guest), await names(bob)) == (["Garden"], [])


async def test_a_visitor_has_no_projects(no_worker, alice):
    assert (await alice.client.get("/api/projects")).status_code == 401
    body = {"id": str(uuid.uuid4()), "text": "Hi", "model": MODEL, "project": str(uuid.uuid4())}
    refused = await alice.post(f"/api/chats/{alice.chat}/messages", **body)
    assert code_of(refused) == NOT_FOUND
    assert not await Chat.objects.aexists()


async def test_a_temporary_chat_is_in_no_project(guest):
    project = await add(guest)
    body = {"id": str(uuid.uuid4()), "text": "Hi", "model": MODEL, "temporary": True}
    path = f"/api/chats/{OTHER}/messages"
    assert code_of(await guest.post(path, **body, project=project)) == (400, "bad_request")
    await guest.post(path, **body)
    assert code_of(await move(guest, OTHER, project)) == (400, "bad_request")


async def test_a_send_is_repeated_after_its_project_was_deleted(guest):
    project = await add(guest)
    body = {"id": str(uuid.uuid4()), "text": "Hi", "model": MODEL, "project": project}
    path = f"/api/chats/{OTHER}/messages"
    first = await guest.post(path, **body)
    await remove(guest, project)
    again = await guest.post(path, **body)
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json()["reply"] == first.json()["reply"]


# Deleting a project


async def test_the_chats_of_a_deleted_project_stay(guest):
    project = await add(guest)
    await move(guest, guest.chat, project)
    assert (await remove(guest, project)).json() == {"left": 0}
    row = await row_of(guest, guest.chat)
    assert "project" not in row and row["deleted_ms"] is None


async def test_its_chats_are_deleted_only_on_request_and_can_be_restored(guest, monkeypatch):
    monkeypatch.setattr(store, "DELETED_AT_ONCE", 2)
    project = await add(guest)
    chats = [str(uuid.uuid4()) for _ in range(3)]
    for chat in chats:
        await guest.send("Hello", chat=chat, project=project)
    assert code_of(await remove(guest, project, "?chats=all")) == (400, "bad_request")
    assert (await remove(guest, project, "?chats=delete")).json() == {"left": 1}
    assert await names(guest) == ["Garden"]
    assert (await remove(guest, project, "?chats=delete")).json() == {"left": 0}
    assert await names(guest) == []
    assert await Chat.objects.filter(id__in=chats, deleted_at=None).acount() == 0
    assert (await row_of(guest, guest.chat))["deleted_ms"] is None
    restored = await guest.post(f"/api/chats/{chats[0]}/restore")
    assert restored.status_code == 200 and "project" not in restored.json()["chat"]


# Other devices


async def test_other_devices_are_told(guest):
    async with Socket(guest) as other:
        welcome = await other.until_type("welcome")
        assert welcome["projects"] == []
        await other.say(type="watch", after=welcome["cursor"])
        project = await add(guest)
        told = await other.until_type("projects")
        assert told["projects"] == [{"id": project, "name": "Garden"}]
        await move(guest, guest.chat, project)
        await other.until(lambda message: "chat.moved" in str(message.get("entries")))
        await change(guest, project, name="Roses")
        assert (await other.until_type("projects"))["projects"][0]["name"] == "Roses"
        await remove(guest, project)
        assert (await other.until_type("projects"))["projects"] == []
    project = await add(guest)
    async with Socket(guest) as later:
        welcome = await later.until_type("welcome")
        assert welcome["projects"] == [{"id": project, "name": "Garden"}]
    assert f'"projects": [{{"id": "{project}", "name": "Garden"}}]' in (
        (await guest.visit()).content.decode()
    )


async def test_strangers_are_told_nothing(guest, bob):
    await bob.send("Hello")
    async with Socket(bob) as stranger:
        await stranger.until_type("welcome")
        project = await add(guest)
        await change(guest, project, name="Roses")
        own = await add(bob, "Kitchen")
        told = await stranger.until_type("projects")
        assert told["projects"] == [{"id": own, "name": "Kitchen"}]


async def test_a_project_added_by_somebody_else_since_the_page_was_loaded_is_refused(guest, bob):
    await bob.send("Hello")
    body = {"id": str(uuid.uuid4()), "name": "Garden", "person": guest.user["id"]}
    assert code_of(await bob.post("/api/projects", **body)) == (409, "other_person")
    assert await names(bob) == []
