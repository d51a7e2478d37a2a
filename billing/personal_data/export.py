"""The CSV files of a person's money and usage in their export, as generators of lines.

Amounts are USD with six decimals, which is exact. A cell that a spreadsheet would read as a formula
gets a leading apostrophe.
"""

import re
import uuid
from collections.abc import Iterable, Iterator

from billing import usage
from billing.pages.csv_files import csv_lines, escape_formula, usd

USAGE_COLUMNS = (
    ("time", "purpose", "chat", "answer", "attempt", "model", "prompt_tokens", "cached_tokens")
    + ("cache_write_tokens", "completion_tokens", "reasoning_tokens", "estimated", "cost_usd")
    + ("charged_usd", "free", "price_version", "audio_tokens", "sound_ms")
    + ("image_tokens", "image_input_tokens")
    + ("characters", "audio_output_tokens")
)
PAYMENT_COLUMNS = ("time", "kind", "amount_usd", "balance_usd", "reason", "chat", "answer")
BATCH = 2_000
NUMBER = re.compile(r"-?[0-9.]+")


def usage_csv(person_id: uuid.UUID) -> Iterator[str]:
    """usage.csv: one line per call of a model, oldest first."""
    rows = usage.of_person(person_id).order_by("id").select_related("price")
    yield from _lines(
        USAGE_COLUMNS,
        (
            (
                row.at.isoformat(),
                row.purpose,
                row.chat_id,
                row.reply_id,
                row.attempt,
                row.model,
                row.prompt_tokens,
                row.cached_tokens,
                row.cache_write_tokens or 0,
                row.completion_tokens,
                row.reasoning_tokens,
                row.estimated,
                usd(row.cost_micro_usd),
                usd(row.charged_micro_usd),
                row.free,
                row.price.version if row.price else None,
                row.audio_tokens or 0,
                row.sound_ms or 0,
                row.image_tokens or 0,
                row.image_input_tokens or 0,
                row.characters or 0,
                row.audio_output_tokens or 0,
            )
            for row in rows.iterator(BATCH)
        ),
    )


def payments_csv(person_id: uuid.UUID) -> Iterator[str]:
    """payments.csv: one line per ledger entry, oldest first."""
    rows = usage.entries_of(person_id).order_by("at", "id")
    yield from _lines(
        PAYMENT_COLUMNS,
        (
            (
                row.at.isoformat(),
                row.kind,
                usd(row.amount_micro_usd),
                usd(row.balance_after_micro_usd),
                row.reason,
                row.chat_id,
                row.reply_id,
            )
            for row in rows.iterator(BATCH)
        ),
    )


def _lines(columns: Iterable[str], rows: Iterable[tuple[object, ...]]) -> Iterator[str]:
    cells = ([_cell(value) for value in row] for row in rows)
    yield from csv_lines(columns, cells)


def _cell(value: object) -> object:
    if value is None:
        return ""
    return (
        escape_formula(value) if isinstance(value, str) and not NUMBER.fullmatch(value) else value
    )
