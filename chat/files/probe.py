"""Whether files can be stored: for /readyz and `manage.py doctor`."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from threading import Lock

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from chat.files import objects
from chat.models import StoredFile

CONTENT = b"Holdfast wrote this to see whether it can."
FOLDER = "probe"
# A bucket takes a while to say whether it has a file.
ASKED_AT_ONCE = 16
BATCH = 1_000
# /readyz may be asked many times a second.
KEPT_S = 30.0
# A probe that takes longer has found a problem, even before it ends.
SLOW_S = 3.0
_last: tuple[float, str] | None = None
_began = 0.0
_probing = Lock()


def storage_problem() -> str:
    """What is wrong with the storage; "" if a file can be written, read, removed and listed.
    Sync."""
    name = f"{FOLDER}/{uuid.uuid4().hex}"
    try:
        default_storage.save(name, ContentFile(CONTENT))
        with default_storage.open(name) as file:
            read = file.read()
        default_storage.delete(name)
        # A bucket may refuse to say what it does not have.
        is_left = default_storage.exists(name)
        default_storage.listdir(FOLDER)
    except Exception as error:  # noqa: BLE001  Each kind of storage has errors of its own.
        return f"files cannot be stored: {' '.join(str(error).split())}"
    if is_left:
        return "files are not removed"
    return "" if read == CONTENT else "files are not read as they were written"


def is_public() -> bool | None:
    """Whether anybody can read the files in the bucket; None where there is none. Raises OSError.
    Sync."""
    ask = getattr(default_storage, "is_public", None)
    if ask is None:
        return None
    name = f"{FOLDER}/{uuid.uuid4().hex}"
    default_storage.save(name, ContentFile(CONTENT))
    try:
        return bool(ask(name))
    finally:
        default_storage.delete(name)


def count_files() -> tuple[int, list[str]]:
    """How many files are ready, and the ids of those whose original is missing. Sync."""
    ready = StoredFile.objects.filter(state=StoredFile.State.READY).values_list("id", flat=True)
    number, missing = 0, []
    ids = ready.iterator()
    with ThreadPoolExecutor(ASKED_AT_ONCE) as threads:
        while batch := list(islice(ids, BATCH)):
            number += len(batch)
            has_original = threads.map(_has_original, batch)
            missing += [
                str(id_) for id_, is_there in zip(batch, has_original, strict=True) if not is_there
            ]
    return number, missing


def _has_original(file_id: uuid.UUID) -> bool:
    return default_storage.exists(objects.key_of(file_id, objects.ORIGINAL))


def recent_storage_problem() -> str:
    """Like `storage_problem`, found out at most every KEPT_S, by one thread at a time. Others get
    the earlier result meanwhile, and do not wait for a storage that hangs."""
    global _last, _began
    if _last is not None and time.monotonic() - _last[0] < KEPT_S:
        return _last[1]
    if not _probing.acquire(blocking=False):
        if time.monotonic() - _began > SLOW_S:
            return f"no answer within {SLOW_S:.0f} s"
        return _last[1] if _last else ""
    try:
        _began = time.monotonic()
        _last = time.monotonic(), storage_problem()
    finally:
        _probing.release()
    return _last[1]
