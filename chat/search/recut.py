"""Cutting texts into words anew, after a release cuts them in another way.

Each row says by which cut its words were made. Workers go through the others in small steps, beside
all else; until a row is reached, it is found by its old words. Whoever dies on the way leaves the
rest to the next step.
"""

import asyncio
import time

from asgiref.sync import sync_to_async
from django.db.models import Q

from chat.models import MessageText
from chat.search.words import VERSION, searchable
from streams.lock import run_exclusively

ROWS_AT_A_TIME = 200
CHARS_AT_A_TIME = 100_000
# When nothing was left. A worker of an older release may still have written something.
LOOK_AGAIN_AFTER_S = 60.0

_look_at = 0.0


async def step_when_due() -> None:
    """One worker at a time; who is not due asks nobody for the turn."""
    if time.monotonic() >= _look_at:
        await run_exclusively("recut", _step_or_pause)


async def _step_or_pause() -> None:
    global _look_at
    if not await step():
        _look_at = time.monotonic() + LOOK_AGAIN_AFTER_S


async def step() -> int:
    """Cut some texts anew; how many. Two may do it at once."""
    done = chars = 0
    for pk in await sync_to_async(_outdated)():
        text = await sync_to_async(_text_of)(pk)
        words = await asyncio.to_thread(searchable, text)
        await sync_to_async(_store)(pk, text, words)
        done, chars = done + 1, chars + len(text)
        if chars >= CHARS_AT_A_TIME:
            break
    return done


def _outdated() -> list[int]:
    """From the index of versions; each part by itself, which is how SQLite can use it."""
    ids: list[int] = []
    for older in (Q(words_version=None), Q(words_version__lt=VERSION)):
        found = MessageText.objects.filter(older).order_by("words_version", "id")
        ids += found.values_list("id", flat=True)[: ROWS_AT_A_TIME - len(ids)]
    return ids


def _text_of(pk: int) -> str:
    found = MessageText.objects.filter(id=pk).values_list("text", flat=True).first()
    return found or ""  # gone meanwhile


def _store(pk: int, text: str, words: str) -> None:
    """Unless it has become another text meanwhile: whoever wrote that made its words."""
    row = MessageText.objects.filter(id=pk, text=text)
    row.update(words=words, words_version=VERSION)
