"""The addresses at which Holdfast responds, and its response at unknown ones."""

import io
import logging
from http import HTTPStatus

import pytest
from channels.testing import WebsocketCommunicator
from django.test import AsyncClient, Client

from config.asgi import application
from tests.config.web.raw_requests import respond, scope_of

pytestmark = pytest.mark.django_db(transaction=True)

FOREIGN = ["10.0.3.7:8000", "192.168.1.20", "[fd00::1]:8000", "evil.example", "_", "a b", "<b>", ""]


async def answered(path, host, *, version="1.1"):
    """(status, body) at an address of another machine's browser."""
    host = None if host is None else host.encode("latin-1")
    addresses = {"client": ("10.0.3.1", 1), "server": ("10.0.3.7", 8000)}
    scope = scope_of(path, method="GET", host=host, http_version=version, **addresses)
    status, _, body = await respond(scope)
    return status, body.decode()


# Probes


@pytest.mark.parametrize("host", [*FOREIGN, None, "\xff\xfe"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_probes_are_answered_whatever_the_host(redis_url, host, version):
    assert await answered("/healthz", host, version=version) == (200, '{"status": "alive"}')
    status, body = await answered("/readyz", host, version=version)
    assert status == 503  # No worker runs here.
    assert '"worker": "none is alive"' in body


@pytest.mark.parametrize("https", [False, True])
async def test_probes_are_not_led_to_https(settings, https):
    settings.SECURE_SSL_REDIRECT = https
    response = await AsyncClient().get("/healthz", headers={"host": "10.0.3.7:8000"})
    assert response.status_code == HTTPStatus.OK
    assert "no-store" in response["Cache-Control"]


async def test_a_probe_says_nothing_secret(settings):
    settings.REDIS_URL = "redis://someone:hush-hush@127.0.0.1:9/0"
    status, body = await answered("/readyz", "10.0.3.7")
    assert status == 503
    assert "does not answer" in body
    assert not [secret for secret in ("hush", "someone", settings.SECRET_KEY) if secret in body]


@pytest.mark.parametrize("path", ["/healthz/", "/healthz/x", "//healthz", "/", "/api/chats"])
async def test_nothing_else_is(path):
    assert (await answered(path, "10.0.3.7:8000"))[0] == 400


def test_probes_answer_synchronous_servers_too():
    assert Client().get("/healthz", headers={"host": "10.0.3.7"}).json() == {"status": "alive"}


# An unknown address


@pytest.mark.parametrize("host", ["10.0.3.7", "x" * 7_000])
async def test_a_foreign_host_is_one_short_line_in_the_log(monkeypatch, host):
    handler = next(one for one in logging.getLogger().handlers if one.name == "stderr")
    log = io.StringIO()
    monkeypatch.setattr(handler, "stream", log)
    status, _ = await answered("/", host)
    assert status == HTTPStatus.BAD_REQUEST
    assert log.getvalue().count("\n") == 1
    assert "HTTP_HOST" in log.getvalue() and len(log.getvalue()) < 500


@pytest.mark.parametrize("host", FOREIGN)
async def test_the_page_names_the_settings_and_echoes_nothing(host):
    status, body = await answered("/", host)
    assert status == 400
    assert "HOLDFAST_URL" in body and "ALLOWED_HOSTS" in body
    assert "evil" not in body and "10.0.3.7" not in body and "<b>" not in body


async def test_so_does_the_api():
    response = await AsyncClient().get("/api/chats", headers={"host": "10.0.3.7:8000"})
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (HTTPStatus.BAD_REQUEST, "host_not_allowed")
    assert "HOLDFAST_URL" in error["message"] and "10.0" not in error["message"]


async def test_it_does_not_tell_what_is_set(settings):
    settings.ALLOWED_HOSTS = ["inner.name.example"]
    settings.CSRF_TRUSTED_ORIGINS = ["https://other.name.example"]
    _, body = await answered("/", "10.0.3.7:8000")
    assert "name.example" not in body and settings.SECRET_KEY not in body


# A page that sends to another address than its own


def posted(path, **headers):
    client = Client(enforce_csrf_checks=True)
    client.cookies["csrftoken"] = token = "a" * 32
    return client.post(path, {}, headers={"X-CSRFToken": token, **headers})


@pytest.mark.parametrize(
    "origin", ["http://192.168.1.20:8000", "https://testserver", "null", "http://[x"]
)
def test_a_form_of_a_page_of_another_address_names_the_settings(origin):
    answer = posted("/account/login/", Origin=origin)
    assert answer.status_code == HTTPStatus.FORBIDDEN
    text = answer.content.decode()
    assert "HOLDFAST_URL" in text and "CSRF_TRUSTED_ORIGINS" in text
    assert "192.168" not in text


def test_so_does_the_api_to_its_commands():
    answer = posted("/api/chats", Origin="http://192.168.1.20:8000")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (HTTPStatus.FORBIDDEN, "origin_not_allowed")
    assert "HOLDFAST_URL" in error["message"] and "192.168" not in error["message"]


def test_a_page_that_is_only_old_is_told_so():
    assert "HOLDFAST_URL" not in posted("/account/login/", **{"X-CSRFToken": "b"}).content.decode()
    answer = Client(enforce_csrf_checks=True).post("/api/chats", {})
    assert answer.json()["error"]["code"] == "csrf"


@pytest.mark.parametrize(
    "headers",
    [
        [(b"host", b"192.168.1.20:8000"), (b"origin", b"http://192.168.1.20:8000")],
        [(b"host", b"localhost"), (b"origin", b"http://192.168.1.20:8000")],
    ],
)
async def test_a_socket_of_another_address_names_the_settings(redis_url, headers, caplog):
    caplog.set_level(logging.WARNING, logger="chat.websocket.session_socket")
    socket = WebsocketCommunicator(application, "/ws", headers=headers)
    assert (await socket.connect())[0]
    said = await socket.receive_json_from()
    assert (said["type"], said["code"]) == ("error", "origin_not_allowed")
    assert "HOLDFAST_URL" in said["message"] and "192.168" not in said["message"]
    assert (await socket.receive_output())["code"] == 4403
    assert "HOLDFAST_URL" in caplog.text and "192.168.1.20" in caplog.text
