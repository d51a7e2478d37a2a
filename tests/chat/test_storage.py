"""Storage budgets: refusals before anything is written, and the actions that stay possible."""

import asyncio
import re
import uuid
from datetime import timedelta
from http import HTTPStatus

import pytest
import redis
from asgiref.sync import sync_to_async
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.test import AsyncClient
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import limits, storage
from accounts.models import Export, User
from accounts.preferences import store as preferences
from accounts.preferences.picture_files import Picture
from chat import events as ev
from chat import storage as room
from chat.models import Chat, Draft, Reply
from streams.keys import stream_keys
from streams.log import close_log, get_log
from streams.sizes import claim_for
from tests.chat.conftest import MODEL, Person
from tests.chat.page_requests import new_message, post_message, put_draft, set_instructions
from tests.fake_model import text_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]

FULL = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


async def size_of(person, chat=None):
    return await get_log().sizes.of(person.stream, chat or person.chat)


async def fill(person, settings, room=0):
    """Set the budget so that this many bytes are left."""
    size = await storage.stored_by(await person.row())
    settings.LIMIT_STORED_BYTES_GUEST = size.used + room


def code_of(response):
    return response.status_code, response.json()["error"]["code"]


async def stored():
    return await Reply.objects.acount(), await Chat.objects.acount()


@pytest.fixture(params=["guest", "account"])
async def writer(request, no_worker, alice, settings):
    """(a person with one message, the name of the setting for their budget)."""
    await alice.send("Hello")
    if request.param == "account":
        await User.objects.filter(id=alice.user["id"]).aupdate(is_guest=False, email="a@x.org")
    alice.budget = f"LIMIT_STORED_BYTES_{request.param.upper()}"
    return alice


async def test_a_message_fits_exactly_or_is_refused_before_anything_is_written(writer, settings):
    before = (await size_of(writer)).total
    assert (
        await post_message(writer, new_message("\x01" * 1_000))
    ).status_code == HTTPStatus.ACCEPTED
    # A control character takes six bytes, in the log and in the index.
    cost = (await size_of(writer)).total - before
    assert cost > 2 * 6_000
    setattr(settings, writer.budget, (await size_of(writer)).total + cost)
    assert (
        await post_message(writer, new_message("\x01" * 1_000))
    ).status_code == HTTPStatus.ACCEPTED
    known, again = await stored(), new_message("\x01" * 1_000)
    refused = await post_message(writer, again)
    assert code_of(refused) == (FULL, "storage_full")
    assert ("Sign up" in refused.json()["error"]["message"]) == writer.budget.endswith("GUEST")
    assert "24 hours" in refused.json()["error"]["message"]
    assert await stored() == known
    setattr(settings, writer.budget, 10**9)
    assert (await post_message(writer, again)).status_code == HTTPStatus.ACCEPTED


async def test_the_bound_is_met_to_the_byte(writer, settings):
    message = new_message("x" * 1_000)
    chat_id, message_id = uuid.UUID(writer.chat), uuid.UUID(message["id"])
    reply_id = Reply.id_for_message(message_id)
    said = ev.MessageCreated(message=message["id"], role="user", text=message["text"])
    events = room._events(chat_id, reply_id, room._empty_reply(reply_id), said)
    exact = (await size_of(writer)).total + claim_for("m", writer.chat, events).total
    setattr(settings, writer.budget, exact - 1)
    assert code_of(await post_message(writer, message)) == (FULL, "storage_full")
    setattr(settings, writer.budget, exact)
    assert (await post_message(writer, message)).status_code == HTTPStatus.ACCEPTED


async def test_a_send_that_was_placed_is_answered_however_full_it_is(writer, settings):
    message = new_message()
    await post_message(writer, message)
    setattr(settings, writer.budget, 1)
    assert (await post_message(writer, message)).status_code == HTTPStatus.ACCEPTED
    assert code_of(await post_message(writer)) == (FULL, "storage_full")


