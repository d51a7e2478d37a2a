"""How many statements the database executes for a page, and for a socket. Each costs about a
millisecond of CPU."""

import uuid

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from accounts.models import User
from chat.models import Draft, Project
from tests.chat.websocket.socket_client import Socket
from tests.statements import outboxes_empty, scans

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]

# Session with its person; preferences, guests that join and keys; chats; projects; drafts; balance.
PAGE = 6
# Session with its person, both again once the socket belongs to their groups, balance. Whoever has
# projects takes one more.
CONNECT = 3
FOLLOW = 1


@pytest.fixture(params=["guest", "account"])
async def person(request, no_worker, alice):
    """Somebody with a draft and two chats, one archived, whose answers are not written yet."""
    await alice.send("Hello")
    await alice.send("Hello again", chat="0198c5a0-0000-7000-8000-00000000000a")
    await alice.post("/api/chats/0198c5a0-0000-7000-8000-00000000000a/archive", archived=True)
    if request.param == "account":
        changed = {"is_guest": False, "email": "alice@example.org"}
        await User.objects.filter(id=alice.user["id"]).aupdate(**changed)
        await alice.client.aforce_login(await alice.row())
    await outboxes_empty()
    draft = {"chat_id": alice.chat, "text": "And", "written_at": timezone.now()}
    await Draft.objects.acreate(owner=await alice.row(), **draft)
    return alice


async def test_a_page_takes_few_statements(person, statements):
    archived = "0198c5a0-0000-7000-8000-00000000000a"
    for path in ("/", f"/c/{person.chat}", f"/c/{archived}"):
        statements.clear()
        assert (await person.client.get(path)).status_code == 200
        executed, _ = statements.take()
        assert 0 < len(executed) <= PAGE, executed
        assert not await sync_to_async(scans)(executed)


@pytest.mark.parametrize("projects", [0, 2])
async def test_a_socket_takes_few_statements(person, statements, projects):
    for number in range(projects):
        await Project.objects.acreate(
            id=uuid.uuid4(), owner=await person.row(), name=f"Project {number}", size_bytes=9
        )
    statements.clear()
    async with Socket(person) as socket:
        welcome = await socket.until_type("welcome")
        connect, _ = statements.take()
        await socket.follow(person.chat)
        follow, _ = statements.take()
    assert len(welcome["projects"]) == projects
    assert 0 < len(connect) <= CONNECT + bool(projects), connect
    assert 0 < len(follow) <= FOLLOW, follow
    assert not await sync_to_async(scans)([*connect, *follow])
