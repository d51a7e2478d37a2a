"""Language, time zone and appearance of the page that is asked for.

What the person has set counts; where they have set nothing it is what their device says: the
`Accept-Language` header, and a cookie in which our pages note the time zone of the device. Only
pages are asked about, and only when there is a session: whoever just looks pays nothing. The API
answers in the language that its caller names: our scripts name that of their page. No script can
name one for a WebSocket, so what is said there is in the language that a page would have.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from zoneinfo import ZoneInfo

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone, translation
from django.utils.cache import patch_vary_headers
from django.utils.decorators import sync_and_async_middleware

from accounts.models import Preferences, User
from accounts.preferences.store import time_zones

TIME_ZONE_COOKIE = "hf_time_zone"
# What is no page, or needs nobody's preferences.
NO_PAGES = ("/api/", "/pictures/", "/healthz", "/readyz", "/csp-reports")


@sync_and_async_middleware
def preferences_of_request(get_response: Any) -> Any:
    """Sets `request.preferences` and activates language and time zone while a page is made."""
    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponse:
            if request.path.startswith(NO_PAGES):
                with _language_of_caller(request):
                    response: HttpResponse = await get_response(request)
                    return response
            row = None
            if _has_session(request) and isinstance(user := await request.auser(), User):
                row = await Preferences.objects.filter(person=user).afirst()
            _activate(request, row)
            try:
                return _labelled(await get_response(request))
            finally:
                _deactivate()

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponse:
        if request.path.startswith(NO_PAGES):
            with _language_of_caller(request):
                response: HttpResponse = get_response(request)
                return response
        row = None
        if _has_session(request) and isinstance(request.user, User):
            row = Preferences.objects.filter(person=request.user).first()
        _activate(request, row)
        try:
            return _labelled(get_response(request))
        finally:
            _deactivate()

    return synchronous


def preferences_of_page(request: HttpRequest) -> Preferences:
    """The asking person's preferences, or those by default."""
    return getattr(request, "preferences", None) or Preferences()


def context(request: HttpRequest) -> dict[str, Any]:
    """For every template: what the root of the page says of its look."""
    return {"appearance": preferences_of_page(request).appearance}


def zone_name() -> str:
    """The time zone in which this page shows times, as people read it."""
    return timezone.get_current_timezone_name().replace("_", " ")


def language_for_socket(scope: Mapping[str, Any], row: Preferences) -> AbstractContextManager[None]:
    """What is said within it is in the language of the person at the other end of a WebSocket."""
    if len(settings.LANGUAGES) == 1:
        return nullcontext()
    return translation.override(
        row.language or translation.get_language_from_request(_opening(scope))
    )


def _opening(scope: Mapping[str, Any]) -> HttpRequest:
    """As much of the request that opened a WebSocket as tells the language of a browser."""
    request = HttpRequest()
    request.COOKIES = dict(scope.get("cookies", {}))
    named = [value for name, value in scope["headers"] if name == b"accept-language"]
    request.META["HTTP_ACCEPT_LANGUAGE"] = b",".join(named).decode("latin-1")
    return request


def _has_session(request: HttpRequest) -> bool:
    return bool(request.session.session_key)


def _language_of_caller(request: HttpRequest) -> AbstractContextManager[None]:
    if len(settings.LANGUAGES) == 1:
        return nullcontext()
    return translation.override(translation.get_language_from_request(request))


def _activate(request: Any, row: Preferences | None) -> None:
    request.preferences = row
    chosen = row or Preferences()
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


def _labelled(response: HttpResponse) -> HttpResponse:
    patch_vary_headers(response, ("Accept-Language",))
    response.headers.setdefault("Content-Language", translation.get_language() or "en")
    return response
