"""The search query for each database. Terms contain only letters and digits."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection

from accounts.models import User
from chat.search.words import Term

MAX_CANDIDATES = 200
# An old message counts half as much as a new one of the same relevance.
HALF_AFTER_DAYS = 90.0

POSTGRESQL = """
    SELECT m.id, m.chat_id,
           ts_rank_cd(m.word_index, q, 1)
             / (1 + EXTRACT(EPOCH FROM now() - m.said_at) / 86400 / %s) AS score
    FROM chat_messagetext m
    JOIN chat_chat c ON c.id = m.chat_id AND c.deleted_at IS NULL AND c.owner_id = m.owner_id,
         to_tsquery('simple', %s) q
    WHERE m.owner_id = %s AND m.word_index @@ q
    ORDER BY score DESC, m.id DESC LIMIT %s
"""
# A lower bm25 is better. The owner is a word of the index too, so that other people's messages are
# not scanned; the column decides.
SQLITE = """
    SELECT m.id, m.chat_id,
           -bm25(chat_messagetext_words, 0.0, 1.0)
             / (1 + max(0, julianday('now') - julianday(m.said_at)) / %s) AS score
    FROM chat_messagetext_words
    JOIN chat_messagetext m ON m.id = chat_messagetext_words.rowid
    JOIN chat_chat c ON c.id = m.chat_id AND c.deleted_at IS NULL AND c.owner_id = m.owner_id
    WHERE chat_messagetext_words MATCH %s AND m.owner_id = %s
    ORDER BY score DESC, m.id DESC LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class Candidate:
    id: int
    chat_id: UUID
    score: float  # about 0 to 1, on both databases


def candidates(owner: User, terms: list[Term]) -> list[Candidate]:
    """The best messages in this person's chats that are not deleted. Sync."""
    if connection.vendor == "postgresql":
        rows = _rows(POSTGRESQL, [HALF_AFTER_DAYS, _tsquery(terms), owner.id, MAX_CANDIDATES])
    else:
        match = f"owner_id : {owner.id.hex} AND words : ({_fts5(terms)})"
        rows = _rows(SQLITE, [HALF_AFTER_DAYS, match, owner.id.hex, MAX_CANDIDATES])
    top = max((score for _, _, score in rows), default=0) or 1
    return [Candidate(pk, _uuid(chat), score / top) for pk, chat, score in rows]


def _rows(sql: str, parameters: list[Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        rows: list[Any] = cursor.fetchall()
        return rows


def _tsquery(terms: list[Term]) -> str:
    def to_sql(term: Term) -> str:
        *head, last = (f"'{word}'" for word in term.words)
        return "(" + " <-> ".join([*head, last + (":*" if term.is_prefix else "")]) + ")"

    return _join(terms, to_sql, " & ", " & !")


def _fts5(terms: list[Term]) -> str:
    def to_sql(term: Term) -> str:
        return f'"{" ".join(term.words)}"' + (" *" if term.is_prefix else "")

    return _join(terms, to_sql, " AND ", " NOT ")


def _join(terms: list[Term], to_sql: Callable[[Term], str], both: str, without: str) -> str:
    included = both.join(to_sql(term) for term in terms if not term.is_excluded)
    return included + "".join(without + to_sql(term) for term in terms if term.is_excluded)


def _uuid(value: UUID | str) -> UUID:
    return value if isinstance(value, UUID) else UUID(value)
