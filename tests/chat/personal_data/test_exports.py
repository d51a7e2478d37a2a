"""The archive of a person's data: contents, access, and interrupted workers."""

import asyncio
import json
import uuid
import zipfile
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.core.files.storage import default_storage
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import Export, ProviderKey, User
from accounts.personal_data import export as exports
from accounts.personal_data.archive import Archive
from accounts.personal_data.file_names import safe_name
from accounts.provider_keys import store as provider_keys
from accounts.provider_keys.probe import Verdict
from chat.models import Chat
from chat.personal_data.markdown_export import nest_headings
from tests.accounts.mailbox import html_of, text_of
from tests.buckets.storages import both_storages
from tests.chat.conftest import Person
from tests.chat.personal_data.account_forms import account, form, mail_to, prove, sign_in, sign_up
from tests.chat.personal_data.archives import DATA, fetched, only, prepared

pytestmark = pytest.mark.both_databases

database = pytest.mark.django_db(transaction=True)


async def write_draft(person, text):
    draft = {"chat": person.chat, "text": text, "pastes": [], "age_ms": 0, "tab": ""}
    response = await person.client.put("/api/drafts", draft, content_type="application/json")
    assert response.status_code == 200


@database
async def test_the_archive_has_everything(alice, worker, mailbox):
    first, reply = await alice.send("First question")
    await alice.settled(reply)
    again = str(uuid.uuid4())
    await alice.post(
        f"/api/chats/{alice.chat}/replies", id=again, parent=first, model="openai/script/known"
    )
    shown = await alice.settled(again)
    hidden = await alice.message(reply)
    gone = str(uuid.uuid4())
    _, other = await alice.send("Never mind", chat=gone)
    await alice.settled(other, gone)
    await alice.client.delete(f"/api/chats/{gone}")
    await sign_up(alice, mailbox)
    await write_draft(alice, "Not said yet")
    await form(alice, "/settings/prompts/new", title="Shorter", text="Say it in fewer words.")
    await prove(alice)
    await prepared(alice)
    response, archive = await fetched(alice)
    assert archive.testzip() is None
    assert response["Content-Disposition"].startswith('attachment; filename="holdfast-')
    assert response["X-Content-Type-Options"] == "nosniff"
    assert "no-store" in response["Cache-Control"]

    markdown = only(archive, ".md")
    assert markdown.startswith("# First question\n")
    path, _, others = markdown.partition("# Other branches")
    assert str(shown.text) in path and "## openai/script/known · " in path
    assert str(hidden.text) in others and "after “First question”" in others
    lines = [json.loads(line) for line in only(archive, ".ndjson").splitlines()]
    entries = await alice.entries()
    assert [line["id"] for line in lines] == [entry.id for entry in entries]
    assert [line["event"] for line in lines] == [json.loads(entry.data) for entry in entries]

    about = json.loads(only(archive, "account.json"))
    assert about["profile"]["email"] == "alice@example.org"
    assert {event["kind"] for event in about["security_events"]} >= {"signed_in", "signed_up"}
    assert len(about["sessions"]) == 1
    [prompt] = about["saved_prompts"]
    assert (prompt["title"], prompt["text"]) == ("Shorter", "Say it in fewer words.")
    assert "Never mind" not in str(archive.namelist()) and len(archive.namelist()) == 6
    [draft] = json.loads(only(archive, "drafts.json"))
    assert (draft["chat"], draft["text"], draft["pastes"]) == (alice.chat, "Not said yet", [])
    assert "script/known" in only(archive, "usage.csv")
    assert only(archive, "payments.csv").count("\n") > 1

    said = await mail_to(mailbox, "alice@example.org")
    assert said["Subject"] == "Your download is ready"
    assert DATA in text_of(said) and DATA in html_of(said)


@database
async def test_the_archive_has_only_the_last_four_characters_of_a_key(alice, worker):
    _, reply = await alice.send("Mine")
    await alice.settled(reply)
    person = await alice.row()
    key = "sk-AbCdEfGhIjKlMnOpQrSt0042"
    verdict = Verdict(ProviderKey.Status.OK, [])
    await sync_to_async(provider_keys.save)(person, "openai", key, verdict)
    await prepared(alice)
    _, archive = await fetched(alice)
    everything = b"".join(archive.read(name) for name in archive.namelist())
    assert key.encode() not in everything and key[:12].encode() not in everything
    [said] = json.loads(only(archive, "account.json"))["provider_keys"]
    assert (said["provider"], said["last_four"]) == ("openai", "0042")


@database
async def test_a_guest_can_export(alice, worker):
    _, reply = await alice.send("Mine")
    await alice.settled(reply)
    await prepared(alice)
    _, archive = await fetched(alice)
    assert only(archive, ".md").startswith("# Mine\n")


