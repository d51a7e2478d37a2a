"""Pictures that models make: files of the chat, told in the log, sent with the next turn."""

import asyncio
import base64
import io
import time
import uuid
from datetime import timedelta
from urllib.parse import quote

import orjson
import pytest
from asgiref.sync import sync_to_async
from django.core.files.storage import default_storage
from django.utils import timezone
from PIL import Image

from chat.files import generated, personal_data, sweeping
from chat.files.generated import picture_id
from chat.generation.reply_log import ReplyLog
from chat.generation.worker import Worker
from chat.models import StoredFile
from chat.personal_data import export
from streams.log import get_log
from tests.buckets.storages import files_with_objects, stored_names
from tests.chat.files.file_requests import TEXT, picture, upload
from tests.chat.files.generated.killing import kill_once
from tests.chat.files.model_requests import last_message, pictures, texts
from tests.chat.workers import working
from tests.fake_model import picture_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def makes_pictures(settings):
    settings.PICTURE_MODELS = ["known"]
    settings.VISION_MODELS = ["known"]


async def ask(person, text, **fields):
    message, reply = await person.send(text, **fields)
    return message, reply, await person.settled(reply)


async def original(person, file):
    response = await person.client.get(f"/files/{file['id']}/original")
    return b"".join([part async for part in response]) if response.status_code == 200 else None


@pytest.mark.both_databases
async def test_a_picture_is_kept_and_shown(no_worker, alice, fake_model):
    prompt = "[[tokens=3&images=1]] Draw a fox/dog"
    async with working():
        _, reply, message = await ask(alice, prompt)
    assert message.status == "done" and str(message.text) and message.omitted is None
    [file] = message.files
    assert file["id"] == str(picture_id(reply, 1, 0))
    assert (file["kind"], file["width"], file["height"]) == ("image", 96, 64)
    assert file["name"].endswith("Draw a fox dog.png") and file["alt"] == prompt
    assert file["thumb"] == f"/files/{file['id']}/thumb"
    stored = await get_log().read(alice.stream, after="0-0", limit=100)
    [told] = [orjson.loads(one.data) for one in stored if one.type == "message.image"]
    thumb = told["file"]["thumb"]
    assert thumb.startswith("data:image/webp;base64,") and len(thumb) < 12_000
    assert await original(alice, file) == picture_of(prompt)
    row = await StoredFile.objects.aget()
    assert (str(row.chat_id), row.state) == (alice.chat, "ready")
    assert fake_model.requests[0]["body"]["modalities"] == ["image", "text"]
    assert message.usage["image_tokens"] == 1290
    # The log holds no originals.
    assert sum(len(entry.data) for entry in await alice.entries()) < 14_000


@pytest.mark.parametrize(
    "options", ["", "&whole=1", "&image_is=twice", "&image_is=part", "&split=777"]
)
async def test_pictures_alone_are_an_answer(no_worker, alice, options):
    async with working():
        _, _, message = await ask(alice, f"[[tokens=0&images=2{options}]] Draw")
    assert (message.status, message.finish, len(message.files)) == ("done", "stop", 2)


async def test_a_picture_may_be_large(no_worker, alice):
    prompt = "[[tokens=2&images=1&image_bytes=6000000]] Draw"
    async with working():
        _, _, message = await ask(alice, prompt)
    [file] = message.files
    assert await original(alice, file) == picture_of(prompt, 0, 6_000_000)


async def test_one_that_is_too_large_ends_nothing_else(no_worker, alice):
    async with working():
        _, _, message = await ask(alice, "[[tokens=2&images=1&image_bytes=15500000]] Draw")
    assert message.status == "done" and message.files is None and message.omitted == ["image"]


async def test_nothing_is_fetched(no_worker, alice):
    async with working():
        _, _, message = await ask(alice, "[[tokens=2&images=1&image_is=url]] Draw")
    assert (message.files, message.omitted) == (None, ["image"])


async def test_what_is_no_picture_is_not_kept(no_worker, alice):
    async with working():
        _, _, message = await ask(alice, "[[tokens=2&images=1&image_is=junk]] Draw")
        [file] = message.files
        assert message.status == "done" and file["refused"] == "file_kind"
        await sweeping.erase_marked()
    assert await original(alice, file) is None
    assert not await StoredFile.objects.aexists() and not stored_names()


@pytest.mark.both_databases
@pytest.mark.parametrize("quota", [1_520, 100])
async def test_without_room_the_answer_stays_and_says_so(no_worker, alice, settings, quota):
    settings.QUOTA_FILE_BYTES_GUEST = quota
    async with working():
        _, _, message = await ask(alice, "[[tokens=3&images=1&image_bytes=1500]] Draw")
        [file] = message.files
        assert message.status == "done" and str(message.text)
        assert file["refused"] == "storage_full" and "thumb" not in file
        await sweeping.erase_marked()
    assert not await StoredFile.objects.aexists()


