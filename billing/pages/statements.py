"""A person's balance, history and usage in plain words, for pages and CSV. Read-only; sync."""

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any

from django.conf import settings
from django.db.models import BigIntegerField, Case, F, Max, Min, OuterRef, QuerySet, Subquery, When
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from billing import chat_titles, grants, usage
from billing.models import LedgerEntry, Purse, TopUp, Usage
from billing.money import MICRO_PER_CENT
from billing.pages import explanations
from billing.payments import stripe_api

Kind = LedgerEntry.Kind
# A balance at or below this percentage of the last incoming credit is low.
LOW_PERCENT = 20
UNTITLED = _("Untitled")
# Kinds whose positive entries are incoming credit.
INCOMING_KINDS = (
    Kind.SIGNUP_CREDIT,
    Kind.GUEST_BUDGET,
    Kind.FREE_CREDIT,
    Kind.TOP_UP,
    Kind.ADJUSTMENT,
)
# Models or chats that a page lists; the others are summed in one more row.
MOST_ROWS = 25
# Chats per title lookup.
TITLES_BATCH = 500


@dataclass(frozen=True, slots=True)
class Standing:
    """Balance of a person. `level`: ok, low (see LOW_PERCENT) or empty."""

    balance_micro_usd: int
    held_micro_usd: int
    level: str
    # When free credit is due if none is added before; None if never.
    free_credit_at: datetime | None

    def to_dict(self) -> dict[str, Any]:
        return {
            "balance_micro_usd": self.balance_micro_usd,
            "held_micro_usd": self.held_micro_usd,
            "level": self.level,
            "free_credit_at": self.free_credit_at and self.free_credit_at.isoformat(),
        }


def standing(person: User) -> Standing:
    """Read in one statement, because sockets ask after each change."""
    purse: Any = _purses().filter(person_id=person.id).first()
    balance = purse.balance_micro_usd if purse else 0
    if person.is_guest and not (purse and purse.has_guest_budget):
        # The guest budget is shown from the start, and booked with the first use.
        balance += settings.CREDIT_GUEST_MICRO_USD
    level = "ok"
    if balance < settings.CREDIT_ZERO_BELOW_MICRO_USD:
        level = "empty"
    elif purse and balance * 100 <= (purse.last_incoming or 0) * LOW_PERCENT:
        level = "low"
    free_at = None if person.is_guest else grants.free_credit_due_at(purse)
    return Standing(balance, purse.held_micro_usd if purse else 0, level, free_at)


@cache
def _purses() -> QuerySet[Purse, Any]:
    """Made once, because each page and each change of a balance would take a millisecond for it."""
    return Purse.objects.annotate(
        has_guest_budget=grants.has_guest_budget(), last_incoming=_last_incoming()
    )


def balance_json(person: User) -> dict[str, Any] | None:
    """The balance as JSON for pages and sockets; None without billing."""
    if not settings.BILLING:
        return None
    options = {
        "can_top_up": stripe_api.enabled() and not person.is_guest,
        # Calls with own keys cost no credit; guests have no keys.
        "can_use_own_keys": not person.is_guest,
        # The credit that a guest would get for signing up.
        "sign_up_micro_usd": settings.CREDIT_SIGN_UP_MICRO_USD if person.is_guest else 0,
    }
    return standing(person).to_dict() | options


def _last_incoming() -> Subquery:
    """For a query of purses: the amount of the last incoming entry, for a top-up its credit.

    The entry is found by the highest number of these kinds. Ordering by number would make the
    database read all of a person's charges instead of the index by kind.
    """
    incoming = LedgerEntry.objects.filter(
        purse=OuterRef(OuterRef("pk")), kind__in=INCOMING_KINDS, amount_micro_usd__gt=0
    )
    newest = incoming.order_by().values("purse").annotate(newest=Max("number")).values("newest")
    credit_cents = TopUp.objects.filter(id=OuterRef("top_up_id")).values("credit_cents")
    amount = Case(
        When(
            kind=Kind.TOP_UP,
            top_up_id__isnull=False,
            then=Subquery(credit_cents, output_field=BigIntegerField()) * MICRO_PER_CENT,
        ),
        default=F("amount_micro_usd"),
        output_field=BigIntegerField(),
    )
    entry = LedgerEntry.objects.filter(purse=OuterRef("pk"), number=Subquery(newest))
    return Subquery(entry.values_list(amount, flat=True))


# History

