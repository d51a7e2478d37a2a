"""The page with a keyboard and a screen reader: where the focus goes, what is announced."""

import pytest
from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage

FOCUSED = "document.activeElement.matches('body') ? 'body' : document.activeElement.className"


@pytest.fixture
def echo(echo_stack, new_context):
    return ChatPage(new_context().new_page(), echo_stack.url).visit()


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


def test_each_message_has_a_heading_and_those_of_an_answer_are_below_it(echo):
    answer = echo.ask("SAY # One\n\n## Two\n\n> ###### Six\n\nWords.")
    page = echo.page
    expect(answer.locator(".md h6")).to_be_visible()
    # As the browser tells a screen reader.
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    headings = [node for node in tree if node.get("role", {}).get("value") == "heading"]
    levels = {
        node["name"]["value"]: prop["value"]["value"]
        for node in headings
        for prop in node["properties"]
        if prop["name"] == "level"
    }
    wanted = {"You said": 2, "Echo said": 2, "One": 3, "Two": 4, "Six": 6}
    assert {name: levels.get(name) for name in wanted} == wanted
    page.evaluate("getSelection().selectAllChildren(document.querySelector('.scroller'))")
    assert "said" not in page.evaluate("getSelection().toString()")


def test_forced_colours_show_the_bubble_the_chosen_option_and_the_dot(alice):
    alice.ask("[[tokens=2]] question")
    page = alice.page
    page.emulate_media(forced_colors="active")
    style = "(element, name) => getComputedStyle(element)[name]"
    assert page.locator(".bubble").first.evaluate(style, "borderTopWidth") == "1px"
    assert page.locator(".connection-dot").evaluate(style, "borderTopWidth") == "4px"
    current = page.locator(".chat-link[aria-current=page]")
    assert current.evaluate(style, "outlineStyle") == "solid"
    page.locator(".composer .model-button").click()
    assert (
        page.locator(".menu-option[aria-selected=true]").evaluate(style, "outlineStyle") == "solid"
    )
