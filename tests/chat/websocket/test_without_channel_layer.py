"""Messages of the channel layer may be lost, and no request may fail because of that: after an
outage, the log and the queue reconnect to Redis before the channel layer does."""

import uuid

import pytest
from asgiref.sync import sync_to_async

from accounts import sessions, sockets
from accounts.models import User
from chat.models import Chat, Draft, Reply
from chat.sending import stops

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def break_channel_layer(settings):
    """Call it to replace the channel layer by one whose Redis is unreachable."""
    layer = settings.CHANNEL_LAYERS["default"]
    config = {**layer["CONFIG"], "hosts": ["unix:///nowhere/redis.sock"]}
    return lambda: setattr(settings, "CHANNEL_LAYERS", {"default": {**layer, "CONFIG": config}})


async def test_requests_succeed_without_the_channel_layer(no_worker, alice, break_channel_layer):
    _, reply = await alice.send("Hello")
    break_channel_layer()
    chat = f"/api/chats/{alice.chat}"
    assert (await alice.post(f"{chat}/replies/{reply}/stop")).status_code == 202
    assert (await Reply.objects.aget(id=reply)).stop_requested_at is not None
    draft = {"chat": alice.chat, "text": "more", "age_ms": 0}
    put = await alice.client.put("/api/drafts", draft, content_type="application/json")
    assert put.status_code == 200
    assert await Draft.objects.filter(text="more").acount() == 1
    assert (await alice.client.delete(chat)).status_code == 204
    assert (await Chat.objects.aget(id=alice.chat)).deleted_at is not None


async def test_notifications_do_not_fail_without_the_channel_layer(
    no_worker, alice, break_channel_layer
):
    await alice.send("Hello")
    person = await User.objects.aget(id=uuid.UUID(alice.user["id"]))
    break_channel_layer()
    for notify in (sockets.recheck_sockets, sockets.notify_settings_changed, stops.stop_all_of):
        await sync_to_async(notify)(person)
    await sync_to_async(sockets.wake_workers)("join")
    await sync_to_async(sessions._send)("session.0", "session.ended")
