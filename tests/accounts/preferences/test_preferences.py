"""Settings: validation, storage, their effects on pages, and notifying devices."""

import contextlib
import re
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from zoneinfo import ZoneInfo

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone, translation

from accounts.guests import upgrade as guest_accounts
from accounts.models import Preferences, SecurityEvent, User
from accounts.people import initials
from accounts.preferences import store as preferences
from config.asgi import application
from streams.log import close_log

pytestmark = pytest.mark.django_db(transaction=True)

API = "/api/settings"
BY_DEFAULT = {
    "name": "",
    "picture": None,
    "appearance": "system",
    "language": "",
    "time_zone": "",
    "send_key": "enter",
    "default_model": "",
    "instructions": "",
    "background_calls": True,
    "answer_notifications": True,
    "pinned_models": [],
}
OTHERS = {
    "name": "Ada Lovelace",
    "appearance": "dark",
    "language": "en",
    "time_zone": "Asia/Kathmandu",
    "send_key": "ctrl_enter",
    "default_model": "openai/some/model",
    "instructions": "Answer in verse.\nBriefly.",
    "background_calls": False,
    "answer_notifications": False,
    "pinned_models": ["openai/b", "openrouter/some/a"],
}


@pytest.fixture(autouse=True)
def _redis(redis_url):
    pass


def patch(client, **fields):
    return client.patch(API, fields, content_type="application/json")


def settings_of(client):
    return client.get(API).json()["settings"]


# The API


def test_without_a_row_everything_is_as_by_default(signed_in):
    assert settings_of(signed_in) == BY_DEFAULT
    signed_in.get("/settings")
    assert not Preferences.objects.exists()


@pytest.mark.parametrize("name", OTHERS)
def test_each_setting_is_set_alone(signed_in, name):
    answer = patch(signed_in, **{name: OTHERS[name]})
    assert answer.status_code == HTTPStatus.OK
    assert answer.json()["settings"] == BY_DEFAULT | {name: OTHERS[name]}
    assert settings_of(signed_in) == BY_DEFAULT | {name: OTHERS[name]}


def test_all_at_once_and_again_and_back(signed_in, alice):
    for _ in range(2):
        assert patch(signed_in, **OTHERS).json()["settings"] == BY_DEFAULT | OTHERS
    back = {name: BY_DEFAULT[name] for name in OTHERS}
    assert patch(signed_in, **back).json()["settings"] == BY_DEFAULT
    assert patch(signed_in).json()["settings"] == BY_DEFAULT  # No setting is named.


def test_a_model_is_pinned_once_and_the_order_stays(signed_in):
    patch(signed_in, pinned_models=["a/2", "a/1", "a/2"])
    assert settings_of(signed_in)["pinned_models"] == ["a/2", "a/1"]


def test_a_guest_has_settings_and_a_visitor_leaves_nothing(guest, client):
    assert patch(client, name="x").status_code == HTTPStatus.UNAUTHORIZED
    assert client.get(API).status_code == HTTPStatus.UNAUTHORIZED
    assert client.get("/settings").status_code == HTTPStatus.FOUND
    assert not Preferences.objects.exists()
    client.force_login(guest)
    assert patch(client, appearance="dark").status_code == HTTPStatus.OK
    assert "Sign up" in client.get("/settings").content.decode()


