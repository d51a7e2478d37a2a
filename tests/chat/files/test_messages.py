"""Messages with files: what the log, the model and the next worker get of them."""

import asyncio
import base64
import uuid
from urllib.parse import quote

import orjson
import pytest
from django.core.files.storage import default_storage

from chat.files import prompt_files
from chat.models import Chat, StoredFile
from streams.log import get_log
from tests.buckets.storages import both_storages
from tests.chat.files.file_requests import TEXT, ask, code_of, picture, send_parts, upload
from tests.chat.files.model_requests import last_message, pictures, texts
from tests.chat.files.reading.pdf_files import PICTURE, pdf
from tests.chat.page_requests import new_message, post_message
from tests.chat.workers import working

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def sees(settings):
    settings.VISION_MODELS = ["known"]


@both_storages
async def test_a_picture_reaches_the_model_and_the_transcript(no_worker, alice, fake_model):
    async with working():
        file_id = await upload(alice, picture(400, 200), "Tree.png")
        message, reply = await ask(alice, files=[file_id])
    sent = last_message(fake_model)
    assert texts(sent).splitlines() == ["[picture “Tree.png”]", "", "[[tokens=2]] What is it?"]
    [shown] = pictures(sent)
    assert shown.size == (400, 200) and shown.getpixel((9, 9))[0] > 150
    transcript = await alice.transcript()
    [file] = transcript.messages[message].files
    assert (file["id"], file["name"], file["width"]) == (file_id, "Tree.png", 400)
    assert file["thumb"] == f"/files/{file_id}/thumb"
    assert transcript.messages[reply].withheld is None
    assert (await StoredFile.objects.aget(id=file_id)).chat_id == uuid.UUID(alice.chat)


async def test_who_is_there_sees_a_thumb_at_once_and_who_comes_later_fetches_it(
    no_worker, alice, fake_model
):
    """The log has the thumb, for the screens that are open; a replay of the chat has its address,
    so a chat with many pictures opens as fast as one without."""
    async with working():
        files = [await upload(alice, picture(400 + n, 200), f"{n}.png") for n in range(3)]
        message, _ = await ask(alice, files=files)
    live = await get_log().read(alice.stream, after="0-0", limit=100)
    [created] = [data for one in live if (data := orjson.loads(one.data)).get("message") == message]
    assert [file["thumb"][:23] for file in created["files"]] == ["data:image/webp;base64,"] * 3
    replayed = (await alice.client.get(f"/api/chats/{alice.chat}/events?after=0-0")).content
    assert b"data:image" not in replayed and len(replayed) < 6_000
    for file in (await alice.message(message)).files:
        response = await alice.client.get(file["thumb"])
        number = files.index(file["id"])
        encoded = created["files"][number]["thumb"].partition("base64,")[2]
        assert response.content == base64.b64decode(encoded)


async def test_a_model_that_does_not_see_is_told_so(no_worker, alice, fake_model, settings):
    settings.VISION_MODELS = []
    async with working():
        file_id = await upload(alice, picture(), "Tree.png")
        _, reply = await ask(alice, files=[file_id])
    sent = last_message(fake_model)
    assert "“Tree.png” was attached here, but you cannot see pictures" in sent["content"]
    withheld = (await alice.message(reply)).withheld
    assert withheld == [{"file": file_id, "why": "modality"}]


async def test_what_an_author_says_of_a_picture_is_for_those_who_do_not_see_it(
    no_worker, alice, fake_model, settings
):
    settings.VISION_MODELS = []
    async with working():
        file_id = await upload(alice, picture(), "Tree.png")
        described = {"id": file_id, "alt": " An old\noak "}
        message, _ = await ask(alice, files=[described])
        assert "shows: An old oak]" in last_message(fake_model)["content"]
        [file] = (await alice.message(message)).files
        assert file["alt"] == "An old oak"
        async with asyncio.timeout(20):
            while not [m for result in await search(alice, "oak") for m in result["messages"]]:
                await asyncio.sleep(0.05)
    body = new_message(id=message, chat=alice.chat, text="[[tokens=2]] What is it?")
    other = await post_message(alice, body | {"files": [described | {"alt": "A young oak"}]})
    assert code_of(other) == (409, "id_reused")


