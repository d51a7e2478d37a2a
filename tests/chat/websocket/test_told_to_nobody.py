"""What is told by the channel layer may be lost, and nobody's request fails of it: Redis is there
for the log and the queue again before the connections of the channel layer are whole."""

import uuid

import pytest
from asgiref.sync import sync_to_async

from accounts import sessions, sockets
from accounts.models import User
from chat.models import Chat, Draft, Reply
from chat.sending import stops

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def nobody_is_told(settings):
    """A channel layer whose Redis is away."""
    layer = settings.CHANNEL_LAYERS["default"]
    away = {**layer["CONFIG"], "hosts": ["unix:///nowhere/redis.sock"]}
    return lambda: setattr(settings, "CHANNEL_LAYERS", {"default": {**layer, "CONFIG": away}})


async def test_what_was_asked_for_is_done(no_worker, alice, nobody_is_told):
    _, reply = await alice.send("Hello")
    nobody_is_told()
    chat = f"/api/chats/{alice.chat}"
    assert (await alice.post(f"{chat}/replies/{reply}/stop")).status_code == 202
    assert (await Reply.objects.aget(id=reply)).stop_requested_at is not None
    draft = {"chat": alice.chat, "text": "more", "age_ms": 0}
    put = await alice.client.put("/api/drafts", draft, content_type="application/json")
    assert put.status_code == 200
    assert await Draft.objects.filter(text="more").acount() == 1
    assert (await alice.client.delete(chat)).status_code == 204
    assert (await Chat.objects.aget(id=alice.chat)).deleted_at is not None


async def test_whoever_ends_sessions_or_wakes_workers_goes_on(no_worker, alice, nobody_is_told):
    await alice.send("Hello")
    person = await User.objects.aget(id=uuid.UUID(alice.user["id"]))
    nobody_is_told()
    for telling in (sockets.recheck_sockets, sockets.notify_settings_changed, stops.stop_all_of):
        await sync_to_async(telling)(person)
    for waking in (stops.wake_for_join, stops.wake_for_keys):
        await sync_to_async(waking)()
    await sync_to_async(sessions._send)("session.0", "session.ended")
