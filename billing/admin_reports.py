"""Two pages of the admin: reports with charts, and whether the books balance."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Sum
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing import admin_webhooks, charts, reports
from billing.admin_lists import may_export
from billing.csv_files import csv_response, usd
from billing.models import AuditRun, Books, Hold, Purse, TopUp

DEFAULT_DAYS = 30
MAX_DAYS = 366
# The audit runs every night: so long without one means that it does not.
LATE_AFTER = timedelta(hours=48)
# (field of reports.Sums, its name, whether it is money)
CHARTS = (
    ("revenue", _("Revenue"), True),
    ("spend", _("Spend"), True),
    ("cost", _("Cost of calls"), True),
    ("margin", _("Margin"), True),
    ("tokens", _("Tokens"), False),
    ("people", _("Active people"), False),
)


class RangeForm(forms.Form):
    first = forms.DateField(widget=forms.DateInput(attrs={"type": "date"}))
    last = forms.DateField(widget=forms.DateInput(attrs={"type": "date"}))

    def clean(self) -> dict[str, Any]:
        found = self.cleaned_data
        if "first" in found and "last" in found:
            days = (found["last"] - found["first"]).days
            if not 0 <= days < MAX_DAYS:
                raise forms.ValidationError(
                    gettext("Choose up to %(most)d days, the first one first.") % {"most": MAX_DAYS}
                )
        return found


@admin.register(Books)
class BooksAdmin(admin.ModelAdmin[Books]):
    """Its pages are our own; its table does not exist."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site
        return [
            path("", site.admin_view(self.reports_view), name="billing_books_changelist"),
            path("days.csv", site.admin_view(self.csv_view), name="billing_books_csv"),
            path("balance/", site.admin_view(self.balance_view), name="billing_books_balance"),
            path("webhooks/", site.admin_view(self.webhooks_view), name="billing_books_webhooks"),
            path(
                "webhooks/csv/",
                site.admin_view(self.webhooks_csv_view),
                name="billing_books_webhooks_csv",
            ),
        ]

    def reports_view(self, request: HttpRequest) -> HttpResponse:
        self._require_permission(request)
        form, found = _asked(request)
        context = self._context(
            request, gettext("Reports"), form=form, may_export=may_export(request)
        )
        if found is not None:
            context |= {
                "report": found,
                "charts": _charts(found),
                "models": _with_shares(found.models),
                "query": f"first={found.first}&last={found.last}",
            }
        return TemplateResponse(request, "admin/billing/reports.html", context)

    def csv_view(self, request: HttpRequest) -> HttpResponseBase:
        self._require_permission(request)
        _, found = _asked(request)
        if found is None or not may_export(request):
            raise PermissionDenied
        header = ["day", "revenue_usd", "fees_usd", "given_usd", "spend_usd", "cost_usd"]
        rows = (
            [
                str(day.day),
                *(usd(amount) for amount in (day.revenue, day.fees, day.given)),
                usd(day.spend),
                usd(day.cost),
                usd(day.margin),
                day.tokens,
                day.calls,
                day.people,
            ]
            for day in found.days
        )
        header += ["margin_usd", "tokens", "calls", "people"]
        return csv_response(f"holdfast-{found.first}-{found.last}", header, rows)

    def balance_view(self, request: HttpRequest) -> HttpResponse:
        """What the last audits found, and how the books stand now."""
        self._require_permission(request)
        runs = list(AuditRun.objects.order_by("-finished_at")[:30])
        late = datetime.now(UTC) - LATE_AFTER
        context = self._context(
            request,
            gettext("Do the books balance?"),
            runs=runs,
            is_late=not runs or runs[0].finished_at < late,
            purses=Purse.objects.aggregate(
                people=Count("pk"), balance=Sum("balance_micro_usd"), held=Sum("held_micro_usd")
            ),
            open_holds=Hold.objects.filter(state=Hold.State.OPEN).count(),
            problems=TopUp.objects.exclude(problem="").order_by("-created_at")[:20],
        )
        return TemplateResponse(request, "admin/billing/balance.html", context)

    def webhooks_view(self, request: HttpRequest) -> HttpResponse:
        """Every call of Stripe's webhook, accepted or refused, and what came of it."""
        self._require_permission(request)
        context = self._context(request, gettext("Calls of Stripe's webhook"))
        context |= admin_webhooks.page(request)
        return TemplateResponse(request, "admin/billing/webhooks.html", context)

    def webhooks_csv_view(self, request: HttpRequest) -> HttpResponseBase:
        self._require_permission(request)
        if not may_export(request):
            raise PermissionDenied
        return admin_webhooks.csv(request)

    def _require_permission(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied

    def _context(self, request: HttpRequest, title: str, **context: Any) -> dict[str, Any]:
        return {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            **context,
        }


def _asked(request: HttpRequest) -> tuple[RangeForm, reports.Report | None]:
    today = datetime.now(UTC).date()
    usual: dict[str, date] = {"first": today - timedelta(days=DEFAULT_DAYS - 1), "last": today}
    form = RangeForm({name: request.GET.get(name) or day for name, day in usual.items()})
    if not form.is_valid():
        return form, None
    return form, reports.report(form.cleaned_data["first"], form.cleaned_data["last"])


def _charts(found: reports.Report) -> list[dict[str, Any]]:
    """A bar goes up by what was lost too, and says so: see the template."""
    drawn = []
    for name, title, is_money in CHARTS:
        values = [(f"{day.day:%-d %b}", getattr(day, name)) for day in found.days]
        drawn.append(
            {
                "name": name,
                "title": title,
                "is_money": is_money,
                "total": getattr(found.total, name),
                "chart": charts.chart([(label, max(0, value)) for label, value in values]),
                "losses": [label for label, value in values if value < 0],
            }
        )
    return drawn


def _with_shares(models: list[reports.OfModel]) -> list[tuple[reports.OfModel, str]]:
    highest = max((model.cost for model in models), default=0)
    return [(model, charts.share(model.cost, highest)) for model in models]
