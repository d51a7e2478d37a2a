"""Limits on sign-ins that bypass allauth (those of the admin), and the page for a reached limit."""

import functools
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts import limits
from accounts.client_address import address_group, client_address
from accounts.errors import LimitReached

# allauth does not say which of its limits was reached; most of them are per minute.
ALLAUTH_RETRY_AFTER_S = 60

View = Callable[..., HttpResponse]


def limited_sign_in(view: View, name_field: str) -> View:
    """Count each POST by address and by the account that it names; 429 past a limit."""

    @functools.wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method == "POST":
            try:
                limits.take_sign_in(
                    request.POST.get(name_field, ""), address_group(client_address(request))
                )
            except LimitReached as error:
                return limit_page(request, error)
        return view(request, *args, **kwargs)

    return wrapped


def limit_page(request: HttpRequest, error: LimitReached) -> HttpResponse:
    response = render(request, "429.html", {"message": error.message}, status=error.status)
    for name, value in error.headers.items():
        response[name] = value
    return response


def too_many_requests(request: HttpRequest) -> HttpResponse:
    """The response when a limit of allauth is reached."""
    return limit_page(request, LimitReached(ALLAUTH_RETRY_AFTER_S))
