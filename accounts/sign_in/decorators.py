"""Decorators of views that require a sign-in: they pass the person to the view, and redirect others
to the sign-in page."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from accounts.models import User

P = ParamSpec("P")
PersonView = Callable[Concatenate[HttpRequest, User, P], HttpResponse]
View = Callable[Concatenate[HttpRequest, P], HttpResponse]


def person_required(back: str = "") -> Callable[[PersonView[P]], View[P]]:
    """Require an account or a guest. `back` names the route to return to after signing in; without
    it people return to the address they requested."""
    return _required(lambda user: isinstance(user, User), back)


def account_required(back: str = "") -> Callable[[PersonView[P]], View[P]]:
    """Like `person_required`, for accounts only: guests are redirected to the sign-in page too."""
    return _required(lambda user: isinstance(user, User) and not user.is_guest, back)


def _required(is_allowed: Callable[[Any], bool], back: str) -> Callable[[PersonView[P]], View[P]]:
    def decorate(view: PersonView[P]) -> View[P]:
        @wraps(view)
        def wrapped(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            user: Any = request.user
            if is_allowed(user):
                return view(request, user, *args, **kwargs)
            return redirect_to_login(reverse(back) if back else request.get_full_path())

        return wrapped

    return decorate
