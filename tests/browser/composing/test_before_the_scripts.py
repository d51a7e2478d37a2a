"""The field takes keys from the first paint; the scripts take it over with all that is in it."""

from contextlib import contextmanager

import pytest
from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage
from tests.browser.prompts import QUICK

SCRIPTS = "**/js/chat/**/*.js"
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
STATE = """(field) => ({
  text: field.value,
  caret: [field.selectionStart, field.selectionEnd, field.selectionDirection],
  hasFocus: document.activeElement === field,
  isSame: field === window.early,
})"""
BOX = "(field) => field.closest('.composer').getBoundingClientRect().toJSON()"


@contextmanager
def without_scripts(page, url):
    """Yields a page whose scripts have not come yet; afterwards they come and take over."""
    held, is_held = [], True
    page.route(SCRIPTS, lambda route: held.append(route) if is_held else route.continue_())
    page.goto(url, wait_until="commit")
    field = page.locator(".composer-field")
    expect(field).to_be_visible()
    field.evaluate("(field) => (window.early = field)")
    yield field
    assert page.locator(".app-shell").count() == 1 and held
    is_held = False
    for route in held:
        route.continue_()
    expect(page.locator(".app-shell")).to_have_count(0)


@pytest.mark.parametrize("device", ["wide", "phone"])
@pytest.mark.parametrize("place", ["start", "chat"])
def test_what_is_typed_before_the_scripts_come_stays_with_its_caret(
    place, device, alice, new_context, shot
):
    path = "/"
    if place == "chat":
        alice.ask(f"{QUICK} Hello")
        path = alice.page.url.removeprefix(alice.url)
    shape = PHONE if device == "phone" else {}
    page = new_context(storage_state=alice.page.context.storage_state(), **shape).new_page()
    with without_scripts(page, alice.url + path) as field:
        if device == "phone":
            field.tap()
        expect(field).to_be_focused()
        page.keyboard.type(f"{QUICK} Hello, world")
        for key in ["ArrowLeft"] * 2 + ["Shift+ArrowLeft"] * 3:
            page.keyboard.press(key)
        before, box = field.evaluate(STATE), field.evaluate(BOX)
        assert before["hasFocus"] and before["isSame"] and before["text"].endswith("Hello, world")
        shot(page, f"before-scripts-{place}-{device}")
    assert field.evaluate(STATE) == before
    assert field.evaluate(BOX) == pytest.approx(box, abs=1)
    page.keyboard.type("OOO")
    expect(field).to_have_value(f"{QUICK} Hello, OOOld")
    later = ChatPage(page, alice.url)
    page.get_by_role("button", name="Send", exact=True).click()
    expect(later.questions.last.locator(".bubble")).to_have_text(f"{QUICK} Hello, OOOld")
    later.ended()


def test_enter_before_the_scripts_come_keeps_the_text(alice):
    with without_scripts(alice.page, alice.url + "/") as field:
        page = alice.page
        page.keyboard.type(f"{QUICK} Hello")
        page.keyboard.press("Enter")
    expect(field).to_have_value(f"{QUICK} Hello\n")
    page.keyboard.press("Enter")
    expect(alice.questions.locator(".bubble")).to_have_text(f"{QUICK} Hello")
    expect(field).to_have_value("")


def page_of_another_device(alice, new_context):
    """An empty page of a device that shares the chat, in which a draft is stored."""
    alice.ask(f"{QUICK} Hello")
    with alice.page.expect_response(lambda answer: "a draft" in (answer.request.post_data or "")):
        alice.field.fill("a draft")
    device = new_context()
    device.add_cookies(alice.page.context.cookies())
    return device.new_page()


def test_a_draft_and_what_is_typed_before_it_can_be_shown_are_both_kept(alice, new_context):
    page = page_of_another_device(alice, new_context)
    with without_scripts(page, alice.page.url) as field:
        page.keyboard.type("typed")
        page.keyboard.press("ArrowLeft")
    expect(field).to_have_value("a draft\n\ntyped")
    page.keyboard.type("!")
    expect(field).to_have_value("a draft\n\ntype!d")
    expect(alice.field).to_have_value("a draft\n\ntype!d", timeout=15_000)


def test_a_draft_of_another_device_is_in_the_field_at_once(alice, new_context):
    page = page_of_another_device(alice, new_context)
    page.route_web_socket("**/ws*", lambda socket: None)
    ChatPage(page, alice.url).visit(alice.page.url.removeprefix(alice.url))
    expect(page.locator(".composer-field")).to_have_value("a draft")


def test_an_input_method_goes_on_composing_when_the_scripts_come(alice):
    page = alice.page
    keys = page.context.new_cdp_session(page)
    compose = "Input.imeSetComposition"
    with without_scripts(page, alice.url + "/") as field:
        expect(field).to_be_focused()
        keys.send(compose, {"text": "にほ", "selectionStart": 2, "selectionEnd": 2})
        expect(field).to_have_value("にほ")
    keys.send(compose, {"text": "にほん", "selectionStart": 3, "selectionEnd": 3})
    expect(field).to_have_value("にほん")
    keys.send("Input.insertText", {"text": "日本"})
    expect(field).to_have_value("日本")
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_enabled()


def test_a_phone_has_no_focus_in_the_field_until_it_is_touched(new_context, stack):
    page = new_context(**PHONE, is_mobile=True).new_page()
    ChatPage(page, stack.url).visit()
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_visible()
    expect(page.locator(".composer-field")).not_to_be_focused()
