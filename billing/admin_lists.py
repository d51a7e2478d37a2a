"""The frame of billing's lists in the admin: to be read, added up and downloaded."""

import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model, OuterRef, Q, QuerySet, Subquery, Sum
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django_stubs_ext import StrOrPromise

from accounts.models import User
from accounts.read_only_admin import ReadOnlyAdmin
from billing.csv_files import csv_response, moment, words
from billing.money import dollars

CSV_CHUNK_ROWS = 2_000


def money(field: str, label: StrOrPromise) -> Any:
    """A column of the admin with an amount in micro-USD as dollars."""

    @admin.display(description=label, ordering=field)
    def column(row: Model) -> str:
        amount: int = getattr(row, field)
        return dollars(amount)

    column.__name__ = f"{field}_in_dollars"
    return column


class MoneyAdmin(ReadOnlyAdmin):
    """A list with the sums of what the filters leave, and the same rows as CSV."""

    change_list_template = "admin/billing/change_list.html"
    # {label: a field in micro-USD}: summed up under the list.
    totals: ClassVar[dict[StrOrPromise, str]] = {}
    # The fields of the model that make a row of the CSV.
    csv_fields: ClassVar[list[str]] = []
    # The field that never changes by which the CSV is read, newest first.
    csv_order = "created_at"
    # The field that holds the id of the person, whose address is shown and searched.
    person_field = "person_id"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        # No join: most of these tables outlive the person.
        person = User.objects.filter(pk=OuterRef(self.person_field))
        rows: QuerySet[Any] = super().get_queryset(request)
        rows = rows.annotate(email=Subquery(person.values("email")[:1]))
        return rows

    @admin.display(description=_("person"), ordering="email")
    def person(self, row: Any) -> str:
        person_id: uuid.UUID = getattr(row, self.person_field)
        url = reverse("admin:billing_purse_changelist") + f"?q={person_id}"
        return format_html('<a href="{}">{}</a>', url, row.email or f"{str(person_id)[:8]}…")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        response = super().changelist_view(request, extra_context)
        shown = getattr(response, "context_data", None)
        if shown and "cl" in shown:
            shown["totals"] = self.totals_of(shown["cl"].queryset)
            shown["csv_url"] = self._csv_url(request) if may_export(request) else ""
        return response

    def totals_of(self, rows: QuerySet[Any]) -> list[tuple[str, str]]:
        sums = rows.order_by().aggregate(
            **{f"of_{field}": Sum(field) for field in self.totals.values()}
        )
        return [
            (str(label), dollars(sums[f"of_{field}"] or 0)) for label, field in self.totals.items()
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
        """All rows that the list would show on all its pages, amounts in micro-USD."""
        if not self.has_view_permission(request) or not may_export(request):
            raise PermissionDenied
        rows = self.get_changelist_instance(request).queryset
        cells = ([_cell(value) for value in row] for row in self._csv_rows(rows))
        return csv_response(f"holdfast-{self.opts.model_name}", self.csv_fields, cells)

    def _csv_rows(self, rows: QuerySet[Any]) -> Iterator[tuple[Any, ...]]:
        """Newest first. Each chunk is a query of its own, which goes on from the last row: however
        slowly it is downloaded, the database keeps nothing open for it."""
        name = self.csv_order
        rows = rows.order_by(f"-{name}", "-pk").values_list(name, "pk", *self.csv_fields)
        chunk = list(rows[:CSV_CHUNK_ROWS])
        while chunk:
            yield from (row[2:] for row in chunk)
            last, pk = chunk[-1][:2]
            older = Q(**{f"{name}__lt": last}) | Q(**{name: last, "pk__lt": pk})
            chunk = list(rows.filter(older)[:CSV_CHUNK_ROWS])


def may_export(request: HttpRequest) -> bool:
    may: bool = request.user.has_perm("billing.export_billing")
    return may


def _cell(value: Any) -> object:
    if isinstance(value, datetime):
        return moment(value)
    if value is None:
        return ""
    return words(value) if isinstance(value, str) else value