@pytest.mark.parametrize("alt", [None, 1, ["x"], "x" * 1_001, "a\x00b"])
async def test_a_description_is_a_text_of_bounded_length(no_worker, alice, alt):
    response = await post_message(alice, new_message(files=[{"id": str(uuid.uuid4()), "alt": alt}]))
    assert code_of(response) == (400, "bad_request")


async def test_pictures_do_not_lock_a_chat_to_models_that_see(
    no_worker, alice, fake_model, settings
):
    async with working():
        file_id = await upload(alice, picture())
        _, reply = await ask(alice, files=[file_id])
        settings.VISION_MODELS = []
        _, blind = await ask(alice, parent=reply)
        assert not any(pictures(m) for m in fake_model.requests[-1]["body"]["messages"])
        settings.VISION_MODELS = ["known"]
        await ask(alice, parent=blind)
        assert len(pictures(fake_model.requests[-1]["body"]["messages"][0])) == 1


@both_storages
async def test_a_document_goes_as_text_with_its_name(no_worker, alice, fake_model):
    async with working():
        file_id = await upload(alice, TEXT, "garden.txt")
        await ask(alice, files=[file_id])
    lines = last_message(fake_model)["content"].splitlines()
    assert lines[0] == "[start of the file “garden.txt”]" and TEXT.decode().strip() in lines
    assert "[end of the file “garden.txt”]" in lines


async def test_what_does_not_fit_is_left_out_and_said(no_worker, alice, fake_model, monkeypatch):
    monkeypatch.setattr(prompt_files, "DOCUMENT_SHARE", 0.0005)
    async with working():
        old = await upload(alice, b"A" * 500, "old.txt")
        new = await upload(alice, b"B" * 500, "new.txt")
        _, reply = await ask(alice, files=[old])
        _, second = await ask(alice, files=[new], parent=reply)
    content = last_message(fake_model)["content"]
    kept = content.count("B")
    assert 0 < kept < 500
    assert f"[The rest, {500 - kept} characters, is left out" in content
    withheld = [{"file": old, "why": "window"}, {"file": new, "why": "window"}]
    assert (await alice.message(second)).withheld == withheld


async def test_only_so_many_pictures_are_sent_the_newest_first(
    no_worker, alice, fake_model, monkeypatch
):
    monkeypatch.setattr(prompt_files, "MAX_PICTURES", 2)
    async with working():
        ids = [await upload(alice, picture(40 + n), f"{n}.png") for n in range(3)]
        _, reply = await ask(alice, files=[ids[0]])
        _, reply = await ask(alice, files=[ids[1]], parent=reply)
        _, reply = await ask(alice, files=[ids[2]], parent=reply)
    shown = [pictures(m) for m in fake_model.requests[-1]["body"]["messages"]]
    assert [len(p) for p in shown if p] == [1, 1]
    assert (await alice.message(reply)).withheld == [{"file": ids[0], "why": "window"}]


async def test_a_file_without_words_is_enough(no_worker, alice):
    async with working():
        file_id = await upload(alice, TEXT, "garden.txt")
        await alice.send("", files=[file_id])
    assert (await Chat.objects.aget(id=alice.chat)).title == "garden.txt"
    response = await post_message(alice, new_message(""))
    assert code_of(response) == (400, "bad_request")


async def test_a_send_happens_once_with_the_same_files(no_worker, alice):
    async with working():
        file_id = await upload(alice, TEXT)
        other = await upload(alice, TEXT)
        body = new_message("[[tokens=1]] Read", files=[file_id])
        first = await post_message(alice, body)
        again = await post_message(alice, body)
        assert (first.status_code, again.json()) == (202, first.json())
        response = await post_message(alice, body | {"files": [other]})
        assert code_of(response) == (409, "id_reused")
        assert (await StoredFile.objects.aget(id=other)).chat_id is None


