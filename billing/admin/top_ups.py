"""The list of top-ups in the admin, with refunds."""

from typing import Any, ClassVar
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import admin
from django.db.models import Q, QuerySet, Sum
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing.admin.lists import MoneyAdmin, money, rows_of, side_by_side, when
from billing.admin.staff_actions import refund
from billing.models import TopUp
from billing.money import MICRO_PER_CENT, dollars


@admin.register(TopUp)
class TopUpAdmin(MoneyAdmin):
    list_display = [
        when("created_at", _("created")),
        "person",
        money("credit_micro_usd", _("credit")),
        money("fee_micro_usd", _("fee")),
        money("total_micro_usd", _("total")),
        "state",
        "refunded",
        "disputed",
        "books",
        when("paid_at", _("paid")),
        "livemode",
        "problem",
    ]
    list_filter = [
        "state",
        "livemode",
        "created_at",
        "paid_at",
        ("problem", admin.EmptyFieldListFilter),
    ]
    search_fields = ["person_id", "id", "problem"]
    search_hint = _(
        "Email address or id of a person; whole id of a top-up, or of a session, payment or charge "
        "at Stripe."
    )
    id_fields: ClassVar = ["id"]
    top_up_field = "id"
    date_hierarchy = "created_at"
    ordering = ["-created_at"]
    actions = [refund]
    csv_fields: ClassVar = [
        "created_at",
        "person_id",
        "email",
        "id",
        "credit_cents",
        "fee_cents",
        "total_cents",
        "state",
        "paid_at",
        "refunded_cents",
        "disputed_cents",
        "payment_intent_id",
        "charge_id",
        "livemode",
        "problem",
    ]

    def has_refund_payment_permission(self, request: HttpRequest) -> bool:
        may: bool = request.user.has_perm("billing.refund_payment")
        return may and bool(settings.STRIPE_SECRET_KEY)

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """Adds links to webhook calls for staff who may see them."""
        may_see_calls = request.user.has_perm("billing.view_books")
        columns = list(super().get_list_display(request))
        columns[columns.index("books")] = self.books_and_calls if may_see_calls else self.books
        return columns

    @admin.display(description=_("books"))
    def books(self, top_up: TopUp) -> str:
        return rows_of("ledgerentry", top_up.id, gettext("ledger"))

    @admin.display(description=_("books"))
    def books_and_calls(self, top_up: TopUp) -> str:
        stripe_id = top_up.payment_intent_id or top_up.session_id
        if not stripe_id:
            return self.books(top_up)
        url = reverse("admin:billing_books_webhooks") + "?" + urlencode({"text": stripe_id})
        calls = format_html('<a href="{}">{}</a>', url, gettext("webhook calls"))
        return side_by_side([self.books(top_up), calls])

    @admin.display(description=_("refunded"), ordering="refunded_cents")
    def refunded(self, top_up: TopUp) -> str:
        return _cents(top_up.refunded_cents)

    @admin.display(description=_("disputed"), ordering="disputed_cents")
    def disputed(self, top_up: TopUp) -> str:
        return _cents(top_up.disputed_cents)

    def totals_of(self, rows: QuerySet[TopUp]) -> list[tuple[str, str]]:
        paid = Q(state=TopUp.State.PAID)
        sums = rows.order_by().aggregate(
            paid=Sum("total_cents", filter=paid),
            fees=Sum("fee_cents", filter=paid),
            refunded=Sum("refunded_cents"),
            disputed=Sum("disputed_cents"),
        )
        labels = (_("Paid"), _("Fees"), _("Refunded"), _("Disputed"))
        cents = [total or 0 for total in sums.values()]
        return [
            (str(label), dollars(total * MICRO_PER_CENT))
            for label, total in zip(labels, cents, strict=True)
        ]


def _cents(cents: int) -> str:
    return dollars(cents * MICRO_PER_CENT) if cents else ""
