"""Faults and races of files: late requests, dying workers, refused renditions, erased people."""

import asyncio
import os
import threading
import time
import uuid

import pytest
from asgiref.sync import sync_to_async
from django.core.files.storage import default_storage

from accounts.child_process import run as child_process
from accounts.models import User
from chat import chores
from chat.files import checking, objects, personal_data, storage_threads, sweeping, uploads
from chat.files.attaching import Attached
from chat.files.storage_threads import in_storage_thread
from chat.folding import fold_chat
from chat.llm import client, listing
from chat.llm.endpoints import Endpoint, Model
from chat.llm.request_form import _ABOUT_PICTURES
from chat.models import Chat, Reply, StoredFile
from chat.personal_data.merge_guest import move_chats
from chat.sending import sends
from chat.sending.outbox import deliver
from chat.sending.send import Send
from streams.log import get_log
from tests.buckets.storages import both_storages, stored_names, stored_renditions
from tests.chat.files.file_requests import (
    TEXT,
    announce,
    code_of,
    complete,
    picture,
    put_part,
    send_parts,
    state_of,
    upload,
)
from tests.chat.workers import working

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def own_data(settings, tmp_path):
    settings.DATA_DIR = tmp_path / "data"


async def sent(person, file_id):
    """A message with a file whose events are not in the log yet; returns it and its reply."""
    owner = await person.row()
    files = (Attached(uuid.UUID(file_id)),)
    send = Send(uuid.uuid4(), uuid.UUID(person.chat), "hi", "m", None, files=files)
    reply = await sync_to_async(sends.place_send)(owner, send)
    return send, await Reply.objects.select_related("chat").aget(id=reply.id)


async def checked_file(person):
    file_id = await send_parts(person, picture(), "Tree.png")
    await complete(person, file_id)
    await checking.check_all()
    return file_id


@both_storages
async def test_renditions_do_not_exceed_the_quota(no_worker, alice, settings):
    data = picture(900, 900)
    file_id = await send_parts(alice, data)
    settings.QUOTA_FILE_BYTES_GUEST = len(data) + 10
    await complete(alice, file_id)
    await checking.check_all()
    state = await state_of(alice, file_id)
    assert (state["state"], state["error"]["code"]) == ("refused", "storage_full")
    assert await sync_to_async(uploads.stored_bytes_of)(await alice.row()) == 0
    assert stored_names() == []


@both_storages
async def test_a_late_part_of_a_checked_file_is_not_kept(no_worker, alice):
    file_id = await send_parts(alice, TEXT)
    row = await StoredFile.objects.select_related("owner").aget(id=file_id)
    await complete(alice, file_id)
    await checking.check_all()
    await sync_to_async(uploads.write_part)(row, objects.ORIGINAL, 0, TEXT)
    await sync_to_async(uploads.note_part)(row, objects.ORIGINAL, 0)
    assert stored_renditions(file_id) == ["original", "text"]


async def test_a_file_deleted_before_its_message_is_in_the_log_is_shown_as_deleted(
    no_worker, alice
):
    file_id = await checked_file(alice)
    send, reply = await sent(alice, file_id)  # The web process dies here.
    owner = await alice.row()
    await sync_to_async(uploads.delete_file)(owner, uuid.UUID(file_id))
    await sweeping.erase_marked()
    await deliver(reply, owner.stream)
    await Reply.objects.filter(id=reply.id).aupdate(outbox=None)
    await sweeping.erase_marked()
    assert (await alice.transcript()).messages[str(send.id)].files[0]["erased"]
    assert not await StoredFile.objects.aexists()


async def test_a_file_deleted_just_before_its_guest_joins_is_shown_as_deleted(no_worker, alice):
    file_id = await checked_file(alice)
    send, reply = await sent(alice, file_id)
    owner = await alice.row()
    await deliver(reply, owner.stream)
    await Reply.objects.filter(id=reply.id).aupdate(outbox=None)
    account = await User.objects.acreate(email="z@example.org")
    await sync_to_async(uploads.delete_file)(owner, uuid.UUID(file_id))
    await personal_data.hand_over(owner, account, False)
    await move_chats(owner, account, False)
    await sweeping.erase_marked()
    transcript = await fold_chat(get_log(), account.stream, alice.chat)
    assert transcript.messages[str(send.id)].files[0]["erased"]


