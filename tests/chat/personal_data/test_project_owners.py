"""Where projects go with their owner: into an account, into the archive, and away."""

import json

import pytest

from accounts.models import User
from chat.models import Chat, Project
from chat.personal_data.erase import erase_person
from chat.projects import personal_data
from tests.chat.personal_data.account_forms import account, prove, sign_in, sign_up
from tests.chat.personal_data.archives import fetched, only, prepared
from tests.chat.projects.project_requests import add, chats_in, move, names, row_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


@pytest.fixture
async def guest(worker, alice):
    _, reply = await alice.send("[[tokens=3]] Hello")
    await alice.settled(reply)
    return alice


async def test_a_guest_keeps_them_on_signing_up(guest, mailbox):
    project = await add(guest)
    await move(guest, guest.chat, project)
    await sign_up(guest, mailbox)
    assert not (await User.objects.aget()).is_guest
    assert (await names(guest), await chats_in(guest, project)) == (["Garden"], [guest.chat])


async def test_they_go_along_into_an_account_that_the_guest_joins(guest):
    owner = await account("alice@example.org")
    await Project.objects.acreate(id=owner.id, owner=owner, name="Attic", size_bytes=5)
    project = await add(guest)
    await move(guest, guest.chat, project)
    await sign_in(guest, "alice@example.org")
    await guest.client.get("/")
    assert await names(guest) == ["Attic", "Garden"]
    assert await chats_in(guest, project) == [guest.chat]


async def test_an_account_takes_a_bounded_number_of_them(guest, monkeypatch):
    monkeypatch.setattr(personal_data, "MAX_JOINED", 2)
    owner = await account("alice@example.org")
    await Project.objects.acreate(id=owner.id, owner=owner, name="Attic", size_bytes=5)
    older = await add(guest, "older")
    await move(guest, guest.chat, older)
    await add(guest, "newer")
    await sign_in(guest, "alice@example.org")
    await guest.client.get("/")
    assert await names(guest) == ["Attic", "newer"]
    assert "project" not in await row_of(guest, guest.chat)


async def test_the_archive_has_them(guest, mailbox):
    project = await add(guest, instructions="Answer as a gardener.")
    await move(guest, guest.chat, project)
    await sign_up(guest, mailbox)
    await prove(guest)
    await prepared(guest)
    _, archive = await fetched(guest)
    [row] = json.loads(only(archive, "projects.json"))
    assert (row["id"], row["name"]) == (project, "Garden")
    assert row["instructions"] == "Answer as a gardener." and row["created_at"]
    assert f'"project":"{project}"' in only(archive, ".ndjson")


async def test_they_are_erased_with_their_owner(guest):
    await move(guest, guest.chat, await add(guest))
    person = await guest.row()
    await erase_person(person)
    await personal_data.erase(person)
    assert not await Project.objects.aexists() and not await Chat.objects.aexists()
