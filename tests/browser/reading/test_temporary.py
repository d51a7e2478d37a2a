"""Temporary chats on the page: what they say of themselves, that the browser stores nothing
of them, and how they end."""

import re
import uuid

from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage
from tests.browser.prompts import QUICK, SLOW
from tests.browser.stored_data import KEPT, is_kept
from tests.data_folders.write import rows
from tests.stack import wait_for


def switch_of(person):
    return person.page.get_by_role("switch", name="Temporary chat")


def notice_of(person):
    return person.page.locator(".temporary-notice")


def left_chats(stack):
    return rows(stack.data, "SELECT COUNT(*) FROM chat_chat WHERE left_at IS NOT NULL")[0][0]


def begin(person, text):
    switch_of(person).click()
    expect(switch_of(person)).to_have_attribute("aria-checked", "true")
    return person.ask(text)


def test_it_leaves_nothing_in_the_browser_and_in_no_list(alice, stack):
    mark = uuid.uuid4().hex
    alice.ask(f"{QUICK} ordinary")
    is_kept(alice.page, "ordinary")
    ordinary = alice.page.url
    alice.page.get_by_role("link", name="New chat").first.click()
    alice.field.fill(f"{QUICK} {mark} moved")
    switch_of(alice).click()
    expect(alice.field).to_have_value(f"{QUICK} {mark} moved")
    expect(alice.page.get_by_role("heading", name="Nothing of this chat stays.")).to_be_visible()
    # What was typed is taken out of the drafts of this browser and of the server.
    expect(alice.page.locator(".empty")).to_contain_text("erased when you leave it")
    wait_for(lambda: mark not in alice.page.evaluate(KEPT), 10)
    alice.field.press("Enter")
    alice.ended()
    answer = alice.text_of(alice.answers.last)
    expect(notice_of(alice)).to_contain_text("24 hours after its last message")
    expect(alice.page.locator("h1.topbar-title")).to_have_text("Temporary chat")
    assert mark not in alice.page.title() and "Temporary chat" in alice.page.title()
    expect(alice.chats).to_have_count(1)
    alice.field.fill(f"{mark} not sent yet")
    # The end of what is written to the browser's storage: the list, with the other chat.
    alice.page.wait_for_timeout(2_500)
    kept = alice.page.evaluate(KEPT)
    assert "ordinary" in kept and mark not in kept and answer not in kept
    # A reload shows it all again, the draft too.
    alice.page.reload()
    expect(alice.answers.last.locator(".md")).to_have_text(answer)
    expect(alice.field).to_have_value(f"{mark} not sent yet")
    expect(notice_of(alice)).to_be_visible()
    expect(alice.chats).to_have_count(1)
    # Search and other pages do not know it.
    other = ChatPage(alice.page.context.new_page(), stack.url)
    other.page.goto(ordinary)
    expect(other.chats).to_have_count(1)
    other.page.keyboard.press("Control+k")
    other.page.get_by_role("combobox").fill(mark)
    expect(other.page.get_by_text("Nothing found")).to_be_visible()
    assert mark not in other.page.evaluate(KEPT)


def test_an_answer_goes_on_over_a_reload(alice):
    switch_of(alice).click()
    alice.send(f"{SLOW} Hello")
    alice.writing()
    alice.page.reload()
    alice.ended()
    assert len(alice.text_of(alice.answers.last).split()) >= 100
    expect(notice_of(alice)).to_be_visible()


def test_leaving_offers_the_way_back(alice, stack):
    before = left_chats(stack)
    begin(alice, f"{QUICK} Hello")
    address = alice.page.url
    with alice.page.expect_response(re.compile(r"/leave$")) as left:
        alice.page.get_by_role("link", name="New chat").first.click()
    assert left.value.status == 204
    expect(switch_of(alice)).to_have_attribute("aria-checked", "false")
    expect(alice.page.locator(".toasts")).to_contain_text("It is erased in about ten minutes.")
    alice.page.get_by_role("button", name="Go back to it").click()
    expect(alice.page).to_have_url(address)
    expect(alice.answers).to_have_count(1)
    wait_for(lambda: left_chats(stack) == before, 20)
    # Closing the tab leaves it, too.
    alice.page.goto("about:blank")
    wait_for(lambda: left_chats(stack) == before + 1, 20)
    alice.page.goto(address)
    expect(alice.answers).to_have_count(1)
    wait_for(lambda: left_chats(stack) == before, 20)


def test_leaving_without_a_network_is_told_later(alice, stack):
    before = left_chats(stack)
    begin(alice, f"{QUICK} Hello")
    alice.page.context.set_offline(True)
    alice.page.get_by_role("link", name="New chat").first.click()
    expect(alice.page.locator(".toasts")).to_contain_text("You left a temporary chat")
    assert left_chats(stack) == before
    alice.page.context.set_offline(False)
    wait_for(lambda: left_chats(stack) == before + 1, 30)


def test_keeping_it_puts_it_into_the_list_of_every_tab(alice, stack):
    mark = uuid.uuid4().hex
    begin(alice, f"{QUICK} {mark}")
    other = ChatPage(alice.page.context.new_page(), stack.url)
    other.page.goto(alice.page.url)
    expect(notice_of(other)).to_be_visible()
    expect(other.chats).to_have_count(0)
    alice.page.get_by_role("button", name="Keep this chat").click()
    for page in (alice, other):
        expect(notice_of(page)).to_have_count(0)
        expect(page.chats).to_have_count(1)
        expect(page.page.locator("h1.topbar-title")).to_contain_text(mark[:20])
    expect(alice.field).to_be_focused()
    is_kept(alice.page, mark)


def test_it_can_be_begun_by_keyboard_and_by_its_address(alice):
    alice.ask(f"{QUICK} Hello")
    alice.page.locator(".message-answer").last.click()
    alice.page.keyboard.press("Alt+t")
    expect(switch_of(alice)).to_have_attribute("aria-checked", "true")
    expect(alice.field).to_be_focused()
    alice.page.reload()
    expect(switch_of(alice)).to_have_attribute("aria-checked", "true")
    alice.page.go_back()
    expect(alice.answers).to_have_count(1)
    alice.page.go_forward()
    expect(switch_of(alice)).to_have_attribute("aria-checked", "true")
    switch_of(alice).press("Space")
    expect(switch_of(alice)).to_have_attribute("aria-checked", "false")
    assert "#" not in alice.page.url


def test_a_message_that_is_not_sent_is_not_stored_and_asks_before_it_is_lost(alice):
    mark = uuid.uuid4().hex
    begin(alice, f"{QUICK} Hello")
    alice.page.context.set_offline(True)
    alice.send(f"{QUICK} {mark}")
    expect(alice.questions.last).to_contain_text("waiting for the connection")
    assert mark not in alice.page.evaluate(KEPT)
    asked = []
    alice.page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    alice.page.close(run_before_unload=True)
    wait_for(lambda: alice.page.evaluate("1") and asked == ["beforeunload"], 10)
    alice.page.context.set_offline(False)
    expect(alice.answers).to_have_count(2)


def test_its_states_look_right(alice, inspect):
    seen = inspect(alice.page)
    switch_of(alice).click()
    seen.look("temporary empty")
    alice.ask(f"{QUICK} Hello")
    seen.look("temporary chat")
    alice.show_list()
    alice.page.get_by_role("link", name="New chat").first.click()
    expect(alice.page.locator(".toasts")).to_contain_text("ten minutes")
    seen.look("temporary left")
