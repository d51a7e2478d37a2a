"""The figures, links and buttons on the page of a person in the admin.

The apps above add theirs with `add`. Each function leaves out what the request's operator may not
see.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django_stubs_ext import StrOrPromise

from accounts.models import User

# In the POST data of an action that was begun on the page of a person, where it also ends.
FROM_PAGE = "from_page"


@dataclass(frozen=True, slots=True)
class Figure:
    """`url` leads to the rows behind the value. `is_bad`: somebody should look at it."""

    name: StrOrPromise
    value: object
    url: str = ""
    is_bad: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    text: StrOrPromise
    url: str


@dataclass(frozen=True, slots=True)
class Button:
    """Begins an action of the list of people with this person. `suits` tells to whom it applies."""

    action: str
    suits: Callable[[User], bool] = lambda person: True


Section = Callable[[HttpRequest, User], Iterable[Figure | Link]]
sections: list[Section] = []
buttons: list[Button] = []


def add(*, section: Section | None = None, button: Button | None = None) -> None:
    if section:
        sections.append(section)
    if button:
        buttons.append(button)


def list_of(model: str, query: object, text: StrOrPromise) -> Link:
    """A link to the list of `model`, such as "billing_usage", searched for `query`."""
    return Link(text, f"{reverse(f'admin:{model}_changelist')}?q={query}")


def context(request: HttpRequest, person: User, actions: dict[str, Any]) -> dict[str, Any]:
    """`actions`: what the operator may do, by name, as Django's `get_actions` returns it."""
    parts = [part for section in sections for part in section(request, person)]
    return {
        "figures": [part for part in parts if isinstance(part, Figure)],
        "links": [part for part in parts if isinstance(part, Link)],
        "buttons": [
            (button.action, actions[button.action][2])
            for button in buttons
            if button.action in actions and button.suits(person)
        ],
    }


def origin(request: HttpRequest, list_name: str) -> dict[str, str]:
    """The template context of an action's form: where the action was begun."""
    person_id = request.POST.get(FROM_PAGE, "")
    url = _page(person_id) if person_id else reverse(f"admin:{list_name}_changelist")
    return {FROM_PAGE: person_id, "cancel_url": url}


def back_to_page(request: HttpRequest, response: HttpResponse | None) -> HttpResponse | None:
    """The response to an action; if that is done and was begun on a person's page, back there."""
    person_id = request.POST.get(FROM_PAGE)
    is_done = isinstance(response, HttpResponseRedirect)
    return HttpResponseRedirect(_page(person_id)) if person_id and is_done else response


def _page(person_id: str) -> str:
    return reverse("admin:accounts_user_change", args=[person_id])


def own_section(request: HttpRequest, person: User) -> Iterable[Figure | Link]:
    if request.user.has_perm("accounts.view_securityevent"):
        yield list_of("accounts_securityevent", person.pk, _("Activity"))
    if request.user.has_perm("streams.view_userlog"):
        yield Link(_("Log"), reverse("admin:streams_userlog_change", args=[person.pk]))


add(section=own_section)
add(button=Button("suspend_people", lambda person: person.suspended_at is None))
add(button=Button("restore_people", lambda person: person.suspended_at is not None))
add(button=Button("end_sessions", lambda person: person.is_active and not person.is_guest))
add(button=Button("cancel_deletions", lambda person: person.is_leaving))
add(button=Button("hasten_deletions", lambda person: person.is_leaving))
