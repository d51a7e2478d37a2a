"""Base classes of billing's lists in the admin: read-only, with search, totals and CSV downloads.

Times and days are UTC, as in the reports. Each query is bounded by the rows of the page, or is a
single pass that calls no Python function: on SQLite, date functions are Python calls for each row,
during which nothing else runs.
"""

import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ERROR_FLAG
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Field, Model, OuterRef, Q, QuerySet, Subquery, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django_stubs_ext import StrOrPromise

from accounts.admin.read_only import ReadOnlyAdmin
from accounts.models import User
from billing.admin.search import SearchableAdmin
from billing.money import MICRO_PER_CENT, dollars
from billing.pages.csv_files import csv_response, escape_formula, iso_time, usd

CSV_CHUNK_ROWS = 2_000
CENTS, MICRO_USD = "_cents", "_micro_usd"


def money(field: str, label: StrOrPromise) -> Any:
    """A list column that shows micro-USD as dollars; empty for None."""

    @admin.display(description=label, ordering=field)
    def column(row: Model) -> str:
        amount: int | None = getattr(row, field)
        return "" if amount is None else dollars(amount)

    column.__name__ = f"{field}_in_dollars"
    return column


def when(field: str, label: StrOrPromise) -> Any:
    """A list column that shows a time in UTC, to the minute."""

    @admin.display(description=label, ordering=field)
    def column(row: Model) -> str:
        at: datetime | None = getattr(row, field)
        return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}" if at else ""

    column.__name__ = f"{field}_in_utc"
    return column


def _exactly(name: str, label: StrOrPromise) -> Any:
    """A field of a row's own page that shows the exact amount in USD."""

    @admin.display(description=label)
    def field(row: Model) -> str:
        amount: int | None = getattr(row, name)
        if amount is None:
            return ""
        return ("−$" if amount < 0 else "$") + _in_usd(name, abs(amount))

    field.__name__ = f"{name}_exactly"
    return field


def rows_of(model: str, query: object, text: object) -> str:
    """A link to the list of `model`, searched for `query`."""
    url = reverse(f"admin:billing_{model}_changelist")
    return format_html('<a href="{}?{}">{}</a>', url, urlencode({"q": query}), text)


def side_by_side(links: Iterable[str]) -> str:
    return format_html_join(" · ", "{}", ((link,) for link in links))


class UtcAdmin(ReadOnlyAdmin):
    """A read-only list and row pages with times in UTC."""

    change_list_template = "admin/billing/change_list.html"
    # Facets would count rows in one more pass for each filter.
    show_facets = admin.ShowFacets.NEVER

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        with timezone.override(UTC):
            response = super().changelist_view(request, extra_context)
            context = getattr(response, "context_data", None)
            if context and "cl" in context:
                context |= self.list_context(request, context["cl"].queryset)
            return _render(response)

    def list_context(self, request: HttpRequest, rows: QuerySet[Any]) -> dict[str, Any]:
        """More template context for the list; `rows` are all rows that match the filters."""
        return {}

    def response_action(
        self, request: HttpRequest, queryset: QuerySet[Any], *args: Any
    ) -> HttpResponse | None:
        try:
            return super().response_action(request, queryset, *args)
        except ValidationError:
            self.message_user(request, gettext("These rows no longer exist."), messages.ERROR)
            return None

    def changeform_view(self, *args: Any, **kwargs: Any) -> Any:
        with timezone.override(UTC):
            return _render(super().changeform_view(*args, **kwargs))

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        try:
            return super().get_changelist_instance(request)
        except OverflowError as error:  # The date has no successor.
            raise IncorrectLookupParameters(error) from error


def _render(response: HttpResponse) -> HttpResponse:
    """Render now; Django would render after the view, in the reader's time zone."""
    render = getattr(response, "render", None)
    return render() if render else response


