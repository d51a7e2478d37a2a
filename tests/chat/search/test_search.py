"""Full-text search: indexing the log in the database, and results for the owner only."""

import asyncio
import itertools
import json
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from accounts.models import User
from chat.errors import SearchTooSlow
from chat.files import uploads
from chat.generation.worker import Worker
from chat.models import Chat, MessageText
from chat.personal_data import merge_guest
from chat.search import indexer, recut
from chat.search.search import _time_limit, search
from chat.search.words import VERSION, searchable
from tests.chat.files.file_requests import upload
from tests.chat.workers import working
from tests.fake_model import text_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


async def look(person, query):
    response = await person.client.get("/api/search", {"q": query})
    assert response.status_code == 200, response.content
    return response.json()["results"]


async def found(person, query):
    """The ids of the messages that a query finds, best first."""
    return [one["id"] for result in await look(person, query) for one in result["messages"]]


async def until_found(person, query, message):
    async with asyncio.timeout(30):
        while message not in await found(person, query):
            await asyncio.sleep(0.05)


async def nothing_due():
    async with asyncio.timeout(30):
        while await sync_to_async(indexer.due_count)():
            await asyncio.sleep(0.05)


async def test_a_message_is_found_with_its_matches_marked(worker, alice):
    prompt = "[[tokens=12]] Why does the Gezeitenkraftwerk turn?"
    message, reply = await alice.send(prompt)
    await alice.settled(reply)
    await until_found(alice, "gezeitenkraft", message)
    [result] = await look(alice, "gezeitenkraft")
    assert result["chat"]["id"] == alice.chat and result["messages"][0]["role"] == "user"
    assert ["Gezeitenkraftwerk", True] in result["messages"][0]["snippet"]
    assert ["Gezeitenkraftwerk", True] in result["title"]
    word = text_of(prompt, 12).split()[3].strip(".,")
    await until_found(alice, word, reply)


async def test_other_peoples_messages_are_not_found(worker, alice, bob):
    message, reply = await alice.send("[[tokens=2]] xylophone secret")
    await bob.send("[[tokens=2]] marimba")
    await alice.settled(reply)
    await until_found(alice, "xylophone", message)
    for query in ("xylophone", "xyl", '"xylophone secret"', "secret -marimba", alice.user["id"]):
        assert await look(bob, query) == []


async def test_a_branch_that_is_not_shown_is_found(worker, alice):
    first, reply = await alice.send("[[tokens=2]] walrus")
    await alice.settled(reply)
    _, other = await alice.send("[[tokens=2]] penguin", edit=True)
    await alice.settled(other)
    assert first not in [message.id for message in (await alice.transcript()).path()]
    await until_found(alice, "walrus", first)


async def test_a_deleted_chat_is_hidden_at_once_and_comes_back_with_it(worker, alice):
    message, reply = await alice.send("[[tokens=2]] hippopotamus")
    await alice.settled(reply)
    await until_found(alice, "hippopotamus", message)
    await alice.client.delete(f"/api/chats/{alice.chat}")
    assert await look(alice, "hippopotamus") == []
    await alice.post(f"/api/chats/{alice.chat}/restore")
    assert await found(alice, "hippopotamus") == [message]
    await nothing_due()
    await Chat.objects.filter(id=alice.chat).adelete()
    assert await MessageText.objects.acount() == 0
    assert await look(alice, "hippopotamus") == []


async def test_a_continued_answer_is_found_with_its_present_text(worker, alice):
    prompt = "[[status=401&times=1&tokens=12]] Key"
    _, reply = await alice.send(prompt)
    await alice.settled(reply)
    await alice.post(f"/api/chats/{alice.chat}/replies/{reply}/attempts")
    await alice.until(reply, lambda message: message.status == "done")
    await until_found(alice, text_of(prompt, 12).split()[2], reply)
    assert await MessageText.objects.filter(message_id=reply).acount() == 1


async def test_a_rebuild_restores_the_texts_and_drops_those_the_log_lacks(worker, alice):
    message, reply = await alice.send("[[tokens=6]] armadillo")
    await alice.settled(reply)
    await until_found(alice, "armadillo", message)
    await nothing_due()
    rows = [row async for row in MessageText.objects.order_by("message_id").values()]
    stray = uuid.uuid4()
    await MessageText.objects.acreate(
        message_id=stray,
        chat_id=alice.chat,
        owner_id=alice.user["id"],
        role="user",
        text="stray",
        words="stray",
        said_at=timezone.now(),
    )
    await MessageText.objects.filter(message_id=reply).aupdate(text="spoiled", words="spoiled")
    await sync_to_async(indexer.start_over)()
    await nothing_due()
    again = [row async for row in MessageText.objects.order_by("message_id").values()]
    assert again == rows
    assert await look(alice, "stray") == await look(alice, "spoiled") == []


