"""Clears the browser's storage at sign-out: offline chats, drafts, the send queue, cached files.

The page clears its storage itself before it signs out. The header covers pages without JavaScript
and all other ways of signing out, such as deleting the account.
"""

from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware


@sync_and_async_middleware
def clear_site_data(get_response: Any) -> Any:
    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponse:
            response: HttpResponse = await get_response(request)
            return _with_header(request, response)

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponse:
        return _with_header(request, get_response(request))

    return synchronous


def _with_header(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    # Set by accounts/sessions.py: on_signed_out.
    if getattr(request, "has_signed_out", False):
        response["Clear-Site-Data"] = '"cache", "storage"'
    return response
