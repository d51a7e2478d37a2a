"""The list of sessions, ending them, and the sockets that end with them."""

import re

import pytest
from allauth.usersessions.models import UserSession
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.test import Client
from django.urls import reverse

from accounts.devices import device_name
from config.asgi import application
from streams.log import close_log
from tests.accounts.people import PASSWORD, Visitor

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
)
SESSIONS = "/settings/sessions"


@pytest.fixture
def two(visitor):
    """One person, signed in with two browsers."""
    visitor.client = Client(headers={"user-agent": FIREFOX})
    visitor.sign_up()
    visitor.confirm()
    other = Visitor(Client(headers={"user-agent": IPHONE}), visitor.mailbox)
    other.sign_in()
    return visitor, other


def is_in(visitor):
    return visitor.client.get("/settings").status_code == 200


def test_the_list_says_which_device_and_which_is_this_one(two):
    html = two[0].client.get(SESSIONS).content.decode()
    assert "Firefox on Linux" in html and "Safari on iPhone" in html
    assert html.count("This one") == 1
    assert re.search(r"Firefox on Linux\s*<span class=\"badge\">This one", html)


def test_one_session_is_ended(two):
    first, other = two
    [row] = UserSession.objects.filter(user_agent=IPHONE)
    first.post(SESSIONS, session=row.pk)
    assert is_in(first) and not is_in(other)
    kinds = first.client.get("/settings/activity").content.decode()
    assert "Session ended" in kinds and "Safari on iPhone" in kinds


def test_all_others_are_ended(two):
    first, other = two
    third = Visitor(Client(), first.mailbox)
    third.sign_in()
    first.post(SESSIONS, others="1")
    assert is_in(first) and not is_in(other) and not is_in(third)


def test_nobody_ends_a_strangers_session(two):
    first, _ = two
    bob = Visitor(Client(), first.mailbox, "bob@example.org")
    bob.sign_up()
    bob.confirm()
    for row in UserSession.objects.exclude(user__email="bob@example.org"):
        assert bob.post(SESSIONS, session=row.pk).status_code == 404
    for nonsense in ("x", "", "-1", "9" * 40, "²"):
        assert bob.post(SESSIONS, session=nonsense).status_code == 404
    assert is_in(first)


def test_changing_the_password_ends_the_other_sessions(two):
    first, other = two
    fresh = "another-Long-passphrase-7"
    response = first.client.post(
        reverse("account_change_password"),
        {"oldpassword": PASSWORD, "password1": fresh, "password2": fresh},
    )
    assert response.status_code == 302, response.content.decode()
    assert is_in(first) and not is_in(other)
    assert UserSession.objects.count() == 1
    html = first.client.get(SESSIONS).content.decode()
    assert html.count("This one") == 1


def test_guests_and_visitors_have_no_sessions_page(visitor):
    response = visitor.client.get(SESSIONS)
    assert response.status_code == 302 and response["Location"].startswith("/account/login/")


@pytest.mark.parametrize("how", ["revoke", "others", "sign out", "password", "reset"])
async def test_the_sockets_of_an_ended_session_close_within_a_second(two, how):
    first, other = two
    ended, stays = await _socket(other), await _socket(first)
    if how == "revoke":
        row = await UserSession.objects.aget(user_agent=IPHONE)
        await sync_to_async(first.post)(SESSIONS, session=row.pk)
    elif how == "others":
        await sync_to_async(first.post)(SESSIONS, others="1")
    elif how == "sign out":
        await sync_to_async(other.post)("/account/logout/")
    elif how == "password":
        fields = {"password1": "another-Long-7-phrase", "password2": "another-Long-7-phrase"}
        await sync_to_async(first.post)(
            reverse("account_change_password"), oldpassword=PASSWORD, **fields
        )
    else:
        await sync_to_async(_reset)(first)
    assert await _close_code(ended) == 4401
    if how == "reset":
        assert await _close_code(stays) == 4401
    else:
        assert await stays.receive_nothing(0.5)
    await stays.disconnect()
    await close_log()


async def test_a_socket_opened_with_an_ended_session_is_refused(two):
    first, other = two
    cookie = other.client.cookies["sessionid"].value
    await sync_to_async(first.post)(SESSIONS, others="1")
    wire = _wire(cookie)
    await wire.connect(timeout=5)
    assert await _close_code(wire) == 4401


async def test_a_socket_that_missed_the_message_closes_with_its_heartbeat(two, monkeypatch):
    from accounts import sessions
    from chat.websocket import consumer as consumers

    first, other = two
    monkeypatch.setattr(consumers, "HEARTBEAT_MS", 200)
    wire = await _socket(other)
    monkeypatch.setattr(sessions, "_send", lambda *_: None)
    await sync_to_async(first.post)(SESSIONS, others="1")
    assert await _close_code(wire, 3) == 4401
    await close_log()


def _reset(visitor):
    from tests.accounts.mailbox import text_of

    stranger = Client()
    stranger.post("/account/password/reset/", {"email": visitor.email})
    mail = visitor.mailbox.to(visitor.email)
    while "/password/reset/key/" not in text_of(mail):
        mail = visitor.mailbox.to(visitor.email)
    [link] = re.findall(r"http://testserver(/account/password/reset/key/\S+)", text_of(mail))
    page = stranger.get(link, follow=True)
    fresh = "another-Long-passphrase-7"
    stranger.post(page.request["PATH_INFO"], {"password1": fresh, "password2": fresh})


def _wire(cookie):
    headers = [
        (b"host", b"localhost"),
        (b"origin", b"http://localhost"),
        (b"cookie", f"sessionid={cookie}".encode()),
    ]
    return WebsocketCommunicator(application, "/ws", headers)


async def _socket(visitor):
    wire = _wire(visitor.client.cookies["sessionid"].value)
    await wire.connect(timeout=5)
    assert (await wire.receive_json_from(5))["type"] == "welcome"
    return wire


async def _close_code(wire, timeout=10):  # less than the heartbeat, which would also detect it
    while True:
        message = await wire.receive_output(timeout)
        if message["type"] == "websocket.close":
            await wire.disconnect()
            return message["code"]


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (FIREFOX, "Firefox on Linux"),
        (IPHONE, "Safari on iPhone"),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/128.0.0.0 Safari/537.36 Edg/128.0.0.0",
            "Edge on Windows",
        ),
        (
            "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/128.0.0.0 Mobile Safari/537.36",
            "Chrome on Android",
        ),
        ("curl/8.5", "curl"),
        ("", "An unknown device"),
    ],
)
def test_devices_have_names(user_agent, name):
    assert device_name(user_agent) == name
