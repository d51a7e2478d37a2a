"""What is different for some people on every page.

On the pages about accounts a guest is a visitor: there is nothing of theirs to manage, and what
they see is how to sign up and in. `request.guest` remembers who they are.

Who asked to be deleted finds one page wherever they go: keep the account, or sign out.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.decorators import sync_and_async_middleware

from accounts.errors import Leaving
from accounts.models import User
from accounts.refusals import refusal_response

PREFIX = "/account/"
KEEP_PAGE = "/settings/leaving"
# What is still theirs, or nobody's in particular.
OPEN_TO_WHO_LEAVES = (
    KEEP_PAGE,
    "/account/logout/",
    "/static/",
    "/healthz",
    "/readyz",
    "/csp-reports",
)

View = Callable[[HttpRequest], HttpResponse]
AsyncView = Callable[[HttpRequest], Awaitable[HttpResponse]]


@sync_and_async_middleware
def treat_guests_as_visitors(get_response: Any) -> Any:
    # Never called in a thread of its own: the server is asynchronous, Django's test client is not.
    from asgiref.sync import iscoroutinefunction

    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponse:
            if request.path.startswith(PREFIX):
                _hide_guest(request, await request.auser())
            response: HttpResponse = await get_response(request)
            return response

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponse:
        if request.path.startswith(PREFIX):
            _hide_guest(request, request.user)
        response: HttpResponse = get_response(request)
        return response

    return synchronous


@sync_and_async_middleware
def redirect_leaving_people(get_response: Any) -> Any:
    from asgiref.sync import iscoroutinefunction

    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponse:
            if _is_gated(request) and _is_leaving(await request.auser()):
                return _keep_or_go(request)
            response: HttpResponse = await get_response(request)
            return response

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponse:
        if _is_gated(request) and _is_leaving(request.user):
            return _keep_or_go(request)
        response: HttpResponse = get_response(request)
        return response

    return synchronous


def _is_gated(request: HttpRequest) -> bool:
    has_session = settings.SESSION_COOKIE_NAME in request.COOKIES
    return has_session and not request.path.startswith(OPEN_TO_WHO_LEAVES)


def _is_leaving(user: Any) -> bool:
    return isinstance(user, User) and user.is_leaving


def _keep_or_go(request: HttpRequest) -> HttpResponse:
    if request.path.startswith("/api/"):
        return refusal_response(Leaving())
    return HttpResponseRedirect(KEEP_PAGE)


def guest_behind(request: HttpRequest) -> User | None:
    """The guest who is asking, on a page about accounts."""
    return getattr(request, "guest", None)


def _hide_guest(request: Any, user: Any) -> None:
    if not isinstance(user, User) or not user.is_guest:
        return
    request.guest = user
    visitor = AnonymousUser()

    async def auser() -> AnonymousUser:
        return visitor

    request.user, request.auser = visitor, auser
