"""The page of files: what takes room, and deleting one of them."""

import asyncio
import uuid

import pytest

from chat.models import StoredFile
from tests.chat.files.file_requests import TEXT, code_of, picture, upload
from tests.chat.page_requests import new_message, post_message
from tests.chat.personal_data.account_forms import form
from tests.chat.workers import working

pytestmark = pytest.mark.django_db(transaction=True)


async def page(person):
    response = await person.client.get("/settings/files")
    assert response.status_code == 200
    return response.content.decode()


async def gone(file_id):
    async with asyncio.timeout(20):
        while await StoredFile.objects.filter(id=file_id).aexists():
            await asyncio.sleep(0.02)


async def test_the_largest_come_first_with_their_chats(no_worker, alice):
    async with working():
        small = await upload(alice, TEXT, "<b>small.txt")
        large = await upload(alice, picture(900, 900), "large.png")
        await alice.send("[[tokens=1]] The garden", files=[large])
    shown = await page(alice)
    assert shown.index("large.png") < shown.index("&lt;b&gt;small.txt")
    assert f'href="/c/{alice.chat}"' in shown and "not sent yet" in shown
    assert f"/settings/files/{small}/delete" in shown


async def test_a_deleted_file_stays_named_in_its_message(no_worker, alice, settings):
    settings.VISION_MODELS = ["known"]
    async with working():
        file_id = await upload(alice, picture(), "Tree.png")
        message, reply = await alice.send("[[tokens=1]] Look", files=[file_id])
        await alice.settled(reply)
        asked = await alice.client.get(f"/settings/files/{file_id}/delete")
        assert "Its message stays" in asked.content.decode()
        for _ in range(2):
            response = await form(alice, f"/settings/files/{file_id}/delete")
        assert response.status_code == 404  # The second time it is gone already.
        await gone(file_id)
        shown = await alice.message(message)
        [file] = shown.files
        assert (file["name"], file["erased"], "thumb" in file) == ("Tree.png", True, False)
        _, second = await alice.send("[[tokens=1]] And now?", parent=reply)
        await alice.settled(second)
        assert (await alice.message(second)).withheld == [{"file": file_id, "why": "missing"}]
        response = await post_message(alice, new_message(files=[file_id], parent=second))
        assert code_of(response) == (404, "file_not_found")
    assert "No files yet" in await page(alice)
    exported = await alice.client.get(f"/api/chats/{alice.chat}/export")
    assert "- File: Tree.png (deleted)" in exported.content.decode()


async def test_a_chat_is_told_although_a_crash_came_first(no_worker, alice):
    async with working():
        file_id = await upload(alice, TEXT)
        message, reply = await alice.send("[[tokens=1]] Look", files=[file_id])
        await alice.settled(reply)
    await form(alice, f"/settings/files/{file_id}/delete")
    assert not any("erased" in file for file in (await alice.message(message)).files)
    async with working():
        await gone(file_id)
    assert [file["erased"] for file in (await alice.message(message)).files] == [True]


async def test_nobody_deletes_the_file_of_another(no_worker, alice, bob):
    async with working():
        file_id = await upload(alice, TEXT)
        await bob.send("[[tokens=1]] Hello")
        for response in (
            await bob.client.get(f"/settings/files/{file_id}/delete"),
            await form(bob, f"/settings/files/{file_id}/delete"),
            await form(bob, f"/settings/files/{uuid.uuid4()}/delete"),
        ):
            assert response.status_code == 404
    assert (await StoredFile.objects.aget(id=file_id)).state == "ready"
    assert TEXT.decode()[:10] not in await page(bob)