@database
async def test_only_the_owner_can_download_after_proving_who_they_are(
    alice, worker, mailbox, settings
):
    user = await account()
    await sign_in(alice)
    settings.ACCOUNT_REAUTHENTICATION_TIMEOUT = 0  # The sign-in was long ago.
    response = await form(alice, f"{DATA}/export")
    assert "reauthenticate" in response["Location"] and not await Export.objects.aexists()
    settings.ACCOUNT_REAUTHENTICATION_TIMEOUT = 300
    await prove(alice)
    await prepared(alice)
    other = Person()
    await sign_in(other)
    settings.ACCOUNT_REAUTHENTICATION_TIMEOUT = 0
    response = await other.client.get(f"{DATA}/download")
    assert response.status_code == 302 and "reauthenticate" in response["Location"]
    settings.ACCOUNT_REAUTHENTICATION_TIMEOUT = 300
    stranger = Person()
    await account("bob@example.org")
    await sign_in(stranger, "bob@example.org")
    await prove(stranger)
    response = await stranger.client.get(f"{DATA}/download")
    assert (response.status_code, response["Location"]) == (302, DATA)
    nobody = Person()
    assert (await nobody.client.get(f"{DATA}/download"))["Location"].startswith("/account/login/")
    assert (await nobody.client.get(f"{DATA}/status")).status_code == 401
    export = await Export.objects.aget(person=user)
    for path in (f"/files/{export.file_name()}", f"/static/{export.file_name()}"):
        assert (await alice.client.get(path)).status_code == 404


@database
async def test_one_export_at_a_time_and_a_limit_for_each_day(alice, no_worker, mailbox, settings):
    settings.LIMIT_EXPORTS_PER_DAY_USER = 2
    user = await account()
    await sign_in(alice)
    await prove(alice)
    for _ in range(3):  # While an archive is being made, another request changes and costs nothing.
        await form(alice, f"{DATA}/export")
    first = await Export.objects.aget()
    assert await exports.make_next()
    name = (await Export.objects.aget()).file_name()
    assert await asyncio.to_thread(default_storage.exists, name)
    await form(alice, f"{DATA}/export")
    second = await Export.objects.aget()
    assert second.id != first.id and not await asyncio.to_thread(default_storage.exists, name)
    assert await exports.make_next()
    response = await form(alice, f"{DATA}/export")
    assert response.status_code == 429 and int(response["Retry-After"]) > 3_600
    asked = [sync_to_async(exports.ask)(user) for _ in range(5)]
    assert len({export.id for export in await asyncio.gather(*asked)}) == 1


@database
async def test_the_archive_expires(alice, no_worker, mailbox):
    user = await account()
    await sign_in(alice)
    await prove(alice)
    await sync_to_async(exports.ask)(user)
    await exports.make_next()
    name = (await Export.objects.aget()).file_name()
    await Export.objects.aupdate(expires_at=timezone.now())
    assert (await alice.client.get(f"{DATA}/download"))["Location"] == DATA
    await sync_to_async(exports.remove_old)()
    assert not await Export.objects.aexists()
    assert not await asyncio.to_thread(default_storage.exists, name)


@database
async def test_a_replaced_worker_does_not_overwrite_the_archive(no_worker, redis_url, monkeypatch):
    """It is paused before it stores its file, and continues after another has made the archive."""
    user = await account()
    await Chat.objects.acreate(id=uuid.uuid4(), owner=user, title="T", updated_at=timezone.now())
    await sync_to_async(exports.ask)(user)
    paused, go_on = asyncio.Event(), asyncio.Event()
    real = exports.Archive.finish
    loop = asyncio.get_running_loop()

    def finish(self):
        size = real(self)
        if not paused.is_set():
            loop.call_soon_threadsafe(paused.set)
            asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result()
        return size

    monkeypatch.setattr(exports.Archive, "finish", finish)
    slow = asyncio.create_task(exports.make_next())
    await paused.wait()
    assert not await exports.make_next()  # The worker still has its lease.
    await Export.objects.aupdate(lease_until=timezone.now() - timedelta(seconds=1))
    assert await exports.make_next()
    go_on.set()
    await slow
    export = await Export.objects.aget()
    assert (export.state, export.attempt) == ("ready", 2)
    _, names = await asyncio.to_thread(default_storage.listdir, "exports")
    assert names == [export.file_name().removeprefix("exports/")]


@database
async def test_the_archive_of_a_person_who_leaves_meanwhile_is_not_kept(
    no_worker, redis_url, monkeypatch
):
    user = await account()
    await sync_to_async(exports.ask)(user)
    real = exports.Archive.finish

    def finish(self):
        User.objects.filter(id=user.id).delete()
        return real(self)

    monkeypatch.setattr(exports.Archive, "finish", finish)
    await exports.make_next()
    assert not await asyncio.to_thread(default_storage.exists, "exports") or (
        await asyncio.to_thread(default_storage.listdir, "exports")
    ) == ([], [])


