"""Saved prompts: their pages, and the list that “/” opens above the composer."""

import pytest
from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage

PROMPTS = {
    "Shorter": "Say it in half as many words.",
    "Translate into German": "Translate the last answer into German. Keep names as they are.",
    "Translate into Polish": "Translate the last answer into Polish.",
}
# The option that a screen reader announces for the field.
ANNOUNCED = """(field) =>
  document.getElementById(field.getAttribute("aria-activedescendant"))?.textContent ?? null"""


def add(page, url, title, text):
    page.goto(f"{url}/settings/prompts/new")
    page.get_by_label("Title").fill(title)
    page.get_by_label("Text").fill(text)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible()


@pytest.fixture
def guest(alice):
    """Somebody who has written a message, and so may keep something."""
    alice.ask("[[tokens=3]] Hello")
    alice.path = alice.page.url.removeprefix(alice.url)
    return alice


@pytest.fixture
def writer(guest):
    for title, text in PROMPTS.items():
        add(guest.page, guest.url, title, text)
    return guest.visit(guest.path)


def options(chat):
    return chat.page.get_by_role("listbox", name="Saved prompts").get_by_role("option")


def type_in(chat, keys):
    chat.field.press_sequentially(keys)


def test_they_are_added_changed_and_deleted_in_the_settings(guest, inspect):
    page = guest.page
    seen = inspect(page)
    page.goto(f"{guest.url}/settings")
    page.get_by_role("link", name="Saved prompts").click()
    expect(page.get_by_role("heading", name="No saved prompts yet")).to_be_visible()
    seen.look("prompts none")
    page.get_by_role("link", name="Add a prompt").click()
    page.get_by_label("Title").fill("Shorter")
    page.get_by_label("Text").fill(" \n ")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_have_text("Enter a text.")
    seen.look("prompt refused")
    page.get_by_label("Text").fill("Shorter, and\nin a friendly tone. " * 20)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.", exact=True)).to_be_visible()
    seen.look("prompts")
    page.get_by_role("link", name="Edit", exact=True).click()
    expect(page.get_by_label("Title")).to_have_value("Shorter")
    page.get_by_label("Title").fill("Friendlier")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="Delete…").click()
    expect(page.get_by_text("“Friendlier” is deleted for good.")).to_be_visible()
    seen.look("prompt to delete")
    page.get_by_role("button", name="Delete the prompt").click()
    expect(page.get_by_text("“Friendlier” is deleted.")).to_be_visible()
    expect(page.get_by_role("heading", name="No saved prompts yet")).to_be_visible()


def test_the_slash_lists_them_and_typing_filters(writer, inspect):
    type_in(writer, "/")
    expect(options(writer)).to_have_count(3)
    expect(options(writer).first).to_contain_text("Shorter")
    expect(writer.field).to_be_focused()
    assert "Shorter" in writer.field.evaluate(ANNOUNCED)
    expect(writer.page.get_by_role("status").filter(has_text="3 saved prompts")).to_be_attached()
    inspect(writer.page).look("prompt list", lambda: writer.field.focus())
    type_in(writer, "translate")
    expect(options(writer)).to_have_count(2)
    assert "German" in writer.field.evaluate(ANNOUNCED)
    type_in(writer, " pol")
    expect(options(writer)).to_have_count(1)
    type_in(writer, "zzz")
    expect(options(writer)).to_have_count(0)
    assert writer.field.evaluate(ANNOUNCED) is None
    # Later in a message a slash is a slash.
    writer.field.fill("either/or")
    expect(options(writer)).to_have_count(0)


@pytest.mark.parametrize("key", ["Enter", "Tab"])
def test_a_key_puts_the_chosen_one_into_the_message(writer, key):
    type_in(writer, "/tr")
    expect(options(writer)).to_have_count(2)
    for step, expected in (("ArrowDown", "Polish"), ("ArrowDown", "German"), ("ArrowUp", "Polish")):
        writer.page.keyboard.press(step)
        assert expected in writer.field.evaluate(ANNOUNCED)
    writer.page.keyboard.press(key)
    expect(writer.field).to_have_value(PROMPTS["Translate into Polish"])
    expect(writer.field).to_be_focused()
    expect(options(writer)).to_have_count(0)
    assert writer.field.get_attribute("aria-controls") is None
    expect(writer.questions).to_have_count(1)
    writer.page.keyboard.press("Enter")
    expect(writer.questions.last).to_contain_text("into Polish")


