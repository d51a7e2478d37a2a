"""Admin pages with reports, audits and webhook calls."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from billing import audit
from billing.admin import reports
from billing.admin import webhooks as admin_webhooks
from billing.admin.lists import may_export
from billing.models import AuditRequest, AuditRun, Books, Hold, Purse, TopUp
from billing.pages import charts
from billing.pages.csv_files import csv_response, escape_formula, usd

DEFAULT_DAYS = 30
MAX_DAYS = 366
# Accepted years: nothing was booked outside them, and databases support all their dates.
YEARS = range(2000, 3000)
# Two charts share a row, so each is narrower than on people's pages.
CHART_WIDTH = 480
# (field of reports.Sums, its name, whether it is money)
CHARTS = (
    ("revenue", _("Revenue"), True),
    ("spend", _("Spend"), True),
    ("cost", _("Cost of calls"), True),
    ("margin", _("Margin"), True),
    ("tokens", _("Tokens"), False),
    ("people", _("Active people"), False),
)
# Columns in which each model has a bar, relative to the highest value.
BARS = ("people", "tokens", "spend", "cost", "margin")
DAYS_HEADER = (
    *("day", "revenue_usd", "fees_usd", "given_usd", "spend_usd", "cost_usd", "borne_usd"),
    *("margin_usd", "tokens", "calls", "people"),
)
MODELS_HEADER = ("model", "spend_usd", "cost_usd", "margin_usd", "tokens", "calls", "people")


class RangeForm(forms.Form):
    first = forms.DateField(widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"))
    last = forms.DateField(widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"))
    # Id of a model, possibly one that no longer exists; "" means all models.
    model = forms.CharField(required=False, max_length=200, widget=forms.HiddenInput)

    def clean(self) -> dict[str, Any]:
        cleaned = self.cleaned_data
        if "first" in cleaned and "last" in cleaned:
            days = (cleaned["last"] - cleaned["first"]).days
            known = cleaned["first"].year in YEARS and cleaned["last"].year in YEARS
            if not (known and 0 <= days < MAX_DAYS):
                raise forms.ValidationError(
                    gettext("Choose up to %(most)d days, the first one first.") % {"most": MAX_DAYS}
                )
        return cleaned


@admin.register(Books)
class BooksAdmin(admin.ModelAdmin[Books]):
    """Serves pages of our own; the model has no table."""

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
            path("audit/", site.admin_view(self.audit_view), name="billing_books_audit"),
            path("webhooks/", site.admin_view(self.webhooks_view), name="billing_books_webhooks"),
            path(
                "webhooks/csv/",
                site.admin_view(self.webhooks_csv_view),
                name="billing_books_webhooks_csv",
            ),
        ]

    def reports_view(self, request: HttpRequest) -> HttpResponse:
        self._require_permission(request)
        form, report = _requested_report(request)
        context = self._context(
            request, gettext("Reports"), form=form, may_export=may_export(request)
        )
        if report is not None:
            dates = {"first": report.first, "last": report.last}
            context |= {
                "report": report,
                "charts": _charts(report),
                "models": _with_bars(report.models),
                "query": urlencode(dates),
                "csv_query": urlencode(dates | {"model": report.model} if report.model else dates),
            }
        return TemplateResponse(request, "admin/billing/reports.html", context)

    def csv_view(self, request: HttpRequest) -> HttpResponseBase:
        """CSV with a row per day or model (`by`)."""
        self._require_permission(request)
        if not may_export(request):
            raise PermissionDenied
        _, report = _requested_report(request)
        if report is None:
            # The page shows the error.
            page = reverse("admin:billing_books_changelist")
            return HttpResponseRedirect(f"{page}?{request.GET.urlencode()}")
        name = f"holdfast-{report.first}-{report.last}"
        if request.GET.get("by") == "model":
            rows = ([_cell(model, column) for column in MODELS_HEADER] for model in report.models)
            return csv_response(f"{name}-by-model", list(MODELS_HEADER), rows)
        rows = ([_cell(day, column) for column in DAYS_HEADER] for day in report.days)
        return csv_response(name, list(DAYS_HEADER), rows)

    def balance_view(self, request: HttpRequest) -> HttpResponse:
        """Results of the last audits, and the current sums of all purses."""
        self._require_permission(request)
        runs = list(AuditRun.objects.order_by("-finished_at")[:30])
        late = datetime.now(UTC) - reports.LATE_AFTER
        context = self._context(
            request,
            gettext("Do the books balance?"),
            runs=runs,
            is_late=not runs or runs[0].finished_at < late,
            purses=_purse_sums(),
            open_holds=Hold.objects.filter(state=Hold.State.OPEN).count(),
            problems=TopUp.objects.exclude(problem="").order_by("-created_at")[:20],
            may_audit=may_audit(request),
            requested=AuditRequest.objects.order_by("at").first(),
        )
        return TemplateResponse(request, "admin/billing/balance.html", context)

    def audit_view(self, request: HttpRequest) -> HttpResponse:
        """POST: let a worker audit the books now."""
        self._require_permission(request)
        if not may_audit(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        assert isinstance(request.user, User)
        audit.request(request.user.id)
        return HttpResponseRedirect(reverse("admin:billing_books_balance"))

    def webhooks_view(self, request: HttpRequest) -> HttpResponse:
        """All calls of Stripe's webhook, accepted or refused, with their outcomes."""
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