async def test_sends_at_the_same_time_pass_no_bound_together(no_worker, alice, settings):
    await alice.send("Hello")
    await fill(alice, settings, 3 * 22_500)
    answers = await asyncio.gather(
        *(post_message(alice, new_message("x" * 10_000)) for _ in range(8))
    )
    codes = sorted(answer.status_code for answer in answers)
    assert codes == [202] * 3 + [413] * 5
    same = new_message("y")
    settings.LIMIT_STORED_BYTES_GUEST += 3_000
    answers = await asyncio.gather(*(post_message(alice, same) for _ in range(4)))
    assert [answer.status_code for answer in answers] == [202] * 4


async def test_a_full_budget_allows_only_reading_deleting_and_clearing(no_worker, alice, settings):
    message, reply = await alice.send("Hello")
    other = str(uuid.uuid4())
    await alice.send("Hello", chat=other)
    await put_draft(alice, "a draft", chat=alice.chat)
    await fill(alice, settings)
    path = f"/api/chats/{alice.chat}"
    again = {"id": str(uuid.uuid4()), "parent": message, "model": MODEL}
    client, json = alice.client, {"content_type": "application/json"}
    refused = [
        await post_message(alice),
        await alice.post(f"{path}/replies", **again),
        await alice.post(f"{path}/replies/{reply}/attempts"),
        await alice.post(f"{path}/branch", message=message),
        await client.patch(path, {"title": "New"}, **json),
        await set_instructions(alice, "Be brief."),
        await client.put(f"{path}/pin"),
        await client.put(f"{path}/archive"),
        await put_draft(alice, "a longer draft", chat=alice.chat),
        await put_draft(alice, "another one"),
    ]
    assert [code_of(answer) for answer in refused] == [(FULL, "storage_full")] * len(refused)
    size = await size_of(alice)
    for _ in range(3):
        read = await alice.post(f"{path}/read", until_ms=2**51)
        assert read.status_code == HTTPStatus.NO_CONTENT
    assert await size_of(alice) == size
    assert (await put_draft(alice, "draft", chat=alice.chat)).status_code == HTTPStatus.OK
    assert (await client.get(path)).status_code == HTTPStatus.OK
    assert (await client.get(f"{path}/events")).json()["entries"]
    assert (await alice.post(f"{path}/replies/{reply}/stop")).status_code == HTTPStatus.ACCEPTED
    for _ in range(3):  # The second and third are no entries.
        gone = await client.delete(f"/api/chats/{other}?change={uuid.uuid4()}")
        assert gone.status_code == HTTPStatus.NO_CONTENT
    deleted = [entry for entry in await alice.entries(other) if entry.type == "chat.deleted"]
    assert len(deleted) == 1
    assert code_of(await alice.post(f"/api/chats/{other}/restore")) == (FULL, "storage_full")


async def test_an_answer_under_way_ends_and_erasing_makes_room(worker, alice, settings):
    _, reply = await alice.send("[[tokens=40&rate=40]] Hello")
    await alice.until(reply, lambda message: message.text)
    settings.LIMIT_STORED_BYTES_GUEST = 1
    assert (await alice.settled(reply)).status == "done"
    assert code_of(await post_message(alice)) == (FULL, "storage_full")
    await get_log().erase_chat(alice.stream, alice.chat)
    left = await size_of(alice)
    assert (left.chat, left.total) == (0, 0)
    settings.LIMIT_STORED_BYTES_GUEST = 3_000
    assert (await post_message(alice, chat=str(uuid.uuid4()))).status_code == HTTPStatus.ACCEPTED


async def test_a_log_that_an_earlier_release_wrote_is_counted_when_it_is_asked_for(
    no_worker, alice, redis_url, settings
):
    await alice.send("x" * 50_000)
    expected = await size_of(alice)
    with redis.Redis.from_url(redis_url) as client:
        client.delete(stream_keys("hf", alice.stream).sizes)
    settings.LIMIT_STORED_BYTES_GUEST = 60_000
    assert code_of(await post_message(alice)) == (FULL, "storage_full")
    assert await size_of(alice) == expected


