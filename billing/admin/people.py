"""The list of purses in the admin, and the columns about credit in the list of people."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from django.contrib import admin
from django.db.models import BigIntegerField, Count, Exists, OuterRef, QuerySet, Subquery, Sum
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.admin import person_page
from accounts.admin.people import UserAdmin
from accounts.admin.person_page import Button, Figure, Link, list_of
from accounts.models import User
from billing.admin.lists import MoneyAdmin, money, rows_of, short, side_by_side, when
from billing.admin.reports import COST, TOKENS
from billing.admin.staff_actions import change_credit
from billing.models import Purse, Usage
from billing.money import dollars

# In UTC, today included. The names of the figures say it too.
USE_DAYS = 30
LISTS = {
    "ledgerentry": _("Ledger"),
    "usage": _("Usage"),
    "hold": _("Holds"),
    "topup": _("Top-ups"),
}
BALANCE = money("balance_micro_usd", _("balance"))


def may_give_credit(request: HttpRequest) -> bool:
    may = ("billing.give_credit", "billing.adjust_credit")
    return any(request.user.has_perm(name) for name in may)


@admin.register(Purse)
class PurseAdmin(MoneyAdmin):
    list_display = [
        "person",
        BALANCE,
        money("held_micro_usd", _("held")),
        "books",
        "entries",
        when("zero_since", _("zero since")),
        when("created_at", _("created")),
    ]
    # The first column is a link already.
    list_display_links = [BALANCE]
    list_filter = ["zero_since", "created_at"]
    search_fields = ["person_id"]
    search_hint = _("Email address or id of a person; whole id of a payment at Stripe.")
    date_hierarchy = "created_at"
    ordering = ["-created_at"]
    actions = [change_credit]
    totals: ClassVar = {_("Balances"): "balance_micro_usd", _("Held"): "held_micro_usd"}
    csv_fields: ClassVar = [
        "person_id",
        "email",
        "balance_micro_usd",
        "held_micro_usd",
        "zero_since",
        "created_at",
    ]

    def has_give_credit_permission(self, request: HttpRequest) -> bool:
        return may_give_credit(request)

    @admin.display(description=_("person"))
    def person(self, row: Purse) -> str:
        """Link to the person, unless they are gone."""
        if not row.person_exists:  # type: ignore[attr-defined]
            return gettext("%(id)s (gone)") % {"id": short(row.person_id)}
        url = reverse("admin:accounts_user_change", args=[row.person_id])
        email: str = row.email  # type: ignore[attr-defined]
        return format_html('<a href="{}">{}</a>', url, email or short(row.person_id))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Purse]:
        rows: QuerySet[Purse] = super().get_queryset(request)
        return rows.annotate(person_exists=Exists(User.objects.filter(pk=OuterRef("person_id"))))

    @admin.display(description=_("books"))
    def books(self, purse: Purse) -> str:
        lists = {
            "ledgerentry": gettext("ledger"),
            "usage": gettext("usage"),
            "hold": gettext("holds"),
            "topup": gettext("top-ups"),
        }
        return side_by_side(rows_of(name, purse.person_id, text) for name, text in lists.items())


@admin.display(description=_("credit"), ordering="credit")
def credit(person: User) -> str:
    amount: int | None = person.credit  # type: ignore[attr-defined]
    url = reverse("admin:billing_purse_changelist") + f"?q={person.pk}"
    return format_html('<a href="{}">{}</a>', url, "–" if amount is None else dollars(amount))


@admin.display(description=_("spent"), ordering="spent")
def spent(person: User) -> str:
    return dollars(person.spent or 0)  # type: ignore[attr-defined]


def _with_credit(people: QuerySet[User]) -> QuerySet[User]:
    purse = Purse.objects.filter(person_id=OuterRef("pk")).values("balance_micro_usd")
    return people.annotate(credit=Subquery(purse[:1]))


def _with_spent(people: QuerySet[User]) -> QuerySet[User]:
    calls = Usage.objects.filter(person_id=OuterRef("pk")).order_by().values("person_id")
    charged = calls.annotate(charged=Sum("charged_micro_usd")).values("charged")
    return people.annotate(spent=Subquery(charged, output_field=BigIntegerField()))


def _section(request: HttpRequest, person: User) -> Iterable[Figure | Link]:
    """Credit and use of a person, as far as the operator may see the lists behind them."""
    may = request.user.has_perm
    if may("billing.view_purse"):
        purse = Purse.objects.filter(pk=person.pk).first() or Purse(pk=person.pk)
        yield Figure(_("Balance"), dollars(purse.balance_micro_usd))
        yield Figure(_("Held"), dollars(purse.held_micro_usd))
    if may("billing.view_usage"):
        yield from _use_of(person)
    for name, text in LISTS.items():
        if may(f"billing.view_{name}"):
            yield list_of(f"billing_{name}", person.pk, text)


def _use_of(person: User) -> Iterable[Figure]:
    first = datetime.now(UTC).date() - timedelta(days=USE_DAYS - 1)
    used = Usage.objects.filter(person_id=person.pk, day__gte=first).aggregate(
        calls=Count("id"), tokens=TOKENS, cost=COST
    )
    yield Figure(_("Calls in 30 days"), f"{used['calls']:,}")
    yield Figure(_("Tokens in 30 days"), f"{used['tokens']:,}")
    yield Figure(_("Cost to us in 30 days"), dollars(used["cost"]))


person_page.add(section=_section, button=Button("change_credit"))
UserAdmin.add_column(credit, _with_credit)
UserAdmin.add_column(spent, _with_spent)
UserAdmin.add_action(change_credit, "give_credit", may_give_credit)
