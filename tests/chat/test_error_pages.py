"""What is answered when a view could not answer."""

from http import HTTPStatus

import pytest

SECRET = "the-fault-itself"


@pytest.fixture
def broken(monkeypatch, client):
    async def fails(*_):
        raise RuntimeError(SECRET)

    monkeypatch.setattr("chat.finding_views.signed_in", fails)
    client.raise_request_exception = False
    return client


@pytest.mark.django_db
def test_a_fault_in_the_api_is_said_in_json_and_told_to_the_log(broken, caplog):
    response = broken.get("/api/chats")
    assert response.status_code == HTTPStatus.INTERNAL_SERVER_ERROR
    assert response.json()["error"]["code"] == "internal_error"
    assert SECRET not in response.text
    assert SECRET in caplog.text


@pytest.mark.django_db
def test_a_fault_in_a_page_is_a_page(broken, monkeypatch):
    monkeypatch.setattr("chat.views._page_config", None)
    response = broken.get("/")
    assert response.status_code == HTTPStatus.INTERNAL_SERVER_ERROR
    assert "<h1>" in response.text and "TypeError" not in response.text
