"""A project is deleted while its chats are written in: requests at the same moment, each with a
connection of its own, as in a web process."""

import asyncio
import uuid

import pytest
from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.db import connections

from chat.models import Chat, Project, Reply
from tests.chat.conftest import MODEL
from tests.chat.projects.project_requests import add, code_of, move, remove

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]

ROUNDS = 12
# The requests of a round begin this far apart, in another order in each round.
STEP_S = 0.002


@pytest.fixture
async def database(shared_database):
    """The thread of asynchronous code, too, uses the shared database: it may have a connection to
    the one in memory from an earlier test."""

    def renew():
        before, connections["default"] = (
            connections["default"],
            connections.create_connection("default"),
        )
        return before

    def put_back(before):
        connections["default"].close()
        connections["default"] = before

    before = await sync_to_async(renew)()
    yield
    await sync_to_async(put_back)(before)


@pytest.fixture
async def guest(database, no_worker, alice):
    await alice.send("Hello")
    return alice


async def alone(delay_s, request):
    """The response to a request that has a database connection of its own."""
    await asyncio.sleep(delay_s)
    async with ThreadSensitiveContext():
        try:
            return await request
        finally:
            await sync_to_async(connections.close_all)()


def message(text):
    return {"id": str(uuid.uuid4()), "text": text, "model": MODEL}


async def test_a_project_is_deleted_while_messages_are_sent_into_it(guest):
    for number in range(ROUNDS):
        project, inside, outside, begun = await add(guest), *(str(uuid.uuid4()) for _ in range(3))
        last = (await guest.send("In it", chat=inside, project=project))[1]
        await guest.send("Not yet in it", chat=outside)
        follow = {**message("More"), "parent": last}
        first = {**message("New"), "project": project}
        deleted, followed, started, *moves = await asyncio.gather(
            alone(number % 4 * STEP_S, remove(guest, project)),
            alone(number % 3 * STEP_S, guest.post(f"/api/chats/{inside}/messages", **follow)),
            alone(number % 2 * STEP_S, guest.post(f"/api/chats/{begun}/messages", **first)),
            alone(number % 5 * STEP_S, move(guest, outside, project)),
            alone(number % 3 * STEP_S, move(guest, inside, project)),
        )
        assert deleted.json() == {"left": 0}
        assert not await Project.objects.aexists()
        assert followed.status_code == 202
        # A chat begins before the deletion, or its message is refused and the page keeps it.
        if started.status_code != 202:
            assert code_of(started) == (404, "project_not_found")
        for moved in moves:
            assert moved.status_code == 200 or code_of(moved) == (404, "project_not_found")
        stored = {row.id: row async for row in Chat.objects.filter(id__in=[inside, outside, begun])}
        assert (uuid.UUID(begun) in stored) == (started.status_code == 202)
        for row in stored.values():
            assert (row.project_id, row.deleted_at) == (None, None)
        assert await Reply.objects.filter(prompt_id=follow["id"], chat=inside).aexists()
