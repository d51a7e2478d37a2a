"""Uploading: announced, sent in parts, checked; interrupted, repeated and wrong at each step."""

import asyncio
import os
import uuid

import pytest
from asgiref.sync import sync_to_async
from django.core.files.storage import default_storage

from accounts.models import User
from chat.files import checking, objects, uploads
from chat.files.uploads import PART_BYTES
from chat.models import StoredFile
from tests.buckets.storages import both_storages, stored_renditions
from tests.chat.files.file_requests import (
    TEXT,
    announce,
    announced,
    checked,
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


@both_storages
async def test_a_visitor_uploads_a_picture_and_becomes_a_guest(no_worker, alice):
    data = picture(400, 200)
    async with working():
        file_id = await upload(alice, data, "Apple tree.png")
    state = await state_of(alice, file_id)
    file = state["file"]
    assert {name: file[name] for name in ("kind", "name", "type", "width", "height")} == {
        "kind": "image",
        "name": "Apple tree.png",
        "type": "image/png",
        "width": 400,
        "height": 200,
    }
    assert file["bytes"] == len(data) and file["thumb"].startswith("data:image/webp;base64,")
    assert stored_renditions(file_id) == ["model", "original", "view"]
    assert objects.read_rendition(uuid.UUID(file_id), "original") == data
    row = await StoredFile.objects.aget(id=file_id)
    assert row.stored_bytes >= len(data)
    assert (await User.objects.aget(id=alice.user["id"])).is_guest


async def test_parts_arrive_in_any_order_and_again(no_worker, alice):
    data = os.urandom(PART_BYTES) + os.urandom(PART_BYTES) + b"the end"
    body = announced(data, "noise.bin")
    for _ in range(2):
        response = await alice.post("/api/files", **body)
        assert response.json()["state"] == "uploading"
    for number in (2, 0, 2):
        part = data[number * PART_BYTES : (number + 1) * PART_BYTES]
        response = await put_part(alice, body["id"], number, part)
    assert response.json()["parts"] == [0, 2]
    response = await complete(alice, body["id"])
    assert code_of(response) == (409, "file_incomplete")
    assert response.json()["error"]["missing"] == [1]
    await put_part(alice, body["id"], 1, data[PART_BYTES : 2 * PART_BYTES])
    for _ in range(2):
        response = await complete(alice, body["id"])
        assert (response.status_code, response.json()["state"]) == (202, "checking")


@both_storages
@pytest.mark.both_databases
async def test_parts_that_arrive_at_once_are_all_noted(no_worker, alice):
    data = os.urandom(5 * PART_BYTES)
    file_id = (await announce(alice, data)).json()["id"]
    parts = [data[n * PART_BYTES : (n + 1) * PART_BYTES] for n in range(5)]
    await asyncio.gather(*(put_part(alice, file_id, n, part) for n, part in enumerate(parts)))
    assert (await state_of(alice, file_id))["parts"] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("size", [0, len(TEXT) - 1, len(TEXT) + 1])
async def test_a_part_of_another_size_is_refused(no_worker, alice, size):
    file_id = (await announce(alice, TEXT)).json()["id"]
    response = await put_part(alice, file_id, 0, (TEXT * 2)[:size])
    assert code_of(response) == (400, "bad_request")
    assert (await state_of(alice, file_id))["parts"] == []
    assert code_of(await put_part(alice, file_id, 1, b"")) == (400, "bad_request")


@both_storages
async def test_bytes_that_are_not_those_announced_are_refused(no_worker, alice):
    body = announced(TEXT)
    await alice.post("/api/files", **body)
    await put_part(alice, body["id"], 0, TEXT[::-1])
    await complete(alice, body["id"])
    async with working():
        state = await checked(alice, body["id"])
        assert state["error"]["code"] == "file_damaged"
        async with asyncio.timeout(10):
            while stored_renditions(body["id"]):
                await asyncio.sleep(0.02)
    assert (await StoredFile.objects.aget(id=body["id"])).stored_bytes == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "x"),
        ("name", 7),
        ("bytes", -1),
        ("bytes", "7"),
        ("bytes", True),
        ("bytes", 2**40),
        ("sha256", "A" * 64),
        ("sha256", None),
    ],
)
async def test_an_announcement_that_is_not_in_form(no_worker, alice, field, value):
    response = await alice.post("/api/files", **announced(TEXT) | {field: value})
    assert code_of(response) == (400, "bad_request")
    assert not await StoredFile.objects.aexists()


async def test_sizes_that_no_file_may_have(no_worker, alice):
    empty = await alice.post("/api/files", **announced(b""))
    assert code_of(empty) == (422, "file_empty")
    large = await alice.post("/api/files", **announced(TEXT, bytes=uploads.MAX_BYTES + 1))
    assert code_of(large) == (413, "file_too_large")