async def test_files_that_cannot_be_sent(no_worker, alice, bob):
    async with working():
        ready = await upload(alice, TEXT)
        uploading = await send_parts(alice, TEXT)
        somebodys = await upload(bob, TEXT)
        elsewhere = await upload(alice, TEXT)
        await alice.send("[[tokens=1]] Hello", chat=str(uuid.uuid4()), files=[elsewhere])
        refused = await send_parts(alice, b"\x00\x01\x02" * 50)
        await alice.post(f"/api/files/{refused}/complete")
        async with asyncio.timeout(20):
            while not await StoredFile.objects.filter(id=refused, state="refused").aexists():
                await asyncio.sleep(0.02)
    for files, expected in (
        ([ready, uploading], (409, "file_not_ready")),
        ([ready, somebodys], (404, "file_not_found")),
        ([ready, elsewhere], (404, "file_not_found")),
        ([ready, str(uuid.uuid4())], (404, "file_not_found")),
        ([ready, refused], (415, "file_kind")),
        ([ready, ready], (400, "bad_request")),
        ([ready] * 11, (413, "too_many_files")),
        (ready, (400, "bad_request")),
        (["x"], (400, "bad_request")),
    ):
        assert code_of(await post_message(alice, new_message(files=files))) == expected
    # Nothing of these messages is stored, and the file is still free.
    assert not await Chat.objects.filter(id=alice.chat).aexists()
    assert (await StoredFile.objects.aget(id=ready)).chat_id is None


async def test_files_of_a_message_together_have_a_bound(no_worker, alice):
    async with working():
        file_id = await upload(alice, TEXT)
    await StoredFile.objects.filter(id=file_id).aupdate(size_bytes=60_000_001)
    response = await post_message(alice, new_message(files=[file_id]))
    assert code_of(response) == (413, "too_many_files")


async def test_an_edit_keeps_or_drops_files_and_regenerating_keeps_them(
    no_worker, alice, fake_model
):
    async with working():
        file_id = await upload(alice, TEXT, "garden.txt")
        message, _ = await ask(alice, files=[file_id])
        again = str(uuid.uuid4())
        await alice.post(
            f"/api/chats/{alice.chat}/replies",
            id=again,
            parent=message,
            model="openai/script/known",
        )
        await alice.settled(again)
        assert "apple trees" in last_message(fake_model)["content"]
        await ask(alice, "[[tokens=2]] Edited", files=[file_id], edit=True)
        assert "apple trees" in last_message(fake_model)["content"]
        await ask(alice, "[[tokens=2]] Dropped", edit=True)
        assert "apple trees" not in last_message(fake_model)["content"]


async def test_a_worker_that_takes_over_sends_the_files_too(no_worker, alice, fake_model):
    async with working("first") as first:
        file_id = await upload(alice, picture())
        _, reply = await alice.send("[[tokens=60&rate=40]] Long", files=[file_id])
        await alice.until(reply, lambda message: len(str(message.text)) > 20)
        first.leave()
    async with working("second"):
        assert (await alice.settled(reply)).status == "done"
    requests = [r["body"]["messages"] for r in fake_model.requests]
    assert len(requests) == 2 and all(len(pictures(messages[0])) == 1 for messages in requests)


@both_storages
async def test_a_file_that_is_erased_meanwhile_is_said_to_be_missing(no_worker, alice, fake_model):
    async with working():
        file_id = await upload(alice, picture(), "Tree.png")
        _, reply = await ask(alice, files=[file_id])
        default_storage.delete(f"files/{file_id}/model")
        _, second = await ask(alice, parent=reply)
    first = fake_model.requests[-1]["body"]["messages"][0]
    assert "“Tree.png” was attached here, but it was deleted" in first["content"]
    assert (await alice.message(second)).withheld == [{"file": file_id, "why": "missing"}]


REFUSALS = {
    "openai": "Invalid content type. image_url is only supported by certain models.",
    "openrouter": "No endpoints found that support image input",
    "mistral": "Image input is not enabled: this model does not support images.",
    "llamacpp": "image input is not supported - hint: you may need to provide the mmproj",
    "groq": "'messages.0' : for 'role:user' : 'messages.0.content' must be a string",
}


@pytest.mark.parametrize("provider", REFUSALS)
async def test_a_model_that_refuses_pictures_is_asked_without_and_remembered(
    no_worker, alice, fake_model, provider
):
    refusal = quote(REFUSALS[provider])
    async with working():
        file_id = await upload(alice, picture(), "Tree.png")
        _, reply = await ask(alice, f"[[tokens=2&blind={refusal}]] Look", files=[file_id])
        withheld = [{"file": file_id, "why": "modality"}]
        assert (await alice.message(reply)).withheld == withheld
        assert len(fake_model.requests) == 2
        _, second = await ask(alice, f"[[tokens=2&blind={refusal}]] Again", parent=reply)
        assert (await alice.message(second)).withheld == withheld
        assert len(fake_model.requests) == 3