@database
async def test_a_failed_export_is_retried_and_then_reported(alice, no_worker, mailbox, monkeypatch):
    user = await account()
    await sign_in(alice)

    async def fails(*_):
        raise OSError("no space left")

    monkeypatch.setattr(Archive, "add", fails)
    await sync_to_async(exports.ask)(user)
    for attempt in range(1, exports.MAX_ATTEMPTS + 1):
        assert await exports.make_next()
        assert (await Export.objects.aget()).attempt == attempt
        await Export.objects.filter(state="building").aupdate(lease_until=timezone.now())
    assert not await exports.make_next()
    page = (await alice.client.get(DATA)).content.decode()
    assert "could not be made" in page and "Prepare my download" in page


@database
async def test_a_stopping_worker_returns_the_export_at_once(no_worker, redis_url, monkeypatch):
    user = await account()
    began = asyncio.Event()

    async def slow(*_):
        began.set()
        await asyncio.sleep(60)

    with monkeypatch.context() as patch:
        patch.setattr(Archive, "add", slow)
        await sync_to_async(exports.ask)(user)
        task = asyncio.create_task(exports.make_next())
        await began.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert (await Export.objects.aget()).state == "waiting"
    assert await exports.make_next()
    assert (await Export.objects.aget()).state == "ready"


@database
@both_storages
def test_files_without_a_row_are_removed(monkeypatch, own_storage):
    from django.core.files.base import ContentFile

    person = User.objects.create_user("alice@example.org", "x")
    known = Export.objects.create(person=person, attempt=1)
    stray = f"exports/{uuid.uuid4().hex}-1.zip"
    for name in (known.file_name(), stray, "exports/nonsense"):
        default_storage.save(name, ContentFile(b"x"))
    exports.remove_strays()
    assert default_storage.exists(stray)  # The file may be new, and its row not stored yet.
    monkeypatch.setattr(exports, "STRAY_AFTER", timedelta(0))
    exports.remove_strays()
    assert default_storage.exists(known.file_name())
    assert not default_storage.exists(stray) and not default_storage.exists("exports/nonsense")


# Names


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("../../etc/passwd", "etc-passwd"),
        ("..\\..\\windows", "windows"),
        ("/absolute", "absolute"),
        ("CON", "CON_"),
        ("nul.txt", "nul_.txt"),
        ("com1", "com_1"),
        ("\u202egnp.exe", "gnp.exe"),
        ("a\u200fb\u2066c\u2069\u200b", "abc"),
        ("a\x00b\nc\td", "ab c d"),
        (" . ", "Chat"),
        ("", "Chat"),
        ("...", "Chat"),
        ("-rf", "rf"),
        ('What? <b>: *now* |"quoted"', "What- -b- -now- -quoted"),
        ("Ärger mit Straße", "Ärger mit Straße"),
        ("日本語", "日本語"),
        ("x" * 300, "x" * 80),
    ],
)
def test_titles_become_safe_names(title, name):
    assert safe_name(title, "Chat") == name


@given(st.text())
def test_any_title_becomes_a_safe_name(title):
    name = safe_name(title, "Chat")
    assert name and len(name.encode()) <= 150 and name == name.strip()
    assert not set(name) & set('/\\:*?"<>|\x00') and name[0] not in ".-" and name[-1] != "."
    assert safe_name(name, "Chat") == name


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "a\\..\\x", "x\x00y"])
async def test_no_file_leaves_the_folder(path):
    async def nothing():
        yield b""

    async with Archive("holdfast") as archive:
        with pytest.raises(ValueError, match="within"):
            await archive.add(path, nothing())


async def test_names_that_some_systems_consider_equal_are_made_unique():
    async def text():
        yield b"x"

    async with Archive("holdfast") as archive:
        for path in ("a/Chat.md", "a/chat.md", "a/CHAT.md", "a/e\u0301.md", "a/\u00e9.md"):
            await archive.add(path, text())
        archive.finish()
        names = zipfile.ZipFile(archive.file).namelist()
    assert len({name.lower() for name in names}) == 5


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("# One\n\n  ## Two\n#not one", "### One\n\n  #### Two\n#not one"),
        ("##### Five", "###### Five"),
        ("## You · 21 November 2026, 10:00 UTC", "\\## You · 21 November 2026, 10:00 UTC"),
        (
            "- ```\n\n## You · 1 May 2026, 10:00 UTC\n```",
            "- ```\n\n\\## You · 1 May 2026, 10:00 UTC\n```",
        ),
        ("One\n===\nTwo\n---", "One\n\\===\nTwo\n\n---"),
        ("One\n\n---\n\nTwo", "One\n\n---\n\nTwo"),
        ("```sh\n# a comment\nx\n---\n```\n# A", "```sh\n# a comment\nx\n---\n```\n### A"),
        ("~~~\n```\n# code", "~~~\n```\n# code\n~~~"),
        ("````\n```\n# code\n`````\n# A", "````\n```\n# code\n`````\n### A"),
        ("1. ```py\n   # code", "1. ```py\n   # code\n   ```"),
        ("1. ```py\n   # code\n   ```\n# A", "1. ```py\n   # code\n   ```\n### A"),
        ("| a |\n|---|\n| # |", "| a |\n|---|\n| # |"),
    ],
)
def test_no_message_can_imitate_a_heading_of_the_file(text, shown):
    assert nest_headings(text, level=2) == shown