REFUSED = [
    ("name", 7),
    ("name", None),
    ("name", "x" * 121),
    ("name", "a\x07b"),
    ("name", "a\x00b"),
    ("appearance", "pink"),
    ("appearance", None),
    ("language", "tlh"),
    ("time_zone", "Mars/Olympus"),
    ("time_zone", "../../etc/passwd"),
    ("time_zone", 3),
    ("send_key", "space"),
    ("default_model", "m" * 201),
    ("default_model", []),
    ("instructions", "x" * 4_001),
    ("instructions", "nul\x00"),
    ("background_calls", "yes"),
    ("background_calls", 1),
    ("answer_notifications", "granted"),
    ("pinned_models", "openai/b"),
    ("pinned_models", ["openai/b", 7]),
    ("pinned_models", ["openai/b", " "]),
    ("pinned_models", ["openai/b\nopenai/c"]),
    ("pinned_models", ["openai/b\x00"]),
    ("pinned_models", ["m" * 201]),
    ("pinned_models", [f"openai/{n}" for n in range(31)]),
    ("picture", "x"),
    ("is_staff", True),
    ("email", "eve@example.org"),
    ("person", "x"),
]


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_a_wrong_value_is_refused_by_name_and_nothing_is_set(signed_in, name, value):
    answer = patch(signed_in, **{"send_key": "ctrl_enter", name: value})
    assert answer.status_code == HTTPStatus.BAD_REQUEST
    error = answer.json()["error"]
    assert error["code"] == "bad_request"
    assert error["message"].startswith(f"“{name}”") and error["fields"][name].endswith(".")
    assert settings_of(signed_in) == BY_DEFAULT


@pytest.mark.parametrize("body", ["[]", "{", '"x"', "null", "x" * 70_000, '{"name":"\\ud800"}'])
def test_a_wrong_body_is_refused(signed_in, body):
    answer = signed_in.patch(API, body, content_type="application/json")
    assert answer.status_code == HTTPStatus.BAD_REQUEST
    assert answer.json()["error"]["message"].endswith(".")
    assert signed_in.patch(API, "name=x", content_type="text/plain").status_code == 400


def test_the_longest_there_may_be_is_taken(signed_in):
    longest = {"name": "é" * 120, "instructions": "\u6f22" * 4_000, "default_model": "m" * 200}
    assert patch(signed_in, **longest).json()["settings"] == BY_DEFAULT | longest


def test_texts_are_tidied(signed_in):
    sent = {"name": "  Ada \u00a0 Lovelace ", "instructions": " a\r\nb\rc \n"}
    said = patch(signed_in, **sent).json()["settings"]
    assert (said["name"], said["instructions"]) == ("Ada Lovelace", "a\nb\nc")


def test_two_at_once_keep_both(signed_in, alice):
    def set_one(pair):
        try:
            while True:
                # SQLite in memory fails at once; a file would wait for the lock.
                with contextlib.suppress(OperationalError):
                    return preferences.change(alice, dict([pair]))
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(set_one, OTHERS.items()))
    assert settings_of(signed_in) == BY_DEFAULT | OTHERS


# The page, without JavaScript


def test_every_panel_is_a_form_that_works_alone(signed_in):
    panels = {
        "profile": {"name": "Ada Lovelace"},
        "look": {"appearance": "dark", "time_zone": "Asia/Kathmandu"},
        "chat": {
            "send_key": "ctrl_enter",
            "default_model": "openai/some/model",
            "instructions": "Answer in verse.\r\nBriefly.",
        },
    }
    for panel, fields in panels.items():
        page = signed_in.post("/settings", {"panel": panel} | fields, follow=True)
        assert page.status_code == HTTPStatus.OK and "Saved." in page.content.decode()
    # The checkboxes were not ticked. Models are pinned in the chat.
    not_there = {"language": "", "pinned_models": []}
    assert settings_of(signed_in) == BY_DEFAULT | OTHERS | not_there
    html = signed_in.get("/settings").content.decode()
    assert 'value="Ada Lovelace"' in html and "Answer in verse.\nBriefly.</textarea>" in html
    assert re.search(r'value="Asia/Kathmandu" selected', html)
    assert "openai/some/model (not available now)" in html


def test_what_was_written_is_kept_when_it_is_refused(signed_in):
    text = "<b>long</b> " * 400
    page = signed_in.post(
        "/settings", {"panel": "chat", "send_key": "ctrl_enter", "instructions": text}
    )
    assert page.status_code == HTTPStatus.BAD_REQUEST
    html = page.content.decode()
    assert "&lt;b&gt;long&lt;/b&gt; " * 400 in html and "at most 4,000 characters" in html
    assert settings_of(signed_in) == BY_DEFAULT