async def test_a_picture_that_is_refused_for_what_it_shows_blinds_nobody(
    no_worker, alice, fake_model
):
    refusal = quote("The image violates our policy.")
    async with working():
        file_id = await upload(alice, picture())
        _, reply = await alice.send(f"[[blind={refusal}]] Look", files=[file_id])
        assert (await alice.settled(reply)).status == "error"
        await ask(alice, files=[await upload(alice, picture())], parent=reply)
    assert len(pictures(last_message(fake_model))) == 1


async def test_a_message_is_found_by_the_names_of_its_files(no_worker, alice):
    async with working():
        file_id = await upload(alice, TEXT, "Quokka census.txt")
        message, _ = await alice.send("", files=[file_id])
        async with asyncio.timeout(20):
            # The title is found first.
            while not (found := [m for r in await search(alice, "quokka") for m in r["messages"]]):
                await asyncio.sleep(0.05)
    assert [each["id"] for each in found] == [message]


async def search(person, words):
    return (await person.client.get(f"/api/search?q={words}")).json()["results"]


async def test_the_page_shows_their_names_before_any_script_has_run(no_worker, alice):
    async with working():
        file_id = await upload(alice, TEXT, "Quokka census.txt")
        await ask(alice, "[[tokens=2]] Read it", files=[file_id])
    page = (await alice.client.get(f"/c/{alice.chat}")).content.decode()
    shown = page.partition("<script")[0] + page.partition("</head>")[2]
    assert "Quokka census.txt" in shown


@pytest.mark.parametrize("letters", ["a b c ", "字", "😀"])
async def test_a_long_document_fits_a_small_window_in_any_script(
    no_worker, alice, fake_model, settings, letters
):
    settings.NAMED_MODELS = {"openai": [("script/known", 4_096)]}
    words = "[[tokens=2&context=4096]] " + "word " * 900
    async with working():
        file_id = await upload(alice, (letters * 9_000).encode(), "long.txt")
        await alice.client.patch(
            "/api/settings", {"instructions": "rule " * 700}, content_type="application/json"
        )
        _, reply = await ask(alice, words, files=[file_id])
    kept = last_message(fake_model)["content"].count(letters[0])
    assert 20 < kept < 9_000 * letters.count(letters[0])
    assert (await alice.message(reply)).withheld == [{"file": file_id, "why": "window"}]


async def test_pictures_that_do_not_fit_the_window_are_withheld(
    no_worker, alice, fake_model, settings
):
    settings.NAMED_MODELS = {"openai": [("script/known", 4_096)]}
    async with working():
        ids = [await upload(alice, picture(1500, 1500), f"{n}.png") for n in range(2)]
        _, reply = await ask(alice, files=ids)
    assert len(pictures(last_message(fake_model))) == 0
    assert [each["why"] for each in (await alice.message(reply)).withheld] == ["window"] * 2


@pytest.mark.both_databases
async def test_a_file_goes_into_one_chat_of_two_that_take_it_at_once(no_worker, alice):
    async with working():
        file_id = await upload(alice, TEXT)
    chats = [str(uuid.uuid4()) for _ in range(4)]
    responses = await asyncio.gather(
        *(post_message(alice, new_message(files=[file_id]), chat) for chat in chats)
    )
    accepted = [chat for chat, r in zip(chats, responses, strict=True) if r.status_code == 202]
    refused = [code_of(response) for response in responses if response.status_code != 202]
    assert len(accepted) == 1 and refused == [(404, "file_not_found")] * 3
    assert str((await StoredFile.objects.aget(id=file_id)).chat_id) == accepted[0]


@both_storages
async def test_pages_without_text_go_as_pictures_to_models_that_see(
    no_worker, alice, fake_model, settings
):
    settings.NAMED_MODELS = {"openai": [("script/known", 32_000)]}
    async with working():
        file_id = await upload(alice, pdf([PICTURE, PICTURE]), "scan.pdf")
        _, reply = await ask(alice, files=[file_id])
        sent = last_message(fake_model)
        assert len(pictures(sent)) == 2
        assert "[page 2]\n[picture 2 of this document]" in texts(sent)
        assert (await alice.message(reply)).withheld is None
        settings.VISION_MODELS = []
        _, second = await ask(alice, parent=reply)
    blind = fake_model.requests[-1]["body"]["messages"][0]
    assert blind["content"].count("[this page has no text, and is not shown]") == 2
    assert (await alice.message(second)).withheld == [{"file": file_id, "why": "modality"}]