async def test_a_visitor_stores_no_more_than_a_guest(no_worker, alice, settings):
    settings.LIMIT_STORED_BYTES_GUEST = 10_000
    assert code_of(await post_message(alice, new_message("x" * 10_000))) == (FULL, "storage_full")
    assert await User.objects.acount() == 0
    assert (await post_message(alice, new_message("x" * 1_000))).status_code == HTTPStatus.ACCEPTED
    # The guest is known by the visitor cookie alone, as after the session was lost.
    del alice.client.cookies["sessionid"]
    assert code_of(await post_message(alice, new_message("x" * 10_000))) == (FULL, "storage_full")


async def test_drafts_count_as_they_are_stored(no_worker, alice, settings):
    await alice.send("Hello")
    user = await alice.row()
    before = (await storage.stored_by(user)).used
    await put_draft(alice, "\x01" * 1_000, chat=alice.chat, pastes=["p" * 500])
    grown = (await storage.stored_by(user)).used - before
    assert 6_500 < grown < 6_520
    await fill(alice, settings)
    assert code_of(await post_message(alice)) == (FULL, "storage_full")
    await put_draft(alice, "", chat=alice.chat)
    assert (await storage.stored_by(user)).used == before
    assert (await Draft.objects.aget(chat=alice.chat)).size_bytes == 0
    assert (await post_message(alice)).status_code == HTTPStatus.ACCEPTED


async def test_a_picture_and_an_archive_count_until_they_are_removed(writer, settings):
    user = await writer.row()
    before = (await storage.stored_by(user)).used
    size = 0
    for number in range(2):  # The second draft replaces the first.
        picture = Picture({256: bytes(5_000 + number), 64: bytes(700)})
        size = picture.size_bytes
        await sync_to_async(preferences.change_picture)(user, picture)
    assert (await storage.stored_by(user)).used - before == size == 5_701
    ready = {"state": Export.State.READY, "ready_at": timezone.now()}
    until = timezone.now() + timedelta(days=1)
    await Export.objects.acreate(person=user, size_bytes=2**20, expires_at=until, **ready)
    assert (await storage.stored_by(user)).used - before == size + 2**20
    setattr(settings, writer.budget, before + 2**20)
    assert code_of(await post_message(writer)) == (FULL, "storage_full")
    page = (await writer.client.get("/settings")).content.decode().replace("\xa0", " ")
    assert 'Of this, 1.0 MB are <a href="/settings/data">your archive</a>.' in page
    gone = await writer.client.post("/settings/data/export/remove")
    assert gone.status_code == HTTPStatus.FOUND
    await sync_to_async(preferences.change_picture)(user, None)
    assert (await storage.stored_by(user)).used == before
    assert (await post_message(writer)).status_code == HTTPStatus.ACCEPTED


async def test_a_send_asks_the_database_once_for_what_is_stored(no_worker, alice):
    await alice.send("Hello")
    user = await alice.row()

    def statements():
        with CaptureQueriesContext(connection) as asked:
            storage.bytes_outside_log(user)
        return len(asked)

    assert await sync_to_async(statements)() == 1


async def test_the_settings_say_how_much_is_stored_and_how_to_make_room(writer, settings):
    await post_message(writer, new_message("x" * 100_000))
    setattr(settings, writer.budget, 20 * 2**20)
    page = (await writer.client.get("/settings")).content.decode()
    [said] = re.findall(r"<p[^>]* data-stored>(.*?)</p>", page)
    said = said.replace("\xa0", " ")
    assert said.startswith("Stored: 198.") and " KB of 20.0 MB. " in said
    assert "Chats that you delete make room after 24 hours." in said
    assert ("Sign up</a> for more room." in said) == writer.budget.endswith("GUEST")