def test_escape_closes_the_list_and_keeps_the_text(writer):
    type_in(writer, "/tr")
    expect(options(writer)).to_have_count(2)
    writer.page.keyboard.press("Escape")
    expect(options(writer)).to_have_count(0)
    expect(writer.field).to_have_value("/tr")
    type_in(writer, "y this")
    expect(options(writer)).to_have_count(0)
    # It opens again with the next slash.
    writer.field.fill("")
    type_in(writer, "/")
    expect(options(writer)).to_have_count(3)
    writer.page.locator(".scroller").click()
    expect(options(writer)).to_have_count(0)
    # A slash alone is sent as it is, if the list is closed.
    writer.field.focus()
    expect(options(writer)).to_have_count(3)
    writer.page.keyboard.press("Control+Enter")
    expect(writer.questions.last).to_contain_text("/")
    expect(options(writer)).to_have_count(0)


def test_one_is_chosen_with_the_pointer_on_a_phone(writer, new_context, shot):
    phone = {"viewport": {"width": 390, "height": 700}, "has_touch": True, "is_mobile": True}
    context = new_context(storage_state=writer.page.context.storage_state(), **phone)
    alice = ChatPage(context.new_page(), writer.url).visit()
    alice.field.tap()
    type_in(alice, "/")
    expect(options(alice)).to_have_count(3)
    box = alice.page.locator(".prompt-box").bounding_box()
    assert box["y"] >= 0 and box["y"] + box["height"] <= 700
    shot(alice.page, "prompt-list-new-chat-phone")
    options(alice).filter(has_text="Shorter").tap()
    expect(alice.field).to_have_value(PROMPTS["Shorter"])


def test_nobody_is_offered_prompts_and_somebody_without_any_is_told_where(alice, shot):
    asked = []
    alice.page.on("request", lambda request: asked.append(request.url))
    type_in(alice, "/")
    alice.page.wait_for_timeout(300)
    assert not any("/api/prompts" in url for url in asked)
    alice.field.fill("")
    alice.ask("[[tokens=3]] Hello")
    type_in(alice, "/")
    note = alice.page.get_by_text("You have no saved prompts yet.")
    expect(note).to_be_visible()
    shot(alice.page, "prompt-list-none")
    type_in(alice, "etc")
    expect(note).to_have_count(0)
    alice.field.fill("/")
    with alice.page.expect_navigation():
        alice.page.get_by_role("link", name="Add a prompt").click()
    expect(alice.page.get_by_role("heading", name="Add a prompt")).to_be_visible()


def test_they_are_there_without_the_network(writer):
    """Once this browser has seen them, also after a reload."""
    type_in(writer, "/")
    expect(options(writer)).to_have_count(3)
    writer.field.fill("")
    page = writer.page
    page.route("**/api/prompts?**", lambda route: route.abort("internetdisconnected"))
    writer.visit(writer.path)
    type_in(writer, "/sho")
    expect(options(writer)).to_have_count(1)
    page.keyboard.press("Enter")
    expect(writer.field).to_have_value(PROMPTS["Shorter"])


def test_what_was_never_seen_cannot_be_reached_offline(guest):
    guest.page.route("**/api/prompts?**", lambda route: route.abort("internetdisconnected"))
    type_in(guest, "/")
    expect(
        guest.page.get_by_text("Your saved prompts cannot be reached right now.")
    ).to_be_visible()
    # The next slash asks again.
    guest.page.unroute_all()
    guest.field.fill("")
    type_in(guest, "/")
    expect(guest.page.get_by_text("You have no saved prompts yet.")).to_be_visible()


def test_another_tab_sees_a_new_one(writer):
    type_in(writer, "/")
    expect(options(writer)).to_have_count(3)
    other = writer.page.context.new_page()
    add(other, writer.url, "A fourth", "More text.")
    writer.field.fill("")
    type_in(writer, "/")
    expect(options(writer)).to_have_count(4)


def test_signing_out_leaves_none_in_the_browser(writer):
    type_in(writer, "/")
    expect(options(writer)).to_have_count(3)
    stored = """async () => {
      const open = indexedDB.open("holdfast");
      const database = await new Promise((done) => (open.onsuccess = () => done(open.result)));
      const request = database.transaction("meta").objectStore("meta").get("prompts");
      return new Promise((done) => (request.onsuccess = () => done(request.result?.length ?? 0)));
    }"""
    expect(options(writer).first).to_be_visible()
    assert writer.page.evaluate(stored) == 3
    writer.page.context.clear_cookies()
    writer.visit()
    assert writer.page.evaluate(stored) == 0
