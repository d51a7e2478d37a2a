"""The actions below a message with the keyboard: one stop of Tab for each message."""

import pytest
from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage

# Each stop of Tab in the chat, as the message that it is in and its name.
STOPS = """() => [...document.querySelectorAll(".message button, .message summary, .message a")]
  .filter((one) => one.tabIndex === 0 && !one.disabled)
  .map((one) => one.closest(".message").id)"""
FOCUSED = """() => {
  const one = document.activeElement;
  return one.getAttribute("aria-label") ?? one.textContent.trim();
}"""

# What has the focus a frame after a text began to be drawn in steps.
NOTE_FOCUS_WHILE_DRAWING = """() => {
  const look = () => {
    if (!document.querySelector(".md[data-drawing]")) return requestAnimationFrame(look);
    const one = document.activeElement;
    window.focusWhileDrawing = one.getAttribute("aria-label") ?? one.tagName;
  };
  requestAnimationFrame(look);
}"""


@pytest.fixture
def echo(echo_stack, new_context):
    return ChatPage(new_context().new_page(), echo_stack.url).visit()


def press(chat, *keys):
    for key in keys:
        chat.page.keyboard.press(key)
    return chat.page.evaluate(FOCUSED)


def test_each_message_is_one_stop_of_tab(alice):
    alice.ask("[[tokens=5]] One")
    alice.ask("[[tokens=5]] Two")
    ids = [one.get_attribute("id") for one in alice.page.locator(".message").all()]
    assert alice.page.evaluate(STOPS) == ids and len(ids) == 4
    toolbar = alice.questions.first.get_by_role("toolbar", name="Message actions")
    toolbar.get_by_role("button").first.focus()
    for message in ids[1:]:
        alice.page.keyboard.press("Tab")
        assert alice.page.evaluate("document.activeElement.closest('.message').id") == message
    alice.page.keyboard.press("Shift+Tab")
    assert alice.page.evaluate("document.activeElement.closest('.message').id") == ids[2]


def test_the_arrow_keys_move_among_the_actions(alice, shot):
    answer = alice.ask("[[tokens=5]] Hello")
    names = (
        answer.get_by_role("toolbar")
        .locator("button")
        .evaluate_all(
            "(all) => all.map((one) => one.getAttribute('aria-label') ?? one.textContent.trim())"
        )
    )
    assert "Copy the answer" in names and "Copy link to this message" in names
    answer.get_by_role("toolbar").get_by_role("button").first.focus()
    assert [press(alice, "ArrowRight") for _ in names] == [*names[1:], names[0]]
    assert press(alice, "ArrowLeft") == names[-1]
    assert press(alice, "Home") == names[0]
    assert press(alice, "End") == names[-1]
    # Shortcuts with a modifier belong to the browser and to the page.
    assert press(alice, "Control+ArrowLeft") == names[-1]
    shot(alice.page, "message-toolbar")
    # Tab comes back to the action that was used last.
    press(alice, "ArrowLeft", "Shift+Tab")
    assert press(alice, "Tab") == names[-2]


def test_the_arrow_keys_follow_the_direction_of_the_page(alice):
    answer = alice.ask("[[tokens=5]] Hello")
    alice.page.evaluate("document.documentElement.dir = 'rtl'")
    answer.get_by_role("toolbar").get_by_role("button").first.focus()
    assert press(alice, "ArrowLeft") == "Copy the answer"
    assert press(alice, "ArrowRight") != "Copy the answer"


def test_links_and_code_stay_within_reach(echo):
    echo.ask("SAY Read [this](https://example.org/).\n\n```python\nprint()\n```")
    link = echo.answers.last.get_by_role("link", name="this")
    link.focus()
    visited = [press(echo, "Tab") for _ in range(8)]
    assert "Copy code" in visited
    assert visited.index("Copy code") < next(
        place for place, name in enumerate(visited) if name == "Your message"
    )


def test_the_menu_of_models_has_its_own_keys(alice):
    answer = alice.ask("[[tokens=5]] Hello")
    trigger = answer.get_by_role("button", name="Answer again with another model")
    trigger.press("Enter")
    expect(alice.page.get_by_role("listbox")).to_be_visible()
    press(alice, "ArrowRight", "End")
    expect(alice.page.get_by_role("listbox")).to_be_visible()
    press(alice, "Escape")
    expect(trigger).to_be_focused()


