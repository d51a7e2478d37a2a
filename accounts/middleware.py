"""Middleware for guests and for people who are leaving, who see other pages.

On the pages under /account/ a guest sees the same as a visitor, because guests have no account to
manage; they can sign up or sign in there. `guest_behind` returns the guest.

People who have asked for their account to be deleted see one page wherever they go, where they can
keep the account or sign out.
"""

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.decorators import sync_and_async_middleware

from accounts.errors import Leaving
from accounts.models import User
from accounts.refusals import refusal_response

ACCOUNT_PAGES = "/account/"
KEEP_PAGE = "/settings/leaving"
# Paths that stay open to people who are leaving.
OPEN_WHILE_LEAVING = (
    KEEP_PAGE,
    "/account/logout/",
    "/static/",
    "/healthz",
    "/readyz",
    "/csp-reports",
)


def guest_behind(request: HttpRequest) -> User | None:
    """The guest whom `treat_guests_as_visitors` hid from this request."""
    return getattr(request, "guest", None)


def _with_user(
    applies_to: Callable[[HttpRequest], bool],
    handle: Callable[[HttpRequest, Any], HttpResponse | None],
) -> Any:
    """A middleware that calls `handle` with the user of each request that it applies to. `handle`
    returns a response to end the request, or None.

    It runs without a hop to a thread, under an asynchronous server as with Django's test client.
    """

    @sync_and_async_middleware
    def middleware(get_response: Any) -> Any:
        if iscoroutinefunction(get_response):

            async def asynchronous(request: Any) -> HttpResponse:
                early = handle(request, await request.auser()) if applies_to(request) else None
                response: HttpResponse = early or await get_response(request)
                return response

            return asynchronous

        def synchronous(request: Any) -> HttpResponse:
            early = handle(request, request.user) if applies_to(request) else None
            response: HttpResponse = early or get_response(request)
            return response

        return synchronous

    return middleware


def _is_account_page(request: HttpRequest) -> bool:
    return request.path.startswith(ACCOUNT_PAGES)


def _hide_guest(request: Any, user: Any) -> None:
    if not isinstance(user, User) or not user.is_guest:
        return
    request.guest = user
    visitor = AnonymousUser()

    async def auser() -> AnonymousUser:
        return visitor

    request.user, request.auser = visitor, auser


def _is_closed_while_leaving(request: HttpRequest) -> bool:
    has_session = settings.SESSION_COOKIE_NAME in request.COOKIES
    return has_session and not request.path.startswith(OPEN_WHILE_LEAVING)


def _lead_to_keep_page(request: HttpRequest, user: Any) -> HttpResponse | None:
    if not isinstance(user, User) or not user.is_leaving:
        return None
    if request.path.startswith("/api/"):
        return refusal_response(Leaving())
    return HttpResponseRedirect(KEEP_PAGE)


treat_guests_as_visitors = _with_user(_is_account_page, _hide_guest)
redirect_leaving_people = _with_user(_is_closed_while_leaving, _lead_to_keep_page)
