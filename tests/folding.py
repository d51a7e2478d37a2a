"""Folds entries that a test already has; chat/folding.py folds entries as it reads them."""

from collections.abc import Iterable

from chat import events as ev
from chat.transcript import Transcript, fold
from streams.cursors import is_after
from streams.log import Entry


def fold_entries(entries: Iterable[Entry], into: Transcript | None = None) -> Transcript:
    """Folds the entries of one chat, in order. Skips entries up to the cursor of `into`."""
    transcript = into if into is not None else Transcript()
    for entry in entries:
        if is_after(entry.id, transcript.cursor):
            event = ev.parse(entry.data)
            if event is not None:
                fold(transcript, event, entry.id)
            transcript.cursor = entry.id
    return transcript