async def test_the_settings_open_while_redis_is_away(no_worker, alice, settings):
    await alice.send("Hello")
    await close_log()
    settings.REDIS_URL = "unix:///nowhere/redis.sock"
    page = await alice.client.get("/settings")
    assert page.status_code == HTTPStatus.OK
    assert b"data-stored" not in page.content


def test_drafts_of_an_earlier_release_are_measured(transactional_db):
    before, after = ("chat", "0010_words_version"), ("chat", "0012_sizes_of_drafts")
    person = User.objects.create(is_guest=True)
    chat = Chat.objects.create(id=uuid.uuid4(), owner=person, updated_at=timezone.now())
    try:
        executor = MigrationExecutor(connection)
        executor.migrate([before])
        old = executor.loader.project_state([before]).apps.get_model("chat", "Draft").objects
        old.create(owner_id=person.id, chat_id=chat.id, text="\x01" * 9, written_at=chat.updated_at)
        old.create(owner_id=person.id, text="", pastes=[], written_at=chat.updated_at)
        MigrationExecutor(connection).migrate([after])
        assert sorted(Draft.objects.values_list("size_bytes", flat=True)) == [0, 9 * 6 + 7]
        digest = Chat.objects.values_list("instructions_digest", flat=True).get(id=chat.id)
        assert digest == ""
    finally:
        executor = MigrationExecutor(connection)
        executor.migrate(executor.loader.graph.leaf_nodes())


# One chat


async def test_a_full_chat_takes_nothing_that_makes_it_longer(no_worker, alice, settings):
    message, reply = await alice.send("Hello")
    settings.LIMIT_CHAT_BYTES = (await size_of(alice)).chat + 100
    path = f"/api/chats/{alice.chat}"
    again = {"id": str(uuid.uuid4()), "parent": message, "model": MODEL}
    known = await stored()
    refused = [
        await post_message(alice),
        await post_message(alice, new_message(edit=True)),
        await alice.post(f"{path}/replies", **again),
        await alice.post(f"{path}/replies/{reply}/attempts"),
        await set_instructions(alice, "Be brief."),
    ]
    assert [code_of(answer) for answer in refused] == [(FULL, "chat_full")] * len(refused)
    sentence = "This chat is as long as one can be. Go on in a new chat."
    assert refused[0].json()["error"]["message"] == sentence
    assert await stored() == known
    renamed = await alice.client.patch(path, {"title": "Long"}, content_type="application/json")
    assert renamed.status_code == HTTPStatus.OK
    assert (await alice.client.put(f"{path}/pin")).status_code == HTTPStatus.OK
    assert (await post_message(alice, chat=str(uuid.uuid4()))).status_code == HTTPStatus.ACCEPTED


async def test_a_chat_counts_what_is_read_of_it_and_no_single_tokens(worker, alice, settings):
    _, reply = await alice.send("[[tokens=300]] Hello")
    text = str((await alice.settled(reply)).text)
    await alice.kept()
    size = await size_of(alice)
    assert len(text) < size.chat < len(text) + 3_000
    assert size.total > 2 * size.chat


# Instructions


async def test_instructions_that_change_nothing_are_not_stored_again(no_worker, alice):
    await alice.send("Hello")

    async def told():
        entries = await alice.entries()
        return [entry for entry in entries if entry.type == "chat.instructed"]

    for _ in range(3):
        assert (await set_instructions(alice, "Be brief.")).status_code == HTTPStatus.OK
    assert len(await told()) == 1
    await set_instructions(alice, "In verse.")
    await set_instructions(alice, "Be brief.")
    await set_instructions(alice, "Be brief.")
    assert len(await told()) == 3
    # A change that was interrupted between the log and the row is repeated.
    await Chat.objects.filter(id=alice.chat).aupdate(instructions_digest="")
    await set_instructions(alice, "Be brief.")
    assert len(await told()) == 4
    await asyncio.gather(*(set_instructions(alice, text) for text in ("a", "b", "c", "d")))
    transcript = await alice.transcript()
    written = len(await told())
    await set_instructions(alice, transcript.instructions)
    assert len(await told()) == written


