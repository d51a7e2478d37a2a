"""Today's figures about money on the first page of the admin."""

from collections.abc import Iterable
from datetime import UTC, datetime

from django.http import HttpRequest
from django.urls import reverse
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.admin import home
from accounts.admin.home import Group
from accounts.admin.person_page import Figure
from billing.admin import reports
from billing.models import AuditRun
from billing.money import dollars


def money(request: HttpRequest, midnight: datetime) -> Iterable[Group]:
    """Use for those who may see the list of usage; payments and margin for those who may see the
    reports."""
    may_see_books = request.user.has_perm("billing.view_books")
    may_see_usage = request.user.has_perm("billing.view_usage")
    if not may_see_books and not may_see_usage:
        return
    sums = reports.sums_of_day(midnight.date(), with_ledger=may_see_books)
    usage = reverse("admin:billing_usage_changelist") if may_see_usage else ""
    figures = [
        Figure(_("Active people"), f"{sums.people:,}"),
        Figure(_("Calls of models"), f"{sums.calls:,}", usage),
        Figure(_("Cost of calls to us"), dollars(sums.cost), usage),
        Figure(_("Spend of credit"), dollars(sums.spend)),
    ]
    if may_see_books:
        page = reverse("admin:billing_books_changelist")
        figures += [
            Figure(_("Revenue"), dollars(sums.revenue), page),
            Figure(_("Margin"), dollars(sums.margin), page),
        ]
    yield Group(_("Use and money"), figures)


def last_audit(request: HttpRequest, _midnight: datetime) -> Iterable[Group]:
    if not request.user.has_perm("billing.view_books"):
        return
    run = AuditRun.objects.order_by("-finished_at").first()
    yield Group(_("Audit of the books"), [_audit_figure(run)])


def _audit_figure(run: AuditRun | None) -> Figure:
    page = reverse("admin:billing_books_balance")
    if run is None:
        return Figure(_("Last audit"), _("never"), page, is_bad=True)
    if run.is_clean:
        text = _("The books balance")
    else:
        count = len(run.differences)
        text = ngettext("%(count)d difference", "%(count)d differences", count) % {"count": count}
    is_late = datetime.now(UTC) - run.finished_at > reports.LATE_AFTER
    name = _("Last audit, %(time)s ago") % {"time": timesince(run.finished_at)}
    return Figure(name, text, page, is_bad=is_late or not run.is_clean)


home.add(money)
home.add(last_audit)