async def test_a_kept_temporary_chat_with_files_alone_has_a_title(no_worker, alice):
    async with working():
        file_id = await upload(alice, TEXT, "Trees.txt")
        _, reply = await alice.send("", files=[file_id], temporary=True)
        await alice.settled(reply)
    await alice.post(f"/api/chats/{alice.chat}/keep")
    assert (await Chat.objects.aget(id=alice.chat)).title == "Trees.txt"


def test_erasing_a_person_ends_although_an_upload_begins_meanwhile(transactional_db, monkeypatch):
    owner = User.objects.create(email="x@example.org")

    def begin():
        return uploads.begin(owner, uploads.Upload(uuid.uuid4(), "late", 10, "0" * 64))

    begin()
    erase, calls = objects.erase, []

    def erase_slowly(file_id):
        calls.append(file_id)
        if len(calls) == 1:
            begin()
        assert len(calls) < 10, "it never ends"
        erase(file_id)

    monkeypatch.setattr(objects, "erase", erase_slowly)
    sweeping.erase_files_of(owner)
    sweeping.erase_files_of(owner)
    assert not StoredFile.objects.exists()


def test_one_file_that_cannot_be_erased_keeps_no_other(transactional_db, monkeypatch):
    owner = User.objects.create(email="x@example.org")
    ids = [uuid.uuid4() for _ in range(3)]
    for file_id in ids:
        uploads.begin(owner, uploads.Upload(file_id, "a", 10, "0" * 64))

    def refuse_first(file_id):
        if file_id == ids[0]:
            raise OSError("Permission denied")

    monkeypatch.setattr(objects, "erase", refuse_first)
    sweeping.erase_files_of(owner)
    assert [row.id for row in StoredFile.objects.all()] == ids[:1]


async def test_the_files_of_one_person_do_not_hold_up_those_of_another(no_worker, alice, bob):
    many = [await send_parts(alice, TEXT) for _ in range(3)]
    one = await send_parts(bob, TEXT)
    for person, file_id in [*((alice, each) for each in many), (bob, one)]:
        await complete(person, file_id)
    claimed = [str((await sync_to_async(checking._claim)()).id) for _ in range(2)]
    assert claimed == [many[0], one]


async def test_a_bucket_that_is_away_loses_nothing(no_worker, alice, bucket, monkeypatch):
    monkeypatch.setattr(checking, "FIRST_PAUSE_S", 0.01)
    data = picture()
    file_id = (await announce(alice, data, "Tree.png")).json()["id"]
    default_storage.bucket_name = "another"
    response = await put_part(alice, file_id, 0, data)
    assert code_of(response) == (503, "storage_unavailable")
    default_storage.bucket_name = bucket
    assert (await put_part(alice, file_id, 0, data)).json()["parts"] == [0]
    await complete(alice, file_id)
    default_storage.bucket_name = "another"
    assert not await checking._check(await sync_to_async(checking._claim)())
    row = await StoredFile.objects.aget(id=file_id)
    assert (row.state, row.attempts, row.errors) == ("checking", 0, 1)
    default_storage.bucket_name = bucket
    await asyncio.sleep(0.02)
    await checking.check_all()
    assert (await state_of(alice, file_id))["state"] == "ready"
    assert stored_renditions(file_id) == ["model", "original", "view"]


@both_storages
@pytest.mark.parametrize("is_sent", [False, True])
async def test_parts_that_could_not_be_removed_are_removed_later(
    no_worker, alice, monkeypatch, is_sent
):
    monkeypatch.setattr(checking, "LEASE", checking.timedelta(seconds=0))
    monkeypatch.setattr(checking, "FIRST_PAUSE_S", 0.01)

    def away(file_id):
        raise OSError("away")

    with monkeypatch.context() as patch:
        patch.setattr(objects, "erase_parts", away)
        file_id = await checked_file(alice)
    assert "part-0" in stored_renditions(file_id)
    if is_sent:
        await sent(alice, file_id)
        await sync_to_async(chores._sweep_files)()
    else:
        await checking.check_all()
    assert stored_renditions(file_id) == ["model", "original", "view"]
    assert (await StoredFile.objects.aget(id=file_id)).leased_until is None