async def test_storage_that_fails_costs_the_picture_and_not_the_answer(
    no_worker, alice, monkeypatch
):
    def fail(*args):
        raise OSError("no disk")

    monkeypatch.setattr(generated.objects, "write_rendition", fail)
    async with working():
        _, _, message = await ask(alice, "[[tokens=3&images=1]] Draw")
    assert message.status == "done" and message.files[0]["refused"] == "storage_unavailable"


async def test_the_next_turn_shows_it_to_a_model_that_sees(no_worker, alice, fake_model):
    async with working():
        _, reply, message = await ask(alice, "[[tokens=0&images=1]] Draw")
        await ask(alice, "[[tokens=1]] Describe it", parent=reply)
    name = message.files[0]["name"]
    _, answer, asked = fake_model.requests[-1]["body"]["messages"]
    assert answer == {"role": "assistant", "content": f"[picture “{name}”]"}
    assert f"[picture “{name}”, which you made]" in texts(asked)
    [shown] = pictures(asked)
    assert shown.size == (96, 64)


async def test_a_model_that_does_not_see_gets_a_marker(no_worker, alice, fake_model, settings):
    async with working():
        _, reply, message = await ask(alice, "[[tokens=0&images=1]] Draw")
        settings.VISION_MODELS = []
        _, _, second = await ask(alice, "[[tokens=1]] Describe it", parent=reply)
    file = message.files[0]
    assert f"You made the picture “{file['name']}”, but" in last_message(fake_model)["content"]
    assert second.withheld == [{"file": file["id"], "why": "modality"}]


async def test_one_that_is_changed_is_sent_once(no_worker, alice, fake_model):
    async with working():
        _, reply, message = await ask(alice, "[[tokens=0&images=1]] Draw")
        file_id = message.files[0]["id"]
        await ask(alice, "[[tokens=1]] Make it red", parent=reply, files=[file_id])
    assert len(pictures(last_message(fake_model))) == 1


async def test_regenerating_makes_another_and_keeps_the_first(no_worker, alice):
    async with working():
        message, reply, first = await ask(alice, "[[tokens=0&images=1]] Draw")
        again = str(uuid.uuid4())
        path = f"/api/chats/{alice.chat}/replies"
        await alice.post(path, id=again, parent=message, model="openai/script/known")
        second = await alice.settled(again)
    assert first.files[0]["id"] != second.files[0]["id"]
    assert (await alice.message(reply)).files == first.files


async def test_it_goes_with_its_chat(no_worker, alice):
    async with working():
        await ask(alice, "[[tokens=0&images=1]] Draw")
        assert stored_names()
        await sync_to_async(sweeping.erase_files_of)(await alice.row())
    assert not stored_names() and not await StoredFile.objects.aexists()


async def test_one_file_can_be_deleted(no_worker, alice):
    async with working():
        _, reply, message = await ask(alice, "[[tokens=1&images=2]] Draw")
        owner = await alice.row()
        first = uuid.UUID(message.files[0]["id"])
        await sync_to_async(sweeping.uploads.delete_file)(owner, first)
        await sweeping.erase_marked()
        files = (await alice.message(reply)).files
    assert [file.get("erased") for file in files] == [True, None]
    assert "thumb" not in files[0] and "thumb" in files[1]


async def test_one_that_nobody_finishes_is_swept(no_worker, alice):
    async with working():
        _, _, message = await ask(alice, "[[tokens=1&images=1]] Draw")
        rows = StoredFile.objects.filter(id=message.files[0]["id"])
        await rows.aupdate(state="checking")
        await sync_to_async(sweeping.mark_unfinished)()
        assert await rows.aget(state="checking")
        await rows.aupdate(changed_at=timezone.now() - timedelta(days=2))
        await sync_to_async(sweeping.mark_unfinished)()
        await sweeping.erase_marked()
    assert not await rows.aexists() and not stored_names()


async def test_the_archive_has_it_and_the_text_links_to_it(no_worker, alice):
    prompt = "[[tokens=1&images=1]] Draw"
    async with working():
        await ask(alice, prompt)
    [exported] = [file async for file in personal_data.export(await alice.row())]
    assert b"".join([chunk async for chunk in exported.chunks]) == picture_of(prompt)
    files = [file async for file in export.export(await alice.row())]
    text = b"".join([chunk async for chunk in files[0].chunks]).decode()
    assert f"](../{quote(exported.path)})" in text


