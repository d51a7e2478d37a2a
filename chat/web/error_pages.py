"""What Django asks for when no view answers: JSON for the API, a page for people."""

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

# How Django begins what it says of a page that was not loaded from the address it talks to.
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
    """Asked for before the session is looked at: the page is made without knowing for whom, in the
    language that the browser names."""
    with translation.override(translation.get_language_from_request(request)):
        if _is_api(request):
            return refusal_response(BodyTooLarge())
        return HttpResponse(render_to_string("413.html"), status=BodyTooLarge.status)


def _unknown_address(
    request: HttpRequest, kind: type[AccountsError], template: str
) -> HttpResponse:
    """Made without asking who is there: not even the host of the request can be believed."""
    with translation.override(translation.get_language_from_request(request)):
        if _is_api(request):
            return refusal_response(kind())
        return HttpResponse(render_to_string(template), status=kind.status)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    if reason.startswith(FOREIGN_PAGE):  # Nothing that a reload would mend.
        return _unknown_address(request, OriginNotAllowed, "403_origin.html")
    if _is_api(request):
        return error_response(
            HTTPStatus.FORBIDDEN, "csrf", _("This page is out of date. Reload it.")
        )
    return csrf.csrf_failure(request, reason=reason)


def server_error(request: HttpRequest) -> HttpResponse:
    """The fault itself is in the server's log, never here."""
    if _is_api(request):
        message = _("Something went wrong on our side. Try again: nothing is done twice.")
        return error_response(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", message)
    return django_server_error(request)


def _is_api(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")