def may_audit(request: HttpRequest) -> bool:
    """Whether the operator may request an audit: those who may read its results."""
    return request.user.has_perm("billing.view_auditrun")


def _requested_report(request: HttpRequest) -> tuple[RangeForm, reports.Report | None]:
    today = datetime.now(UTC).date()
    defaults: dict[str, Any] = {
        "first": today - timedelta(days=DEFAULT_DAYS - 1),
        "last": today,
        "model": "",
    }
    form = RangeForm({name: request.GET.get(name) or value for name, value in defaults.items()})
    if not form.is_valid():
        return form, None
    return form, reports.make_report(**form.cleaned_data)


def _cell(row: reports.Sums | reports.ModelSums, name: str) -> object:
    value = getattr(row, name.removesuffix("_usd"))
    if name.endswith("_usd"):
        return usd(value)
    return value if isinstance(value, int) else escape_formula(str(value))


def _charts(report: reports.Report) -> list[dict[str, Any]]:
    return [
        {
            "title": title,
            "is_money": is_money,
            "total": getattr(report.total, name),
            "chart": charts.chart(
                [(f"{day.day:%-d %b}", getattr(day, name)) for day in report.days], CHART_WIDTH
            ),
        }
        for name, title, is_money in CHARTS
        # The revenue of a single model is its spend.
        if not (report.model and name == "revenue")
    ]


def _with_bars(models: list[reports.ModelSums]) -> list[tuple[reports.ModelSums, dict[str, str]]]:
    highest = {
        name: max((abs(getattr(model, name)) for model in models), default=0) for name in BARS
    }
    return [
        (model, {n: charts.share(abs(getattr(model, n)), highest[n]) for n in BARS})
        for model in models
    ]


def _purse_sums() -> dict[str, int]:
    """Sums over all purses in micro-USD: credit of existing people, their debts, credit left in the
    purses of deleted people, and holds; and `people`, a count."""
    amount, people = "balance_micro_usd", User.objects.values("pk")
    sums: dict[str, int] = Purse.objects.aggregate(
        people=Count("pk", filter=Q(person_id__in=people)),
        credit=Sum(amount, filter=Q(person_id__in=people, balance_micro_usd__gt=0), default=0),
        owed=Sum(amount, filter=Q(person_id__in=people, balance_micro_usd__lt=0), default=0),
        left=Sum(amount, filter=~Q(person_id__in=people), default=0),
        held=Sum("held_micro_usd", default=0),
    )
    return sums
