"""What search finds of the files of a message: their names, and the text of documents."""

import uuid
from typing import Any

from chat.files.document_text import pages_of
from chat.search.words import MAX_CHARS

WITH_TEXT = ("document", "text")


def texts_of(files: list[dict[str, Any]], room: int = MAX_CHARS) -> list[str]:
    """The names, then the texts. Documents share `room`, in characters. Sync, and it blocks.

    Raises OSError if the storage cannot be read.
    """
    documents = [file for file in files if file["kind"] in WITH_TEXT]
    share = room // max(len(documents), 1)
    return [file["name"] for file in files] + [_text(file, share) for file in documents]


def _text(file: dict[str, Any], room: int) -> str:
    try:
        pages = pages_of(uuid.UUID(file["id"]))
    except FileNotFoundError:  # It was deleted.
        return ""
    return "\n".join(page["text"] for page in pages)[:room]
