"""What owners think of answers: kept in the log, and counted for the operator."""

import uuid
from datetime import UTC, date, datetime, timedelta

import pytest
from asgiref.sync import sync_to_async
from django.test import Client
from django.urls import reverse

from accounts.models import User
from chat.models import Chat, Rating, Reply
from chat.personal_data.erase import erase_person
from chat.ratings import count_ratings
from streams.log import get_log
from tests.chat.conftest import MODEL
from tests.chat.personal_data.account_forms import account, sign_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


async def rate(person, reply, rating, change=None):
    """A request that rates, or with None takes a rating back."""
    path = f"/api/chats/{person.chat}/replies/{reply}/rating?change={change or uuid.uuid4()}"
    if rating is None:
        return await person.client.delete(path)
    return await person.client.put(path, {"rating": rating}, content_type="application/json")


@pytest.fixture
async def reply(worker, alice):
    _, reply = await alice.send("[[tokens=5]] Hello")
    await alice.settled(reply)
    return reply


async def row_of(reply):
    return await Rating.objects.aget(reply_id=reply)


async def rated(person, reply):
    return (await person.message(reply)).rating


async def test_a_rating_is_kept_changed_and_taken_back(alice, reply):
    for rating, stored in (("up", "up"), ("down", "down"), (None, "none"), ("up", "up")):
        response = await rate(alice, reply, rating)
        assert (response.status_code, response.json()["rating"]) == (200, rating)
        assert await rated(alice, reply) == rating
        assert (await row_of(reply)).rating == stored
    assert (await row_of(reply)).day == datetime.now(UTC).date()


async def test_a_late_repetition_undoes_no_later_rating(alice, reply):
    first, second = uuid.uuid4(), uuid.uuid4()
    for change, rating in ((first, "up"), (second, "down"), (first, "up"), (second, "down")):
        assert (await rate(alice, reply, rating, change)).status_code == 200
    assert await rated(alice, reply) == "down"
    assert (await row_of(reply)).rating == "down"
    entries = await alice.entries()
    assert [entry.type for entry in entries].count("message.rated") == 2


async def test_a_repetition_writes_the_row_that_a_crash_left_out(alice, reply):
    change = uuid.uuid4()
    await rate(alice, reply, "up", change)
    await Rating.objects.all().adelete()
    await rate(alice, reply, "up", change)
    assert (await row_of(reply)).rating == "up"


@pytest.mark.parametrize("rating", ["none", "", None, 5, ["up"], {"up": 1}])
async def test_other_ratings_are_refused(alice, reply, rating):
    path = f"/api/chats/{alice.chat}/replies/{reply}/rating"
    response = await alice.client.put(path, {"rating": rating}, content_type="application/json")
    assert (response.status_code, response.json()["error"]["code"]) == (400, "bad_request")
    assert not await Rating.objects.aexists()


async def test_only_an_answer_of_ones_own_chat_is_rated(worker, alice, bob):
    question, reply = await alice.send("[[tokens=5]] Hello")
    await alice.settled(reply)
    for message in (question, str(uuid.uuid4())):
        refused = await rate(alice, message, "up")
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "message_not_found")
    await bob.send("[[tokens=5]] Hello")
    for chat in (alice.chat, bob.chat):
        bob.chat = chat
        assert (await rate(bob, reply, "up")).status_code == 404
    assert (await rate(alice, reply, "up")).status_code == 200
    assert await Rating.objects.acount() == 1


async def test_ratings_count_as_changes(alice, reply, settings):
    settings.LIMIT_CHANGES_PER_MINUTE_USER = 2
    statuses = [(await rate(alice, reply, "up")).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]


async def test_exports_have_the_rating(alice, reply):
    await rate(alice, reply, "down")
    markdown = await alice.client.get(f"/api/chats/{alice.chat}/export?format=md")
    assert "*You found this answer bad.*" in markdown.content.decode()
    content = (await alice.client.get(f"/api/chats/{alice.chat}/export?format=json")).json()
    assert content["messages"][reply]["rating"] == "down"