# (title, detail) by kind; `_describe` adds what depends on the entry.
DESCRIPTIONS = {
    Kind.SIGNUP_CREDIT: (_("Welcome credit"), _("For signing up")),
    Kind.GUEST_BUDGET: (_("Guest credit"), _("To try things out")),
    Kind.FREE_CREDIT: (_("Free credit"), ""),
    Kind.TOP_UP: (_("You added credit"), _("Paid by you, fee included")),
    Kind.FEE: (_("Processing fee"), _("Part of what you paid")),
    Kind.REFUND: (
        _("Refund"),
        _("Paid back to you with its part of the fee, so it is no longer credit"),
    ),
    Kind.DISPUTE: (_("Payment disputed"), _("Your bank took the payment back")),
    Kind.DISPUTE_WON: (_("Payment restored"), _("The dispute was settled")),
    Kind.ADJUSTMENT: (_("Adjustment by the operator"), ""),
}


@dataclass(frozen=True, slots=True)
class Line:
    """A ledger entry as its owner sees it. `url` links to the answer or receipt; `how` has
    sentences that explain a charge."""

    at: datetime
    kind: str
    title: str
    detail: str
    url: str
    amount_micro_usd: int
    balance_after_micro_usd: int
    how: list[str]


def history(person_id: uuid.UUID) -> QuerySet[LedgerEntry]:
    """Entries, newest first, including those as a guest; `lines_of` converts them."""
    return usage.entries_of(person_id).select_related("hold", "price")


def lines_of(
    person_id: uuid.UUID, entries: Iterable[LedgerEntry], *, explained: bool = False
) -> list[Line]:
    entries = list(entries)
    titles = chat_titles.titles_of(person_id, (entry.chat_id for entry in entries))
    charges = [entry.key for entry in entries if explained and entry.kind == Kind.CHARGE]
    how = explanations.lines_of(Usage.objects.filter(key__in=charges).select_related("price"))
    return [_line(entry, titles, person_id, how.get(entry.key, [])) for entry in entries]


def _line(
    entry: LedgerEntry, titles: dict[uuid.UUID, str], person_id: uuid.UUID, how: list[str]
) -> Line:
    title, detail, url = _describe(entry, titles)
    if entry.purse_id != person_id:
        # The balance in this line is that of the guest's purse.
        detail = ", ".join(filter(None, [detail, gettext("as a guest")]))
    return Line(
        at=entry.at,
        kind=entry.kind,
        title=title,
        detail=detail,
        url=url,
        amount_micro_usd=entry.amount_micro_usd,
        balance_after_micro_usd=entry.balance_after_micro_usd,
        how=how,
    )


def _describe(entry: LedgerEntry, titles: dict[uuid.UUID, str]) -> tuple[str, str, str]:
    """(title, detail, url)."""
    if entry.kind == Kind.CHARGE:
        return _describe_charge(entry, titles)
    title, detail = map(str, DESCRIPTIONS[Kind(entry.kind)])
    if entry.kind == Kind.FREE_CREDIT:
        days = settings.CREDIT_FREE_AFTER_DAYS
        text = ngettext("After %(count)d day without any", "After %(count)d days without any", days)
        detail = text % {"count": days}
    elif entry.kind == Kind.ADJUSTMENT:
        detail = entry.reason
    elif entry.kind == Kind.REFUND and entry.amount_micro_usd > 0:
        title, detail = gettext("Refund taken back"), gettext("It could not be paid out to you")
    elif entry.kind == Kind.REFUND and entry.reason:
        detail = gettext("Paid back to you: %(reason)s") % {"reason": entry.reason}
    receipt = reverse("billing:top-up", args=[entry.top_up_id]) if entry.top_up_id else ""
    return title, detail, receipt


def _describe_charge(entry: LedgerEntry, titles: dict[uuid.UUID, str]) -> tuple[str, str, str]:
    title = titles.get(entry.chat_id) if entry.chat_id else None
    name = entry.hold.model.split("/")[-1] if entry.hold else ""
    if entry.price:
        values = {"model": name, "version": entry.price.version}
        detail = gettext("by %(model)s, price version %(version)d") % values
    else:
        detail = gettext("by %(model)s") % {"model": name}
    url = ""
    if title is not None:
        anchor = f"#m-{entry.reply_id}" if entry.reply_id else ""
        url = f"/c/{entry.chat_id}{anchor}"
    if entry.reason == Usage.Purpose.TRANSCRIPTION:
        return _transcript_in(title), detail, url
    if entry.reason == Usage.Purpose.SPEECH:
        return _speech_in(title), detail, url
    return _what_for(bool(entry.reply_id), title), detail, url


def _transcript_in(title: str | None) -> str:
    """Sound may be written down before a chat has it."""
    if title is None:
        return gettext("Transcript of sound")
    return gettext("Transcript of sound in “%(chat)s”") % {"chat": title or UNTITLED}


