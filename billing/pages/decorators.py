"""The frame of a person's own pages about money: whose they are, and where nobody is sent."""

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


def page_of_person(
    view: Callable[Concatenate[HttpRequest, User, P], HttpResponseBase],
) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    """The view is given who has the purse: an account or a guest. Who is neither is sent to the
    sign-in, and comes back to the page, or to the overview from what was posted. Where nothing is
    paid for there is no such page."""

    @wraps(view)
    def page(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not settings.BILLING:
            raise Http404
        person = request.user
        if isinstance(person, User) and person.is_active:
            return view(request, person, *args, **kwargs)
        is_read = request.method in ("GET", "HEAD")
        back = request.get_full_path() if is_read else reverse("billing:overview")
        return redirect_to_login(back)

    return page
