"""Search in titles and in everything that was said, for one person. Sync.

The best messages are asked of the database, by relevance and recency together, then put under
their chats. Snippets are cut here, from the text itself, as parts that say whether they matched:
no markup is made, and none of what was said is taken for it.
"""

import functools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import OperationalError, connection, transaction

from accounts.models import User
from chat.chat_lists import chat_json
from chat.errors import SearchTooSlow
from chat.models import Chat, MessageText
from chat.search.query import candidates
from chat.search.snippets import Part, highlighted, snippet
from chat.search.words import Term, readings, words_of

MAX_CHATS = 20
MESSAGES_OF_CHAT = 3
MAX_TITLES = 10_000
# A title is about the whole chat: worth more than the best message in another one.
TITLE_SCORE = 2.0
# For all snippets together. After it the beginning of a message is shown, without what matched.
SNIPPETS_WITHIN_S = 0.5


@dataclass(slots=True)
class Found:
    """One chat with what matched in it, the best messages first."""

    chat_id: Any
    score: float = 0.0
    title: list[Part] | None = None
    messages: list[tuple[Any, float]] = field(default_factory=list)


def search(owner: User, query: str) -> list[dict[str, Any]]:
    """[{"chat": row, "title": parts, "messages": [{id, role, said_ms, snippet: parts}]}]

    Parts are [text, whether it matched]. The best chat comes first. Raises SearchTooSlow.
    """
    with _time_limit():
        for terms in readings(query):
            if results := _results_of(owner, terms):
                return results
    return []


def _results_of(owner: User, terms: list[Term]) -> list[dict[str, Any]]:
    if not any(not term.is_excluded for term in terms):
        return []
    found: dict[Any, Found] = {}
    _search_titles(owner, terms, found)
    for message in candidates(owner, terms):
        hit = found.setdefault(message.chat_id, Found(message.chat_id))
        if len(hit.messages) < MESSAGES_OF_CHAT:
            hit.messages.append((message.id, message.score))
    for hit in found.values():
        best = hit.messages[0][1] if hit.messages else 0.0
        hit.score = best + (TITLE_SCORE if hit.title else 0.0)
    shown = sorted(found.values(), key=lambda hit: hit.score, reverse=True)[:MAX_CHATS]
    return _results(owner, shown, terms)


def _search_titles(owner: User, terms: list[Term], found: dict[Any, Found]) -> None:
    chats = Chat.objects.filter(owner=owner, deleted_at=None).order_by("-updated_at")
    for chat_id, title in chats.values_list("id", "title")[:MAX_TITLES]:
        if _title_matches(_title_words(title), terms) and len(found) < MAX_CHATS:
            found[chat_id] = Found(chat_id, title=highlighted(title, terms))


@functools.lru_cache(maxsize=20_000)
def _title_words(title: str) -> tuple[str, ...]:
    return tuple(words_of(title))


def _title_matches(words: tuple[str, ...], terms: list[Term]) -> bool:
    return all(_has(words, term) != term.is_excluded for term in terms)


def _has(words: tuple[str, ...], term: Term) -> bool:
    size = len(term.words)
    for start in range(len(words) - size + 1):
        *head, last = words[start : start + size]
        if tuple(head) == term.words[:-1] and (
            last == term.words[-1] or (term.is_prefix and last.startswith(term.words[-1]))
        ):
            return True
    return False


def _results(owner: User, shown: list[Found], terms: list[Term]) -> list[dict[str, Any]]:
    ids = [hit.chat_id for hit in shown]
    # Asked again: what is deleted or somebody else's in the meantime is not shown.
    chats = {
        chat.id: chat for chat in Chat.objects.filter(owner=owner, deleted_at=None, id__in=ids)
    }
    wanted = [pk for hit in shown for pk, _ in hit.messages]
    texts = MessageText.objects.filter(owner=owner, id__in=wanted).in_bulk()
    rows = {row["id"]: row for row in chat_json(list(chats.values()))}
    deadline = time.monotonic() + SNIPPETS_WITHIN_S
    results = []
    for hit in shown:
        chat = chats.get(hit.chat_id)
        if chat is None:
            continue
        messages = [texts[pk] for pk, _ in hit.messages if pk in texts]
        results.append(
            {
                "chat": rows[str(chat.id)],
                "title": hit.title or [[chat.title, False]],
                "messages": [_message(message, terms, deadline) for message in messages],
            }
        )
    return results


def _message(message: MessageText, terms: list[Term], deadline: float) -> dict[str, Any]:
    return {
        "id": str(message.message_id),
        "role": message.role,
        "said_ms": _ms(message.said_at),
        "snippet": snippet(message.text, terms if time.monotonic() < deadline else []),
    }


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


@contextmanager
def _time_limit() -> Iterator[None]:
    """Raises SearchTooSlow when the database works on it for longer than SEARCH_TIMEOUT_MS."""
    milliseconds: int = settings.SEARCH_TIMEOUT_MS
    try:
        with _limited_by[connection.vendor](milliseconds):
            yield
    except OperationalError as error:
        if not _is_timeout(error):
            raise
        raise SearchTooSlow from error


@contextmanager
def _postgresql_limit(milliseconds: int) -> Iterator[None]:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{milliseconds}"])
        yield


@contextmanager
def _sqlite_limit(milliseconds: int) -> Iterator[None]:
    deadline = time.monotonic() + milliseconds / 1000
    connection.ensure_connection()
    database = connection.connection
    # Called every so many steps of SQLite's machine; anything but 0 interrupts.
    database.set_progress_handler(lambda: int(time.monotonic() > deadline), 20_000)
    try:
        yield
    finally:
        database.set_progress_handler(None, 0)


_limited_by = {"postgresql": _postgresql_limit, "sqlite": _sqlite_limit}


def _is_timeout(error: OperationalError) -> bool:
    said = str(error)
    return "statement timeout" in said or "interrupted" in said
