"""Billing in the admin: lists to be read, and the acts of staff. See also billing/admin_reports.py.

Nothing is edited in place: the database refuses it. What may be done is an act with a reason.
"""

from typing import ClassVar

from django.conf import settings
from django.contrib import admin
from django.db.models import BigIntegerField, OuterRef, Q, QuerySet, Subquery, Sum
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.admin import UserAdmin
from accounts.models import User
from accounts.read_only_admin import ReadOnlyAdmin
from billing import admin_reports, explanations  # noqa: F401 (registers its pages)
from billing.admin_actions import change_credit, refund
from billing.admin_lists import MoneyAdmin, money
from billing.admin_prices import PriceAdmin  # noqa: F401 (registers it)
from billing.models import AuditRun, Hold, LedgerEntry, Purse, TopUp, Usage
from billing.money import MICRO_PER_CENT, dollars


@admin.register(Purse)
class PurseAdmin(MoneyAdmin):
    list_display = [
        "person",
        money("balance_micro_usd", _("balance")),
        money("held_micro_usd", _("held")),
        "entries",
        "zero_since",
        "created_at",
        "books",
    ]
    list_filter = ["zero_since", "created_at"]
    search_fields = ["person_id", "email"]
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
        may = ("billing.give_credit", "billing.adjust_credit")
        return any(request.user.has_perm(name) for name in may)

    @admin.display(description="")
    def books(self, purse: Purse) -> str:
        query = f"?q={purse.person_id}"
        links = [
            (reverse("admin:billing_ledgerentry_changelist") + query, gettext("ledger")),
            (reverse("admin:billing_usage_changelist") + query, gettext("usage")),
        ]
        return format_html('<a href="{}">{}</a> · <a href="{}">{}</a>', *links[0], *links[1])


@admin.register(LedgerEntry)
class LedgerEntryAdmin(MoneyAdmin):
    list_display = [
        "at",
        "person",
        "kind",
        money("amount_micro_usd", _("amount")),
        money("balance_after_micro_usd", _("balance after")),
        "reason",
        "staff",
        "reply_id",
        "top_up_id",
    ]
    list_filter = ["kind", "at"]
    search_fields = [
        "purse__person_id",
        "email",
        "key",
        "reason",
        "staff_email",
        "reply_id",
        "top_up_id",
    ]
    date_hierarchy = "at"
    ordering = ["-at", "-id"]
    list_select_related = ["price"]
    readonly_fields = ["how_it_adds_up"]
    person_field = "purse_id"
    csv_order = "id"
    totals: ClassVar = {_("Sum"): "amount_micro_usd"}
    csv_fields: ClassVar = [
        "at",
        "purse_id",
        "email",
        "number",
        "kind",
        "amount_micro_usd",
        "balance_after_micro_usd",
        "key",
        "reason",
        "staff_id",
        "staff_email",
        "chat_id",
        "reply_id",
        "price__model",
        "price__version",
        "top_up_id",
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[LedgerEntry]:
        staff = User.objects.filter(pk=OuterRef("staff_id")).values("email")
        rows: QuerySet[LedgerEntry] = super().get_queryset(request)
        return rows.annotate(staff_email=Subquery(staff[:1]))

    @admin.display(description=_("by"), ordering="staff_email")
    def staff(self, entry: LedgerEntry) -> str:
        """Their id, when they are not here any more."""
        name: str | None = entry.staff_email  # type: ignore[attr-defined]
        return name or str(entry.staff_id or "")

    @admin.display(description=_("how it adds up"))
    def how_it_adds_up(self, entry: LedgerEntry) -> str:
        """Of a charge, whose usage has its key."""
        return _explanation(Usage.objects.select_related("price").filter(key=entry.key).first())


def _explanation(call: Usage | None) -> str:
    if call is None:
        return ""
    explained = explanations.explain(call)
    return render_to_string("admin/billing/_explanation.html", {"explained": explained})


@admin.register(Hold)
class HoldAdmin(MoneyAdmin):
    list_display = [
        "created_at",
        "person",
        "key",
        "state",
        "model",
        money("amount_micro_usd", _("held")),
        money("charged_micro_usd", _("charged")),
        "attempt",
        "updated_at",
    ]
    list_filter = ["state", "created_at", "model"]
    search_fields = ["purse__person_id", "email", "key"]
    date_hierarchy = "created_at"
    ordering = ["-created_at"]
    person_field = "purse_id"
    csv_order = "id"
    totals: ClassVar = {_("Held"): "amount_micro_usd", _("Charged"): "charged_micro_usd"}
    csv_fields: ClassVar = [
        "created_at",
        "purse_id",
        "email",
        "key",
        "state",
        "model",
        "amount_micro_usd",
        "charged_micro_usd",
        "attempt",
        "updated_at",
    ]


@admin.register(Usage)
class UsageAdmin(MoneyAdmin):
    list_display = [
        "at",
        "person",
        "model",
        "purpose",
        "prompt_tokens",
        "completion_tokens",
        money("cost_micro_usd", _("cost")),
        money("charged_micro_usd", _("charged")),
        "free",
        "estimated",
        "price",
    ]
    list_filter = ["purpose", "free", "estimated", "cost_by_provider", "at", "model"]
    search_fields = ["person_id", "email", "reply_id", "chat_id", "model"]
    date_hierarchy = "at"
    ordering = ["-at", "-id"]
    list_select_related = ["price"]
    readonly_fields = ["how_it_adds_up"]
    csv_order = "id"
    totals: ClassVar = {_("Cost"): "cost_micro_usd", _("Charged"): "charged_micro_usd"}
    csv_fields: ClassVar = [
        "at",
        "person_id",
        "email",
        "purpose",
        "chat_id",
        "reply_id",
        "attempt",
        "model",
        "prompt_tokens",
        "cached_tokens",
        "cache_write_tokens",
        "completion_tokens",
        "reasoning_tokens",
        "estimated",
        "cost_micro_usd",
        "cost_by_provider",
        "charged_micro_usd",
        "free",
        "price__version",
    ]

    @admin.display(description=_("how it adds up"))
    def how_it_adds_up(self, call: Usage) -> str:
        return _explanation(call)


@admin.register(TopUp)
class TopUpAdmin(MoneyAdmin):
    list_display = [
        "created_at",
        "person",
        money("credit_micro_usd", _("credit")),
        money("fee_micro_usd", _("fee")),
        money("total_micro_usd", _("total")),
        "state",
        "refunded",
        "disputed",
        "paid_at",
        "livemode",
        "problem",
    ]
    list_filter = ["state", "livemode", "created_at", "paid_at"]
    search_fields = ["person_id", "email", "id", "session_id", "payment_intent_id", "charge_id"]
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
            (str(label), dollars(of_label * MICRO_PER_CENT))
            for label, of_label in zip(labels, cents, strict=True)
        ]


def _cents(cents: int) -> str:
    return dollars(cents * MICRO_PER_CENT) if cents else ""


@admin.register(AuditRun)
class AuditRunAdmin(ReadOnlyAdmin):
    list_display = ["finished_at", "is_right", "checked"]
    date_hierarchy = "finished_at"
    ordering = ["-finished_at"]

    @admin.display(description=_("balances"), boolean=True)
    def is_right(self, run: AuditRun) -> bool:
        return run.is_clean


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


UserAdmin.add_column(credit, _with_credit)
UserAdmin.add_column(spent, _with_spent)
