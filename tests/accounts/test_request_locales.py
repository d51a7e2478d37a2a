"""Concurrent requests do not exchange their languages and time zones."""

import asyncio

import pytest
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpResponse
from django.test import AsyncRequestFactory, RequestFactory
from django.utils import timezone, translation

from accounts.preferences.locale import TIME_ZONE_COOKIE, preferences_of_request

ZONES = ["Europe/Berlin", "Asia/Tokyo", "America/New_York", "Pacific/Auckland"]


@pytest.fixture
def two_languages(settings):
    settings.LANGUAGES = [("en", "English"), ("de", "Deutsch")]


def asked(factory, number):
    request = factory.get("/", headers={"accept-language": ("en", "de")[number % 2]})
    request.COOKIES[TIME_ZONE_COOKIE] = ZONES[number % 4]
    request.session = SessionBase()
    return request


def found():
    return f"{translation.get_language()} {timezone.get_current_timezone_name()}"


def wanted(number):
    return f"{('en', 'de')[number % 2]} {ZONES[number % 4]}"


async def test_concurrent_requests_keep_their_own(two_languages):
    async def page(request):
        seen = []
        for _ in range(5):
            seen.append(found())
            await asyncio.sleep(0.002)
        return HttpResponse("|".join(seen))

    before = found()
    view = preferences_of_request(page)
    requests = [asked(AsyncRequestFactory(), number) for number in range(40)]
    answers = await asyncio.gather(*map(view, requests))
    for number, answer in enumerate(answers):
        assert set(answer.content.decode().split("|")) == {wanted(number)}
    assert found() == before


async def test_a_request_that_is_cancelled_leaves_nothing(two_languages):
    async def page(request):
        await asyncio.sleep(60)

    before = found()
    view = preferences_of_request(page)
    for number in range(4):
        task = asyncio.create_task(view(asked(AsyncRequestFactory(), number)))
        await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert found() == before


@pytest.mark.parametrize("fails", [False, True])
def test_a_thread_is_as_it_was_afterwards(two_languages, fails):
    def page(request):
        if fails:
            raise ZeroDivisionError
        return HttpResponse(found())

    before = found()
    view = preferences_of_request(page)
    for number in range(4):
        try:
            assert view(asked(RequestFactory(), number)).content.decode() == wanted(number)
        except ZeroDivisionError:
            assert fails
        assert found() == before
