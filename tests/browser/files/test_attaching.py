"""Attaching files: by the button, by pasting and by dropping; what the composer shows of them."""

import re

from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage
from tests.browser.files.samples import (
    are_ready,
    attach,
    bring,
    chips,
    damaged,
    picture,
    text_file,
)
from tests.browser.prompts import QUICK
from tests.browser.stored_data import is_kept
from tests.stack import wait_for


def names(alice):
    return alice.page.locator(".composer .file-chip-name").all_inner_texts()


def test_files_are_attached_by_the_button_and_sent(alice):
    attach(alice, picture(), text_file())
    expect(chips(alice).first.locator("img")).to_be_visible()
    are_ready(alice)
    alice.ask(f"{QUICK} What is this?")
    expect(chips(alice)).to_have_count(0)
    question = alice.questions.first
    expect(question.locator(".picture img")).to_be_visible()
    expect(question.locator(".file-card")).to_contain_text("tides.txt")
    expect(question.locator(".bubble")).to_have_text(f"{QUICK} What is this?")
    alice.page.reload()
    expect(question.locator(".picture img")).to_be_visible()
    expect(question.locator(".file-card")).to_contain_text("tides.txt")
    expect(chips(alice)).to_have_count(0)


def test_a_message_of_files_alone_is_sent(alice):
    send = alice.page.locator(".composer").get_by_role("button", name="Send", exact=True)
    expect(send).to_be_disabled()
    attach(alice, picture("harbour.png"))
    expect(send).to_be_enabled()
    send.click()
    expect(alice.answers).to_have_count(1)
    alice.ended()
    expect(alice.questions.first.locator(".picture")).to_be_visible()
    expect(alice.questions.first.locator(".bubble")).to_have_count(0)


def test_a_message_that_is_sent_while_its_files_are_uploaded_waits_for_them(alice):
    held = []
    alice.page.route("**/api/files/*/parts/*", lambda route: held.append(route))
    attach(alice, picture())
    alice.send(f"{QUICK} Look")
    expect(alice.questions.first).to_contain_text("Sending the files")
    expect(alice.questions.first.locator(".picture img")).to_be_visible()
    expect(alice.answers).to_have_count(0)
    held[0].continue_()
    alice.ended()
    expect(alice.questions).to_have_count(1)


def test_files_fall_anywhere_and_text_into_a_field_is_the_browsers_own(alice):
    alice.page.wait_for_load_state("networkidle")
    for number, place in enumerate(("main", ".sidebar", ".composer-field", "html")):
        one = text_file(f"{number}.txt", f"file {number}")
        assert bring(alice.page.locator(place).first, "drop", one) == [True, True], place
        expect(chips(alice)).to_have_count(number + 1)
    assert names(alice) == ["0.txt", "1.txt", "2.txt", "3.txt"]
    assert bring(alice.field, "drop", text="words") == [False, False]
    are_ready(alice)


def test_the_page_says_where_dragged_files_go(alice, shot):
    drag = """(element) => {
      const data = new DataTransfer();
      data.items.add(new File(["x"], "a.txt"));
      const options = { dataTransfer: data, bubbles: true, cancelable: true };
      element.dispatchEvent(new DragEvent("dragover", options));
    }"""
    leave = "(element) => element.dispatchEvent(new DragEvent('dragleave', { bubbles: true }))"
    target = alice.page.locator(".drop-target")
    alice.page.locator("main").evaluate(drag)
    expect(target).to_have_text("Drop the files to attach them")
    shot(alice.page, "files-dragged")
    alice.page.locator("main").evaluate(leave)
    expect(target).to_have_count(0)


def test_a_pasted_picture_is_attached_and_a_text_with_its_picture_is_a_text(alice):
    assert bring(alice.field, "paste", picture("image.png")) == [True]
    expect(chips(alice)).to_have_count(1)
    assert bring(alice.field, "paste", picture("table.png"), text="a\ttable") == [False]
    # A file manager adds the name of a copied file.
    assert bring(alice.field, "paste", text_file("a.txt"), text="/home/alice/a.txt") == [True]
    expect(chips(alice)).to_have_count(2)
    assert names(alice) == ["image.png", "a.txt"]


def test_a_file_is_removed_with_the_keyboard_and_the_server_forgets_it(alice):
    attach(alice, picture("one.png"), picture("two.png", seed=2), text_file("three.txt"))
    are_ready(alice)
    with alice.page.expect_response(
        lambda response: response.request.method == "DELETE" and "/api/files/" in response.url
    ) as deleting:
        alice.page.get_by_role("button", name="Remove two.png").press("Enter")
    assert deleting.value.status == 204
    assert names(alice) == ["one.png", "three.txt"]
    expect(alice.page.get_by_role("button", name="Remove three.txt")).to_be_focused()
    expect(alice.page.get_by_role("status").filter(has_text="Removed: two.png")).to_be_attached()
    alice.page.keyboard.press("Enter")
    expect(alice.page.get_by_role("button", name="Remove one.png")).to_be_focused()
    alice.page.keyboard.press("Enter")
    expect(alice.field).to_be_focused()
    expect(alice.page.get_by_role("status").filter(has_text="Removed: one.png")).to_be_attached()