def test_a_language_is_only_asked_for_when_there_are_several(signed_in, settings):
    assert 'name="language"' not in signed_in.get("/settings").content.decode()
    settings.LANGUAGES = [("en", "English"), ("de", "Deutsch")]
    assert 'name="language"' in signed_in.get("/settings").content.decode()


# Effects on pages


def test_the_first_paint_has_the_right_look(signed_in):
    assert "data-theme" not in signed_in.get("/").content.decode()
    for look in ("dark", "light"):
        patch(signed_in, appearance=look)
        for path in ("/", "/settings", "/settings/sessions", "/account/email/", "/nowhere"):
            assert (
                f'<html lang="en" dir="ltr" data-theme="{look}">'
                in signed_in.get(path).content.decode()
            )
    assert "data-theme" not in Client().get("/").content.decode()
    patch(signed_in, appearance="system")
    assert "data-theme" not in signed_in.get("/").content.decode()


def test_a_guest_keeps_their_look_on_the_way_in(guest, client):
    client.force_login(guest)
    patch(client, appearance="dark")
    assert 'data-theme="dark"' in client.get("/account/login/").content.decode()


def test_each_place_is_offered_once_and_a_chosen_alias_stays(signed_in):
    def zones():
        page = signed_in.get("/settings").content.decode()
        return re.findall(r'<option value="([A-Z][\w/+-]+)"', page)

    offered = zones()
    assert {"Asia/Kolkata", "Europe/Kyiv", "Europe/Oslo", "UTC"} <= set(offered)
    assert not {"Asia/Calcutta", "Europe/Kiev", "America/Buenos_Aires"} & set(offered)
    assert len(offered) == len(set(offered))
    patch(signed_in, time_zone="Asia/Calcutta")
    assert "Asia/Calcutta" in zones()


def test_times_are_in_the_chosen_zone_or_the_devices(signed_in, alice):
    SecurityEvent.objects.filter(person=alice)
    SecurityEvent.objects.create(person=alice, kind=SecurityEvent.Kind.SIGNED_IN)
    at = SecurityEvent.objects.filter(person=alice).latest("at").at

    def is_shown_in(zone):
        page = signed_in.get("/settings/activity").content.decode()
        time = at.astimezone(ZoneInfo(zone)).strftime("%d %B %Y, %H:%M").lstrip("0")
        return f"Times are in {zone}." in page and f">{time}</time>" in page

    assert is_shown_in("UTC")
    signed_in.cookies["hf_time_zone"] = "Asia/Tokyo"
    assert is_shown_in("Asia/Tokyo")
    patch(signed_in, time_zone="Asia/Kathmandu")
    assert is_shown_in("Asia/Kathmandu")
    for nonsense in ("../../etc/passwd", "Mars/Olympus", "x" * 3000):
        patch(signed_in, time_zone="")
        signed_in.cookies["hf_time_zone"] = nonsense
        assert is_shown_in("UTC")
    # The next request in this thread is not affected.
    assert timezone.get_current_timezone_name() == "UTC"


def test_the_language_follows_and_does_not_stay(signed_in, settings):
    settings.LANGUAGES = [("en", "English"), ("de", "Deutsch")]
    by_device = signed_in.get("/settings", headers={"accept-language": "de"})
    assert by_device["Content-Language"] == "de" and '<html lang="de"' in by_device.content.decode()
    patch(signed_in, language="en")
    chosen = signed_in.get("/settings", headers={"accept-language": "de"})
    assert chosen["Content-Language"] == "en"
    assert "Accept-Language" in chosen["Vary"]
    assert translation.get_language() == "en"


