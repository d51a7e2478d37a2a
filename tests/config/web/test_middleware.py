"""The inline middleware keeps all of Django's protection and runs no request in a thread."""

import asyncio
import threading
from http import HTTPStatus

import pytest
from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpResponse
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.common import CommonMiddleware
from django.middleware.csrf import CsrfViewMiddleware
from django.middleware.security import SecurityMiddleware
from django.test import AsyncClient, Client
from django.urls import path
from django.utils.module_loading import import_string

pytestmark = pytest.mark.both_databases


async def plain(request):
    return HttpResponse(str(threading.get_ident()))


async def remembers(request):
    await request.session.aset("seen", 1)
    return HttpResponse("remembered")


urlpatterns = [
    path("plain", plain),
    path("remembers", remembers),
    path("healthz", plain),
]


@pytest.fixture
def urls(settings):
    settings.ROOT_URLCONF = __name__


def test_the_protection_silenced_checks_look_for_is_there():
    chain = [import_string(name) for name in settings.MIDDLEWARE]
    for needed in (
        SecurityMiddleware,
        SessionMiddleware,
        CommonMiddleware,
        CsrfViewMiddleware,
        AuthenticationMiddleware,
        XFrameOptionsMiddleware,
    ):
        assert any(
            isinstance(middleware, type) and issubclass(middleware, needed) for middleware in chain
        ), needed


async def test_a_request_never_leaves_the_event_loop(urls, monkeypatch):
    hops = []
    loop = asyncio.get_running_loop()
    real = loop.run_in_executor
    monkeypatch.setattr(loop, "run_in_executor", lambda *a: hops.append(a) or real(*a))
    response = await AsyncClient().get("/plain")
    assert response.content.decode() == str(threading.get_ident())
    # The test client sends a signal to synchronous receivers at the end of each request.
    assert len(hops) <= 2


@pytest.mark.django_db(transaction=True)
async def test_a_changed_session_is_saved(urls):
    client = AsyncClient()
    response = await client.get("/remembers")
    assert response.cookies["sessionid"]["httponly"]
    assert response.cookies["sessionid"]["samesite"] == "Lax"
    session = await client.asession()
    assert await session.aget("seen") == 1


@pytest.mark.parametrize("client", [Client(enforce_csrf_checks=True)])
def test_a_command_without_its_token_is_refused(urls, client):
    assert client.post("/plain").status_code == HTTPStatus.FORBIDDEN


async def test_an_async_command_without_its_token_is_refused(urls):
    response = await AsyncClient(enforce_csrf_checks=True).post("/plain")
    assert response.status_code == HTTPStatus.FORBIDDEN


async def test_every_answer_has_the_security_headers(urls):
    response = await AsyncClient().get("/plain")
    assert "default-src 'none'" in response["Content-Security-Policy"]
    assert response["X-Frame-Options"] == "DENY"
    assert response["Cross-Origin-Opener-Policy"] == "same-origin"


async def test_a_foreign_host_is_refused(urls):
    response = await AsyncClient().get("/plain", headers={"host": "evil.example"})
    assert response.status_code == HTTPStatus.BAD_REQUEST


async def test_http_leads_to_https_but_for_health_checks(urls, settings):
    settings.SECURE_SSL_REDIRECT = True
    client = AsyncClient()
    assert (await client.get("/plain")).status_code == HTTPStatus.MOVED_PERMANENTLY
    assert (await client.get("/healthz")).status_code == HTTPStatus.OK