async def test_the_command_reads_everything_and_may_be_interrupted(no_worker, alice, monkeypatch):
    chats = [str(uuid.uuid4()) for _ in range(4)]
    for number, chat in enumerate(chats):
        await alice.send(f"animal number{number}", chat=chat)
    real, calls = indexer._catch_up, []

    async def dies_after_two(chat):
        calls.append(chat)
        if len(calls) == 3:
            raise KeyboardInterrupt
        await real(chat)

    monkeypatch.setattr(indexer, "_catch_up", dies_after_two)
    with pytest.raises(KeyboardInterrupt):
        await asyncio.to_thread(call_command, "rebuild_search")
    monkeypatch.setattr(indexer, "_catch_up", real)
    assert await MessageText.objects.acount() == 2
    await asyncio.to_thread(call_command, "rebuild_search", "--resume")
    assert len(await look(alice, "animal")) == 4
    assert await sync_to_async(indexer.due_count)() == 0


async def test_concurrent_indexing_and_a_send_lose_nothing(no_worker, alice):
    await alice.send("elephant")
    await asyncio.sleep(indexer.DUE_FOR.total_seconds())
    real = indexer._store
    done = []

    def a_send_comes(*args):
        if not done:
            done.append(True)
            Chat.objects.filter(id=alice.chat).update(search_due_at=timezone.now())
        return real(*args)

    indexer._store = a_send_comes
    try:
        await asyncio.gather(indexer.catch_up(), indexer.catch_up())
    finally:
        indexer._store = real
    assert len(await found(alice, "elephant")) == 1
    assert await sync_to_async(indexer.due_count)() == 1


async def test_a_guests_messages_are_found_after_the_merge(no_worker, alice):
    message, _ = await alice.send("salamander")
    await asyncio.sleep(indexer.DUE_FOR.total_seconds())
    await indexer.catch_up()
    guest = await alice.row()
    account = await sync_to_async(User.objects.create_user)("a@example.org", "x")
    await merge_guest.move_chats(guest, account, last=False)
    for _ in range(2):
        assert await sync_to_async(search)(guest, "salamander") == []
        [result] = await sync_to_async(search)(account, "salamander")
        assert [one["id"] for one in result["messages"]] == [message]
        await asyncio.sleep(indexer.DUE_FOR.total_seconds())
        await indexer.catch_up()
    assert await sync_to_async(indexer.due_count)() == 0
    await sync_to_async(account.delete)()
    assert await MessageText.objects.acount() == 0


def make_texts(owner, *texts, days_ago=0):
    chat = Chat.objects.create(
        id=uuid.uuid4(), owner=owner, title="", updated_at=timezone.now(), searchable_to="1-0"
    )
    at = timezone.now() - timedelta(days=days_ago)
    return [
        MessageText.objects.create(
            message_id=uuid.uuid4(),
            chat=chat,
            owner=owner,
            role="user",
            text=text,
            words=searchable(text),
            words_version=VERSION,
            said_at=at,
        )
        for text in texts
    ]


def texts_found(owner, query):
    results = search(owner, query)
    return [
        "".join(part for part, _ in one["snippet"])
        for result in results
        for one in result["messages"]
    ]


@pytest.fixture
def owner(redis_url):
    return User.objects.create_user("owner@example.org", "x")


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("潮の満ち干は月による", "満ち"),
        ("今天天气很好", "天气"),
        ("안녕하세요 여러분", "안녕"),
        ("Crème brûlée", "creme brule"),
        ("the STRASSE", "straße"),
        ("Ελλάδα", "ελλαδα"),
        ("x = foo_bar(1)", "foo_bar"),
        ("see https://example.org/a-b?c=d", "example.org/a-b"),
        ("it's five o'clock", "it's"),
        ("naïve façade", "facade naive"),
        ("हिन्दी में", "हिन्दी"),
        ("version 3.14.1", "3.14"),
    ],
)
def test_languages_and_odd_words(owner, text, query):
    make_texts(owner, text, "something else")
    assert texts_found(owner, query) == [text]


