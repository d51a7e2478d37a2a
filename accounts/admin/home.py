"""Today's figures on the first page of the admin. The apps above add theirs with `add`.

A day is a day in UTC, as in the reports. Each section makes a fixed number of statements, each of
which reads an index from midnight on, and leaves out what the request's operator may not see.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, time

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django_stubs_ext import StrOrPromise

from accounts.admin.person_page import Figure
from accounts.models import SecurityEvent, User


@dataclass(frozen=True, slots=True)
class Group:
    title: StrOrPromise
    figures: list[Figure] = field(default_factory=list)


# Called with the request and the last midnight in UTC.
Section = Callable[[HttpRequest, datetime], Iterable[Group]]
sections: list[Section] = []


def add(section: Section) -> None:
    sections.append(section)


def groups(request: HttpRequest) -> list[Group]:
    midnight = datetime.combine(datetime.now(UTC).date(), time(), UTC)
    return [group for section in sections for group in section(request, midnight)]


def people(request: HttpRequest, midnight: datetime) -> Iterable[Group]:
    if not request.user.has_perm("accounts.view_user"):
        return
    guests = User.objects.filter(is_guest=True, created_at__gte=midnight).count()
    # From the record: a guest who signs up keeps the row, and with it the date of the first visit.
    signed_up = SecurityEvent.objects.filter(kind=SecurityEvent.Kind.SIGNED_UP, at__gte=midnight)
    page = reverse("admin:accounts_user_changelist")
    yield Group(
        _("People"),
        [
            Figure(_("New guests"), f"{guests:,}", f"{page}?is_guest__exact=1"),
            Figure(_("Sign-ups"), f"{signed_up.count():,}", f"{page}?is_guest__exact=0"),
        ],
    )


add(people)
