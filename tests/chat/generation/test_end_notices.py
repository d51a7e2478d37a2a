"""Web Push: who is told that an answer has ended, what the message says, and who is not told."""

import asyncio

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from accounts.models import Preferences, PushSubscription, User
from accounts.push.keys import public_key
from accounts.push.subscriptions import MAX_SUBSCRIPTIONS
from accounts.sessions import end_others, sessions_of
from chat.generation import end_notices
from chat.models import Chat
from tests.accounts.push_service import Browser, running_push_service, sender_of
from tests.chat.conftest import Person

pytestmark = pytest.mark.django_db(transaction=True)

CONTACT = "operator@example.org"


@pytest.fixture
def service(settings, monkeypatch):
    with running_push_service() as running:
        settings.PUSH_CONTACT = CONTACT
        settings.PUSH_SERVICES = [running.url]
        monkeypatch.setattr(end_notices, "READ_WITHIN_S", 0.3)
        yield running


async def subscribe(person, browser, **more):
    body = browser.subscription | more
    return await person.post(f"/api/push?person={person.user['id']}", **body)


async def subscribed(person, service):
    browser = Browser(service)
    response = await subscribe(person, browser)
    assert response.status_code == 204, response.content
    return browser


async def guest():
    person = Person()
    await person.visit()
    _, reply = await person.send("Hello")
    return person, reply


async def all_are_told(worker):
    while worker.jobs.held or worker.jobs.notice_tasks:
        await asyncio.sleep(0.01)


async def answered(person, worker, reply=None):
    if reply is None:
        tip = await Chat.objects.aget(id=person.chat)
        _, reply = await person.send("Go on", parent=str(tip.tip_id))
    await person.settled(reply)
    await all_are_told(worker)
    return reply


async def test_a_closed_browser_is_told_that_an_answer_has_ended(service, worker):
    person, reply = await guest()
    browser = await subscribed(person, service)
    await answered(person, worker, reply)
    [delivery] = service.deliveries
    chat = await Chat.objects.aget(id=person.chat)
    told = {"chat": person.chat, "title": chat.title, "body": "Answer complete."}
    assert browser.read(delivery) == told
    assert chat.title == "Hello"
    claims = sender_of(delivery, public_key())
    assert claims["sub"] == f"mailto:{CONTACT}"
    assert service.url.startswith(claims["aud"])
    assert delivery.headers["content-encoding"] == "aes128gcm"
    assert delivery.headers["topic"] == chat.id.hex
    assert int(delivery.headers["ttl"]) > 0
    assert b"Hello" not in delivery.body


async def test_nobody_is_told_of_what_was_read_by_then(service, worker):
    person, reply = await guest()
    await subscribed(person, service)
    await person.settled(reply)
    until = int(timezone.now().timestamp() * 1000) + 60_000
    await Chat.objects.filter(id=person.chat).aupdate(read_ms=until)
    await all_are_told(worker)
    assert service.deliveries == []


@pytest.mark.parametrize("why", ["setting", "temporary", "deleted", "off"])
async def test_who_does_not_want_it_is_not_told(service, worker, settings, why):
    person, reply = await guest()
    await subscribed(person, service)
    await answered(person, worker, reply)
    service.deliveries.clear()
    if why == "setting":
        owner = await person.row()
        await Preferences.objects.aupdate_or_create(
            person=owner, defaults={"answer_notifications": False}
        )
    elif why == "temporary":
        await Chat.objects.filter(id=person.chat).aupdate(is_temporary=True)
    elif why == "off":
        settings.PUSH_CONTACT = ""
    _, reply = await person.send("Go on", parent=reply)
    if why == "deleted":
        await person.settled(reply)
        await Chat.objects.filter(id=person.chat).aupdate(deleted_at=timezone.now())
        await all_are_told(worker)
    else:
        await answered(person, worker, reply)
    assert service.deliveries == []


async def test_a_stopped_answer_tells_nobody(service, worker, fake_model):
    person, reply = await guest()
    await subscribed(person, service)
    await answered(person, worker, reply)
    service.deliveries.clear()
    _, reply = await person.send("[[tokens=10000 rate=20]] Go on", parent=reply)
    await person.post(f"/api/chats/{person.chat}/replies/{reply}/stop")
    await answered(person, worker, reply)
    assert service.deliveries == []


@pytest.mark.parametrize(("status", "left"), [(404, 0), (410, 0), (403, 0), (429, 1), (500, 1)])
async def test_a_subscription_that_is_gone_is_removed(service, worker, status, left):
    person, reply = await guest()
    await subscribed(person, service)
    service.status = status
    await answered(person, worker, reply)
    assert len(service.deliveries) == 1
    assert await PushSubscription.objects.acount() == left


async def test_the_others_are_told_when_one_push_service_is_unreachable(service, worker, settings):
    person, reply = await guest()
    gone = "http://127.0.0.1:9"
    settings.PUSH_SERVICES = [service.url, gone]
    away = Browser(service)
    response = await subscribe(person, away, endpoint=gone + away.path)
    assert response.status_code == 204
    browser = await subscribed(person, service)
    await answered(person, worker, reply)
    assert len(service.to(browser)) == 1
    assert await PushSubscription.objects.acount() == 2


