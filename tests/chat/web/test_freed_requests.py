"""What requests and answers leave in memory. Reference cycles would wait for the garbage collector,
whose collections of many ended requests hold the event loop."""

import asyncio
import gc
import json
import uuid
from tempfile import SpooledTemporaryFile

import pytest
from asgiref.testing import ApplicationCommunicator

from accounts.session_store import SessionStore
from chat.generation.generation import Generation
from chat.llm.http.response_parser import ResponseParser
from chat.models import Reply
from config.asgi import django_application
from tests.chat.conftest import MODEL

pytestmark = pytest.mark.both_databases


@pytest.fixture
def no_collections():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def alive(*kinds):
    # Not isinstance, which evaluates lazy objects.
    return [type(one).__name__ for one in gc.get_objects() if issubclass(type(one), kinds)]


async def request(person, method, path, body=None):
    """Sends a request as daphne does, which reports a disconnect after each response."""
    cookies = {name: morsel.value for name, morsel in person.client.cookies.items()}
    headers = {
        "host": "testserver",
        "origin": "http://testserver",
        "content-type": "application/json",
        "cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()),
        "x-csrftoken": next(value for name, value in cookies.items() if "csrftoken" in name),
    }
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ["127.0.0.1", 9],
    }
    handler = ApplicationCommunicator(django_application, scope)
    await handler.send_input({"type": "http.request", "body": json.dumps(body).encode()})
    started = await handler.receive_output(timeout=20)
    while (await handler.receive_output(timeout=20)).get("more_body"):
        pass
    await handler.send_input({"type": "http.disconnect"})
    await handler.wait(timeout=20)
    return started["status"]


@pytest.mark.parametrize("path", ["/api/chats", "/api/search?q=x", "/c/{chat}", "/nowhere"])
async def test_nothing_of_a_request_waits_for_the_garbage_collector(alice, no_collections, path):
    await alice.send("Hello")
    await request(alice, "GET", "/api/chats")
    before = alive(SpooledTemporaryFile, SessionStore)
    for _ in range(3):
        assert await request(alice, "GET", path.format(chat=alice.chat)) < 500
    assert alive(SpooledTemporaryFile, SessionStore) == before


async def test_nothing_of_a_send_waits_for_the_garbage_collector(alice, no_collections):
    await alice.send("Hello")
    before = alive(SpooledTemporaryFile, SessionStore, Reply)
    for _ in range(3):
        body = {"id": str(uuid.uuid4()), "text": "Hello", "model": MODEL, "parent": None}
        assert await request(alice, "POST", f"/api/chats/{uuid.uuid4()}/messages", body) == 202
    assert alive(SpooledTemporaryFile, SessionStore, Reply) == before


async def test_nothing_of_an_answer_waits_for_the_garbage_collector(alice, worker, no_collections):
    for _ in range(3):
        _, reply = await alice.send("[[tokens=5]] Hello", chat=str(uuid.uuid4()))
        async with asyncio.timeout(20):
            while (await Reply.objects.aget(id=reply)).state != "done":
                await asyncio.sleep(0.02)
    async with asyncio.timeout(10):  # The worker settles the last answer.
        while left := alive(Generation, ResponseParser):
            await asyncio.sleep(0.02)
    assert left == []
