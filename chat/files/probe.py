"""Whether files can be stored: for /readyz and `manage.py doctor`."""

import time
import uuid

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from chat.files import objects
from chat.models import StoredFile

CONTENT = b"Holdfast wrote this to see whether it can."
# /readyz may be asked many times a second.
KEPT_S = 30.0
_last: tuple[float, str] | None = None


def storage_problem() -> str:
    """What is wrong with the storage; "" if a file can be written, read and removed. Sync."""
    name = f"probe/{uuid.uuid4().hex}"
    try:
        default_storage.save(name, ContentFile(CONTENT))
        with default_storage.open(name) as file:
            read = file.read()
        default_storage.delete(name)
    except Exception as error:  # noqa: BLE001  Each kind of storage has errors of its own.
        return f"files cannot be stored: {' '.join(str(error).split())}"
    return "" if read == CONTENT else "files are not read as they were written"


def count_files() -> tuple[int, list[str]]:
    """How many files are ready, and the ids of those whose original is missing. Sync."""
    ready = StoredFile.objects.filter(state=StoredFile.State.READY).values_list("id", flat=True)
    missing = [
        str(file_id)
        for file_id in ready.iterator()
        if not default_storage.exists(objects.key_of(file_id, objects.ORIGINAL))
    ]
    return ready.count(), missing


def recent_storage_problem() -> str:
    """Like `storage_problem`, found out at most every KEPT_S."""
    global _last
    if _last is None or not 0 <= time.monotonic() - _last[0] < KEPT_S:
        _last = time.monotonic(), storage_problem()
    return _last[1]