@pytest.mark.parametrize(
    "query",
    [
        '"',
        "'",
        "''''",
        '"unclosed',
        "a:* & !b | (c",
        "NEAR/2",
        "owner_id:x",
        "words:*",
        "-",
        "- -",
        "\\",
        "%",
        "_",
        "*",
        "^a",
        "{a b}",
        "a AND",
        "OR",
        "NOT",
        "() ()",
        "'; DROP TABLE chat_chat;--",
        "a" * 10_000,
        "a " * 5_000,
        '"a' * 3_000,
        "<script>alert(1)</script>",
        "\u202e\u0000abc",
        "𝔸",
        "🙂",
    ],
)
def test_hostile_queries_are_harmless(owner, query):
    make_texts(owner, "aardvark <script>alert(1)</script> % _ '")
    for result in search(owner, query):
        assert {part for one in result["messages"] for part in map(type, one["snippet"])} == {list}
    assert Chat.objects.count() == 1


def test_phrases_exclusions_and_incomplete_words(owner):
    make_texts(owner, "the blue whale sings", "the whale is blue", "whales and dolphins")
    assert set(texts_found(owner, "whale")) == {
        "the blue whale sings",
        "the whale is blue",
        "whales and dolphins",
    }
    assert texts_found(owner, '"blue whale"') == ["the blue whale sings"]
    assert texts_found(owner, "whale -sings ") == ["the whale is blue"]
    # A query with nothing but an exclusion searches for the word.
    assert texts_found(owner, "-sings") == ["the blue whale sings"]


def test_better_and_newer_matches_come_first(owner):
    long = "otter " + "water " * 300
    make_texts(owner, long)
    make_texts(owner, "otter otter otter")
    make_texts(owner, "otter otter otter old", days_ago=700)
    best = texts_found(owner, "otter")
    assert best[0] == "otter otter otter" and len(best) == 3


def test_a_very_long_message_is_searched_up_to_the_limit(owner):
    letters = [chr(code) for code in range(0x10330, 0x1034A)]
    words = " ".join(map("".join, itertools.product(letters, repeat=4)))
    make_texts(owner, "beginning " + words[:199_000])
    assert len(search(owner, "beginning")) == 1


def test_snippets_after_the_time_limit_are_the_beginning(owner, monkeypatch):
    make_texts(owner, "first words, then a whale")
    monkeypatch.setattr("chat.search.search.SNIPPETS_WITHIN_S", -1)
    [result] = search(owner, "whale")
    assert result["messages"][0]["snippet"] == [["first words, then a whale", False]]


def test_a_slow_search_is_cancelled(owner, settings):
    settings.SEARCH_TIMEOUT_MS = 100
    slow = {
        "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
        "SELECT max(i) FROM n",
        "postgresql": "SELECT pg_sleep(60)",
    }[connection.vendor]
    with pytest.raises(SearchTooSlow), _time_limit(), connection.cursor() as cursor:
        cursor.execute(slow)
    make_texts(owner, "quick")
    assert texts_found(owner, "quick") == ["quick"]


# Reported cases and similar ones: each query, and which of the texts it finds


QUERIES = Path(__file__).parents[2] / "vectors" / "search" / "queries.json"


@pytest.mark.parametrize("case", json.loads(QUERIES.read_text()), ids=lambda case: case["id"])
def test_spellings_and_names(owner, case):
    texts, queries = case["texts"], case["queries"]
    make_texts(owner, *texts)
    wrong = {}
    for query, places in queries.items():
        results = search(owner, query)
        found = {one["id"] for result in results for one in result["messages"]}
        by_id = {str(row.message_id): texts.index(row.text) for row in MessageText.objects.all()}
        if (seen := sorted(by_id[pk] for pk in found)) != places:
            wrong[query] = seen
        for result in results:
            for one in result["messages"]:
                assert any(hit for _, hit in one["snippet"]), (query, one["snippet"])
    assert wrong == {}


def test_titles_are_searched_like_texts(owner):
    for title in ("git push --force", "초등학교 앞", "C++ or C#"):
        Chat.objects.create(id=uuid.uuid4(), owner=owner, title=title, updated_at=timezone.now())
    for query, title in (
        ("push --force", "git push --force"),
        ("학교", "초등학교 앞"),
        ("c++", "C++ or C#"),
    ):
        [result] = search(owner, query)
        assert "".join(part for part, _ in result["title"]) == title
        assert any(hit for _, hit in result["title"])


# A new release that splits texts into words differently


def as_before(rows):
    """Change rows to those of an older release: other words, and no version."""
    for row in rows:
        row.words, row.words_version = row.text.lower().replace("에서", " "), None
        row.save()