async def test_nobody_else_sees_it(no_worker, alice, bob):
    async with working():
        _, _, message = await ask(alice, "[[tokens=0&images=1]] Draw")
    assert await original(bob, message.files[0]) is None


async def test_it_is_found_by_its_name(no_worker, alice):
    async with working():
        _, reply, _ = await ask(alice, "[[tokens=0&images=1]] Quokka")
        async with asyncio.timeout(20):
            found = []
            while reply not in found:
                response = await alice.client.get("/api/search?q=quokka")
                found = [m["id"] for r in response.json()["results"] for m in r["messages"]]
                await asyncio.sleep(0.05)


async def test_a_provider_that_does_not_know_modalities_is_asked_without(
    no_worker, alice, fake_model
):
    async with working():
        for _ in range(2):
            chat = str(uuid.uuid4())
            _, reply = await alice.send("[[tokens=1&images=1&modalities_400=1]] Draw", chat=chat)
            assert len((await alice.settled(reply, chat)).files) == 1
    assert ["modalities" in r["body"] for r in fake_model.requests] == [True, False, False]


async def test_models_that_write_only_are_not_asked_for_pictures(
    no_worker, alice, fake_model, settings
):
    settings.PICTURE_MODELS = []
    async with working():
        _, _, message = await ask(alice, "[[tokens=2&images=1]] Draw")
    assert "modalities" not in fake_model.requests[0]["body"]
    assert (message.files, message.omitted) == (None, ["image"])


# OpenAI's requests for pictures


@pytest.fixture
def images_api(settings):
    settings.PICTURE_MODELS = []
    settings.IMAGES_API_MODELS = ["known"]


async def test_images_generations(no_worker, alice, fake_model, images_api):
    prompt = "[[images=1]] Draw a fox"
    async with working():
        _, _, message = await ask(alice, prompt)
    assert message.status == "done" and len(message.files) == 1
    assert await original(alice, message.files[0]) == picture_of(prompt)
    [request] = fake_model.requests
    assert request["path"].endswith("/images/generations")
    assert request["body"]["prompt"] == prompt and request["body"]["model"] == "script/known"
    assert (message.usage["prompt_tokens"], message.usage["image_tokens"]) == (50, 1056)


async def test_images_edits_sends_the_attached_pictures(no_worker, alice, fake_model, images_api):
    async with working():
        _, reply, message = await ask(alice, "[[images=1]] Draw a fox")
        uploaded = await upload(alice, picture(50, 30))
        document = await upload(alice, TEXT)
        files = [message.files[0]["id"], uploaded, document]
        _, _, second = await ask(alice, "[[images=1]] Make it red", parent=reply, files=files)
    request = fake_model.requests[-1]
    assert request["path"].endswith("/images/edits")
    assert request["body"]["prompt"] == "[[images=1]] Make it red"
    names, data = zip(*request["body"]["files"], strict=True)
    assert names == ("image[]", "image[]")
    assert [Image.open(io.BytesIO(base64.b64decode(each))).size for each in data] == [
        (96, 64),
        (50, 30),
    ]
    assert second.withheld == [{"file": document, "why": "modality"}]
    assert len(second.files) == 1


async def test_without_an_attachment_the_last_picture_is_not_sent(
    no_worker, alice, fake_model, images_api
):
    async with working():
        _, reply, _ = await ask(alice, "[[images=1]] Draw a fox")
        await ask(alice, "[[images=1]] Draw a dog", parent=reply)
    assert fake_model.requests[-1]["path"].endswith("/images/generations")


async def test_a_picture_that_was_deleted_meanwhile_is_not_sent(
    no_worker, alice, fake_model, images_api
):
    async with working():
        _, reply, message = await ask(alice, "[[images=1]] Draw a fox")
        files = [message.files[0]["id"]]
        default_storage.delete(f"files/{files[0]}/model")
        await ask(alice, "[[images=1]] Make it red", parent=reply, files=files)
    assert fake_model.requests[-1]["path"].endswith("/images/generations")


async def test_refusals_of_images_are_errors_of_the_answer(no_worker, alice, images_api):
    async with working():
        _, _, message = await ask(alice, "[[status=400&error_type=content_filter]] Draw")
    assert (message.status, message.error["code"]) == ("error", "refused")


# Interruptions


async def test_stop_keeps_what_has_arrived(no_worker, alice):
    async with working():
        _, reply = await alice.send("[[tokens=2&images=3&image_ms=700]] Draw")
        await alice.until(reply, lambda message: message.files)
        await alice.post(f"/api/chats/{alice.chat}/replies/{reply}/stop")
        message = await alice.settled(reply)
    assert message.status == "stopped" and 1 <= len(message.files) < 3