def test_stepping_through_versions_keeps_the_focus_in_the_stepper(alice):
    answer = alice.ask("[[tokens=5]] Hello")
    answer.get_by_role("button", name="Answer again", exact=True).press("Enter")
    expect(alice.page.get_by_role("group", name="Version 2 of 2")).to_be_visible()
    alice.ended()
    back = alice.page.get_by_role("button", name="Previous version")
    back.press("Enter")
    expect(alice.page.get_by_role("group", name="Version 1 of 2")).to_be_visible()
    # There is no version before the first.
    expect(alice.page.get_by_role("button", name="Next version")).to_be_focused()
    assert len(alice.page.evaluate(STOPS)) == 2
    press(alice, "Enter")
    expect(alice.page.get_by_role("group", name="Version 2 of 2")).to_be_visible()
    expect(alice.page.get_by_role("button", name="Previous version")).to_be_focused()


def test_the_stepper_has_the_focus_while_a_long_version_is_drawn(echo):
    """The other actions of a message are hidden until its text is drawn in full."""
    answer = echo.ask("SAY*1000 One.¶\n\nSome *emphasised* words in a paragraph.")
    answer.get_by_role("button", name="Answer again", exact=True).press("Enter")
    expect(echo.page.get_by_role("group", name="Version 2 of 2")).to_be_visible()
    echo.ended()
    expect(echo.page.locator(".md[data-drawing]")).to_have_count(0)
    echo.page.evaluate(NOTE_FOCUS_WHILE_DRAWING)
    echo.page.get_by_role("button", name="Previous version").press("Enter")
    expect(echo.page.get_by_role("group", name="Version 1 of 2")).to_be_visible()
    echo.page.wait_for_function("() => window.focusWhileDrawing")
    assert echo.page.evaluate("window.focusWhileDrawing") == "Next version"
    expect(echo.answers.last.locator(".md[data-drawing]")).to_have_count(0)
    expect(echo.page.get_by_role("button", name="Next version")).to_be_focused()


def test_the_stepper_keeps_the_focus_while_the_log_catches_up(alice):
    """The log tells of the first of two quick steps after the second was shown."""
    answer = alice.ask("[[tokens=5]] Hello")
    answer.get_by_role("button", name="Answer again", exact=True).press("Enter")
    expect(alice.page.get_by_role("group", name="Version 2 of 2")).to_be_visible()
    alice.ended()
    back = alice.page.get_by_role("button", name="Previous version")
    with alice.page.expect_response("**/branch?**"):
        back.press("Enter")
    expect(alice.page.get_by_role("button", name="Next version")).to_be_focused()
    # Another tab steps forward and back again.
    other = ChatPage(alice.page.context.new_page(), alice.url)
    other.visit(alice.page.url.removeprefix(alice.url))
    other.page.get_by_role("button", name="Next version").click()
    expect(alice.page.get_by_role("group", name="Version 2 of 2")).to_be_visible()
    other.page.get_by_role("button", name="Previous version").click()
    expect(alice.page.get_by_role("group", name="Version 1 of 2")).to_be_visible()
    expect(alice.page.get_by_role("button", name="Next version")).to_be_focused()


def test_the_edit_button_has_the_focus_again_after_editing(alice):
    alice.ask("[[tokens=5]] Hello")
    edit = alice.questions.last.get_by_role("button", name="Edit")
    edit.press("Enter")
    expect(alice.page.get_by_role("textbox", name="Edit your message")).to_be_focused()
    press(alice, "Escape")
    expect(edit).to_be_focused()
    assert len(alice.page.evaluate(STOPS)) == 2


def test_another_action_of_the_message_takes_the_focus_of_one_that_goes(alice):
    answer = alice.ask("[[tokens=5]] Hello")
    button = answer.get_by_role("button", name="Copy the answer")
    button.focus()
    # As when the last model is taken away while its menu's button has the focus.
    button.evaluate("(one) => (one.disabled = true)")
    expect(answer.locator("[role=toolbar] button:focus")).to_have_count(1)
    expect(button).not_to_be_focused()
    assert len(alice.page.evaluate(STOPS)) == 2


def test_the_sheet_of_shortcuts_names_the_keys(alice, shot):
    alice.page.locator(".scroller").focus()
    alice.page.keyboard.press("?")
    sheet = alice.page.get_by_role("dialog", name="Keyboard shortcuts")
    row = sheet.locator("dl > div").filter(has_text="Move among the actions of a message")
    expect(row.locator("kbd")).to_have_text(["←", "→"])
    shot(alice.page, "shortcuts")
