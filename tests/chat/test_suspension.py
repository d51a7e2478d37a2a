"""Suspending a person ends their sockets, sessions and answers, and no others."""

from http import HTTPStatus

import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient

from accounts.models import SecurityEvent, User
from accounts.suspension import restore, suspend
from tests.chat.page_requests import post_message
from tests.chat.websocket.socket_client import Socket

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def operator(holdfast):
    return await sync_to_async(User.objects.create_superuser)("op@example.org", "x")


async def suspended(person, operator):
    user = await person.row()
    assert await sync_to_async(suspend)(user, operator, "Spam")
    return user


async def test_their_sockets_close_within_a_second_and_say_why(no_worker, alice, bob, operator):
    await alice.send("Hello")
    await bob.send("Hello")
    async with Socket(alice) as one, Socket(alice) as two, Socket(bob) as other:
        for socket in (one, two, other):
            await socket.until_type("welcome")
        await suspended(alice, operator)
        for socket in (one, two):
            said = await socket.until_type("error")
            assert said["code"] == "suspended" and "suspended" in said["message"]
            assert await socket.until_closed() == 4410
        await other.say(type="ping")
        await other.until_type("pong")
    async with Socket(alice) as again:
        assert await again.until_closed() == 4401


async def test_what_is_being_answered_is_stopped_and_kept(worker, alice, operator):
    _, reply = await alice.send("[[tokens=500&rate=100]] Long")
    await alice.until(reply, lambda message: len(str(message.text)) > 40)
    await suspended(alice, operator)
    message = await alice.settled(reply)
    assert message.status == "stopped"
    assert 0 < len(str(message.text)) < 2_000


async def test_they_can_do_nothing_and_their_guest_cannot_come_back(no_worker, alice, operator):
    await alice.send("Hello")
    user = await suspended(alice, operator)
    assert (await alice.client.get("/api/chats")).status_code == HTTPStatus.UNAUTHORIZED
    refused = await post_message(alice)
    assert refused.status_code == HTTPStatus.FORBIDDEN
    assert refused.json()["error"]["code"] == "suspended"
    assert await User.objects.filter(is_guest=True).acount() == 1
    assert not await sync_to_async(suspend)(user, operator, "again")

    assert await sync_to_async(restore)(user, operator, "A mistake")
    assert (await post_message(alice)).status_code == HTTPStatus.ACCEPTED
    kinds = [event.kind async for event in SecurityEvent.objects.order_by("id")]
    assert kinds == ["suspended", "restored"]


async def test_a_session_from_before_stays_ended_after_they_are_restored(no_worker, operator):
    user = await sync_to_async(User.objects.create_user)("bob@example.org", "x")
    client = AsyncClient()
    await client.aforce_login(user)
    assert (await client.get("/api/chats")).status_code == HTTPStatus.OK
    await sync_to_async(suspend)(user, operator, "Spam")
    await sync_to_async(restore)(user, operator, "A mistake")
    assert (await client.get("/api/chats")).status_code == HTTPStatus.UNAUTHORIZED


async def test_a_word_that_was_lost_is_made_up_for_with_the_heartbeat(
    no_worker, alice, operator, monkeypatch
):
    monkeypatch.setattr("chat.websocket.consumer.HEARTBEAT_MS", 200)
    monkeypatch.setattr("accounts.sockets.group_of", lambda _: "nobody-listens")
    await alice.send("Hello")
    async with Socket(alice) as socket:
        await socket.until_type("welcome")
        await suspended(alice, operator)
        assert await socket.until_closed() == 4410
