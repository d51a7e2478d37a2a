"""Read-only lists of ledger entries, holds, usage and audits in the admin.

Rows are never edited; the database refuses it. Staff changes money with actions that need a reason
(billing/admin/staff_actions.py). Rows link to the rows of other lists for the same person, answer,
top-up or payment.
"""

from typing import ClassVar

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from billing.admin.lists import MoneyAdmin, UtcAdmin, money, rows_of, short, side_by_side, when
from billing.models import AuditRun, Hold, LedgerEntry, Usage
from billing.pages import explanations


@admin.register(LedgerEntry)
class LedgerEntryAdmin(MoneyAdmin):
    list_display = [
        when("at", _("at")),
        "person",
        "kind",
        money("amount_micro_usd", _("amount")),
        money("balance_after_micro_usd", _("balance after")),
        "what_for",
        "reason",
        "staff",
    ]
    list_filter = ["kind", "at"]
    search_fields = ["purse__person_id", "key", "reason", "staff_email"]
    search_hint = _(
        "Email address of a person or of staff; whole id of a person, chat, answer, top-up, or of "
        "a payment at Stripe; words of a reason."
    )
    id_fields: ClassVar = ["reply_id", "chat_id", "top_up_id", "staff_id"]
    top_up_field = "top_up_id"
    date_hierarchy = "at"
    # Insertion order, which is also the order of `at`.
    ordering = ["-id"]
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

    @admin.display(description=_("what for"))
    def what_for(self, entry: LedgerEntry) -> str:
        if entry.top_up_id:
            text = gettext("top-up %(id)s") % {"id": short(entry.top_up_id)}
            return rows_of("topup", entry.top_up_id, text)
        if entry.reply_id:
            model = entry.price.model if entry.price else ""
            text = gettext("answer %(id)s") % {"id": short(entry.reply_id)}
            return format_html("{} {}", rows_of("usage", entry.reply_id, text), model)
        return ""

    @admin.display(description=_("by"))
    def staff(self, entry: LedgerEntry) -> str:
        """Address of the member of staff, or the bare id if the account is gone."""
        name: str | None = entry.staff_email  # type: ignore[attr-defined]
        return name or str(entry.staff_id or "")

    @admin.display(description=_("how it adds up"))
    def how_it_adds_up(self, entry: LedgerEntry) -> str:
        """Explains a charge; its usage has the same key."""
        return _explanation(Usage.objects.select_related("price").filter(key=entry.key).first())


def _explanation(call: Usage | None) -> str:
    if call is None:
        return ""
    context = {"explanation": explanations.explain(call)}
    return render_to_string("admin/billing/_explanation.html", context)


@admin.register(Hold)
class HoldAdmin(MoneyAdmin):
    list_display = [
        when("created_at", _("created")),
        "person",
        "state",
        money("amount_micro_usd", _("held")),
        money("charged_micro_usd", _("charged")),
        "what_for",
        "model",
        "attempt",
        when("updated_at", _("changed")),
    ]
    list_filter = ["state", "created_at", "model"]
    search_fields = ["purse__person_id", "key", "model"]
    search_hint = _("Email address; whole id of a person, chat or answer; model.")
    id_fields: ClassVar = ["reply_id", "chat_id"]
    date_hierarchy = "created_at"
    ordering = ["-id"]
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
        "chat_id",
        "reply_id",
        "attempt",
        "updated_at",
    ]

    @admin.display(description=_("what for"), ordering="key")
    def what_for(self, hold: Hold) -> str:
        """Links to the usage of all its attempts."""
        kind = hold.key.partition(":")[0]
        return (
            rows_of("usage", hold.reply_id, f"{kind} {short(hold.reply_id)}")
            if hold.reply_id
            else hold.key
        )


@admin.register(Usage)
class UsageAdmin(MoneyAdmin):
    list_display = [
        when("at", _("at")),
        "person",
        money("charged_micro_usd", _("charged")),
        money("cost_micro_usd", _("cost")),
        "prompt_tokens",
        "completion_tokens",
        "price_or_model",
        "links",
        "purpose",
        "free",
        "estimated",
    ]
    list_filter = ["purpose", "free", "estimated", "cost_by_provider", "at", "model"]
    search_fields = ["person_id", "key", "model"]
    search_hint = _("Email address; whole id of a person, chat or answer; model.")
    id_fields: ClassVar = ["reply_id", "chat_id"]
    date_hierarchy = "at"
    ordering = ["-id"]
    list_select_related = ["price"]
    readonly_fields = ["how_it_adds_up"]
    csv_order = "id"
    totals: ClassVar = {
        _("Prompts, tokens"): "prompt_tokens",
        _("Answers, tokens"): "completion_tokens",
        _("Cost"): "cost_micro_usd",
        _("Charged"): "charged_micro_usd",
    }
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
        "audio_tokens",
        "sound_ms",
        "image_tokens",
        "image_input_tokens",
        "characters",
        "audio_output_tokens",
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

    @admin.display(description=_("model and price"), ordering="model")
    def price_or_model(self, call: Usage) -> str:
        """The price version, whose name begins with the model, or the bare model."""
        return str(call.price or call.model)

    @admin.display(description=_("more"))
    def links(self, call: Usage) -> str:
        """Links to the other calls of the answer and the chat, and to the answer's charges."""
        links = []
        if call.reply_id:
            links.append(rows_of("usage", call.reply_id, gettext("answer")))
            links.append(rows_of("ledgerentry", call.reply_id, gettext("ledger")))
        if call.chat_id:
            links.append(rows_of("usage", call.chat_id, gettext("chat")))
        return side_by_side(links)


@admin.register(AuditRun)
class AuditRunAdmin(UtcAdmin):
    list_display = [when("finished_at", _("finished")), "is_right", "checked_rows"]
    date_hierarchy = "finished_at"
    ordering = ["-finished_at"]
    fields: ClassVar = ["started_at", "finished_at", "is_right", "checked_rows", "difference_lines"]

    @admin.display(description=_("balances"), boolean=True)
    def is_right(self, run: AuditRun) -> bool:
        return run.is_clean

    @admin.display(description=_("looked at"))
    def checked_rows(self, run: AuditRun) -> str:
        return ", ".join(f"{number:,} {name}" for name, number in run.checked.items())

    @admin.display(description=_("differences"))
    def difference_lines(self, run: AuditRun) -> str:
        return "\n".join(map(str, run.differences)) or gettext("none")
