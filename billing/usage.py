"""Sums of usage and charges, for pages, exports and operators. Sync, read only.

The usage of a guest who joined an account is part of the account's history. It stays stored under
the guest's id, and is queried by both ids.
"""

import uuid
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from django.db.models import Count, QuerySet, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from accounts.models import GuestJoin
from billing.models import LedgerEntry, Usage

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Total:
    """Sums over the calls of one `key`: a day, a chat id or a model id."""

    key: Any
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost_micro_usd: int
    charged_micro_usd: int

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


def people_of(person_id: uuid.UUID) -> list[uuid.UUID]:
    """The ids of the person and of the guests who joined them."""
    guests = GuestJoin.objects.filter(account_id=person_id).values_list("guest_id", flat=True)
    return [person_id, *guests]


def of_person(
    person_id: uuid.UUID, since: date | None = None, until: date | None = None
) -> QuerySet[Usage]:
    """The person's calls, newest first. Both days are included, by the active time zone."""
    calls = Usage.objects.filter(person_id__in=people_of(person_id))
    # The index is on days in UTC: with one more on either side, it covers every time zone.
    if since is not None:
        calls = calls.filter(day__gte=since - DAY, at__gte=_midnight(since))
    if until is not None:
        calls = calls.filter(day__lte=until + DAY, at__lt=_midnight(until + DAY))
    return calls.order_by("-id")


def entries_of(person_id: uuid.UUID) -> QuerySet[LedgerEntry]:
    """The ledger of the person and of the guests who joined them, newest first."""
    return LedgerEntry.objects.filter(purse_id__in=people_of(person_id)).order_by("-id")


def totals_of(usage: QuerySet[Usage], key: str) -> list[Total]:
    """One total for each value of the field `key`, unordered."""
    rows = (
        usage.order_by()
        .values_list(key)
        .annotate(
            Count("id"),
            Sum("prompt_tokens"),
            Sum("completion_tokens"),
            Sum("cost_micro_usd"),
            Sum("charged_micro_usd"),
        )
    )
    return [Total(*row) for row in rows]


def totals_by_day(usage: QuerySet[Usage]) -> list[Total]:
    """One total for each day of the active time zone; days in UTC are stored."""
    if timezone.get_current_timezone_name() == "UTC":
        return totals_of(usage, "day")
    return totals_of(usage.annotate(local_day=TruncDate("at")), "local_day")


def dearest_first(totals: list[Total]) -> list[Total]:
    return sorted(
        totals, key=lambda total: (-total.charged_micro_usd, -total.calls, str(total.key))
    )


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, timezone.get_current_timezone())
