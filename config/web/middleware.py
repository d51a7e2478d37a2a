"""Django's middleware without the thread hops.

Django runs the `process_*` hooks of its own middleware in a thread when a request is async: with
eight of them, some fifteen hops for each request. None of these hooks waits for anything (users and
sessions are loaded later, when a view asks for them), so here they run where they are called. The
exceptions are a session that must be saved and messages that were shown or added.
"""

import functools
from typing import Any, cast

from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async
from csp import middleware as csp
from django.conf import settings
from django.contrib.auth import aget_user
from django.contrib.auth import middleware as auth
from django.contrib.messages import middleware as messages
from django.contrib.sessions import middleware as sessions
from django.http import HttpRequest
from django.http.response import HttpResponse
from django.middleware import clickjacking, common, csrf, security
from django.utils.decorators import sync_and_async_middleware

from billing.payments.webhook_view import refuse_too_large
from chat.web.error_pages import body_too_large
from chat.websocket.flow import flow_of
from config.web import health
from config.web.body_limits import TOO_LARGE, WEBHOOK


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


@sync_and_async_middleware
def refuse_large_bodies(get_response: Any) -> Any:
    """Answers what `config.web.body_limits.BoundedBodies` has marked. Nothing after it is asked."""
    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponse:
            if _is_too_large(request):
                if request.path_info == WEBHOOK and request.method == "POST":
                    return await refuse_too_large(request)
                return body_too_large(request)
            response: HttpResponse = await get_response(request)
            return response

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponse:
        if _is_too_large(request):
            return body_too_large(request)
        response: HttpResponse = get_response(request)
        return response

    return synchronous


def _is_too_large(request: HttpRequest) -> bool:
    scope: dict[str, Any] = getattr(request, "scope", {})
    return bool(scope.get(TOO_LARGE))


PROBES = {"/healthz": health.healthz, "/readyz": health.readyz}


@sync_and_async_middleware
def answer_probes(get_response: Any) -> Any:
    """Before the host is looked at: who probes calls us by an address that no person uses, or by
    none. Only these two, which tell nothing that is anybody's."""
    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponse:
            probe = _probe_of(request)
            response: HttpResponse = await (probe or get_response)(request)
            return response

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponse:
        probe = _probe_of(request)
        response: HttpResponse = (async_to_sync(probe) if probe else get_response)(request)
        return response

    return synchronous


def _probe_of(request: HttpRequest) -> Any:
    """None also where it brings a body, which `refuse_large_bodies` answers."""
    return None if _is_too_large(request) else PROBES.get(request.path_info)


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
            # A coroutine function is what keeps Django from sending this hook to a thread.
            cast(Any, self).process_view = self._process_view

    async def _process_view(self, *args: Any) -> HttpResponse | None:
        return csrf.CsrfViewMiddleware.process_view(self, *args)


class AuthenticationMiddleware(Inline, auth.AuthenticationMiddleware):
    """`request.user` and `request.auser()` are read once for both."""

    def process_request(self, request: Any) -> None:
        super().process_request(request)
        request.auser = functools.partial(_user_of, request)

    async def __acall__(self, request: HttpRequest) -> HttpResponse:
        """What waits for a person is counted together, in sockets and in answers."""
        response = await super().__acall__(request)
        user = getattr(request, "_cached_user", None)
        if user is not None and user.is_authenticated:
            flow = flow_of(getattr(request, "scope", {}))
            flow.share(f"user {user.id}", settings.SOCKET_WAITING_BYTES_USER)
        return response


async def _user_of(request: Any) -> Any:
    if not hasattr(request, "_cached_user"):  # Where `request.user` keeps it.
        request._cached_user = await aget_user(request)
    return request._cached_user


class MessageMiddleware(Inline, messages.MessageMiddleware):
    async def __acall__(self, request: HttpRequest) -> HttpResponse:
        self.process_request(request)
        response: HttpResponse = await cast(Any, self.get_response)(request)
        waiting = cast(Any, request)._messages
        if waiting.used or waiting.added_new:  # Storing or clearing messages may load the session.
            return await sync_to_async(self.process_response)(request, response)
        return response


class XFrameOptionsMiddleware(Inline, clickjacking.XFrameOptionsMiddleware):
    pass
