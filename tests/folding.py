"""Folding entries that a test already has; the product folds while it reads (chat/folding.py)."""

from collections.abc import Iterable

from chat import events as ev
from chat.transcript import Transcript, fold
from streams.cursors import is_after
from streams.log import Entry


def fold_entries(entries: Iterable[Entry], into: Transcript | None = None) -> Transcript:
    """Fold entries of one chat, in order. Entries up to the cursor of `into` are skipped."""
    transcript = into if into is not None else Transcript()
    for entry in entries:
        if is_after(entry.id, transcript.cursor):
            event = ev.parse(entry.data)
            if event is not None:
                fold(transcript, event, entry.id)
            transcript.cursor = entry.id
    return transcript
