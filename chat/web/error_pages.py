"""Django's error handlers: JSON for the API, pages for people."""

from http import HTTPStatus

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.translation import gettext as _
from django.views import csrf
from django.views.defaults import bad_request as django_bad_request
from django.views.defaults import server_error as django_server_error

from accounts.errors import AccountsError, HostNotAllowed, OriginNotAllowed
from accounts.refusals import error_response, refusal_response
from chat.errors import BodyTooLarge

# The beginnings of Django's CSRF reasons for a page from another origin.
FOREIGN_PAGE = ("Origin checking failed", "Referer checking failed")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_api(request):
        return error_response(
            HTTPStatus.NOT_FOUND, "not_found", _("There is nothing at this address.")
        )
    return render(request, "404.html", status=HTTPStatus.NOT_FOUND)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if isinstance(exception, DisallowedHost):
        return _unknown_address(request, HostNotAllowed, "400_host.html")
    if _is_api(request):
        message = _("The server could not read this request.")
        return error_response(HTTPStatus.BAD_REQUEST, "bad_request", message)
    return django_bad_request(request, exception)


def body_too_large(request: HttpRequest) -> HttpResponse:
    """The response to a body that is too large, made before the session is read: without a person,
    in the language of the browser."""
    with translation.override(translation.get_language_from_request(request)):
        if _is_api(request):
            return refusal_response(BodyTooLarge())
        return HttpResponse(render_to_string("413.html"), status=BodyTooLarge.status)


def _unknown_address(
    request: HttpRequest, kind: type[AccountsError], template: str
) -> HttpResponse:
    """Respond without reading the session: the host of the request cannot be trusted."""
    with translation.override(translation.get_language_from_request(request)):
        if _is_api(request):
            return refusal_response(kind())
        return HttpResponse(render_to_string(template), status=kind.status)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    if reason.startswith(FOREIGN_PAGE):  # A reload would not help.
        return _unknown_address(request, OriginNotAllowed, "403_origin.html")
    if _is_api(request):
        return error_response(
            HTTPStatus.FORBIDDEN, "csrf", _("This page is out of date. Reload it.")
        )
    return csrf.csrf_failure(request, reason=reason)


def server_error(request: HttpRequest) -> HttpResponse:
    """The response contains nothing about the error; the server's log does."""
    if _is_api(request):
        message = _("Something went wrong on our side. Try again: nothing is done twice.")
        return error_response(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", message)
    return django_server_error(request)


def _is_api(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")
