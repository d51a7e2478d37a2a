"""Language, time zone and appearance of the requested page.

A person's settings take precedence. Otherwise the device decides: the `Accept-Language` header, and
a cookie in which our pages store the device's time zone. Settings are only read for pages, and only
if there is a session, so that visitors cost no query. The API answers in the language that the
request names; our scripts send the language of their page. Scripts cannot set a header for a
WebSocket, so texts sent there are in the language that a page would have.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.conf import settings
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone, translation
from django.utils.cache import patch_vary_headers
from django.utils.decorators import sync_and_async_middleware

from accounts.models import GuestJoin, Preferences, ProviderKey, User
from accounts.preferences.store import time_zones

TIME_ZONE_COOKIE = "hf_time_zone"
# Paths that are no pages, or need no preferences.
NOT_PAGES = ("/api/", "/pictures/", "/healthz", "/readyz", "/csp-reports")


@sync_and_async_middleware
def preferences_of_request(get_response: Any) -> Any:
    """Sets `request.preferences`, and activates language and time zone during a page request."""
    if iscoroutinefunction(get_response):

        async def asynchronous(request: Any) -> HttpResponse:
            if request.path.startswith(NOT_PAGES):
                with _language_of_caller(request):
                    response: HttpResponse = await get_response(request)
                    return response
            if _has_session(request):
                await _read_person(request)
            _activate(request)
            try:
                return _with_language_headers(await get_response(request))
            finally:
                _deactivate()

        return asynchronous

    def synchronous(request: Any) -> HttpResponse:
        if request.path.startswith(NOT_PAGES):
            with _language_of_caller(request):
                response: HttpResponse = get_response(request)
                return response
        if _has_session(request):
            _set_page_person(request)
        _activate(request)
        try:
            return _with_language_headers(get_response(request))
        finally:
            _deactivate()

    return synchronous


def page_people(person: User) -> QuerySet[User, Any]:
    """The person, with what most pages need: the preferences, and whether there are guests whose
    data is still being moved to the account, and provider keys."""
    return _all_page_people().filter(id=person.id)


@cache
def _all_page_people() -> QuerySet[User, Any]:
    """Made once, because each page would take half a millisecond for it."""
    joining = GuestJoin.objects.filter(account=OuterRef("id"), moved_at=None, finished_at=None)
    keys = ProviderKey.objects.filter(owner=OuterRef("id"))
    people = User.objects.select_related("preferences")
    return people.annotate(has_joining_guests=Exists(joining), has_keys=Exists(keys))


def page_person(request: HttpRequest) -> User | None:
    """The person who requests the page, as read by `page_people`; None for a visitor."""
    return getattr(request, "page_person", None)


def preferences_of_page(request: HttpRequest) -> Preferences:
    """The preferences of the person who requests the page, or the defaults."""
    return getattr(request, "preferences", None) or Preferences()


def context(request: HttpRequest) -> dict[str, Any]:
    """Context processor: the appearance, for the root element of every page."""
    return {"appearance": preferences_of_page(request).appearance}


def zone_name() -> str:
    """The readable name of the time zone in which this page shows times."""
    return timezone.get_current_timezone_name().replace("_", " ")


def language_for_socket(scope: Mapping[str, Any], row: Preferences) -> AbstractContextManager[None]:
    """Activate the language of the person at the other end of a WebSocket."""
    if len(settings.LANGUAGES) == 1:
        return nullcontext()
    return translation.override(
        row.language or translation.get_language_from_request(_opening_request(scope))
    )


def _opening_request(scope: Mapping[str, Any]) -> HttpRequest:
    """The request that opened a WebSocket, with only what Django needs to choose a language."""
    request = HttpRequest()
    request.COOKIES = dict(scope.get("cookies", {}))
    languages = [value for name, value in scope["headers"] if name == b"accept-language"]
    request.META["HTTP_ACCEPT_LANGUAGE"] = b",".join(languages).decode("latin-1")
    return request


def _set_page_person(request: Any) -> None:
    """Read the session, its person, and what pages need of them, in one visit to a thread."""
    if isinstance(request.user, User):
        request.page_person = page_people(request.user).first()


_read_person = sync_to_async(_set_page_person)


def _has_session(request: HttpRequest) -> bool:
    return bool(request.session.session_key)


def _language_of_caller(request: HttpRequest) -> AbstractContextManager[None]:
    if len(settings.LANGUAGES) == 1:
        return nullcontext()
    return translation.override(translation.get_language_from_request(request))


def _activate(request: Any) -> None:
    request.preferences = getattr(page_person(request), "preferences", None)
    chosen = request.preferences or Preferences()
    language = chosen.language or translation.get_language_from_request(request)
    translation.activate(language)
    zone = chosen.time_zone or request.COOKIES.get(TIME_ZONE_COOKIE, "")
    if zone and zone in time_zones():
        timezone.activate(ZoneInfo(zone))
    else:
        timezone.deactivate()


def _deactivate() -> None:
    timezone.deactivate()
    translation.deactivate()


def _with_language_headers(response: HttpResponse) -> HttpResponse:
    patch_vary_headers(response, ("Accept-Language",))
    response.headers.setdefault("Content-Language", translation.get_language() or "en")
    return response
