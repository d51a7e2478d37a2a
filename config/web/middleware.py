"""Django's middleware without the thread hops.

For an async request, Django runs the `process_*` hooks of its own middleware in a thread: with
eight classes, some fifteen hops for each request. None of these hooks waits for I/O (users and
sessions are loaded later, when a view needs them), so here they run in the event loop. The
exceptions are saving a changed session, and storing messages.
"""

import functools
from collections.abc import Awaitable, Callable
from typing import Any, cast

from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async
from csp import middleware as csp
from django.conf import settings
from django.contrib.auth import SESSION_KEY, aget_user, get_user
from django.contrib.auth import middleware as auth
from django.contrib.messages import middleware as messages
from django.contrib.sessions import middleware as sessions
from django.http import HttpRequest
from django.http.response import HttpResponse
from django.middleware import clickjacking, common, csrf, security
from django.utils.decorators import sync_and_async_middleware
from django.utils.functional import SimpleLazyObject

from billing.payments.webhook_view import refuse_too_large
from chat.web.error_pages import body_too_large
from chat.websocket.flow import flow_of
from config.web import health
from config.web.body_limits import TOO_LARGE, WEBHOOK

AsyncView = Callable[[HttpRequest], Awaitable[HttpResponse]]


class Inline:
    """Runs `process_request` and `process_response` of an async request in the event loop."""

    async def __acall__(self, request: HttpRequest) -> HttpResponse:
        middleware = cast(Any, self)
        response: HttpResponse | None = None
        if hasattr(self, "process_request"):
            response = middleware.process_request(request)
        response = response or await middleware.get_response(request)
        if hasattr(self, "process_response"):
            response = middleware.process_response(request, response)
        assert response is not None
        return response


class SecurityMiddleware(Inline, security.SecurityMiddleware):
    pass


class CSPMiddleware(Inline, csp.CSPMiddleware):
    pass


def answer_by(view_of: Callable[[HttpRequest], AsyncView | None]) -> Any:
    """Middleware that responds with the view `view_of(request)`, if that is not None, in place of
    the rest of the chain. Only Django's test client calls it without an event loop."""

    @sync_and_async_middleware
    def middleware(get_response: Any) -> Any:
        if iscoroutinefunction(get_response):

            async def asynchronous(request: HttpRequest) -> HttpResponse:
                response: HttpResponse = await (view_of(request) or get_response)(request)
                return response

            return asynchronous

        def synchronous(request: HttpRequest) -> HttpResponse:
            view = view_of(request)
            response: HttpResponse = (async_to_sync(view) if view else get_response)(request)
            return response

        return synchronous

    return middleware


def _is_too_large(request: HttpRequest) -> bool:
    """Whether `config.web.body_limits.BoundedBodies` has marked the request."""
    scope: dict[str, Any] = getattr(request, "scope", {})
    return bool(scope.get(TOO_LARGE))


def _refusal_of(request: HttpRequest) -> AsyncView | None:
    if not _is_too_large(request):
        return None
    is_webhook = request.path_info == WEBHOOK and request.method == "POST"
    return refuse_too_large if is_webhook else _body_too_large


async def _body_too_large(request: HttpRequest) -> HttpResponse:
    return body_too_large(request)


PROBES: dict[str, AsyncView] = {"/healthz": health.healthz, "/readyz": health.readyz}


def _probe_of(request: HttpRequest) -> AsyncView | None:
    """The view of a probe. None also for a probe with a large body, which `refuse_large_bodies`
    handles."""
    return None if _is_too_large(request) else PROBES.get(request.path_info)


refuse_large_bodies = answer_by(_refusal_of)
# Runs before the host is checked: a probe uses an address that no person uses, or names no host.
# The two views reveal nothing about anybody.
answer_probes = answer_by(_probe_of)


class SessionMiddleware(Inline, sessions.SessionMiddleware):
    async def __acall__(self, request: HttpRequest) -> HttpResponse:
        self.process_request(request)
        response: HttpResponse = await cast(Any, self.get_response)(request)
        if request.session.modified:  # Saving is a query.
            return await sync_to_async(self.process_response)(request, response)
        return self.process_response(request, response)


class CommonMiddleware(Inline, common.CommonMiddleware):
    pass


class CsrfViewMiddleware(Inline, csrf.CsrfViewMiddleware):
    def __init__(self, get_response: Any) -> None:
        super().__init__(get_response)
        if self.async_mode:
            # Django does not run this hook in a thread when it is a coroutine function.
            cast(Any, self).process_view = self._process_view

    async def _process_view(self, *args: Any) -> HttpResponse | None:
        return csrf.CsrfViewMiddleware.process_view(self, *args)


class AuthenticationMiddleware(Inline, auth.AuthenticationMiddleware):
    """Reads the user once for `request.user` and `request.auser()` together, and with the session
    (accounts/session_store.py)."""

    def process_request(self, request: Any) -> None:
        super().process_request(request)
        request.user = SimpleLazyObject(functools.partial(_user_of, request))
        request.auser = functools.partial(_auser_of, request)

    async def __acall__(self, request: HttpRequest) -> HttpResponse:
        """Count the bytes that wait for a user together, in sockets and in responses."""
        response = await super().__acall__(request)
        user = getattr(request, "_cached_user", None)
        if user is not None and user.is_authenticated:
            flow = flow_of(getattr(request, "scope", {}))
            flow.share(f"user {user.id}", settings.SOCKET_WAITING_BYTES_USER)
        return response


def _user_of(request: Any) -> Any:
    if not hasattr(request, "_cached_user"):
        request._cached_user = request.session.signed_in_person() or get_user(request)
    return request._cached_user


async def _auser_of(request: Any) -> Any:
    if not hasattr(request, "_cached_user"):
        await request.session.aget(SESSION_KEY)  # Loads the session.
        request._cached_user = request.session.signed_in_person() or await aget_user(request)
    return request._cached_user


class MessageMiddleware(Inline, messages.MessageMiddleware):
    async def __acall__(self, request: HttpRequest) -> HttpResponse:
        self.process_request(request)
        response: HttpResponse = await cast(Any, self.get_response)(request)
        storage = cast(Any, request)._messages
        if storage.used or storage.added_new:  # Storing or clearing messages may load the session.
            return await sync_to_async(self.process_response)(request, response)
        return response


class XFrameOptionsMiddleware(Inline, clickjacking.XFrameOptionsMiddleware):
    pass
