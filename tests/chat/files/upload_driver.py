"""Run as a process of its own by test_upload_steps.

For each step it forks a child, which uploads a file, checks it as a worker does, and kills itself
(SIGKILL) at that step. A second child repeats the upload, as the page does, and is the next worker.
The driver stops at the first child that reaches its end, and prints the outcomes as JSON:

step       at which the first child died
state      of the file, and attempts of its check
names      of the objects in the storage
is_exact   whether the counted bytes are those of the objects
is_whole   whether the original is what was uploaded
"""

import asyncio
import hashlib
import json
import os
import signal
import sys
import traceback
import uuid
from dataclasses import fields
from datetime import timedelta
from pathlib import Path

import django
from django.conf import settings

django.setup()

from django.core.files.storage import default_storage  # noqa: E402
from django.utils import timezone  # noqa: E402

from accounts.models import User  # noqa: E402
from chat.files import checking, objects, uploads  # noqa: E402
from chat.files.reading.results import ReadFile  # noqa: E402
from chat.models import StoredFile  # noqa: E402
from tests.buckets.storages import stored_names  # noqa: E402

PART_BYTES = 1_000
DATA = os.urandom(PART_BYTES + 500)
MOST_STEPS = 99
NOTES = Path(settings.DATA_DIR) / "step"


def read_file(source, name, into):
    """Makes two renditions. Reading has tests of its own, and takes half a second."""
    for rendition in ("view", "model"):
        (into / rendition).write_bytes(source.read_bytes()[:700])
    facts = {field.name: None for field in fields(ReadFile)}
    renditions = {"view": into / "view", "model": into / "model"}
    return ReadFile(**facts | {"kind": "image", "type": "image/png", "renditions": renditions})


def kill_at(number):
    """Kills this process at the n-th step."""
    left = [number]

    def reached(name):
        left[0] -= 1
        if left[0] <= 0:
            NOTES.write_text(name)
            os.kill(os.getpid(), signal.SIGKILL)

    def after(owner, name, step):
        real = getattr(owner, name)

        def wrapped(*args, **kwargs):
            result = real(*args, **kwargs)
            if result is not None or name not in ("_claim", "_finish"):
                reached(step(*args) if callable(step) else step)
            return result

        setattr(owner, name, wrapped)

    after(uploads, "begin", "announced")
    after(objects, "write_part", lambda _, rendition, number, data: f"part-{number} stored")
    after(uploads, "note_part", lambda _, rendition, number: f"part-{number} noted")
    after(uploads, "complete", "completed")
    after(checking, "_claim", "claimed")
    after(objects, "join_parts", "parts joined")
    after(checking, "read_file", "read")
    after(objects, "write_rendition", lambda _, rendition, source: f"{rendition} stored")
    after(checking, "_finish", "row ready")
    after(default_storage, "delete", lambda name: f"{name.rpartition('/')[2]} erased")
    after(checking, "_end_lease", "cleaned up")
    before_it_appears(lambda name: reached(f"{name} half stored"))


def before_it_appears(reached):
    """Calls `reached` when an object is about to be stored under its name."""
    if hasattr(default_storage, "client"):
        default_storage.client.meta.events.register(
            "before-send.s3.PutObject",
            lambda request, **_: reached(request.url.rpartition("/")[2]),
        )
        return
    real = Path.replace

    def replace(path, target):
        reached(target.name)
        return real(path, target)

    Path.replace = replace


def upload(file_id):
    """What the page asks for, and what a worker does."""
    owner, _ = User.objects.get_or_create(email="alice@example.org")
    digest = hashlib.sha256(DATA).hexdigest()
    row = uploads.begin(owner, uploads.Upload(file_id, "tree.png", len(DATA), digest))
    if row.state == StoredFile.State.UPLOADING:
        for number in sorted({0, 1} - set(uploads.parts_of(row, objects.ORIGINAL))):
            part = DATA[number * PART_BYTES :][:PART_BYTES]
            uploads.write_part(row, objects.ORIGINAL, number, part)
            row = uploads.note_part(row, objects.ORIGINAL, number)
    uploads.complete(row)
    asyncio.run(checking.check_all())


def outcome(file_id):
    [row] = StoredFile.objects.filter(id=file_id)
    names = [name.rpartition("/")[2] for name in stored_names(f"files/{file_id}")]
    sizes = [objects.size_of(file_id, name) for name in names]
    return {
        "step": NOTES.read_text(),
        "state": row.state,
        "is_leased": row.leased_until is not None,
        "names": names,
        "is_exact": row.stored_bytes == uploads.stored_bytes_of(row.owner) == sum(sizes),
        "is_whole": objects.read_rendition(file_id, "original") == DATA,
    }


def die(number, file_id):
    kill_at(number)
    upload(file_id)


def recover(file_id):
    past = timezone.now() - timedelta(seconds=1)
    StoredFile.objects.filter(leased_until__isnull=False).update(leased_until=past)
    upload(file_id)
    print(json.dumps(outcome(file_id)), flush=True)  # noqa: T201
    objects.erase(file_id)
    StoredFile.objects.all().delete()


def in_child(work, *args):
    """Returns the exit status, negative for a signal. This process has no thread, no connection
    and no event loop, so the child inherits none."""
    if pid := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        work(*args)
        os._exit(0)
    finally:  # Only an exception comes here.
        traceback.print_exc()
        os._exit(1)


def main():
    uploads.PART_BYTES = PART_BYTES
    uploads.wake_workers = lambda message: None  # There is no Redis.
    checking.read_file = read_file
    default_storage.exists("file")  # Loads what each child would load.
    for number in range(1, MOST_STEPS):
        file_id = uuid.uuid4()
        status = in_child(die, number, file_id)
        if status == 0:
            return
        if status != -signal.SIGKILL or in_child(recover, file_id):
            sys.exit(f"step {number} ended with {status}")
    sys.exit("too many steps")


main()