class MoneyAdmin(SearchableAdmin, UtcAdmin):
    """A list with totals of the filtered rows, and the same rows as CSV."""

    # {label: field in micro-USD or tokens}, summed over all filtered rows.
    totals: ClassVar[dict[StrOrPromise, str]] = {}
    # Columns of the CSV.
    csv_fields: ClassVar[list[str]] = []
    # Immutable field by which the CSV is ordered, newest first.
    csv_order = "created_at"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        # A subquery rather than a join, because these rows outlive the person.
        person = User.objects.filter(pk=OuterRef(self.person_field))
        rows: QuerySet[Any] = super().get_queryset(request)
        rows = rows.annotate(email=Subquery(person.values("email")[:1]))
        return rows

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """All fields of a row's page; Django leaves out uneditable fields, such as times."""
        if obj is None:
            return list(super().get_fields(request, obj))
        return [*map(self._shown, self.opts.concrete_fields), *self.readonly_fields]

    def _shown(self, field: Field[Any, Any]) -> Any:
        is_money = field.name.endswith((CENTS, MICRO_USD))
        return _exactly(field.name, _in_words(field.verbose_name)) if is_money else field.name

    @admin.display(description=_("person"))
    def person(self, row: Any) -> str:
        person_id: uuid.UUID = getattr(row, self.person_field)
        return rows_of("purse", person_id, row.email or short(person_id))

    # Beside the rows

    def list_context(self, request: HttpRequest, rows: QuerySet[Any]) -> dict[str, Any]:
        csv_url = self._csv_url(request) if may_export(request) else ""
        return {"totals": self.totals_of(rows), "csv_url": csv_url}

    def totals_of(self, rows: QuerySet[Any]) -> list[tuple[str, str]]:
        sums = rows.order_by().aggregate(
            **{f"of_{field}": Sum(field) for field in self.totals.values()}
        )
        return [
            (str(label), _amount(field, sums[f"of_{field}"] or 0))
            for label, field in self.totals.items()
        ]

    # CSV

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.csv_view)
        return [path("csv/", view, name=f"{self._url_name}_csv"), *super().get_urls()]

    @property
    def _url_name(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}"

    def _csv_url(self, request: HttpRequest) -> str:
        return f"{reverse(f'admin:{self._url_name}_csv')}?{request.GET.urlencode()}"

    def csv_view(self, request: HttpRequest) -> HttpResponseBase:
        """Download the rows of all pages of the filtered list."""
        if not self.has_view_permission(request) or not may_export(request):
            raise PermissionDenied
        try:
            with timezone.override(UTC):
                rows = self.get_changelist_instance(request).queryset
        except IncorrectLookupParameters:
            # Invalid lookups are handled as in the list.
            page = reverse(f"admin:{self._url_name}_changelist")
            return HttpResponseRedirect(f"{page}?{ERROR_FLAG}=1")
        names = self.csv_fields
        cells = (
            [_cell(name, value) for name, value in zip(names, row, strict=True)]
            for row in self._csv_rows(rows)
        )
        return csv_response(f"holdfast-{self.opts.model_name}", list(map(_header, names)), cells)

    def _csv_rows(self, rows: QuerySet[Any]) -> Iterator[tuple[Any, ...]]:
        """The rows, newest first. Each chunk is a query that continues after the last row: a slow
        download keeps nothing open in the database."""
        name = self.csv_order
        rows = rows.order_by(f"-{name}", "-pk").values_list(name, "pk", *self.csv_fields)
        chunk = list(rows[:CSV_CHUNK_ROWS])
        while chunk:
            yield from (row[2:] for row in chunk)
            last, pk = chunk[-1][:2]
            # The first condition is redundant, but lets the database seek in the index.
            older = Q(**{f"{name}__lte": last}) & (Q(**{f"{name}__lt": last}) | Q(pk__lt=pk))
            chunk = list(rows.filter(older)[:CSV_CHUNK_ROWS])


def short(row_id: uuid.UUID) -> str:
    return f"{str(row_id)[:8]}…"


def may_export(request: HttpRequest) -> bool:
    may: bool = request.user.has_perm("billing.export_billing")
    return may


def _amount(field: str, total: int) -> str:
    return dollars(total) if field.endswith(MICRO_USD) else f"{total:,}"


def _header(name: str) -> str:
    """Name of a CSV column; amounts are USD with six decimals, which is exact."""
    return name.replace(MICRO_USD, "_usd").replace(CENTS, "_usd").replace("__", "_")


def _in_words(name: StrOrPromise) -> str:
    """The name of a field, without its unit."""
    return str(name).removesuffix(" micro usd").removesuffix(" cents")


def _in_usd(name: str, amount: int) -> str:
    return usd(amount * MICRO_PER_CENT if name.endswith(CENTS) else amount)


def _cell(name: str, value: Any) -> object:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return iso_time(value)
    if name.endswith((CENTS, MICRO_USD)):
        return _in_usd(name, value)
    return escape_formula(value) if isinstance(value, str) else value
