"""The page with a keyboard and with a screen reader: where the focus goes, and what is announced."""

import pytest
from playwright.sync_api import expect

FOCUSED = "document.activeElement.matches('body') ? 'body' : document.activeElement.className"


def in_composer(chat):
    expect(chat.field).to_be_focused()


def test_the_model_button_names_the_model_and_the_composer_has_the_focus_after_it(alice):
    page = alice.page
    button = page.locator(".composer .model-button")
    shown = button.inner_text().strip()
    assert shown and shown in button.get_attribute("aria-label")
    button.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("listbox")).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("listbox")).to_have_count(0)
    in_composer(alice)


@pytest.mark.parametrize("by", ["keyboard", "itself"])
def test_the_focus_goes_to_the_composer_when_the_stop_button_goes(alice, by):
    alice.send(
        "[[tokens=400&rate=40]] a long answer"
        if by == "keyboard"
        else "[[tokens=40&rate=20]] short"
    )
    alice.writing()
    alice.page.get_by_role("button", name="Stop the answer").focus()
    if by == "keyboard":
        alice.page.keyboard.press("Enter")
    alice.ended()
    in_composer(alice)
    heard = "Stopped." if by == "keyboard" else "Answer complete."
    expect(alice.page.locator("[role=log]")).to_contain_text(heard)


def test_deleting_a_row_moves_the_focus_to_the_next(alice):
    for number in range(3):
        alice.visit()
        alice.ask(f"[[tokens=2]] question {number}")
    expect(alice.chats).to_have_count(3)
    alice.chats.nth(1).focus()
    following = alice.chats.nth(2).get_attribute("href")
    alice.page.keyboard.press("Delete")
    expect(alice.page.locator(f'.chat-link[href="{following}"]')).to_be_focused()


def test_the_focus_that_a_person_took_away_stays_away(alice):
    """Somebody who reads with the mouse is not sent to the composer by a button that goes."""
    alice.send("[[tokens=40&rate=20]] short")
    alice.writing()
    alice.page.get_by_role("button", name="Stop the answer").focus()
    alice.page.locator(".message-user .bubble").click()
    alice.ended()
    assert alice.page.evaluate(FOCUSED) != "composer-field"


def test_the_first_tab_stop_skips_to_the_composer(alice):
    page = alice.page
    link = page.get_by_role("link", name="Skip to your message")
    assert page.evaluate("document.querySelector('a, button, [tabindex]').className") == "skip-link"
    link.focus()
    expect(link).to_be_in_viewport()
    page.keyboard.press("Enter")
    in_composer(alice)