async def test_instructions_fill_no_more_than_the_budget(no_worker, alice, redis_url, settings):
    """The attack: each change was a permanent entry without a cost, at 300 changes a minute."""
    await alice.send("Hello")
    settings.LIMIT_STORED_BYTES_GUEST = 400_000
    answers = [await set_instructions(alice, chr(1) * 3_900 + str(number)) for number in range(20)]
    statuses = [answer.status_code for answer in answers]
    assert statuses == [200] * statuses.count(200) + [413] * statuses.count(413)
    assert 5 < statuses.count(200) < 10
    with redis.Redis.from_url(redis_url) as client:
        keys = client.keys(f"hf:{{{alice.stream}}}:*")
        held = sum(client.memory_usage(key, samples=0) for key in keys)
    assert held < 1.25 * settings.LIMIT_STORED_BYTES_GUEST


# One address


async def visitor_from(address):
    person = Person()
    person.client = AsyncClient(**{"x-forwarded-for": address})
    await person.visit()
    return person


async def test_guests_of_one_address_store_only_so_much_in_a_day(no_worker, settings):
    """The attack: each new guest had a new budget."""
    settings.LIMIT_GUEST_BYTES_PER_DAY_ADDRESS = 60_000
    settings.TRUST_PROXY, settings.TRUSTED_PROXIES = True, 1
    people = [await visitor_from(f"2001:db8::{number}") for number in range(4)]
    answers = [await post_message(person, new_message("x" * 10_000)) for person in people]
    assert [answer.status_code for answer in answers] == [202, 202, 413, 413]
    assert await User.objects.acount() == 2
    refused = answers[2]
    assert code_of(refused) == (FULL, "storage_full")
    assert "Sign up to go on, or try again in 25 hours." in refused.json()["error"]["message"]
    assert 86_000 < int(refused["Retry-After"]) <= 90_000
    json = {"content_type": "application/json"}
    first = people[0]
    first.user = answers[0].json()["user"]
    path = f"/api/chats/{first.chat}"
    settings.LIMIT_GUEST_BYTES_PER_DAY_ADDRESS = 1
    others = [
        await put_draft(first, "a draft", chat=first.chat),
        await set_instructions(first, "Be brief."),
        await first.client.patch(path, {"title": "New"}, **json),
        await first.client.put(f"{path}/pin"),
    ]
    assert [code_of(answer) for answer in others] == [(FULL, "storage_full")] * 4
    settings.LIMIT_GUEST_BYTES_PER_DAY_ADDRESS = 60_000
    neighbour = await visitor_from("2001:db8:0:1::1")
    answer = await post_message(neighbour, new_message("x" * 10_000))
    assert answer.status_code == HTTPStatus.ACCEPTED, answer.content
    await User.objects.filter(id=first.user["id"]).aupdate(is_guest=False, email="a@x.org")
    assert (await post_message(first, new_message("x" * 10_000))).status_code == HTTPStatus.ACCEPTED


async def test_what_a_guest_was_answered_counts_for_their_address(worker, alice, settings):
    settings.LIMIT_GUEST_BYTES_PER_DAY_ADDRESS = 10**6
    _, reply = await alice.send("[[tokens=400]] Hello")
    await alice.settled(reply)
    await alice.kept()
    held = (await size_of(alice)).total
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        key = limits._key("LIMIT_GUEST_BYTES_PER_DAY_ADDRESS", "127.0.0.1")
        [before] = map(int, client.hvals(key))
        assert before < 2_000 < held
        for _ in range(2):
            await set_instructions(alice, str(uuid.uuid4()))
        # This is everything in the log, and the first message once more.
        assert sum(map(int, client.hvals(key))) == before + (await size_of(alice)).total


# A Redis that is nearly full