def _speech_in(title: str | None) -> str:
    if title is None:
        return gettext("Answer read aloud in a deleted chat")
    return gettext("Answer read aloud in “%(chat)s”") % {"chat": title or UNTITLED}


def _what_for(is_answer: bool, title: str | None) -> str:
    """`title` is the chat's, "" if it has none, None if the chat was deleted."""
    if title is None:
        return (
            gettext("Answer in a deleted chat") if is_answer else gettext("Title of a deleted chat")
        )
    text = gettext("Answer in “%(chat)s”") if is_answer else gettext("Title of “%(chat)s”")
    return text % {"chat": title or UNTITLED}


# Usage: sums of calls (billing/usage.py) by names that a person knows


@dataclass(frozen=True, slots=True)
class Named:
    """The total of a model or chat. `url` links to the chat, unless it was deleted."""

    name: str
    url: str
    total: usage.Total


def by_day(calls: QuerySet[Usage], first: date, last: date) -> list[usage.Total]:
    """A total for each day from first to last, including days without usage."""
    totals = {total.key: total for total in usage.totals_by_day(calls)}
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    return [totals.get(day) or usage.Total(day, 0, 0, 0, 0, 0) for day in days]


def by_model(calls: QuerySet[Usage]) -> list[Named]:
    totals = usage.dearest_first(usage.totals_of(calls, "model"))
    return [Named(total.key, "", total) for total in totals]


def by_chat(calls: QuerySet[Usage], person_id: uuid.UUID) -> Iterator[Named]:
    """A total for each chat, dearest first. Titles are looked up in batches while iterating."""
    totals = usage.dearest_first(usage.totals_of(calls, "chat_id"))
    for start in range(0, len(totals), TITLES_BATCH):
        yield from _named_chats(totals[start : start + TITLES_BATCH], person_id)


def top_models(calls: QuerySet[Usage]) -> list[Named]:
    """The dearest MOST_ROWS models, and all others as one row."""
    rows = by_model(calls)
    others = [row.total for row in rows[MOST_ROWS:]]
    label = ngettext("%(count)d other model", "%(count)d other models", len(others))
    return rows[:MOST_ROWS] + _sum_row(others, label)


def top_chats(calls: QuerySet[Usage], person_id: uuid.UUID) -> list[Named]:
    """The dearest MOST_ROWS chats; those deleted, and all other chats, as one row each."""
    totals = usage.dearest_first(usage.totals_of(calls, "chat_id"))
    named, others = _named_chats(totals[:MOST_ROWS], person_id), totals[MOST_ROWS:]
    deleted = [row for row in named if not row.url]
    if len(deleted) > 1:
        label = ngettext("%(count)d deleted chat", "%(count)d deleted chats", len(deleted))
        deleted = _sum_row([row.total for row in deleted], label)
    label = ngettext("%(count)d other chat", "%(count)d other chats", len(others))
    existing = [row for row in named if row.url]
    return existing + deleted + _sum_row(others, label)


def _named_chats(totals: list[usage.Total], person_id: uuid.UUID) -> list[Named]:
    titles = chat_titles.titles_of(person_id, (total.key for total in totals))
    return [
        Named(titles[total.key] or str(UNTITLED), f"/c/{total.key}", total)
        if total.key in titles
        else Named(gettext("A deleted chat"), "", total)
        for total in totals
    ]


def _sum_row(totals: list[usage.Total], label: str) -> list[Named]:
    """One row for all totals; no row if there are none."""
    return [Named(label % {"count": len(totals)}, "", sum_of(totals))] if totals else []


def of_titles(calls: QuerySet[Usage]) -> usage.Total | None:
    """The total of calls for titles, which a chat's header does not count; None without any."""
    totals = usage.totals_of(calls.filter(purpose=Usage.Purpose.TITLE), "purpose")
    return totals[0] if totals else None


def first_day(person_id: uuid.UUID, chat_id: uuid.UUID) -> date | None:
    """Day of the person's first call in the chat."""
    calls = usage.of_person(person_id).filter(chat_id=chat_id)
    at = calls.aggregate(at=Min("at"))["at"]
    return timezone.localdate(at) if at else None


def sum_of(totals: Iterable[usage.Total]) -> usage.Total:
    totals = list(totals)
    return usage.Total(
        None,
        sum(total.calls for total in totals),
        sum(total.prompt_tokens for total in totals),
        sum(total.completion_tokens for total in totals),
        sum(total.cost_micro_usd for total in totals),
        sum(total.charged_micro_usd for total in totals),
    )
