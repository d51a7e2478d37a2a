"""The frame of billing's lists in the admin: to be read, searched, added up and downloaded.

Their times and days are those of UTC, as in the reports, wherever the reader is. What is asked of
the database is bounded by what is on the page, or is one pass over the rows without a Python
function in it: SQLite calls those (for dates) row by row, and nothing else runs meanwhile.
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
from billing.admin.search import FoundByAnything
from billing.money import MICRO_PER_CENT, dollars
from billing.pages.csv_files import csv_response, moment, usd, words

CSV_CHUNK_ROWS = 2_000
CENTS, MICRO_USD = "_cents", "_micro_usd"


def money(field: str, label: StrOrPromise) -> Any:
    """A column of the admin with an amount in micro-USD as dollars; of none it is empty."""

    @admin.display(description=label, ordering=field)
    def column(row: Model) -> str:
        amount: int | None = getattr(row, field)
        return "" if amount is None else dollars(amount)

    column.__name__ = f"{field}_in_dollars"
    return column


def when(field: str, label: StrOrPromise) -> Any:
    """A column with a moment, in UTC, as short as one can read and sort it."""

    @admin.display(description=label, ordering=field)
    def column(row: Model) -> str:
        at: datetime | None = getattr(row, field)
        return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}" if at else ""

    column.__name__ = f"{field}_in_utc"
    return column


def _exactly(name: str, label: StrOrPromise) -> Any:
    """An amount on the page of one row, to the micro-dollar."""

    @admin.display(description=label)
    def field(row: Model) -> str:
        amount: int | None = getattr(row, name)
        if amount is None:
            return ""
        return ("−$" if amount < 0 else "$") + _in_usd(name, abs(amount))

    field.__name__ = f"{name}_exactly"
    return field


def rows_of(model: str, query: object, text: object) -> str:
    """A link to the rows of another of billing's lists that a search finds."""
    url = reverse(f"admin:billing_{model}_changelist")
    return format_html('<a href="{}?{}">{}</a>', url, urlencode({"q": query}), text)


def side_by_side(links: Iterable[str]) -> str:
    return format_html_join(" · ", "{}", ((link,) for link in links))


class UtcAdmin(ReadOnlyAdmin):
    """A list, and pages of its rows, with times in UTC."""

    change_list_template = "admin/billing/change_list.html"
    # How many rows each filter would leave is counted in one more pass for each of them.
    show_facets = admin.ShowFacets.NEVER

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        with timezone.override(UTC):
            response = super().changelist_view(request, extra_context)
            shown = getattr(response, "context_data", None)
            if shown and "cl" in shown:
                shown |= self.more_of_list(request, shown["cl"].queryset)
            return _rendered(response)

    def more_of_list(self, request: HttpRequest, rows: QuerySet[Any]) -> dict[str, Any]:
        return {}

    def response_action(
        self, request: HttpRequest, queryset: QuerySet[Any], *args: Any
    ) -> HttpResponse | None:
        try:
            return super().response_action(request, queryset, *args)
        except ValidationError:
            self.message_user(request, gettext("There are no such rows."), messages.ERROR)
            return None

    def changeform_view(self, *args: Any, **kwargs: Any) -> Any:
        with timezone.override(UTC):
            return _rendered(super().changeform_view(*args, **kwargs))

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        try:
            return super().get_changelist_instance(request)
        except OverflowError as error:  # A date after which there is none.
            raise IncorrectLookupParameters(error) from error


def _rendered(response: HttpResponse) -> HttpResponse:
    """Templates are rendered after the view otherwise, and times in them in another zone."""
    render = getattr(response, "render", None)
    return render() if render else response


class MoneyAdmin(FoundByAnything, UtcAdmin):
    """A list with the sums of what the filters leave, and the same rows as CSV."""

    # {label: a field in micro-USD, or of tokens}: summed up over all that the filters leave.
    totals: ClassVar[dict[StrOrPromise, str]] = {}
    # The fields of the model that make a row of the CSV.
    csv_fields: ClassVar[list[str]] = []
    # The field that never changes by which the CSV is read, newest first.
    csv_order = "created_at"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        # No join: most of these tables outlive the person.
        person = User.objects.filter(pk=OuterRef(self.person_field))
        rows: QuerySet[Any] = super().get_queryset(request)
        rows = rows.annotate(email=Subquery(person.values("email")[:1]))
        return rows

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Of a row all there are: Django leaves out what no form may change, such as its time."""
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

    # What is beside the rows

    def more_of_list(self, request: HttpRequest, rows: QuerySet[Any]) -> dict[str, Any]:
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
        """All rows that the list would show on all its pages."""
        if not self.has_view_permission(request) or not may_export(request):
            raise PermissionDenied
        try:
            with timezone.override(UTC):
                rows = self.get_changelist_instance(request).queryset
        except IncorrectLookupParameters:
            # As the list does with what cannot be asked for.
            page = reverse(f"admin:{self._url_name}_changelist")
            return HttpResponseRedirect(f"{page}?{ERROR_FLAG}=1")
        names = self.csv_fields
        cells = (
            [_cell(name, value) for name, value in zip(names, row, strict=True)]
            for row in self._csv_rows(rows)
        )
        return csv_response(f"holdfast-{self.opts.model_name}", list(map(_header, names)), cells)

    def _csv_rows(self, rows: QuerySet[Any]) -> Iterator[tuple[Any, ...]]:
        """Newest first. Each chunk is a query of its own, which goes on from the last row: however
        slowly it is downloaded, the database keeps nothing open for it."""
        name = self.csv_order
        rows = rows.order_by(f"-{name}", "-pk").values_list(name, "pk", *self.csv_fields)
        chunk = list(rows[:CSV_CHUNK_ROWS])
        while chunk:
            yield from (row[2:] for row in chunk)
            last, pk = chunk[-1][:2]
            # The first half says the same once more, so that an index is gone into at this place.
            older = Q(**{f"{name}__lte": last}) & (Q(**{f"{name}__lt": last}) | Q(pk__lt=pk))
            chunk = list(rows.filter(older)[:CSV_CHUNK_ROWS])


def short(row_id: uuid.UUID) -> str:
    return f"{str(row_id)[:8]}…"


def may_export(request: HttpRequest) -> bool:
    may: bool = request.user.has_perm("billing.export_billing")
    return may


def _amount(field: str, sum_of_it: int) -> str:
    return dollars(sum_of_it) if field.endswith(MICRO_USD) else f"{sum_of_it:,}"


def _header(name: str) -> str:
    """All money is in USD with six decimals, which is exact."""
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
        return moment(value)
    if name.endswith((CENTS, MICRO_USD)):
        return _in_usd(name, value)
    return words(value) if isinstance(value, str) else value
