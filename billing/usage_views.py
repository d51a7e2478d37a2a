"""A person's pages about usage: what was called, when, and what it cost."""

import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.models import User
from billing import charts, statements
from billing.csv_files import CSV_BATCH, csv_response, moment, usd, words
from billing.models import Usage
from billing.person_pages import page_of_person
from billing.usage import of_person

USAGE_DAYS = 30
MAX_USAGE_DAYS = 400


@never_cache
@require_safe
@page_of_person
def usage(request: HttpRequest, person: User) -> HttpResponse:
    """By day, model and chat, in a range of days (`from`, `to`), of all chats or one (`chat`)."""
    first, last, chat_id = _range(request)
    found = _calls(person, first, last, chat_id)
    days = statements.by_day(found, first, last)
    context = {
        "first": first,
        "last": last,
        "chat_id": chat_id,
        "days": days,
        "used_days": [day for day in days if day.calls],
        "chart": charts.chart([(f"{day.key:%-d %b}", day.charged_micro_usd) for day in days]),
        "models": _with_shares(statements.by_model(found)),
        "chats": _with_shares(statements.by_chat(found, person.id)),
        "total": statements.sum_of(days),
        "query": request.GET.urlencode(),
    }
    return render(request, "billing/usage.html", context)


@never_cache
@require_safe
@page_of_person
def usage_csv(request: HttpRequest, person: User) -> HttpResponseBase:
    """`by`: day, model, chat or call (one row each)."""
    first, last, chat_id = _range(request)
    found = _calls(person, first, last, chat_id)
    by = request.GET.get("by", "call")
    name = f"holdfast-usage-{first}-{last}-by-{by}"
    if by == "call":
        return csv_response(name, CALL_HEADER, _call_rows(found.order_by("id")))
    if by == "day":
        days = statements.by_day(found, first, last)
        rows = [statements.Named(day.key.isoformat(), "", day) for day in days]
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
    """Each batch is a query of its own: nothing is kept open while somebody reads slowly."""
    batch = list(calls[:CSV_BATCH])
    while batch:
        yield from map(_call_row, batch)
        batch = list(calls.filter(id__gt=batch[-1].id)[:CSV_BATCH])


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


def _range(request: HttpRequest) -> tuple[date, date, uuid.UUID | None]:
    """The days and the chat asked for; what cannot be is brought to what can."""
    today = datetime.now(UTC).date()
    last = min(_day(request.GET.get("to")) or today, today)
    first = _day(request.GET.get("from")) or last - timedelta(days=USAGE_DAYS - 1)
    first = max(min(first, last), last - timedelta(days=MAX_USAGE_DAYS - 1))
    try:
        chat_id = uuid.UUID(request.GET.get("chat", ""))
    except ValueError:
        return first, last, None
    return first, last, chat_id


def _day(text: str | None) -> date | None:
    try:
        day = date.fromisoformat(text or "")
    except ValueError:
        return None
    return day if day.year >= 2000 else None


def _calls(person: User, first: date, last: date, chat_id: uuid.UUID | None) -> QuerySet[Usage]:
    found = of_person(person.id, first, last)
    return found.filter(chat_id=chat_id) if chat_id else found


def _with_shares(rows: list[statements.Named]) -> list[dict[str, Any]]:
    highest = max((row.total.charged_micro_usd for row in rows), default=0)
    return [
        {"row": row, "width": charts.share(row.total.charged_micro_usd, highest)} for row in rows
    ]