async def test_a_storage_that_hangs_holds_up_nothing_else():
    """Answers are read in the threads of `asyncio.to_thread`."""
    go_on = threading.Event()
    hanging = [
        asyncio.create_task(in_storage_thread(go_on.wait, 30))
        for _ in range(2 * storage_threads.THREADS)
    ]
    await asyncio.sleep(0)
    assert await asyncio.to_thread(lambda: "done") == "done"
    assert not any(task.done() for task in hanging)
    go_on.set()
    assert all(await asyncio.gather(*hanging))


# Workers


async def test_a_worker_that_leaves_waits_for_no_reader(no_worker, alice, monkeypatch):
    """Its thread waits for the child, and the process for its threads."""
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()
    arguments = ["-c", "import time; time.sleep(60)"]

    def slow(script, *ignored):
        loop.call_soon_threadsafe(begun.set)
        return [child_process.sys.executable, *arguments]

    monkeypatch.setattr(child_process, "command", slow)
    file_id = await send_parts(alice, TEXT)
    await complete(alice, file_id)
    before = time.monotonic()
    running = asyncio.create_task(checking.check_all())
    await begun.wait()
    while not child_process._children:
        await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    while child_process._children:
        await asyncio.sleep(0.01)
    assert time.monotonic() - before < 30
    row = await StoredFile.objects.aget(id=file_id)
    assert (row.state, row.attempts, row.leased_until) == ("checking", 0, None)


def test_what_a_killed_worker_was_reading_is_removed(settings):
    folder = checking.reading_folder()
    for name, age_s in (("old", 2 * checking.LEFTOVER_AFTER_S), ("new", 0)):
        (folder / name).mkdir()
        (folder / name / "source").write_bytes(TEXT)
        os.utime(folder / name, (time.time() - age_s,) * 2)
    checking.remove_leftovers()
    assert [path.name for path in folder.iterdir()] == ["new"]


# Models


async def test_pictures_are_not_kept_in_memory_while_an_answer_is_written(
    no_worker, alice, settings, monkeypatch
):
    settings.VISION_MODELS = ["known"]
    calls = []

    class Noted(client._ModelCall):
        def _drop_request(self, response):
            super()._drop_request(response)
            calls.append((self, response))

    monkeypatch.setattr(client, "_ModelCall", Noted)
    async with working():
        file_id = await upload(alice, picture())
        _, reply = await alice.send("[[tokens=30&rate=40]] Long", files=[file_id])
        await alice.until(reply, lambda message: len(str(message.text)) > 10)
        [(call, response)] = calls
        assert call.prompt.messages == call.form.prompt.messages == ()
        assert response.request.content == b""
        assert (await alice.settled(reply)).status == "done"


def test_models_of_ollama_beyond_the_ones_with_details_are_listed():
    endpoint = Endpoint("ollama", "http://127.0.0.1:9/v1", "")
    model = Model("ollama/x", "X", endpoint, 4096, None, "ollama")
    assert listing._ollama_details(model, listing.MAX_OLLAMA_DETAILS) is not None


@pytest.mark.parametrize(
    "refusal",
    [
        "You uploaded an unsupported image. Please make sure your image is valid.",
        "Unable to process input image. Please retry.",
        "Provided image is not valid.",
        "image exceeds 5 MB maximum: 5316852 bytes > 5242880 bytes",
        "Please try again with one of the supported image formats: ['image/jpeg', 'image/png'].",
        "Too many images and documents: 101 + 0 > 100 not supported",
        "Rejected by our safety system. Image contents not supported",
        "Error while downloading image; content-type is not supported",
        "maximum context length is 4096 tokens, images count; longer prompts are not supported",
    ],
)
def test_the_refusal_of_one_picture_says_nothing_about_the_model(refusal):
    assert not _ABOUT_PICTURES.search(refusal.lower())