@pytest.fixture
def nearly_full(redis_url):
    """Returns a function that sets `maxmemory` so that the given percentage is used."""
    with redis.Redis.from_url(redis_url) as client:

        def set_percent(percent):
            used = client.info("memory")["used_memory"]
            client.config_set("maxmemory", 100 * used // percent)

        yield set_percent
        client.config_set("maxmemory", 0)


@pytest.fixture
def believed_for_no_time(monkeypatch):
    monkeypatch.setattr("streams.server.memory.CACHED_S", 0.0)


@pytest.mark.usefixtures("believed_for_no_time")
async def test_new_text_of_guests_is_refused_first_and_then_of_accounts(
    no_worker, alice, bob, nearly_full, settings
):
    await alice.send("Hello")
    await bob.send("Hello")
    await User.objects.filter(id=alice.user["id"]).aupdate(is_guest=False, email="a@x.org")
    assert (settings.REDIS_PERCENT_FOR_GUESTS, settings.REDIS_PERCENT_FOR_ACCOUNTS) == (85, 92)
    # The memory of an empty Redis varies, so the percentage must be far from the bounds.
    nearly_full(50)
    for guests, accounts, of_account, of_guest in (
        (90, 95, 202, 202),
        (10, 95, 202, 503),
        (10, 15, 503, 503),
    ):
        settings.REDIS_PERCENT_FOR_GUESTS = guests
        settings.REDIS_PERCENT_FOR_ACCOUNTS = accounts
        visitor = Person()
        await visitor.visit()
        statuses = [(await post_message(person)).status_code for person in (alice, bob, visitor)]
        assert statuses == [of_account, of_guest, of_guest], guests
    refused = await post_message(alice)
    assert code_of(refused) == (503, "storage_busy")
    assert refused["Retry-After"] == "30"
    assert code_of(await set_instructions(alice, "Be brief.")) == (503, "storage_busy")
    page = await alice.client.get(f"/c/{alice.chat}")
    assert page.status_code == HTTPStatus.OK
    deleted = await alice.client.delete(f"/api/chats/{alice.chat}")
    assert deleted.status_code == HTTPStatus.NO_CONTENT


@pytest.mark.usefixtures("believed_for_no_time")
async def test_an_answer_waits_for_a_full_redis_and_loses_nothing(worker, alice, nearly_full):
    prompt = "[[tokens=60&rate=60]] Hello"
    _, reply = await alice.send(prompt)
    await alice.until(reply, lambda message: message.text)
    nearly_full(150)
    pages = [await alice.client.get(path) for path in ("/", f"/c/{alice.chat}", "/settings")]
    assert [page.status_code for page in pages] == [HTTPStatus.OK] * 3
    assert code_of(await post_message(alice)) == (503, "storage_busy")
    nearly_full(1)
    message = await alice.settled(reply)
    assert (message.status, str(message.text)) == ("done", text_of(prompt, 60))


@pytest.fixture
def impatient(settings):
    """Appends give up soon."""
    settings.STREAMS_APPEND_TIMEOUT_MS = 500


async def test_an_answer_that_was_given_up_is_gone_on_with(impatient, worker, alice, nearly_full):
    prompt = "[[tokens=60&rate=60]] Hello"
    _, reply = await alice.send(prompt)
    await alice.until(reply, lambda message: message.text)
    nearly_full(150)
    async with asyncio.timeout(20):
        while worker.jobs.reply_ids():
            await asyncio.sleep(0.02)
    shown = str((await alice.message(reply)).text)
    nearly_full(1)
    message = await alice.settled(reply)
    assert (message.status, str(message.text)) == ("done", text_of(prompt, 60))
    assert str(message.text).startswith(shown)


async def test_nobody_is_asked_about_memory_where_there_is_no_bound(no_worker, alice):
    await alice.send("Hello")
    assert await get_log().memory.percent() == 0.0
    elsewhere = await sync_to_async(storage.bytes_outside_log)(await alice.row())
    assert elsewhere == {"picture": 0, "archive": 0, "drafts": 0, "prompts": 0, "projects": 0}
