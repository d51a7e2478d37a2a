"""Limits as a client meets them, over HTTP and over the WebSocket."""

import json
import uuid
from http import HTTPStatus

import pytest

from accounts.models import User
from chat.models import Reply
from tests.chat.conftest import MODEL, Person
from tests.chat.page_requests import new_message, post_message
from tests.chat.websocket.socket_client import Socket

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


async def test_a_guest_who_sends_too_often_gets_a_retry_time(no_worker, alice, bob, settings):
    settings.LIMIT_SENDS_PER_MINUTE_GUEST = 2
    first = new_message()
    # The first send creates the guest, and is counted for the address only.
    for body in (first, new_message(), new_message()):
        assert (await post_message(alice, body)).status_code == HTTPStatus.ACCEPTED
    stored = await Reply.objects.acount()
    refused = await post_message(alice)
    assert refused.status_code == HTTPStatus.TOO_MANY_REQUESTS
    assert 0 < int(refused["Retry-After"]) <= 60
    error = refused.json()["error"]
    assert error["code"] == "too_many_requests"
    assert error["message"].startswith("That was too often. Try again in ")
    assert await Reply.objects.acount() == stored
    # A stored send may be repeated; otherwise the client would consider it lost.
    assert (await post_message(alice, first)).status_code == HTTPStatus.ACCEPTED
    assert (await post_message(bob)).status_code == HTTPStatus.ACCEPTED


async def test_regenerating_and_continuing_count_as_sends(no_worker, alice, settings):
    sent, reply = await alice.send("Hello")
    settings.LIMIT_SENDS_PER_MINUTE_GUEST = 1
    path = f"/api/chats/{alice.chat}/replies"
    again = {"id": str(uuid.uuid4()), "parent": sent, "model": MODEL}
    assert (await alice.post(path, **again)).status_code == HTTPStatus.ACCEPTED
    assert (await alice.post(path, **again)).status_code == HTTPStatus.ACCEPTED
    again["id"] = str(uuid.uuid4())
    assert (await alice.post(path, **again)).status_code == HTTPStatus.TOO_MANY_REQUESTS
    refused = await alice.post(f"{path}/{reply}/attempts")
    assert refused.status_code == HTTPStatus.TOO_MANY_REQUESTS


async def test_new_guests_are_limited_by_address(no_worker, settings):
    settings.LIMIT_GUESTS_PER_HOUR_ADDRESS = 2
    statuses = []
    for _ in range(3):
        person = Person()
        await person.visit()
        statuses.append((await post_message(person)).status_code)
    assert statuses == [202, 202, 429]
    assert await User.objects.acount() == 2


async def test_sends_are_limited_by_address(no_worker, alice, bob, settings):
    settings.LIMIT_SENDS_PER_MINUTE_ADDRESS = 2
    assert [(await post_message(person)).status_code for person in (alice, bob, alice)] == [
        202,
        202,
        429,
    ]


async def test_sockets_are_limited_by_person_with_the_same_error(no_worker, alice, settings):
    await alice.send("Hello")
    settings.LIMIT_SOCKETS_PER_MINUTE_USER = 1
    async with Socket(alice) as socket:
        await socket.until_type("welcome")
    async with Socket(alice) as socket:
        said = json.loads((await socket.wire.receive_output(5))["text"])
        assert said["type"] == "error" and said["code"] == "too_many_requests"
        assert 0 < said["retry_after_s"] <= 60
        assert await socket.until_closed() == 4429


async def test_sockets_are_limited_by_address(no_worker, alice, bob, settings):
    await alice.send("Hello")
    await bob.send("Hello")
    settings.LIMIT_SOCKETS_PER_MINUTE_ADDRESS = 1
    async with Socket(alice) as socket:
        await socket.until_type("welcome")
    async with Socket(bob) as socket:
        assert await socket.until_closed() == 4429


async def test_changes_are_limited_but_not_reads(alice, no_worker, settings):
    await alice.visit()
    await alice.send("Hello")
    settings.LIMIT_CHANGES_PER_MINUTE_USER = 2
    chat = f"/api/chats/{alice.chat}"
    tries = [
        await alice.client.put(f"{chat}/pin"),
        await alice.client.patch(chat, {"title": "Mine"}, content_type="application/json"),
        await alice.client.delete(f"{chat}/archive"),
        await alice.client.patch(
            "/api/settings", {"name": "Alice"}, content_type="application/json"
        ),
    ]
    assert [answer.status_code for answer in tries] == [200, 200, 429, 429]
    for refused in tries[2:]:
        assert refused.json()["error"]["code"] == "too_many_requests"
        assert int(refused["Retry-After"]) > 0
    assert (await alice.client.get(chat)).status_code == 200