async def account(name="alice@example.org"):
    person = Person()
    row = await sync_to_async(User.objects.create_user)(name, "x")
    await person.client.aforce_login(row)
    person.user = {"id": str(row.id)}
    return person


async def test_a_session_that_has_ended_gets_nothing(service, worker):
    person, elsewhere = await account(), Person()
    await elsewhere.client.aforce_login(await person.row())
    elsewhere.user = person.user
    here, there = await subscribed(person, service), await subscribed(elsewhere, service)
    _, reply = await person.send("Hello")
    await answered(person, worker, reply)
    assert len(service.to(here)) == len(service.to(there)) == 1
    owner = await person.row()
    request = type("Request", (), {"session": await person.client.asession()})
    assert await sync_to_async(end_others)(request, owner) == 1
    assert len(await sync_to_async(sessions_of)(owner)) == 1
    _, reply = await person.send("Go on", parent=reply)
    await answered(person, worker, reply)
    assert (len(service.to(here)), len(service.to(there))) == (2, 1)
    assert await PushSubscription.objects.acount() == 1


@pytest.mark.both_databases
async def test_a_browser_belongs_to_who_subscribed_it_last(service, worker):
    alice, bob = await account(), await account("bob@example.org")
    browser = await subscribed(alice, service)
    await subscribe(bob, browser)
    row = await PushSubscription.objects.aget()
    assert str(row.owner_id) == bob.user["id"]
    path = f"/api/push?person={alice.user['id']}"
    endpoint = {"endpoint": browser.subscription["endpoint"]}
    sent = {"data": endpoint, "content_type": "application/json"}
    assert (await alice.client.delete(path, **sent)).status_code == 204
    assert await PushSubscription.objects.acount() == 1
    assert (
        await bob.client.delete(path.replace(alice.user["id"], bob.user["id"]), **sent)
    ).status_code == 204
    assert await PushSubscription.objects.acount() == 0


@pytest.mark.both_databases
async def test_a_person_has_so_many_browsers_at_most(service, no_worker):
    person = await account()
    browsers = [await subscribed(person, service) for _ in range(MAX_SUBSCRIPTIONS + 2)]
    kept = {row.endpoint async for row in PushSubscription.objects.all()}
    assert kept == {each.subscription["endpoint"] for each in browsers[2:]}


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://example.org/send/1",
        "http://127.0.0.1:1/send/1",
        "https://fcm.googleapis.com.example.org/1",
        "https://fcm.googleapis.com@example.org/1",
        "https://a:b@fcm.googleapis.com/1",
        "https://fcm.googleapis.com:8443/1",
        "http://fcm.googleapis.com/1",
        "https://evilpush.apple.com.example/1",
        "https://evilpush.apple.com/1",
        "https://push.apple.com/1",
        "https://web.push.apple.com/1#x",
        "https://web.push.apple.com:444/1",
        "https://[::1]/1",
        "https://web.push.apple.com/" + "x" * 1_000,
        "file:///etc/passwd",
        "//fcm.googleapis.com/1",
        "",
        None,
        7,
    ],
)
async def test_only_known_push_services_are_taken(service, no_worker, settings, endpoint):
    settings.PUSH_SERVICES = ["https://fcm.googleapis.com", "https://*.push.apple.com"]
    person, browser = await account(), Browser(service)
    response = await subscribe(person, browser, endpoint=endpoint)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "push_refused"
    response = await subscribe(person, browser, endpoint="https://web.push.apple.com/1?token=2")
    assert response.status_code == 204


@pytest.mark.parametrize(
    "keys",
    [
        None,
        [],
        {},
        {"p256dh": "AAAA", "auth": "AAAA"},
        {"p256dh": "B" + "A" * 86, "auth": "A" * 22},  # not a point of the curve
        {"p256dh": "é" * 87, "auth": "A" * 22},
        {"p256dh": 1, "auth": 2},
    ],
)
async def test_keys_that_cannot_be_are_refused(service, no_worker, keys):
    person, browser = await account(), Browser(service)
    response = await subscribe(person, browser, keys=keys)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "push_refused")


async def test_it_is_off_unless_configured(service, no_worker, settings):
    settings.PUSH_CONTACT = ""
    person = await account()
    response = await subscribe(person, Browser(service))
    assert (response.status_code, response.json()["error"]["code"]) == (400, "push_off")
    assert '"push":null' in (await person.visit()).content.decode().replace(" ", "")


async def test_another_person_is_refused(service, no_worker):
    alice, bob = await account(), await account("bob@example.org")
    response = await bob.post(
        f"/api/push?person={alice.user['id']}", **Browser(service).subscription
    )
    assert response.status_code == 409
    assert (await Person().post("/api/push", **Browser(service).subscription)).status_code == 401