def test_one_says_what_a_picture_shows(alice, inspect):
    page = alice.page
    seen = inspect(page)
    attach(alice, picture())
    page.get_by_role("button", name="Describe sea.png").press("Enter")
    field = page.get_by_role("textbox", name="What does the picture show?")
    expect(field).to_be_focused()
    seen.look("describing a picture", part=".dialog")
    field.fill("A blue\nlighthouse")
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Describe sea.png")).to_be_focused()
    page.get_by_role("button", name="Describe sea.png").click()
    expect(field).to_have_value("")
    field.fill("A blue lighthouse")
    field.press("Enter")
    expect(page.get_by_role("button", name="Describe sea.png")).to_be_focused()
    shown_after_reload = page.locator(".file-chip-alt-set")
    is_kept(page, "sea.png")
    page.reload()
    expect(shown_after_reload).to_be_visible()
    are_ready(alice)
    alice.ask(f"{QUICK} What is this?")
    expect(page.get_by_role("button", name="Look at A blue lighthouse")).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="Look at A blue lighthouse")).to_be_visible()


def test_a_refused_file_says_why_and_keeps_the_text_and_the_others(alice, shot):
    alice.field.fill("What is this?")
    attach(alice, damaged("torn.png"), picture("whole.png"))
    refused = chips(alice).filter(has_text="torn.png")
    expect(refused.locator(".meta-problem")).to_have_text(re.compile(r"\w.*\."))
    expect(refused.get_by_role("button", name="Try again")).to_have_count(0)
    said = alice.page.get_by_role("status").filter(has_text="torn.png is not attached.")
    expect(said).to_be_attached()
    shot(alice.page, "files-refused")
    alice.field.press("Enter")
    expect(alice.page.locator(".toast-problem")).to_contain_text("Remove the file")
    expect(alice.field).to_have_value("What is this?")
    expect(alice.questions).to_have_count(0)
    alice.page.get_by_role("button", name="Remove torn.png").click()
    assert names(alice) == ["whole.png"]
    alice.field.fill(f"{QUICK} What is this?")
    alice.field.press("Enter")
    alice.ended()
    expect(alice.questions.first.locator(".picture")).to_have_count(1)


def test_a_button_stays_itself_when_a_picture_cannot_be_shown(alice):
    """Else a click that is under way would be on another one."""
    hold = "() => (window.createImageBitmap = () => new Promise((_, fail) => (window.fail = fail)))"
    alice.page.evaluate(hold)
    attach(alice, {"name": "large.jpg", "mimeType": "image/jpeg", "buffer": b"x" * 20_000_001})
    button = alice.page.get_by_role("button", name="Try again with large.jpg").element_handle()
    wait_for(lambda: alice.page.evaluate("() => Boolean(window.fail)"), 20)
    alice.page.evaluate("() => window.fail()")
    alice.page.wait_for_timeout(300)
    assert button.get_attribute("aria-label") == "Try again with large.jpg"
    assert button.is_visible()


def test_a_file_that_is_too_large_is_not_sent_unless_one_insists(alice):
    asked = []
    alice.page.on("request", lambda request: asked.append(request.url))
    large = {"name": "large.jpg", "mimeType": "image/jpeg", "buffer": b"x" * 20_000_001}
    empty = {"name": "empty.txt", "mimeType": "text/plain", "buffer": b""}
    attach(alice, large, empty)
    expect(chips(alice).first).to_contain_text("Pictures can have 20 MB at most.")
    expect(chips(alice).last).to_contain_text("This file is empty.")
    assert not [url for url in asked if "/api/files" in url]
    with alice.page.expect_request("**/api/files"):
        alice.page.get_by_role("button", name="Try again with large.jpg").click()


def test_a_message_takes_ten_files(alice):
    attach(alice, *(text_file(f"{number}.txt", f"file {number}") for number in range(9)))
    bring(alice.field, "drop", text_file("ten.txt"), text_file("eleven.txt"))
    expect(alice.page.locator(".toast-problem")).to_contain_text("10 files at most")
    expect(chips(alice)).to_have_count(10)
    assert names(alice)[-1] == "ten.txt"


def test_files_move_with_a_draft_that_becomes_temporary(alice):
    attach(alice, picture())
    alice.page.get_by_role("switch", name="Temporary chat").click()
    expect(chips(alice)).to_have_count(1)
    alice.page.reload()
    # Nothing of a temporary chat is stored in the browser.
    expect(alice.field).to_be_visible()
    expect(chips(alice)).to_have_count(0)
    attach(alice, picture())
    alice.ask(f"{QUICK} Look")
    expect(alice.questions.first.locator(".picture")).to_be_visible()


def test_another_tab_has_the_files_of_the_draft(alice):
    alice.ask(f"{QUICK} Hello")
    other = ChatPage(alice.page.context.new_page(), alice.url)
    other.visit(alice.page.url.removeprefix(alice.url)).is_live()
    attach(alice, picture("both.png"))
    are_ready(alice)
    other.page.reload()
    expect(chips(other)).to_have_count(1)
    attach(alice, text_file("later.txt"))
    expect(chips(other)).to_have_count(2)
    alice.ask(f"{QUICK} Look")
    expect(chips(other)).to_have_count(0)
    expect(other.questions.last.locator(".picture")).to_be_visible()


def test_what_one_attaches_needs_no_pointer(alice):
    choosers = []
    # The browser is told of this later than of a key.
    alice.page.on("filechooser", lambda chooser: choosers.append(chooser))
    alice.page.wait_for_load_state("networkidle")
    alice.page.get_by_role("button", name="Choose a model").focus()
    alice.page.keyboard.press("Tab")
    expect(alice.page.get_by_role("button", name="Attach files")).to_be_focused()
    alice.page.keyboard.press("Enter")
    wait_for(lambda: choosers or alice.page.wait_for_timeout(50), 20)
    choosers[0].set_files([picture("a.png")])
    expect(chips(alice)).to_have_count(1)
    alice.field.focus()
    alice.page.keyboard.press("Shift+Tab")
    expect(alice.page.get_by_role("button", name="Remove a.png")).to_be_focused()
