"""Access to a person's own billing pages."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse

from accounts.models import User

P = ParamSpec("P")


def person_page(
    view: Callable[Concatenate[HttpRequest, User, P], HttpResponseBase],
) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    """Passes the signed-in account or guest to the view.

    Visitors are redirected to the sign-in, which leads back to the page, or to the overview after a
    POST. Without billing the page is a 404.
    """

    @wraps(view)
    def page(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not settings.BILLING:
            raise Http404
        person = request.user
        if isinstance(person, User) and person.is_active:
            return view(request, person, *args, **kwargs)
        is_safe = request.method in ("GET", "HEAD")
        back = request.get_full_path() if is_safe else reverse("billing:overview")
        return redirect_to_login(back)

    return page
