"""What a person's money did, in plain words: for pages, CSV and the admin. Reads only; sync."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from billing import chat_titles, explanations, grants, stripe_api, usage
from billing.models import LedgerEntry, Purse, TopUp, Usage

Kind = LedgerEntry.Kind
# Below this part of what was last put in, one is told that it comes to an end.
LOW_PERCENT = 20
UNTITLED = _("Untitled")
GIFTS = (Kind.SIGNUP_CREDIT, Kind.GUEST_BUDGET, Kind.FREE_CREDIT, Kind.TOP_UP)


@dataclass(frozen=True, slots=True)
class Standing:
    """How much there is. `level`: ok, low (a fifth of what was last put in), or empty."""

    balance_micro_usd: int
    held_micro_usd: int
    level: str
    # When the free credit comes, if nothing else does; None when none is due.
    free_credit_at: datetime | None

    def to_dict(self) -> dict[str, Any]:
        return {
            "balance_micro_usd": self.balance_micro_usd,
            "held_micro_usd": self.held_micro_usd,
            "level": self.level,
            "free_credit_at": self.free_credit_at and self.free_credit_at.isoformat(),
        }


def standing(person: User) -> Standing:
    purse = Purse.objects.filter(person_id=person.id).first()
    balance = purse.balance_micro_usd if purse else 0
    # Shown from the first look on, booked with the first use.
    balance += grants.promised_micro_usd(person)
    level = "ok"
    if balance < settings.CREDIT_ZERO_BELOW_MICRO_USD:
        level = "empty"
    elif balance * 100 <= _last_put_in(person.id) * LOW_PERCENT:
        level = "low"
    free_at = None if person.is_guest else grants.free_credit_due_at(person.id)
    return Standing(balance, purse.held_micro_usd if purse else 0, level, free_at)


def balance_json(person: User) -> dict[str, Any] | None:
    """What the person's pages and sockets say of it; None where nobody pays for anything."""
    if not settings.BILLING:
        return None
    ways = {
        "can_top_up": stripe_api.enabled() and not person.is_guest,
        # A call with a key of one's own costs no credit; guests have no keys.
        "can_use_own_keys": not person.is_guest,
    }
    return standing(person).to_dict() | ways


def _last_put_in(person_id: uuid.UUID) -> int:
    last = (
        LedgerEntry.objects.filter(purse_id=person_id)
        .filter(Q(kind__in=GIFTS) | Q(kind=Kind.ADJUSTMENT, amount_micro_usd__gt=0))
        .order_by("-number")
        .first()
    )
    if last is None:
        return 0
    if last.kind == Kind.TOP_UP and last.top_up_id:
        return TopUp.objects.get(id=last.top_up_id).credit_micro_usd
    return last.amount_micro_usd


# History


@dataclass(frozen=True, slots=True)
class Line:
    """An entry of the ledger as its owner reads it. `url` leads to what it was for, `how` says how
    a charge adds up."""

    at: datetime
    kind: str
    title: str
    detail: str
    url: str
    amount_micro_usd: int
    balance_after_micro_usd: int
    how: list[str]


def history(person_id: uuid.UUID) -> QuerySet[LedgerEntry]:
    """Newest first, with what the person did as a guest; `lines_of` makes Lines of a page of it."""
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
    title, detail, url = _words(entry, titles)
    if entry.purse_id != person_id:
        # Of a purse of its own, so that the balances of these lines are of that one.
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


def _words(entry: LedgerEntry, titles: dict[uuid.UUID, str]) -> tuple[str, str, str]:
    receipt = reverse("billing:top-up", args=[entry.top_up_id]) if entry.top_up_id else ""
    days = settings.CREDIT_FREE_AFTER_DAYS
    after = ngettext("After %(count)d day without any", "After %(count)d days without any", days)
    plain = {
        Kind.SIGNUP_CREDIT: (gettext("Welcome credit"), gettext("For signing up"), ""),
        Kind.GUEST_BUDGET: (gettext("Guest credit"), gettext("To try things out"), ""),
        Kind.FREE_CREDIT: (
            gettext("Free credit"),
            after % {"count": days},
            "",
        ),
        Kind.TOP_UP: (gettext("You added credit"), gettext("Paid by you, fee included"), receipt),
        Kind.FEE: (gettext("Processing fee"), gettext("Part of what you paid"), receipt),
        Kind.REFUND: (
            gettext("Refund"),
            gettext("Paid back to you, so it is no credit any more"),
            receipt,
        ),
        Kind.DISPUTE: (
            gettext("Payment disputed"),
            gettext("Your bank took the payment back"),
            receipt,
        ),
        Kind.DISPUTE_WON: (
            gettext("Payment restored"),
            gettext("The dispute was settled"),
            receipt,
        ),
        Kind.ADJUSTMENT: (gettext("Adjustment by the operator"), entry.reason, ""),
    }
    if entry.kind == Kind.REFUND and entry.amount_micro_usd > 0:
        return gettext("Refund taken back"), gettext("It could not be paid out to you"), receipt
    if entry.kind == Kind.REFUND and entry.reason:
        paid_back = gettext("Paid back to you: %(reason)s") % {"reason": entry.reason}
        return gettext("Refund"), paid_back, receipt
    if entry.kind != Kind.CHARGE:
        return plain[Kind(entry.kind)]
    title = titles.get(entry.chat_id) if entry.chat_id else None
    name = entry.hold.model.split("/")[-1] if entry.hold else ""
    detail = gettext("by %(model)s") % {"model": name}
    if entry.price:
        values = {"model": name, "version": entry.price.version}
        detail = gettext("by %(model)s, price version %(version)d") % values
    url = ""
    if title is not None:
        anchor = f"#m-{entry.reply_id}" if entry.reply_id else ""
        url = f"/c/{entry.chat_id}{anchor}"
    return _what_for(bool(entry.reply_id), title), detail, url


def _what_for(is_answer: bool, title: str | None) -> str:
    """`title`: the chat's, "" without one; None: the chat is deleted."""
    if title is None:
        return (
            gettext("Answer in a deleted chat")
            if is_answer
            else gettext("Title of a chat in a deleted chat")
        )
    said = (
        gettext("Answer in “%(chat)s”") if is_answer else gettext("Title of a chat in “%(chat)s”")
    )
    return said % {"chat": title or UNTITLED}


# Usage: sums over calls (billing/usage.py), under the names that a person knows


@dataclass(frozen=True, slots=True)
class Named:
    """`url` leads to a chat that is still there."""

    name: str
    url: str
    total: usage.Total


def by_day(calls: QuerySet[Usage], first: date, last: date) -> list[usage.Total]:
    """Every day from first to last, those without use too."""
    totals = {total.key: total for total in usage.totals_of(calls, "day")}
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    return [totals.get(day) or usage.Total(day, 0, 0, 0, 0, 0) for day in days]


def by_model(calls: QuerySet[Usage]) -> list[Named]:
    totals = usage.dearest_first(usage.totals_of(calls, "model"))
    return [Named(total.key, "", total) for total in totals]


def by_chat(calls: QuerySet[Usage], person_id: uuid.UUID) -> list[Named]:
    totals = usage.dearest_first(usage.totals_of(calls, "chat_id"))
    titles = chat_titles.titles_of(person_id, (total.key for total in totals))
    return [
        Named(titles[total.key] or str(UNTITLED), f"/c/{total.key}", total)
        if total.key in titles
        else Named(gettext("A deleted chat"), "", total)
        for total in totals
    ]


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
