"""On the pages about accounts a guest is a visitor: there is nothing of theirs to manage, and what
they see is how to sign up and in. `request.guest` remembers who they are."""

from collections.abc import Awaitable, Callable
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware

from accounts.models import User

PREFIX = "/account/"

View = Callable[[HttpRequest], HttpResponse]
AsyncView = Callable[[HttpRequest], Awaitable[HttpResponse]]


@sync_and_async_middleware
def guests_are_visitors(get_response: Any) -> Any:
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
