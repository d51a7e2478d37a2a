"""The page includes the last messages, readable before any script runs and without the log."""

import re

from playwright.sync_api import Page, expect

from tests.browser.chat_page import ChatPage
from tests.browser.stored_data import is_kept
from tests.browser.written_chat import write_chat

NO_SOCKET = """window.WebSocket = class extends EventTarget {
  readyState = 0;
  send() {}
  close() {}
};"""


def test_the_last_messages_are_there_before_the_log_is_read(alice, new_context, shot):
    alice.ask("[[tokens=5]] first **question**")
    alice.ask("[[tokens=7]] second question")
    written = alice.text_of(alice.answers.last)
    unread = _without_the_log(new_context, alice)
    expect(unread.locator(".message-answer .md")).to_have_count(2)
    expect(unread.locator(".message-answer .md").last).to_have_text(written)
    expect(unread.locator(".message-user")).to_have_count(2)
    shot(unread, "glimpse")


NO_BLOCKS = """
const { getAll } = IDBObjectStore.prototype;
IDBObjectStore.prototype.getAll = function (...asked) {
  return this.name === "blocks" ? {} : getAll.apply(this, asked);
};"""


def test_a_long_chat_of_this_browser_begins_with_its_end(alice, stack):
    """The stored chat is large, so its last messages are read first."""
    write_chat(alice, stack, [(f"question {n}", f"answer **{n}**.") for n in range(150)])
    expect(alice.answers.last.locator(".md")).to_have_text("answer 149.")
    is_kept(alice.page, "answer **149**.", '"glimpse":[{')
    other = alice.page.context.new_page()
    other.add_init_script(NO_SOCKET + NO_BLOCKS)
    other.goto(alice.url)
    ChatPage(other, alice.url).chats.first.click()
    expect(other.locator(".message-answer .md")).to_have_text(
        [f"answer {n}." for n in range(144, 150)]
    )


def test_what_the_page_brings_stays_where_this_browser_has_less(alice, new_context):
    """Another device continued the chat, so this browser's copy is older than the page."""
    alice.ask("[[tokens=5]] first")
    is_kept(alice.page, "[[tokens=5]] first", '"sha256":"')
    address, browser = alice.page.url, alice.page.context
    alice.page.close()
    other = new_context(storage_state=browser.storage_state()).new_page()
    elsewhere = ChatPage(other, alice.url).visit(address.removeprefix(alice.url))
    elsewhere.ask("[[tokens=7]] second")
    written = elsewhere.text_of(elsewhere.answers.last)
    page = browser.new_page()
    page.add_init_script(NO_SOCKET)
    page.goto(address)
    answers = page.locator(".message-answer .md")
    expect(answers).to_have_count(2)
    expect(answers.last).to_have_text(written)
    # Time enough to read the stored copy, which the list of chats comes from, too.
    page.wait_for_timeout(1_000)
    expect(answers).to_have_count(2)


END_OF_TEXT = "(name) => document.querySelector(name).getBoundingClientRect().bottom"


def test_they_can_be_read_without_a_script(alice, browser, shot):
    alice.ask("[[tokens=900&rate=5000]] a <b>question</b>")
    written = alice.text_of(alice.answers.last)
    # Without the usual watch for problems, because its scripts fail to load.
    context = browser.new_context(
        storage_state=alice.page.context.storage_state(), viewport=alice.page.viewport_size
    )
    context.route("**/*.js", lambda route: route.abort())
    page = context.new_page()
    page.goto(alice.page.url)
    expect(page.locator(".bubble")).to_have_text("[[tokens=900&rate=5000]] a <b>question</b>")
    expect(page.locator(".far-text")).to_have_text(written)
    # Its position is final: nothing moves when the scripts have loaded.
    expect(page.locator(".bubble")).not_to_be_in_viewport()
    [there, will_be] = [
        tab.evaluate(END_OF_TEXT, selector)
        for tab, selector in ((page, ".far-text"), (alice.page, ".message-answer .md"))
    ]
    assert abs(there - will_be) <= 2
    shot(page, "glimpse-no-script")
    context.close()


def test_what_is_said_before_the_log_is_read_goes_to_the_end_of_the_chat(alice, new_context):
    alice.ask("[[tokens=5]] first")
    early = _without_the_log(new_context, alice)
    expect(early.locator(".message-answer .md")).to_have_count(1)
    ChatPage(early, alice.url).send("[[tokens=5]] said early")
    expect(alice.answers).to_have_count(2)
    alice.ended()
    said = alice.questions.locator(".bubble")
    expect(said).to_have_text(["[[tokens=5]] first", "[[tokens=5]] said early"])


def test_the_branch_that_was_chosen_is_the_one_shown(alice, new_context):
    alice.ask("[[tokens=5]] First")
    alice.questions.last.hover()
    alice.questions.last.get_by_role("button", name="Edit").click()
    alice.page.get_by_role("textbox", name="Edit your message").fill("[[tokens=5]] Other")
    alice.page.locator(".message-editing").get_by_role("button", name="Send").click()
    expect(alice.questions.last.locator(".bubble")).to_have_text("[[tokens=5]] Other")
    alice.ended()
    other = _without_the_log(new_context, alice)
    expect(other.locator(".message-user .bubble")).to_have_text("[[tokens=5]] Other")
    with alice.page.expect_response(re.compile(r"/branch\b")):
        alice.questions.last.get_by_role("button", name="Previous version").click()
    first = _without_the_log(new_context, alice)
    expect(first.locator(".message-user .bubble")).to_have_text("[[tokens=5]] First")


def _without_the_log(new_context, alice) -> Page:
    """Opens the chat in a browser that has stored nothing of it and cannot follow it."""
    context = new_context(storage_state=alice.page.context.storage_state())
    page = context.new_page()
    page.add_init_script(NO_SOCKET)
    page.goto(alice.page.url)
    return page