async def test_an_id_names_one_file_of_one_person(no_worker, alice, bob):
    body = announced(TEXT)
    await alice.post("/api/files", **body)
    response = await alice.post("/api/files", **body | {"name": "other.txt"})
    assert code_of(response) == (409, "id_reused")
    response = await bob.post("/api/files", **body)
    assert code_of(response) == (409, "id_reused")
    await bob.send("[[tokens=1]] Hello")
    for response in (
        await bob.client.get(f"/api/files/{body['id']}"),
        await put_part(bob, body["id"], 0, TEXT),
        await complete(bob, body["id"]),
    ):
        assert code_of(response) == (404, "file_not_found")


@pytest.mark.both_databases
@pytest.mark.parametrize("at_once", [1, 4])
async def test_a_quota_is_not_exceeded(no_worker, alice, settings, at_once):
    await announce(alice, b"x")
    settings.QUOTA_FILE_BYTES_GUEST = 3 * len(TEXT)
    responses = []
    for _ in range(4 // at_once):
        responses += await asyncio.gather(*(announce(alice, TEXT) for _ in range(at_once)))
    assert sorted(r.status_code for r in responses) == [200, 200, 409, 409]
    full = next(r for r in responses if r.status_code == 409)
    assert code_of(full) == (409, "storage_full")
    await alice.client.delete(f"/api/files/{responses[0].json()['id']}")
    async with working():
        async with asyncio.timeout(10):
            while await StoredFile.objects.filter(state="erased").aexists():
                await asyncio.sleep(0.02)
    assert (await announce(alice, TEXT)).status_code == 200


@both_storages
async def test_a_discarded_file_is_gone(no_worker, alice):
    async with working():
        file_id = await upload(alice, TEXT)
        for _ in range(2):
            response = await alice.client.delete(f"/api/files/{file_id}")
            assert response.status_code == 204
        response = await alice.client.get(f"/api/files/{file_id}")
        assert code_of(response) == (404, "file_not_found")
        async with asyncio.timeout(10):
            while stored_renditions(file_id) or await StoredFile.objects.aexists():
                await asyncio.sleep(0.02)


async def test_a_full_disk_loses_nothing(no_worker, alice, monkeypatch):
    def full(*ignored):
        raise OSError(28, "No space left on device")

    file_id = (await announce(alice, TEXT)).json()["id"]
    with monkeypatch.context() as patch:
        patch.setattr(default_storage, "save", full)
        response = await put_part(alice, file_id, 0, TEXT)
    assert code_of(response) == (503, "storage_unavailable")
    assert (await state_of(alice, file_id))["parts"] == []
    assert (await put_part(alice, file_id, 0, TEXT)).json()["parts"] == [0]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\notes\\a.txt", "a.txt"),
        ("\u202etxt.exe", "txt.exe"),
        ("two\nlines.txt", "twolines.txt"),
        ("", "File"),
        ("..", "File"),
        ("x" * 300 + ".pdf", "x" * 251 + ".pdf"),
    ],
)
async def test_names_are_shown_without_folders_and_tricks(no_worker, alice, given, shown):
    assert (await announce(alice, TEXT, given)).json()["name"] == shown


# The check


@both_storages
async def test_a_worker_that_dies_during_the_check_is_replaced(no_worker, alice, monkeypatch):
    monkeypatch.setattr(checking, "LEASE", checking.timedelta(seconds=0.2))
    file_id = await send_parts(alice, TEXT)
    await complete(alice, file_id)
    # It claims the file, and is never heard of again.
    claimed = await sync_to_async(checking._claim)()
    assert str(claimed.id) == file_id
    await asyncio.sleep(0.3)
    async with working():
        assert (await checked(alice, file_id))["state"] == "ready"
    # What it would have stored does not count any more.
    assert not await sync_to_async(checking._finish)(claimed, **checking._refused("file_damaged"))
    assert (await state_of(alice, file_id))["state"] == "ready"


@both_storages
async def test_a_file_that_ends_its_workers_is_refused(no_worker, alice):
    file_id = await send_parts(alice, TEXT)
    await complete(alice, file_id)
    await StoredFile.objects.filter(id=file_id).aupdate(attempts=checking.MAX_ATTEMPTS)
    async with working():
        state = await checked(alice, file_id)
        assert (state["state"], state["error"]["code"]) == ("refused", "file_damaged")
        async with asyncio.timeout(10):
            while stored_renditions(file_id):
                await asyncio.sleep(0.02)


@both_storages
async def test_a_storage_that_fails_is_tried_again(no_worker, alice, monkeypatch):
    monkeypatch.setattr(checking, "FIRST_PAUSE_S", 0.05)
    # More often than a file may end its workers.
    failures = iter([OSError("away")] * (checking.MAX_ATTEMPTS + 1))
    monkeypatch.setattr(checking, "MAX_PAUSE_S", 0.05)
    written = objects.write_rendition

    def write(*args):
        for failure in failures:
            raise failure
        written(*args)

    monkeypatch.setattr(objects, "write_rendition", write)
    file_id = await send_parts(alice, TEXT)
    async with working():
        await complete(alice, file_id)
        assert (await checked(alice, file_id))["state"] == "ready"
    row = await StoredFile.objects.aget(id=file_id)
    assert (row.attempts, row.errors) == (1, checking.MAX_ATTEMPTS + 1)
