"""How many statements the database executes for a page, and for a socket. Each costs about a
millisecond of CPU."""

import re

import pytest
from django.db.backends.utils import CursorWrapper

from accounts.models import User
from tests.chat.websocket.socket_client import Socket

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]

# Session, person, their preferences (with guests that join and keys), chats, drafts.
PAGE = 5
# Session, person, the person again once the socket belongs to their group.
CONNECT = 3
FOLLOW = 1


@pytest.fixture
def statements(monkeypatch):
    """The statements that any thread executes, in their order, without those about money."""
    seen = []
    execute = CursorWrapper._execute

    def note(self, sql, params, *ignored):
        if '"billing_' not in sql:
            seen.append(re.sub(r"\s+", " ", str(sql))[:200])
        return execute(self, sql, params, *ignored)

    monkeypatch.setattr(CursorWrapper, "_execute", note)
    return seen


@pytest.fixture(params=["guest", "account"])
async def person(request, no_worker, alice):
    """Somebody with two chats, one of them archived, whose answers are not written yet."""
    await alice.send("Hello")
    await alice.send("Hello again", chat="0198c5a0-0000-7000-8000-00000000000a")
    await alice.post("/api/chats/0198c5a0-0000-7000-8000-00000000000a/archive", archived=True)
    if request.param == "account":
        changed = {"is_guest": False, "email": "alice@example.org"}
        await User.objects.filter(id=alice.user["id"]).aupdate(**changed)
    return alice


async def test_a_page_takes_few_statements(person, statements):
    archived = "0198c5a0-0000-7000-8000-00000000000a"
    for path in ("/", f"/c/{person.chat}", f"/c/{archived}"):
        statements.clear()
        assert (await person.client.get(path)).status_code == 200
        assert 0 < len(statements) <= PAGE, statements


async def test_a_socket_takes_few_statements(no_worker, alice, statements):
    await alice.send("Hello")
    statements.clear()
    async with Socket(alice) as socket:
        await socket.until_type("welcome")
        assert 0 < len(statements) <= CONNECT, statements
        statements.clear()
        await socket.follow(alice.chat)
        assert 0 < len(statements) <= FOLLOW, statements
