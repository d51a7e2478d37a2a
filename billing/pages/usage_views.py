"""A person's pages about usage: what was called, when, and what it cost."""

import uuid
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.utils.formats import date_format
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.models import User
from accounts.preferences.locale import zone_name
from billing import chat_titles
from billing.models import Usage
from billing.pages import charts, statements
from billing.pages.csv_files import CSV_BATCH, csv_response, moment, usd, words
from billing.pages.decorators import page_of_person
from billing.usage import of_person

USAGE_DAYS = 30
MAX_USAGE_DAYS = 400


@never_cache
@require_safe
@page_of_person
def usage(request: HttpRequest, person: User) -> HttpResponse:
    """By day, model and chat, in a range of days (`from`, `to`), of all chats or one (`chat`)."""
    first, last, chat_id = _range(request, person)
    found = _calls(person, first, last, chat_id)
    days = statements.by_day(found, first, last)
    total = statements.sum_of(days)
    measure = "charged_micro_usd" if total.charged_micro_usd else "tokens"
    context = {
        "first": first,
        "last": last,
        "chat_id": chat_id,
        # None: deleted, or none at all.
        "chat_title": chat_id and chat_titles.titles_of(person.id, [chat_id]).get(chat_id),
        "used_days": [day for day in days if day.calls],
        "is_free": measure == "tokens",
        "chart": charts.chart([(_short(day.key), getattr(day, measure)) for day in days]),
        "models": _with_shares(statements.top_models(found), measure),
        "chats": [] if chat_id else _with_shares(statements.top_chats(found, person.id), measure),
        "total": total,
        "titles": statements.of_titles(found),
        "query": urlencode(_query(first, last, chat_id)),
        "time_zone": zone_name(),
    }
    return render(request, "billing/usage.html", context)


@never_cache
@require_safe
@page_of_person
def usage_csv(request: HttpRequest, person: User) -> HttpResponseBase:
    """`by`: day, model, chat or call (one row each)."""
    first, last, chat_id = _range(request, person)
    found = _calls(person, first, last, chat_id)
    by = request.GET.get("by", "call")
    name = f"holdfast-usage-{first}-{last}-by-{by}"
    if by == "call":
        return csv_response(name, CALL_HEADER, _call_rows(found))
    if by == "day":
        days = statements.by_day(found, first, last)
        rows: Iterable[statements.Named] = [
            statements.Named(day.key.isoformat(), "", day) for day in days
        ]
    elif by == "model":
        rows = statements.by_model(found)
    elif by == "chat":
        rows = statements.by_chat(found, person.id)
    else:
        raise Http404
    header = [by, "calls", "prompt_tokens", "completion_tokens", "charged_usd"]
    return csv_response(name, header, map(_named_row, rows))


CALL_HEADER = [
    "at",
    "purpose",
    "chat",
    "reply",
    "model",
    "prompt_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "completion_tokens",
    "reasoning_tokens",
    "estimated",
    "cost_usd",
    "charged_usd",
    "free",
]


def _call_rows(calls: QuerySet[Usage]) -> Iterator[list[object]]:
    """Each batch is a query of its own: nothing is kept open while somebody reads slowly. In the
    order of the index by person and day, or each would sort all calls."""
    calls = calls.order_by("day", "id")
    batch = list(calls[:CSV_BATCH])
    while batch:
        yield from map(_call_row, batch)
        last = batch[-1]
        after = Q(day__gt=last.day) | Q(day=last.day, id__gt=last.id)
        batch = list(calls.filter(after, day__gte=last.day)[:CSV_BATCH])


def _call_row(call: Usage) -> list[object]:
    read = [call.prompt_tokens, call.cached_tokens, call.cache_write_tokens or 0]
    tokens = [*read, call.completion_tokens, call.reasoning_tokens]
    names = [call.purpose, call.chat_id or "", call.reply_id or "", words(call.model)]
    money = [usd(call.cost_micro_usd), usd(call.charged_micro_usd)]
    return [moment(call.at), *names, *tokens, call.estimated, *money, call.free]


def _named_row(row: statements.Named) -> list[object]:
    total = row.total
    tokens = [total.prompt_tokens, total.completion_tokens]
    return [words(row.name), total.calls, *tokens, usd(total.charged_micro_usd)]


# Private


def _range(request: HttpRequest, person: User) -> tuple[date, date, uuid.UUID | None]:
    """The days and the chat asked for; what cannot be is brought to what can. Without a first day
    it is the last thirty, of one chat all that it has."""
    chat_id = _uuid(request.GET.get("chat", ""))
    today = timezone.localdate()
    last = min(_day(request.GET.get("to")) or today, today)
    first = _day(request.GET.get("from"))
    if first is None and chat_id is not None:
        first = statements.first_day(person.id, chat_id)
    first = first or last - timedelta(days=USAGE_DAYS - 1)
    return max(min(first, last), last - timedelta(days=MAX_USAGE_DAYS - 1)), last, chat_id


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _query(first: date, last: date, chat_id: uuid.UUID | None) -> dict[str, str]:
    """The range that is shown, for what leads from here: it may be another than was asked for."""
    shown = {"from": first.isoformat(), "to": last.isoformat()}
    return shown | ({"chat": str(chat_id)} if chat_id else {})


def _day(text: str | None) -> date | None:
    try:
        day = date.fromisoformat(text or "")
    except ValueError:
        return None
    return day if day.year >= 2000 else None


def _calls(person: User, first: date, last: date, chat_id: uuid.UUID | None) -> QuerySet[Usage]:
    found = of_person(person.id, first, last)
    return found.filter(chat_id=chat_id) if chat_id else found


def _with_shares(rows: list[statements.Named], measure: str) -> list[dict[str, Any]]:
    highest = max((getattr(row.total, measure) for row in rows), default=0)
    return [
        {"row": row, "width": charts.share(getattr(row.total, measure), highest)} for row in rows
    ]


def _short(day: date) -> str:
    """A day below the chart, in the language of the page."""
    return date_format(day, "j M")
