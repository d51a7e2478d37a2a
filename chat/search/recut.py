"""Splits texts into words again after a release has changed the splitting.

Each row has the version that its words were made with. Workers process outdated rows in small steps
beside their other work; until then, a row is found by its old words. If a worker dies meanwhile,
the next step continues with the remaining rows.
"""

import asyncio

from asgiref.sync import sync_to_async
from django.db.models import Q

from chat.models import MessageText
from chat.search.words import VERSION, searchable

ROWS_AT_A_TIME = 200
CHARS_AT_A_TIME = 100_000
PAUSE_S = 1.0


async def run() -> None:
    """Split all outdated texts again, step by step."""
    while True:
        if not await step():
            return
        await asyncio.sleep(PAUSE_S)


async def step() -> int:
    """Split some texts again; returns how many. Concurrent calls are safe."""
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
    """Ids of outdated rows. Two queries, because SQLite can use the index only for each alone."""
    ids: list[int] = []
    for older in (Q(words_version=None), Q(words_version__lt=VERSION)):
        rows = MessageText.objects.filter(older).order_by("words_version", "id")
        ids += rows.values_list("id", flat=True)[: ROWS_AT_A_TIME - len(ids)]
    return ids


def _text_of(pk: int) -> str:
    text = MessageText.objects.filter(id=pk).values_list("text", flat=True).first()
    return text or ""  # deleted meanwhile


def _store(pk: int, text: str, words: str) -> None:
    """Store the words, unless the text has changed meanwhile: its writer stored its words too."""
    row = MessageText.objects.filter(id=pk, text=text)
    row.update(words=words, words_version=VERSION)
