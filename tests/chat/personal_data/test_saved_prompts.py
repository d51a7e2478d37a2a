"""Saved prompts: their pages, their bounds, and where they go with their owner."""

import re

import pytest

from accounts.models import SavedPrompt, User
from accounts.saved_prompts import store
from chat.personal_data.erase import erase_person
from tests.chat.personal_data.account_forms import account, form, sign_in, sign_up

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]
PAGE = "/settings/prompts"


@pytest.fixture
async def guest(worker, alice):
    _, reply = await alice.send("[[tokens=3]] Hello")
    await alice.settled(reply)
    return alice


async def add(person, title="Shorter", text="Say it in half as many words."):
    return await form(person, f"{PAGE}/new", title=title, text=text)


async def listed(person):
    return (await person.client.get("/api/prompts")).json()["prompts"]


async def test_a_prompt_is_added_changed_and_deleted(guest):
    response = await add(guest)
    assert (response.status_code, response["Location"]) == (302, PAGE)
    [saved] = await listed(guest)
    assert (saved["title"], saved["text"]) == ("Shorter", "Say it in half as many words.")
    page = f"{PAGE}/{saved['id']}"
    shown = (await guest.client.get(page)).content.decode()
    assert "Say it in half as many words." in shown
    await form(guest, page, title="  Even \n shorter ", text="  indented\r\nlines\r\n\r\n")
    [changed] = await listed(guest)
    expected = {"id": saved["id"], "title": "Even shorter", "text": "  indented\nlines"}
    assert changed == expected
    assert "is deleted for good" in (await guest.client.get(f"{page}/delete")).content.decode()
    assert len(await listed(guest)) == 1
    assert (await form(guest, f"{page}/delete")).status_code == 302
    assert await listed(guest) == []
    assert (await guest.client.get(page)).status_code == 404


async def test_they_are_listed_by_title(guest):
    for title in ("b", "c", "a"):
        await add(guest, title)
    assert [prompt["title"] for prompt in await listed(guest)] == ["a", "b", "c"]
    page = (await guest.client.get(PAGE)).content.decode()
    assert re.findall(r'<h2 id="prompt-[^>]*>(\w)</h2>', page) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("title", "text", "problem"),
    [
        ("", "Text", "This field is required."),
        ("Title", "", "This field is required."),
        ("Title", " \n ", "Enter a text."),
        ("\u202e\u2066", "Text", "Enter a title."),
        ("t" * 81, "Text", "at most 80 characters"),
        ("Title", "x" * 8_001, "at most 8,000 characters; it has 8,001"),
    ],
)
async def test_what_cannot_be_saved_is_refused_beside_the_field(guest, title, text, problem):
    response = await add(guest, title, text)
    assert response.status_code == 200 and problem in response.content.decode()
    assert await listed(guest) == []


async def test_line_endings_count_once(guest):
    await add(guest, "Lines", "x\r\n" * 4_000)
    [saved] = await listed(guest)
    assert len(saved["text"]) == 7_999


async def test_their_number_is_bounded(guest, monkeypatch):
    monkeypatch.setattr(store, "MAX_PROMPTS", 2)
    for title in ("a", "b"):
        assert (await add(guest, title)).status_code == 302
    refused = await add(guest, "c")
    assert refused.status_code == 400
    assert "as many saved prompts as one can have" in refused.content.decode()
    page = (await guest.client.get(PAGE)).content.decode()
    assert "Add a prompt" not in page and "delete one" in page
    # Those that are there can still be changed.
    [first, _] = await listed(guest)
    changed = await form(guest, f"{PAGE}/{first['id']}", title="A", text="changed")
    assert changed.status_code == 302


async def test_they_count_towards_the_storage(guest, settings):
    settings.LIMIT_STORED_BYTES_GUEST = 6_000
    assert (await add(guest, "Short", "y" * 100)).status_code == 302
    refused = await add(guest, "Long", "é" * 3_000)
    assert refused.status_code == 413
    assert "You have stored as much as a guest can." in refused.content.decode()
    assert len(await listed(guest)) == 1
    settings.LIMIT_STORED_BYTES_GUEST = 20_000
    assert (await add(guest, "Long", "é" * 3_000)).status_code == 302


async def test_saving_counts_as_a_change(guest, settings):
    settings.LIMIT_CHANGES_PER_MINUTE_USER = 1
    await add(guest, "a")
    refused = await add(guest, "b")
    assert refused.status_code == 429 and int(refused["Retry-After"]) > 0
    assert len(await listed(guest)) == 1


async def test_a_guest_keeps_them_on_signing_up(guest, mailbox):
    await add(guest)
    await sign_up(guest, mailbox)
    assert [prompt["title"] for prompt in await listed(guest)] == ["Shorter"]
    assert not (await User.objects.aget()).is_guest


async def test_they_go_along_into_an_account_that_the_guest_joins(guest):
    owner = await account("alice@example.org")
    await SavedPrompt.objects.acreate(owner=owner, title="Mine", text="Text", size_bytes=8)
    await add(guest)
    await sign_in(guest, "alice@example.org")
    await guest.client.get("/")
    assert [prompt["title"] for prompt in await listed(guest)] == ["Mine", "Shorter"]


async def test_an_account_takes_a_bounded_number_of_them(guest, monkeypatch):
    monkeypatch.setattr(store, "MAX_JOINED", 2)
    owner = await account("alice@example.org")
    await SavedPrompt.objects.acreate(owner=owner, title="Mine", text="Text", size_bytes=8)
    for title in ("older", "newer"):
        await add(guest, title)
    await sign_in(guest, "alice@example.org")
    await guest.client.get("/")
    assert [prompt["title"] for prompt in await listed(guest)] == ["Mine", "newer"]


async def test_a_page_of_somebody_else_gets_none(guest, bob):
    await add(guest)
    await bob.send("Hello")
    assert await listed(bob) == []
    for person, status in ((bob.user["id"], 200), (guest.user["id"], 409), ("x", 409)):
        response = await bob.client.get(f"/api/prompts?person={person}")
        assert response.status_code == status
        assert "Shorter" not in response.content.decode()


async def test_they_are_erased_with_their_owner(guest):
    await add(guest)
    person = await guest.row()
    await erase_person(person)
    await store.personal_data.erase(person)
    assert not await SavedPrompt.objects.aexists()
