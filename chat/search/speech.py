"""Finds messages by what is said in their sound.

A transcription comes after the message that has the sound. So when the log says that there is one,
the messages with this file are indexed again.
"""

import uuid
from collections.abc import Sequence

import orjson

from chat.events import FileTranscribed, MessageCreated
from chat.models import StoredFile, Transcription
from streams.cursors import is_after
from streams.log import Entry, get_log


async def with_messages_of_files(stream: str, chat_id: str, entries: list[Entry]) -> list[Entry]:
    """The entries, and before them those of earlier messages whose files they are about."""
    written = (entry for entry in entries if entry.type == FileTranscribed.type)
    about = [orjson.loads(entry.data)["file"] for entry in written]
    if not about:
        return entries
    marks = [f'"{file_id}"'.encode() for file_id in about]
    earlier: list[Entry] = []
    async for page in get_log().slices(stream, chat_id, parts=False):
        for entry in page:
            if not is_after(entries[0].id, entry.id):
                return earlier + entries
            if entry.type == MessageCreated.type and any(mark in entry.data for mark in marks):
                earlier.append(entry)
    return earlier + entries


async def speech_in(entries: Sequence[Entry]) -> dict[str, str]:
    """What is said in the sound that these entries attach, by the ids of the files."""
    ids = [uuid.UUID(file_id) for entry in entries for file_id in sounds_in(entry)]
    if not ids:
        return {}
    ready = Transcription.objects.filter(
        file_id__in=ids, state=Transcription.State.DONE, file__state=StoredFile.State.READY
    )
    return {str(row.file_id): row.text async for row in ready}


def sounds_in(entry: Entry) -> list[str]:
    """The ids of the sounds of a new message."""
    if entry.type != MessageCreated.type or b'"audio"' not in entry.data:
        return []
    files = orjson.loads(entry.data).get("files") or ()
    return [file["id"] for file in files if file.get("kind") == "audio"]
