"""A person's usage page and its CSV downloads."""

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
from billing.pages.csv_files import CSV_BATCH, csv_response, escape_formula, iso_time, usd
from billing.pages.decorators import person_page
from billing.usage import of_person

USAGE_DAYS = 30
MAX_USAGE_DAYS = 400


@never_cache
@require_safe
@person_page
def usage(request: HttpRequest, person: User) -> HttpResponse:
    """Usage by day, model and chat from day `from` to `to`, of all chats or one (`chat`)."""
    first, last, chat_id = _range(request, person)
    calls = _calls(person, first, last, chat_id)
    days = statements.by_day(calls, first, last)
    total = statements.sum_of(days)
    measure = "charged_micro_usd" if total.charged_micro_usd else "tokens"
    context = {
        "first": first,
        "last": last,
        "chat_id": chat_id,
        # None if the chat was deleted, or none was chosen.
        "chat_title": chat_id and chat_titles.titles_of(person.id, [chat_id]).get(chat_id),
        "used_days": [day for day in days if day.calls],
        "is_free": measure == "tokens",
        "chart": charts.chart([(_short(day.key), getattr(day, measure)) for day in days]),
        "models": _with_shares(statements.top_models(calls), measure),
        "chats": [] if chat_id else _with_shares(statements.top_chats(calls, person.id), measure),
        "total": total,
        "titles": statements.of_titles(calls),
        "query": urlencode(_query(first, last, chat_id)),
        "time_zone": zone_name(),
    }
    return render(request, "billing/usage.html", context)


@never_cache
@require_safe
@person_page
def usage_csv(request: HttpRequest, person: User) -> HttpResponseBase:
    """CSV with a row per day, model, chat or call (`by`)."""
    first, last, chat_id = _range(request, person)
    calls = _calls(person, first, last, chat_id)
    by = request.GET.get("by", "call")
    name = f"holdfast-usage-{first}-{last}-by-{by}"
    if by == "call":
        return csv_response(name, CALL_HEADER, _call_rows(calls))
    if by == "day":
        days = statements.by_day(calls, first, last)
        rows: Iterable[statements.Named] = [
            statements.Named(day.key.isoformat(), "", day) for day in days
        ]
    elif by == "model":
        rows = statements.by_model(calls)
    elif by == "chat":
        rows = statements.by_chat(calls, person.id)
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
    "audio_tokens",
    "sound_ms",
    "characters",
]


def _call_rows(calls: QuerySet[Usage]) -> Iterator[list[object]]:
    """Reads in batches, each a query of its own, so that a slow download keeps nothing open.

    Ordered like the index by person and day; otherwise each query would sort all calls.
    """
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
    sound = [call.audio_tokens or 0, call.sound_ms or 0, call.characters or 0]
    names = [call.purpose, call.chat_id or "", call.reply_id or "", escape_formula(call.model)]
    money = [usd(call.cost_micro_usd), usd(call.charged_micro_usd)]
    return [iso_time(call.at), *names, *tokens, call.estimated, *money, call.free, *sound]


def _named_row(row: statements.Named) -> list[object]:
    total = row.total
    tokens = [total.prompt_tokens, total.completion_tokens]
    return [escape_formula(row.name), total.calls, *tokens, usd(total.charged_micro_usd)]


# Private


def _range(request: HttpRequest, person: User) -> tuple[date, date, uuid.UUID | None]:
    """(first day, last day, chat id) of the request, clamped to valid values.

    Without a first day, the range is the last USAGE_DAYS days, or all days of the chosen chat.
    """
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
    """Query parameters of the range shown, which may differ from the one requested."""
    shown = {"from": first.isoformat(), "to": last.isoformat()}
    return shown | ({"chat": str(chat_id)} if chat_id else {})


def _day(text: str | None) -> date | None:
    try:
        day = date.fromisoformat(text or "")
    except ValueError:
        return None
    return day if day.year >= 2000 else None


def _calls(person: User, first: date, last: date, chat_id: uuid.UUID | None) -> QuerySet[Usage]:
    calls = of_person(person.id, first, last)
    return calls.filter(chat_id=chat_id) if chat_id else calls


def _with_shares(rows: list[statements.Named], measure: str) -> list[dict[str, Any]]:
    highest = max((getattr(row.total, measure) for row in rows), default=0)
    return [
        {"row": row, "width": charts.share(getattr(row.total, measure), highest)} for row in rows
    ]


def _short(day: date) -> str:
    """Label of a day below the chart, in the page's language."""
    return date_format(day, "j M")
