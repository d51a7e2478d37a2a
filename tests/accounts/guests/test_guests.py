"""Guests: the visitor's cookie, and what it gives access to."""

import json
import uuid

import pytest
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.middleware import SessionMiddleware
from django.core import signing
from django.http import HttpResponse

from accounts.guests import visitor as guests
from accounts.models import User

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def visit(rf):
    """Requests of one browser, which keeps its cookies."""
    jar = {}

    def request(cookies=None):
        made = rf.get("/")
        made.COOKIES |= jar if cookies is None else cookies
        SessionMiddleware(lambda _: HttpResponse()).process_request(made)
        return made

    def page():
        response = HttpResponse()
        made = request()
        guests.set_visitor_cookie(made, response)
        jar.update({name: morsel.value for name, morsel in response.cookies.items()})
        return response

    request.page, request.jar = page, jar
    return request


def signed(value, **signing_options):
    salt = signing_options.pop("salt", guests.VISITOR_COOKIE + guests.VISITOR_COOKIE_SALT)
    return signing.get_cookie_signer(salt=salt).sign(value)


def test_a_visit_gives_an_id_once_and_creates_no_row(visit):
    cookie = visit.page().cookies[guests.VISITOR_COOKIE]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")
    assert cookie["max-age"] == guests.VISITOR_COOKIE_MAX_AGE_S
    assert not visit.page().cookies
    assert not User.objects.exists()


def test_two_visitors_have_different_ids_that_cannot_be_guessed(rf):
    values = set()
    for _ in range(20):
        response = HttpResponse()
        guests.set_visitor_cookie(rf.get("/"), response)
        values.add(response.cookies[guests.VISITOR_COOKIE].value.split(":")[0])
    assert len(values) == 20 and all(len(value) >= 32 for value in values)


def test_the_same_visitor_is_the_same_guest(visit):
    visit.page()
    first, second = (guests.guest_of_visitor(visit()) for _ in range(2))
    assert first == second and first.is_guest and not first.has_usable_password()
    assert User.objects.count() == 1


def test_the_id_of_a_guest_does_not_tell_the_cookie(visit):
    """Others can see a guest's id, so it must not open a session."""
    visit.page()
    guest = guests.guest_of_visitor(visit())
    for made_up in (str(guest.id), guest.id.hex, f"{guest.id}:x:y"):
        assert guests.guest_of_visitor(visit({guests.VISITOR_COOKIE: made_up})) is None


def tampered(value):
    visitor, stamp, signature = value.split(":")
    return [
        f"{visitor}x:{stamp}:{signature}",
        f"{visitor}:{stamp}x:{signature}",
        f"{visitor}:{stamp}:{signature[::-1]}",
        f"{visitor}:{stamp}:",
        visitor,
        "",
        ":::",
        "\x00",
        "é",
        value + "=",
        signed(visitor, salt="another"),
        signed(""),
    ]


@pytest.mark.parametrize("number", range(12))
def test_a_cookie_that_is_not_ours_opens_nothing(visit, number):
    visit.page()
    bad = tampered(visit.jar[guests.VISITOR_COOKIE])[number]
    request = visit({guests.VISITOR_COOKIE: bad})
    assert guests.visitor_id(request) is None
    assert guests.guest_of_visitor(request) is None
    assert not User.objects.exists()
    response = HttpResponse()  # The next page replaces it.
    guests.set_visitor_cookie(request, response)
    assert guests.VISITOR_COOKIE in response.cookies


def test_an_old_cookie_opens_nothing(visit, monkeypatch):
    visit.page()
    request = visit()
    monkeypatch.setattr(guests, "VISITOR_COOKIE_MAX_AGE_S", -1)
    assert guests.guest_of_visitor(request) is None


def test_signing_in_opens_a_session(visit):
    visit.page()
    request = visit()
    guest = guests.guest_of_visitor(request)
    guests.sign_in_guest(request, guest)
    assert request.session[SESSION_KEY] == str(guest.id)


@pytest.mark.parametrize(
    "changes",
    [{"is_guest": False, "email": "alice@example.org"}, {"is_active": False}],
    ids=["became an account", "was shut out"],
)
def test_the_cookie_of_a_guest_does_not_open_their_account(visit, changes):
    visit.page()
    guest = guests.guest_of_visitor(visit())
    User.objects.filter(id=guest.id).update(**changes)
    assert guests.guest_of_visitor(visit()) is None
    assert User.objects.count() == 1


@pytest.mark.parametrize(
    "changes",
    [{"is_guest": False, "email": "alice@example.org"}, {"is_active": False}],
    ids=["became an account", "was shut out"],
)
def test_the_cookie_does_not_open_their_account_over_http(client, redis_url, settings, changes):
    client.get("/")
    visitor = client.cookies[guests.VISITOR_COOKIE].value.split(":")[0]
    id_ = uuid.uuid5(guests.GUEST_NAMESPACE, visitor)
    User.objects.create(**{"id": id_, "password": "!", "is_guest": True} | changes)
    body = {"id": str(uuid.uuid4()), "text": "Hi", "model": "openai/x", "parent": None}
    response = client.post(
        f"/api/chats/{uuid.uuid4()}/messages", json.dumps(body), content_type="application/json"
    )
    assert response.status_code in (401, 422)
    assert "sessionid" not in client.cookies
