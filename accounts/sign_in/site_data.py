"""What a browser keeps of a person (chats to read offline, drafts, an outbox) goes when they sign
out. The page erases it itself before it asks to sign out; the header does it for a page without
JavaScript, and for every other way out, such as deleting the account.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware

View = Callable[[HttpRequest], HttpResponse]
AsyncView = Callable[[HttpRequest], Awaitable[HttpResponse]]


@sync_and_async_middleware
def clear_site_data(get_response: Any) -> Any:
    from asgiref.sync import iscoroutinefunction

    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponse:
            response: HttpResponse = await get_response(request)
            return _forgetting(request, response)

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponse:
        return _forgetting(request, get_response(request))

    return synchronous


def _forgetting(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    # Noted by accounts/sessions.py: on_signed_out.
    if getattr(request, "has_signed_out", False):
        response["Clear-Site-Data"] = '"storage"'
    return response