@pytest.mark.parametrize(
    ("name", "email", "letters"),
    [
        ("Ada King Lovelace", "x@example.org", "AL"),
        (" ada ", None, "A"),
        ("", "bob@example.org", "B"),
        ("𝔸da 🌊", None, "𝔸🌊"),
        ("", None, ""),
    ],
)
def test_the_initials_are_those_of_the_page(name, email, letters):
    """The same cases as in tests/js/lib/format.test.mjs."""
    assert initials(User(name=name, email=email)) == letters


# Guests that become or join accounts


def test_a_guest_who_becomes_an_account_keeps_what_they_set(guest):
    preferences.change(guest, {"name": "Ada", "send_key": "ctrl_enter"})
    account = User.objects.create_user("ada@example.org", "x")
    assert guest_accounts.become(guest, account)
    account = User.objects.get(id=guest.id)
    assert (account.name, account.preferences.send_key) == ("Ada", "ctrl_enter")
    assert Preferences.objects.count() == 1


def test_what_is_set_goes_with_the_person(alice):
    preferences.change(alice, {"send_key": "ctrl_enter"})
    alice.delete()
    assert not Preferences.objects.exists()


# Live updates


class Device:
    def __init__(self, client):
        cookies = "; ".join(f"{name}={m.value}" for name, m in client.cookies.items())
        headers = [(b"host", b"localhost"), (b"cookie", cookies.encode())]
        self.wire = WebsocketCommunicator(application, "/ws", headers)

    async def __aenter__(self):
        await self.wire.connect(timeout=5)
        self.welcome = await self.wire.receive_json_from(5)
        return self

    async def __aexit__(self, *_):
        await self.wire.disconnect()

    async def hear(self):
        return await self.wire.receive_json_from(5)


async def test_every_device_is_told_and_nobody_elses(alice, guest):
    mine, other = Client(), Client()
    await sync_to_async(mine.force_login)(alice)
    await sync_to_async(other.force_login)(guest)
    async with Device(mine) as first, Device(mine) as second, Device(other) as stranger:
        assert first.welcome["settings"] == BY_DEFAULT
        await sync_to_async(patch)(mine, name="Ada", appearance="dark")
        for device in (first, second):
            # Name and settings are in two tables: the last message has both.
            told = await device.hear()
            while told["settings"]["appearance"] != "dark":
                told = await device.hear()
            assert told["type"] == "user"
            assert told["settings"] == BY_DEFAULT | {"name": "Ada", "appearance": "dark"}
            assert told["user"]["name"] == "Ada"
        await sync_to_async(patch)(mine, appearance="dark")  # No change, so no message.
        await stranger.wire.send_json_to({"type": "ping"})
        assert await stranger.hear() == {"type": "pong"}
    async with Device(mine) as later:
        assert later.welcome["settings"]["appearance"] == "dark"
    await close_log()


# Before the first message


def test_a_visitor_who_wants_settings_becomes_a_guest_once():
    browser = Client()
    browser.get("/")
    assert browser.get("/settings")["Location"].startswith("/account/login/")
    assert browser.post("/settings")["Location"].startswith("/account/login/")
    assert not User.objects.exists()
    for _ in range(2):
        assert browser.post("/settings?begin")["Location"] == "/settings"
    guest = User.objects.get()
    assert guest.is_guest
    assert patch(browser, appearance="dark").status_code == HTTPStatus.OK
    assert 'data-theme="dark"' in browser.get("/").content.decode()


def test_new_guests_are_counted_by_address(settings):
    settings.LIMIT_GUESTS_PER_HOUR_ADDRESS = 1
    for status in (HTTPStatus.FOUND, HTTPStatus.TOO_MANY_REQUESTS):
        browser = Client()
        browser.get("/")
        assert browser.post("/settings?begin").status_code == status
    assert User.objects.count() == 1


def test_without_the_cookie_of_a_visitor_nobody_becomes_a_guest():
    assert Client().post("/settings?begin")["Location"].startswith("/account/login/")
    assert not User.objects.exists()
