"""Where files go with their owner and their chat: into an account, the archive, and away."""

import asyncio
import uuid
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from accounts.models import User
from accounts.personal_data import erase as erasing
from chat.files import checking, objects, sweeping, uploads
from chat.models import Chat, Reply, StoredFile
from chat.personal_data import erase as chat_erasing
from tests.accounts.mailbox_fixtures import mailbox, smtp
from tests.chat.files.file_requests import TEXT, picture, send_parts, upload, upload_with_wav
from tests.chat.files.sounds import tone
from tests.chat.personal_data.account_forms import account, prove, sign_in, sign_up
from tests.chat.personal_data.archives import fetched, only, prepared

__all__ = ["mailbox", "smtp"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


@pytest.fixture
async def guest(worker, alice):
    """A guest with a chat that has a file; `alice.file` is its id."""
    alice.file = await upload(alice, TEXT, "Seven *trees*.txt")
    _, reply = await alice.send("[[tokens=3]] Hello", files=[alice.file])
    await alice.settled(reply)
    return alice


def objects_in(root):
    """All files of the storage, without those of exports."""
    found = [path for path in root.rglob("*") if path.is_file()]
    return [path for path in found if "exports" not in path.parts]


async def get(person, file_id):
    response = await person.client.get(f"/files/{file_id}/original")
    return b"".join([chunk async for chunk in response]) if response.streaming else None


async def until(condition):
    async with asyncio.timeout(20):
        while not await sync_to_async(condition)():
            await asyncio.sleep(0.05)


async def test_a_guest_keeps_them_on_signing_up(guest, mailbox):
    await sign_up(guest, mailbox)
    assert await get(guest, guest.file) == TEXT


async def test_they_go_along_into_an_account_that_the_guest_joins(guest):
    owner = await account("alice@example.org")
    unsent = await upload(guest, TEXT, "unsent.txt")
    await sign_in(guest, "alice@example.org")
    await guest.client.get("/")
    owners = [row.owner_id async for row in StoredFile.objects.all()]
    assert owners == [owner.id] * 2
    assert (await get(guest, guest.file), await get(guest, unsent)) == (TEXT, TEXT)


async def test_the_archive_has_the_originals_and_links_to_them(guest, mailbox):
    await sign_up(guest, mailbox)
    await prove(guest)
    await prepared(guest)
    _, archive = await fetched(guest)
    assert only(archive, "Seven -trees-.txt") == TEXT.decode()
    name = f"{guest.file[-8:]} Seven -trees-.txt"
    markdown = only(archive, ".md")
    linked = name.replace(" ", "%20")
    assert f"- File: [Seven \\*trees\\*.txt](../files/{linked})" in markdown


async def test_the_archive_has_the_wav_of_sound(guest, mailbox):
    state = await upload_with_wav(guest, tone(0.1, rate=44_100), tone(0.1))
    await guest.send("[[tokens=1]] Hello", chat=str(uuid.uuid4()), files=[state["id"]])
    await sign_up(guest, mailbox)
    await prove(guest)
    await prepared(guest)
    _, archive = await fetched(guest)
    sounds = [name for name in archive.namelist() if "note.webm" in name]
    assert [archive.read(name) for name in sorted(sounds)] == [
        tone(0.1, rate=44_100),
        tone(0.1),
    ]


async def test_a_chat_that_is_erased_takes_its_files_along(guest, own_storage):
    other = await upload(guest, picture(), "other.png")
    await guest.send("[[tokens=1]] Hello", chat=str(uuid.uuid4()), files=[other])
    await guest.client.delete(f"/api/chats/{guest.chat}")
    assert await get(guest, guest.file) == TEXT  # It may be restored.
    long_ago = timezone.now() - timedelta(days=99)
    await Reply.objects.aupdate(finished_at=long_ago)
    await Chat.objects.filter(id=guest.chat).aupdate(deleted_at=long_ago)
    await chat_erasing.erase_deleted_chats()
    await until(lambda: StoredFile.objects.count() == 1)
    assert await get(guest, guest.file) is None
    assert {path.parent.name for path in objects_in(own_storage)} == {other}


async def test_nothing_is_left_of_somebody_who_leaves(guest, own_storage, monkeypatch):
    monkeypatch.setattr(erasing, "LATE_S", 0)
    await send_parts(guest, TEXT)
    checked = await upload(guest, picture())
    assert objects_in(own_storage) and checked
    await User.objects.filter(id=guest.user["id"]).aupdate(deletion_due_at=timezone.now())
    async with asyncio.timeout(30):
        while await User.objects.filter(id=guest.user["id"]).aexists():
            await erasing.carry_on_all()
            await asyncio.sleep(0.1)
    assert objects_in(own_storage) == []
    assert not await StoredFile.objects.aexists()


# Sweeping


async def test_what_was_never_sent_is_swept_after_a_day(no_worker, alice, own_storage):
    kept = await send_parts(alice, TEXT)
    old = await send_parts(alice, TEXT)
    days_ago = timezone.now() - timedelta(days=2)
    await StoredFile.objects.filter(id=old).aupdate(changed_at=days_ago)
    await sync_to_async(sweeping.mark_unattached)()
    await sweeping.erase_marked()
    assert [str(row.id) async for row in StoredFile.objects.all()] == [kept]
    assert {path.parent.name for path in objects_in(own_storage)} == {kept}


async def test_objects_without_a_row_are_removed(no_worker, alice, own_storage):
    kept = await send_parts(alice, TEXT)
    stray = uuid.uuid4()
    await sync_to_async(objects.write_part)(stray, objects.ORIGINAL, 0, TEXT)
    await sync_to_async(sweeping.remove_strays)()
    assert {path.parent.name for path in objects_in(own_storage)} == {kept}


@pytest.mark.parametrize("is_erased_first", [False, True])
async def test_a_crash_while_erasing_leaves_a_row_and_the_next_run_ends_it(
    no_worker, alice, own_storage, monkeypatch, is_erased_first
):
    class Killed(Exception):
        pass

    erase = objects.erase

    def die(file_id):
        if is_erased_first:
            erase(file_id)
        raise Killed

    file_id = await send_parts(alice, TEXT)
    await sync_to_async(uploads.discard)(await alice.row(), uuid.UUID(file_id))
    with monkeypatch.context() as patch:
        patch.setattr(objects, "erase", die)
        with pytest.raises(Killed):
            await sweeping.erase_marked()
    assert await StoredFile.objects.filter(id=file_id, state="erased").aexists()
    await sweeping.erase_marked()
    assert objects_in(own_storage) == [] and not await StoredFile.objects.aexists()


async def test_a_check_that_ends_after_its_file_was_discarded_leaves_nothing(
    no_worker, alice, own_storage
):
    file_id = await send_parts(alice, TEXT)
    await alice.post(f"/api/files/{file_id}/complete")
    row = await sync_to_async(checking._claim)()
    changes = await asyncio.to_thread(checking._read, row)
    await alice.client.delete(f"/api/files/{file_id}")
    await sweeping.erase_marked()
    assert not await sync_to_async(checking._finish)(row, **changes)
    assert not await StoredFile.objects.aexists()