def test_outdated_texts_are_split_again_in_bounded_steps(owner, monkeypatch):
    monkeypatch.setattr(recut, "ROWS_AT_A_TIME", 3)
    rows = make_texts(owner, *(f"학교에서 {number}" for number in range(7)))
    as_before(rows)
    assert texts_found(owner, "교에서") == []
    steps = []
    while done := async_to_sync(recut.step)():
        steps.append(done)
    assert steps == [3, 3, 1]
    assert len(texts_found(owner, "교에서")) == 3  # of one chat
    assert set(MessageText.objects.values_list("words_version", flat=True)) == {VERSION}
    monkeypatch.setattr(recut, "ROWS_AT_A_TIME", 100)
    monkeypatch.setattr(recut, "CHARS_AT_A_TIME", 10)
    MessageText.objects.update(words_version=VERSION - 1)
    assert async_to_sync(recut.step)() == 2


def test_a_text_that_changes_meanwhile_keeps_its_words(owner):
    [row] = make_texts(owner, "old text")
    as_before([row])
    MessageText.objects.filter(id=row.id).update(text="new text", words="new text")
    recut._store(row.id, "old text", "old text")
    row.refresh_from_db()
    assert (row.words, row.words_version) == ("new text", None)


async def test_a_worker_processes_rows_of_an_older_release(no_worker, alice):
    await alice.send("학교에서")
    await indexer.catch_up()
    await sync_to_async(lambda: as_before(list(MessageText.objects.all())))()
    assert [result["messages"] for result in await look(alice, "학교에")] == [[]]  # its title
    running = Worker()
    task = asyncio.create_task(running.run())
    async with asyncio.timeout(30):
        while not [result for result in await look(alice, "학교에") if result["messages"]]:
            await asyncio.sleep(0.05)
    running.leave()
    await task


def test_the_migration_keeps_the_triggers_of_the_index(owner):
    """SQLite recreates a table for most schema changes, which drops its triggers."""
    [row] = make_texts(owner, "zebra")
    try:
        MigrationExecutor(connection).migrate([("chat", "0009_reply_ended")])
        executor = MigrationExecutor(connection)
        executor.migrate(executor.loader.graph.leaf_nodes())
        row.refresh_from_db()
        assert row.words_version is None
        MessageText.objects.filter(id=row.id).update(words="okapi", text="okapi")
        assert texts_found(owner, "okapi") == ["okapi"] and texts_found(owner, "zebra") == []
    finally:
        executor = MigrationExecutor(connection)
        executor.migrate(executor.loader.graph.leaf_nodes())


# Files


async def test_the_text_of_a_document_is_found_until_the_file_is_deleted(worker, alice):
    text = "Sea and sky. " * 8_000 + "The armadillo swims. " + "Sand. " * 100
    file_id = await upload(alice, text.encode(), "Beach.txt")
    message, reply = await alice.send("[[tokens=2]] Read", files=[file_id])
    await alice.settled(reply)
    await until_found(alice, "armadillo", message)
    [result] = await look(alice, "armadillo")
    shown = result["messages"][0]["snippet"]
    assert ["armadillo", True] in shown
    assert len("".join(part for part, _ in shown)) < 300
    await sync_to_async(uploads.delete_file)(await User.objects.aget(), uuid.UUID(file_id))
    async with asyncio.timeout(30):
        while message in await found(alice, "armadillo") or not await found(alice, "beach"):
            await asyncio.sleep(0.05)
    await nothing_due()
    assert await found(alice, "beach") == [message]
    assert not await MessageText.objects.filter(text__contains="armadillo").aexists()


async def test_what_was_read_before_a_file_was_erased_is_not_stored(no_worker, alice):
    message, _ = await alice.send("[[tokens=2]] armadillo")
    chat = await Chat.objects.select_related("owner").aget()
    text = MessageText(message_id=message, role="user", text="x", words="x", said_at=timezone.now())
    await sync_to_async(indexer.forget)(chat.id)
    assert not await sync_to_async(indexer._store)(chat, [text], chat.searchable_to, "1-0", True)
    assert not await MessageText.objects.aexists()


async def test_a_chat_is_indexed_later_if_its_files_cannot_be_read(no_worker, alice, tmp_path):
    async with working():
        file_id = await upload(alice, b"The armadillo swims.", "Beach.txt")
        message, reply = await alice.send("[[tokens=2]] Read", files=[file_id])
        await alice.settled(reply)
        await nothing_due()
    await MessageText.objects.all().adelete()
    folder = Path(default_storage.path(f"files/{file_id}"))
    folder.rename(tmp_path / "away")
    folder.write_text("no folder")
    await sync_to_async(indexer.start_over)()
    await indexer.catch_up()
    chat = await Chat.objects.aget()
    assert chat.search_due_at > timezone.now()
    assert await found(alice, "armadillo") == []
    folder.unlink()
    (tmp_path / "away").rename(folder)
    await sync_to_async(indexer.start_over)()
    await indexer.catch_up()
    assert await found(alice, "armadillo") == [message]
