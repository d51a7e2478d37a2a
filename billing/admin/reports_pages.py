"""Two pages of the admin: reports with charts, and whether the books balance."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from billing.admin import reports
from billing.admin import webhooks as admin_webhooks
from billing.admin.lists import may_export
from billing.models import AuditRun, Books, Hold, Purse, TopUp
from billing.pages import charts
from billing.pages.csv_files import csv_response, usd, words

DEFAULT_DAYS = 30
MAX_DAYS = 366
# Nothing was booked outside of these years, and no date in them is too far for a database.
YEARS = range(2000, 3000)
# The audit runs every night: so long without one means that it does not.
LATE_AFTER = timedelta(hours=48)
# Two beside each other: narrower than a person's one, so that its words are as large.
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
# Of these each model has a bar, as wide as its share of the highest.
BARS = ("people", "tokens", "spend", "cost", "margin")
DAYS_HEADER = (
    *("day", "revenue_usd", "fees_usd", "given_usd", "spend_usd", "cost_usd", "borne_usd"),
    *("margin_usd", "tokens", "calls", "people"),
)
MODELS_HEADER = ("model", "spend_usd", "cost_usd", "margin_usd", "tokens", "calls", "people")


class RangeForm(forms.Form):
    first = forms.DateField(widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"))
    last = forms.DateField(widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"))
    # The id of a model, which need not be known any more; "" is all of them.
    model = forms.CharField(required=False, max_length=200, widget=forms.HiddenInput)

    def clean(self) -> dict[str, Any]:
        found = self.cleaned_data
        if "first" in found and "last" in found:
            days = (found["last"] - found["first"]).days
            known = found["first"].year in YEARS and found["last"].year in YEARS
            if not (known and 0 <= days < MAX_DAYS):
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
            kept = {"first": found.first, "last": found.last}
            context |= {
                "report": found,
                "charts": _charts(found),
                "models": _with_bars(found.models),
                "query": urlencode(kept),
                "csv_query": urlencode(kept | {"model": found.model} if found.model else kept),
            }
        return TemplateResponse(request, "admin/billing/reports.html", context)

    def csv_view(self, request: HttpRequest) -> HttpResponseBase:
        """`by`: day or model."""
        self._require_permission(request)
        if not may_export(request):
            raise PermissionDenied
        _, found = _asked(request)
        if found is None:
            # The page says what is wrong with it.
            page = reverse("admin:billing_books_changelist")
            return HttpResponseRedirect(f"{page}?{request.GET.urlencode()}")
        name = f"holdfast-{found.first}-{found.last}"
        if request.GET.get("by") == "model":
            rows = ([_cell(one, name) for name in MODELS_HEADER] for one in found.models)
            return csv_response(f"{name}-by-model", list(MODELS_HEADER), rows)
        rows = ([_cell(day, name) for name in DAYS_HEADER] for day in found.days)
        return csv_response(name, list(DAYS_HEADER), rows)

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
            purses=_standing(),
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
    usual: dict[str, Any] = {
        "first": today - timedelta(days=DEFAULT_DAYS - 1),
        "last": today,
        "model": "",
    }
    form = RangeForm({name: request.GET.get(name) or value for name, value in usual.items()})
    if not form.is_valid():
        return form, None
    return form, reports.report(**form.cleaned_data)


def _cell(row: reports.Sums | reports.OfModel, name: str) -> object:
    value = getattr(row, name.removesuffix("_usd"))
    if name.endswith("_usd"):
        return usd(value)
    return value if isinstance(value, int) else words(str(value))


def _charts(found: reports.Report) -> list[dict[str, Any]]:
    return [
        {
            "title": title,
            "is_money": is_money,
            "total": getattr(found.total, name),
            "chart": charts.chart(
                [(f"{day.day:%-d %b}", getattr(day, name)) for day in found.days], CHART_WIDTH
            ),
        }
        for name, title, is_money in CHARTS
        # Of one model, what was spent on it is its revenue.
        if not (found.model and name == "revenue")
    ]


def _with_bars(models: list[reports.OfModel]) -> list[tuple[reports.OfModel, dict[str, str]]]:
    highest = {
        name: max((abs(getattr(model, name)) for model in models), default=0) for name in BARS
    }
    return [
        (model, {n: charts.share(abs(getattr(model, n)), highest[n]) for n in BARS})
        for model in models
    ]


def _standing() -> dict[str, int]:
    """What all purses hold together, in micro-USD: of people who are there, what some of them owe,
    and what is left in the books of those who are gone and can spend it no more."""
    amount, people = "balance_micro_usd", User.objects.values("pk")
    found: dict[str, int] = Purse.objects.aggregate(
        people=Count("pk", filter=Q(person_id__in=people)),
        credit=Sum(amount, filter=Q(person_id__in=people, balance_micro_usd__gt=0), default=0),
        owed=Sum(amount, filter=Q(person_id__in=people, balance_micro_usd__lt=0), default=0),
        left=Sum(amount, filter=~Q(person_id__in=people), default=0),
        held=Sum("held_micro_usd", default=0),
    )
    return found