async def test_ratings_go_with_the_chat(alice, reply):
    await rate(alice, reply, "up")
    await erase_person(await alice.row())
    assert not await Rating.objects.aexists()
    assert await get_log().read(alice.stream) == []


async def test_a_guest_takes_ratings_along_into_an_account(alice, reply):
    await rate(alice, reply, "up")
    await account("alice@example.org")
    await sign_in(alice, "alice@example.org")
    user = await User.objects.aget(email="alice@example.org")
    alice.user = {"id": str(user.id)}
    await alice.client.get("/")
    assert await rated(alice, reply) == "up"
    assert (await rate(alice, reply, "down")).status_code == 200
    assert (await row_of(reply)).rating == "down"


# For the operator

TODAY = date(2026, 11, 20)


def answers_of(owner, ratings):
    """Writes answers with their ratings: (model, rating, how many days ago)."""
    now = datetime.now(UTC)
    chat = Chat.objects.create(id=uuid.uuid4(), owner=owner, title="Secret", updated_at=now)
    for model, rating, days in ratings:
        reply = Reply.objects.create(
            id=uuid.uuid4(), chat=chat, prompt_id=uuid.uuid4(), model=model, state="done"
        )
        day = TODAY - timedelta(days=days)
        Rating.objects.create(reply=reply, rating=rating, entry="1-0", day=day)


RATINGS = [
    *[("openai/small", "up", 0)] * 3,
    ("openai/small", "down", 1),
    ("openai/small", "none", 0),
    *[("openai/large", "up", 1)] * 5,
    ("openai/large", "down", 9),
]


def test_they_are_counted_by_model_and_by_day():
    answers_of(User.objects.create_user("alice@example.org", "x"), RATINGS)
    models, days = count_ratings(TODAY - timedelta(days=1), TODAY)
    assert [(count.model, count.up, count.down, count.percent_up) for count in models] == [
        ("openai/large", 5, 0, 100),
        ("openai/small", 3, 1, 75),
    ]
    assert [(count.day, count.model, count.up, count.down) for count in days] == [
        (TODAY, "openai/small", 3, 0),
        (TODAY - timedelta(days=1), "openai/large", 5, 0),
        (TODAY - timedelta(days=1), "openai/small", 0, 1),
    ]


def test_the_admin_shows_counts_without_texts_or_people():
    alice = User.objects.create_user("alice@example.org", "x")
    answers_of(alice, RATINGS)
    client, page = Client(), reverse("admin:chat_rating_changelist")
    client.force_login(User.objects.create_superuser("operator@example.org", "x"))
    shown = client.get(page, {"first": "2026-11-01", "last": "2026-11-30"})
    text = shown.content.decode()
    assert "openai/small" in text and "openai/large" in text and "83%" in text
    assert "Secret" not in text and "alice@example.org" not in text and str(alice.id) not in text
    nothing = client.get(page, {"first": "2026-01-01", "last": "2026-01-02"})
    assert "No answer was rated on these days." in nothing.content.decode()
    wrong = client.get(page, {"first": "2026-02-01", "last": "2026-01-02"})
    assert "Choose up to 366 days" in wrong.content.decode()


def test_staff_without_the_permission_do_not_see_the_counts():
    staff = User.objects.create_user("bob@example.org", "x", is_staff=True)
    client = Client()
    client.force_login(staff)
    assert client.get(reverse("admin:chat_rating_changelist")).status_code == 403


async def test_an_answer_may_be_rated_as_soon_as_its_end_is_shown(alice, reply):
    """The log has the end before the row has it."""
    await Reply.objects.filter(id=reply).aupdate(state="queued", finished_at=None)
    assert (await rate(alice, reply, "up")).status_code == 200
    assert await rated(alice, reply) == "up"


async def test_the_models_of_real_answers_are_counted(alice, reply):
    await rate(alice, reply, "up")
    today = datetime.now(UTC).date()
    models, _ = await sync_to_async(count_ratings)(today, today)
    assert [(count.model, count.up) for count in models] == [(MODEL, 1)]
