"""Search in the titles and messages of one person. Sync.

The database returns the best messages by relevance and recency, which are then grouped by chat.
Snippets are made here from the text, as parts with a flag for whether they matched. No markup is
generated, and no text of a message is interpreted as markup.
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
from chat.search.words import Term, interpretations, words_of

MAX_CHATS = 20
MESSAGES_OF_CHAT = 3
MAX_TITLES = 10_000
# A title describes the whole chat, so it ranks above the best message of another one.
TITLE_SCORE = 2.0
# For all snippets together. After it, snippets are the beginnings of messages, without matches.
SNIPPETS_WITHIN_S = 0.5


@dataclass(slots=True)
class ChatMatch:
    """A chat with its matches, the best messages first."""

    chat_id: Any
    score: float = 0.0
    title: list[Part] | None = None
    messages: list[tuple[Any, float]] = field(default_factory=list)


def search(owner: User, query: str) -> list[dict[str, Any]]:
    """[{"chat": row, "title": parts, "messages": [{id, role, said_ms, snippet: parts}]}]

    Parts are [text, whether it matched]. The best chat comes first. Raises SearchTooSlow.
    """
    with _time_limit():
        for terms in interpretations(query):
            if results := _results_of(owner, terms):
                return results
    return []


def _results_of(owner: User, terms: list[Term]) -> list[dict[str, Any]]:
    if not any(not term.is_excluded for term in terms):
        return []
    matches: dict[Any, ChatMatch] = {}
    _search_titles(owner, terms, matches)
    for message in candidates(owner, terms):
        match = matches.setdefault(message.chat_id, ChatMatch(message.chat_id))
        if len(match.messages) < MESSAGES_OF_CHAT:
            match.messages.append((message.id, message.score))
    for match in matches.values():
        best = match.messages[0][1] if match.messages else 0.0
        match.score = best + (TITLE_SCORE if match.title else 0.0)
    shown = sorted(matches.values(), key=lambda match: match.score, reverse=True)[:MAX_CHATS]
    return _results(owner, shown, terms)


def _search_titles(owner: User, terms: list[Term], matches: dict[Any, ChatMatch]) -> None:
    open_chats = Chat.objects.filter(owner=owner, deleted_at=None, is_temporary=False)
    chats = open_chats.order_by("-updated_at")
    for chat_id, title in chats.values_list("id", "title")[:MAX_TITLES]:
        if _title_matches(_title_words(title), terms) and len(matches) < MAX_CHATS:
            matches[chat_id] = ChatMatch(chat_id, title=highlighted(title, terms))


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


def _results(owner: User, shown: list[ChatMatch], terms: list[Term]) -> list[dict[str, Any]]:
    ids = [match.chat_id for match in shown]
    # Read again, to leave out chats that were deleted or have another owner meanwhile.
    chats = Chat.objects.filter(owner=owner, deleted_at=None, is_temporary=False, id__in=ids)
    rows = {row["id"]: row for row in chat_json(chats)}
    text_ids = [pk for match in shown for pk, _ in match.messages]
    texts = MessageText.objects.filter(owner=owner, id__in=text_ids).in_bulk()
    deadline = time.monotonic() + SNIPPETS_WITHIN_S
    results = []
    for match in shown:
        row = rows.get(str(match.chat_id))
        if row is None:
            continue
        messages = [texts[pk] for pk, _ in match.messages if pk in texts]
        results.append(
            {
                "chat": row,
                "title": match.title or [[row["title"], False]],
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
    """Raises SearchTooSlow if the database takes longer than SEARCH_TIMEOUT_MS."""
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
    # Called after each 20,000 instructions of SQLite's VM; a result other than 0 interrupts.
    database.set_progress_handler(lambda: int(time.monotonic() > deadline), 20_000)
    try:
        yield
    finally:
        database.set_progress_handler(None, 0)


_limited_by = {"postgresql": _postgresql_limit, "sqlite": _sqlite_limit}


def _is_timeout(error: OperationalError) -> bool:
    message = str(error)
    return "statement timeout" in message or "interrupted" in message
