"""Responses to requests that no view answers."""

from http import HTTPStatus

import pytest
from django.test import Client

from accounts.models import User

SECRET = "the-fault-itself"


@pytest.fixture
def broken(monkeypatch, client):
    async def fails(*_):
        raise RuntimeError(SECRET)

    monkeypatch.setattr("chat.web.list_views.require_user", fails)
    client.raise_request_exception = False
    return client


@pytest.mark.django_db
def test_an_error_in_the_api_is_json_and_logged(broken, caplog):
    response = broken.get("/api/chats")
    assert response.status_code == HTTPStatus.INTERNAL_SERVER_ERROR
    assert response.json()["error"]["code"] == "internal_error"
    assert SECRET not in response.text
    assert SECRET in caplog.text


@pytest.mark.django_db
def test_an_error_in_a_page_is_a_page(broken, monkeypatch):
    monkeypatch.setattr("chat.web.views._page_config", None)
    response = broken.get("/")
    assert response.status_code == HTTPStatus.INTERNAL_SERVER_ERROR
    assert "<h1>" in response.text and "TypeError" not in response.text


UNREADABLE = {
    "more fields than are read": ("application/x-www-form-urlencoded", "a=1&" * 2_000),
    "a form without its boundary": ("multipart/form-data", "x"),
    "a form with a broken boundary": ("multipart/form-data; boundary=\u00e9", "x"),
    "a form longer than is read": ("application/x-www-form-urlencoded", "a=" + "x" * 3_000_000),
}


@pytest.mark.django_db
@pytest.mark.parametrize("name", UNREADABLE)
@pytest.mark.parametrize("path", ["/api/settings/picture", "/settings"])
def test_an_unreadable_form_is_refused_in_the_form_of_its_route(alice_client, name, path):
    kind, body = UNREADABLE[name]
    answer = alice_client.post(path, body, content_type=kind)
    assert answer.status_code in (HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN), answer.text[:300]
    if path.startswith("/api/"):
        assert answer.json()["error"]["code"] in ("bad_request", "csrf")
    else:
        assert "<h1>" in answer.text


@pytest.fixture
def alice_client(redis_url):
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    client.force_login(User.objects.create_user("alice@example.org", "x"))
    return client


@pytest.mark.django_db
@pytest.mark.parametrize(
    "limit", ["0000100000", "00001" + "9" * 5_000, "0", "501", "-1", "x", "\u0661"]
)
def test_a_page_of_the_list_is_bounded(alice_client, limit):
    answer = alice_client.get("/api/chats", {"limit": limit})
    assert answer.status_code == HTTPStatus.BAD_REQUEST
    assert answer.json()["error"]["code"] == "bad_request"