async def test_stop_keeps_a_picture_that_is_being_stored(no_worker, alice, monkeypatch):
    read, reading = generated._read, asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(*args):
        loop.call_soon_threadsafe(reading.set)
        time.sleep(1.0)
        return read(*args)

    monkeypatch.setattr(generated, "_read", slow)
    async with working():
        _, reply = await alice.send("[[tokens=2&images=2&image_ms=100]] Draw")
        await reading.wait()
        await alice.post(f"/api/chats/{alice.chat}/replies/{reply}/stop")
        message = await alice.settled(reply)
    assert (message.status, len(message.files)) == ("stopped", 1)


async def test_its_owner_may_ask_for_more(no_worker, alice, fake_model):
    async with working():
        _, reply = await alice.send("[[tokens=2&images=3&image_ms=700]] Draw")
        await alice.until(reply, lambda message: message.files)
        await alice.post(f"/api/chats/{alice.chat}/replies/{reply}/stop")
        before = await alice.settled(reply)
        await alice.post(f"/api/chats/{alice.chat}/replies/{reply}/attempts")
        after = await alice.until(reply, lambda message: message.status == "done")
    assert len(fake_model.requests) == 2
    assert len(after.files) == len(before.files) + 3
    assert len({file["id"] for file in after.files}) == len(after.files)


async def test_a_stream_that_breaks_after_a_picture_ends_as_it_stands(no_worker, alice, fake_model):
    async with working():
        _, _, message = await ask(alice, "[[tokens=0&images=1&no_finish=1&no_done=1]] Draw")
    assert (message.status, message.finish, len(message.files)) == ("done", "unknown", 1)
    assert len(fake_model.requests) == 1


async def test_a_worker_that_leaves_buys_no_picture_twice(no_worker, alice, fake_model):
    async with working("first") as first:
        _, reply = await alice.send("[[tokens=2&images=2&image_ms=1500]] Draw")
        await alice.until(reply, lambda message: message.files)
        first.leave()
    async with working("second"):
        message = await alice.settled(reply)
    assert (message.status, len(message.files), len(fake_model.requests)) == ("done", 1, 1)


def _before(owner, name):
    return owner, name, False


def _after(owner, name):
    return owner, name, True


async def test_a_worker_that_leaves_refuses_no_picture(no_worker, alice, fake_model, monkeypatch):
    """It ends the process that reads the picture, which then looks damaged."""
    read, first = generated._read, Worker()
    first.name += "first"
    loop = asyncio.get_running_loop()

    def interrupted(*args):
        monkeypatch.setattr(generated, "_read", read)
        loop.call_soon_threadsafe(first.leave)
        time.sleep(0.5)
        raise generated.FileRefused("damaged")

    monkeypatch.setattr(generated, "_read", interrupted)
    running = asyncio.create_task(first.run())
    _, reply = await alice.send("[[tokens=2&images=1]] Draw")
    await running
    async with working("second"):
        message = await alice.settled(reply)
    assert len(fake_model.requests) == 1
    assert [file.get("refused") for file in message.files] == [None]


# (the step, how often the picture is bought)
STEPS = {
    "before its row": (_before(generated, "_begin"), 2),
    "after its row": (_after(generated, "_begin"), 2),
    "before its original": (_before(generated, "_write"), 2),
    "after its original": (_after(generated, "_write"), 1),
    "before it is read": (_before(generated, "_read"), 1),
    "after it is read": (_after(generated, "_read"), 1),
    "before it is ready": (_before(generated, "_make_ready"), 1),
    "after it is ready": (_after(generated, "_make_ready"), 1),
    "before it is told": (_before(ReplyLog, "append_image"), 1),
    "after it is told": (_after(ReplyLog, "append_image"), 1),
}


@pytest.mark.both_databases
@pytest.mark.parametrize("step", STEPS)
async def test_a_worker_killed_at_any_step_loses_and_doubles_nothing(
    no_worker, alice, fake_model, monkeypatch, step
):
    where, bought = STEPS[step]
    killed = kill_once(monkeypatch, *where)
    prompt = "[[tokens=2&images=1]] Draw a fox"
    async with working():
        _, reply, message = await ask(alice, prompt)
        await sweeping.erase_marked()
    assert killed and message.status == "done"
    [file] = message.files
    assert await original(alice, file) == picture_of(prompt)
    assert len(fake_model.requests) == bought
    told = [e for e in await alice.entries() if orjson.loads(e.data)["type"] == "message.image"]
    assert len(told) == 1
    rows = [row async for row in StoredFile.objects.all()]
    assert [(str(row.id), row.state) for row in rows] == [(file["id"], "ready")]
    assert files_with_objects() == {file["id"]}
