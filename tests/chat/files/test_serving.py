"""The bytes of files: to their owner only, in ranges, and harmless in a browser."""

import io
import uuid

import pytest
from asgiref.sync import sync_to_async
from django.core.files.storage import default_storage
from PIL import Image

from accounts.models import User
from accounts.suspension import suspend
from chat.files import objects
from tests.buckets.storages import both_storages
from tests.chat.files.file_requests import TEXT, checked, picture, send_parts, upload
from tests.chat.workers import working

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = b"<!doctype html><script>alert(document.cookie)</script>"
DRAWING = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


async def get(person, file_id, name="original", **headers):
    return await person.client.get(f"/files/{file_id}/{name}", headers=headers)


async def status_of(person, file_id, name="original"):
    response = await get(person, file_id, name)
    await body_of(response)
    return response.status_code


async def body_of(response):
    if not response.streaming:
        return response.content
    return b"".join([chunk async for chunk in response])


@pytest.fixture
async def file_id(no_worker, alice):
    async with working():
        return await upload(alice, TEXT, "Seven trees.txt")


@both_storages
async def test_an_original_is_a_download_with_a_safe_name(alice, file_id):
    response = await get(alice, file_id)
    assert (response.status_code, await body_of(response)) == (200, TEXT)
    assert response["Content-Disposition"] == 'attachment; filename="Seven trees.txt"'
    assert response["Content-Length"] == str(len(TEXT))
    assert response["Cache-Control"] == "private, max-age=31536000, immutable"
    assert response["Cross-Origin-Resource-Policy"] == "same-origin"
    head = await alice.client.head(f"/files/{file_id}/original")
    assert (head.content, head["Content-Length"]) == (b"", str(len(TEXT)))


@both_storages
async def test_a_view_is_shown_as_a_picture(no_worker, alice):
    async with working():
        file_id = await upload(alice, picture(3200, 1600), "Wide.png")
    response = await get(alice, file_id, "view")
    assert response["Content-Type"] == "image/webp"
    assert response["Content-Disposition"] == 'inline; filename="Wide.png.webp"'
    assert Image.open(io.BytesIO(await body_of(response))).size == (1600, 800)


async def test_a_thumb_is_a_small_picture_that_no_storage_is_asked_for(
    no_worker, alice, bob, monkeypatch
):
    async with working():
        file_id = await upload(alice, picture(3200, 1600), "Wide.png")
        text = await upload(alice, TEXT, "Seven trees.txt")
    monkeypatch.setattr(objects, "open_rendition", None)
    response = await get(alice, file_id, "thumb")
    assert response["Content-Type"] == "image/webp"
    assert response["Content-Disposition"] == 'inline; filename="Wide.png.webp"'
    assert response["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert response["Cache-Control"] == "private, max-age=31536000, immutable"
    assert Image.open(io.BytesIO(response.content)).size == (256, 128)
    assert await status_of(bob, file_id, "thumb") == 404
    assert await status_of(alice, text, "thumb") == 404
    await alice.client.delete(f"/api/files/{file_id}")
    assert await status_of(alice, file_id, "thumb") == 404


@pytest.mark.parametrize(("data", "name"), [(PAGE, "page.html"), (DRAWING, "drawing.svg")])
async def test_scripts_in_files_are_never_run(no_worker, alice, data, name):
    async with working():
        file_id = await upload(alice, data, name)
    response = await get(alice, file_id)
    assert response["Content-Type"].startswith("text/plain")
    assert response["Content-Disposition"].startswith("attachment")
    assert response["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert response["X-Content-Type-Options"] == "nosniff"
    await body_of(response)
    assert await status_of(alice, file_id, "view") == 404


@both_storages
@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-3", 0, 3),
        ("bytes=4-", 4, len(TEXT) - 1),
        ("bytes=-5", len(TEXT) - 5, len(TEXT) - 1),
        ("bytes=-5000", 0, len(TEXT) - 1),
        ("bytes=3-99999", 3, len(TEXT) - 1),
    ],
)
async def test_a_range(alice, file_id, asked, first, last):
    response = await get(alice, file_id, range=asked)
    assert await body_of(response) == TEXT[first : last + 1]
    assert response["Content-Length"] == str(last + 1 - first)
    if last + 1 - first < len(TEXT):
        assert response.status_code == 206
        assert response["Content-Range"] == f"bytes {first}-{last}/{len(TEXT)}"


@pytest.mark.parametrize("asked", ["bytes=9999-", "bytes=-0"])
async def test_a_range_beyond_the_end(alice, file_id, asked):
    response = await get(alice, file_id, range=asked)
    assert (response.status_code, response["Content-Range"]) == (416, f"bytes */{len(TEXT)}")


@pytest.mark.parametrize("asked", ["bytes=0-1,4-5", "lines=1-2", "bytes=-", "bytes=5-2", "bytes"])
async def test_other_ranges_are_ignored(alice, file_id, asked):
    response = await get(alice, file_id, range=asked)
    assert (response.status_code, await body_of(response)) == (200, TEXT)


@both_storages
async def test_strangers_and_the_suspended_see_nothing(alice, bob, file_id):
    async with working():
        await bob.send("[[tokens=1]] Hello")
    assert await status_of(bob, file_id) == 404
    assert await status_of(alice, uuid.uuid4()) == 404
    for name in ("model", "text", "part-0", "..", "%2e%2e", ""):
        assert await status_of(alice, file_id, name) == 404, name
    staff = await sync_to_async(User.objects.create_superuser)("operator@example.org", "x")
    await sync_to_async(suspend)(await alice.row(), staff, "Spam")
    assert await status_of(alice, file_id) == 404


@both_storages
async def test_a_file_that_is_not_checked_or_is_discarded_is_not_served(no_worker, alice):
    file_id = await send_parts(alice, TEXT)
    assert await status_of(alice, file_id) == 404
    async with working():
        await alice.post(f"/api/files/{file_id}/complete")
        assert (await checked(alice, file_id))["state"] == "ready"
        assert await status_of(alice, file_id) == 200
        await alice.client.delete(f"/api/files/{file_id}")
        assert await status_of(alice, file_id) == 404


@both_storages
async def test_a_range_of_a_large_file_is_read_alone(alice, file_id, monkeypatch):
    asked = []
    open_rendition = objects.open_rendition

    def note(*args):
        file = open_rendition(*args)
        asked.append(args[2:])
        return file

    monkeypatch.setattr(objects, "open_rendition", note)
    response = await get(alice, file_id, range="bytes=5-9")
    assert (await body_of(response), asked) == (TEXT[5:10], [(5, 5)])


async def test_a_bucket_that_fails_is_no_missing_file(alice, file_id, bucket):
    """The page may ask again."""
    assert await status_of(alice, file_id) == 404
    default_storage.bucket_name = "another"
    assert await status_of(alice, file_id) == 503
