"""Input from input methods, the clipboard and drags, and output to the clipboard."""

import pytest
from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage
from tests.conftest import LAN_HOST

SAFARI = {"isComposing": False, "keyCode": 229}
CHROME = {"isComposing": True, "keyCode": 229}
PRESS = """(field, [key, { isComposing, keyCode }]) => {
  const event = new KeyboardEvent("keydown", { key, isComposing, bubbles: true, cancelable: true });
  Object.defineProperty(event, "keyCode", { get: () => keyCode });
  field.dispatchEvent(event);
}"""
INDENTED = "    if a:\n        return 1\n    return 2"
DRAG = """(element, [add]) => {
  const d = new DataTransfer();
  new Function("d", add)(d);
  return ["dragover", "drop"].map((type) => {
    const event = new DragEvent(type, { dataTransfer: d, bubbles: true, cancelable: true });
    element.dispatchEvent(event);
    return event.defaultPrevented;
  });
}"""
PASTE = """(element, [add]) => {
  const d = new DataTransfer();
  new Function("d", add)(d);
  const event = new ClipboardEvent("paste", { clipboardData: d, bubbles: true, cancelable: true });
  element.dispatchEvent(event);
  return event.defaultPrevented;
}"""


def compose(field, *keys):
    """Presses keys that an input method handles, as both kinds of browsers report them."""
    for key in keys:
        for how in (CHROME, SAFARI):
            field.evaluate(PRESS, [key, how])


def test_keys_of_an_input_method_are_no_commands(alice):
    """Tests the composer, the message editor, the list, the search and the instructions."""
    alice.ask("[[tokens=5]] かいぎ")
    page = alice.page
    alice.field.fill("にほん")
    compose(alice.field, "Enter", "Escape", "ArrowUp")
    expect(alice.field).to_have_value("にほん")
    expect(alice.questions).to_have_count(1)
    alice.questions.first.hover()
    alice.questions.first.get_by_role("button", name="Edit").click()
    editor = page.locator(".message-editing .field")
    editor.fill("へんこう")
    compose(editor, "Enter", "Escape")
    expect(editor).to_have_value("へんこう")
    editor.press("Escape")
    expect(editor).to_have_count(0)
    alice.chats.first.press("F2")
    title = page.locator(".rename-field")
    title.fill("かいぎ")
    compose(title, "Enter", "Escape")
    expect(title).to_have_value("かいぎ")
    title.press("Enter")
    expect(alice.chats.first).to_contain_text("かいぎ")
    page.keyboard.press("Control+k")
    query = page.locator(".palette-field input")
    query.fill("かいぎ")
    expect(page.locator("#palette-list [role=option]").first).to_be_visible()
    compose(query, "Enter", "Escape", "ArrowDown")
    expect(page.locator("#palette-0")).to_have_attribute("aria-selected", "true")
    query.press("Escape")
    page.get_by_role("button", name="Instructions").click()
    told = page.locator("dialog .dialog-text")
    told.fill("みじかく")
    compose(told, "Enter", "Escape")
    expect(told).to_have_value("みじかく")


def test_the_key_that_ends_a_composition_does_not_stop_an_answer(alice):
    alice.send("[[rate=20&tokens=900]] かいぎ")
    alice.writing()
    compose(alice.field, "Escape")
    alice.page.wait_for_timeout(1_000)
    expect(alice.answers.last).to_have_attribute("aria-busy", "true")
    alice.field.press("Escape")
    expect(alice.ended()).to_contain_text("Stopped")


def test_a_pasted_text_keeps_its_field_while_one_composes(alice):
    alice.field.evaluate(PASTE, ["d.setData('text/plain', 'x\\n'.repeat(60))"])
    alice.page.locator(".pasted-name").click()
    opened = alice.page.locator(".pasted-field")
    compose(opened, "Escape")
    expect(opened).to_be_visible()
    opened.press("Escape")
    expect(opened).to_have_count(0)


def test_indentation_of_the_first_line_is_kept(alice):
    alice.field.fill(f"\n  \n{INDENTED}\n\n")
    alice.field.press("Enter")
    bubble = alice.questions.first.locator(".bubble")
    expect(bubble).to_be_visible()
    assert bubble.evaluate("(it) => it.textContent") == INDENTED
    alice.ended()
    alice.questions.first.hover()
    alice.questions.first.get_by_role("button", name="Edit").click()
    editor = alice.page.locator(".message-editing .field")
    expect(editor).to_have_value(INDENTED)
    editor.fill(f"  edited\n{INDENTED}\n ")
    editor.press("Enter")
    expect(bubble).to_contain_text("edited")
    alice.ended()
    assert bubble.evaluate("(it) => it.textContent") == f"  edited\n{INDENTED}"
    alice.page.reload()
    expect(bubble).to_contain_text("edited")
    assert bubble.evaluate("(it) => it.textContent") == f"  edited\n{INDENTED}"


def test_a_message_of_blanks_alone_is_not_sent(alice):
    alice.field.fill(" \n\t\n ")
    alice.field.press("Enter")
    expect(alice.page.get_by_role("button", name="Send", exact=True)).to_be_disabled()
    expect(alice.questions).to_have_count(0)


def test_text_dropped_into_a_field_is_the_browsers_own(alice):
    text = "d.setData('text/plain', 'words')"
    assert alice.field.evaluate(DRAG, [text]) == [False, False]
    link = "d.setData('text/uri-list', 'https://example.org/')"
    assert alice.page.locator("main").evaluate(DRAG, [link]) == [True, True]
    expect(alice.page.locator(".toast")).to_have_count(0)


@pytest.fixture
def lan(new_context, stack):
    """A page of another host over plain http, where a browser has no clipboard for scripts, no
    locks, no service worker and no digests."""
    url = stack.url.replace("127.0.0.1", LAN_HOST)
    return ChatPage(new_context().new_page(), url).visit()


def test_copying_works_on_plain_http_and_the_place_of_the_reader_stays(lan):
    page = lan.page
    assert page.evaluate("isSecureContext") is False
    lan.ask("[[tokens=5]] a question")
    answer = lan.text_of(lan.answers.last)
    assert copied(lan, lambda: page.keyboard.press("Control+Shift+C")) == answer
    lan.questions.first.hover()
    button = lan.questions.first.get_by_role("button", name="Copy", exact=True)
    assert copied(lan, button.click) == "[[tokens=5]] a question"
    expect(lan.questions.first.locator("[data-said='Copied']")).to_be_visible()
    expect(lan.questions.first.locator("[data-said]")).to_be_focused()
    link = lan.questions.first.get_by_role("button", name="Copy link")
    assert copied(lan, link.click).startswith(f"{page.url}#m-")
    assert copied(lan, lambda: choose(page, "copy the last")) == answer


def choose(page, command):
    page.keyboard.press("Control+k")
    page.locator(".palette-field input").fill(command)
    page.keyboard.press("Enter")


NOT_COPIED = "nothing was copied yet"


def copied(chat, act):
    """Pastes into the composer what `act` has put into the clipboard; returns it. Restores focus
    and selection."""
    chat.field.fill(NOT_COPIED)
    chat.field.select_text()
    chat.page.keyboard.press("Control+x")
    expect(chat.field).to_have_value("")
    act()
    chat.page.wait_for_timeout(300)
    expect(chat.page.locator("dialog[open], body > textarea")).to_have_count(0)
    focused = chat.page.evaluate_handle("document.activeElement")
    chat.field.focus()
    for _ in range(20):
        if (found := pasted(chat)) != NOT_COPIED:
            break
        chat.page.wait_for_timeout(200)
    focused.evaluate("(element) => element.focus()")
    return found


def pasted(chat):
    chat.page.keyboard.press("Control+v")
    expect(chat.field).not_to_have_value("")
    found = chat.field.input_value()
    chat.field.fill("")
    return found


def test_what_the_browser_does_not_let_us_copy_is_shown_selected(lan, shot):
    lan.ask("[[tokens=5]] a question")
    lan.page.evaluate("document.execCommand = () => false")
    lan.questions.first.hover()
    lan.questions.first.get_by_role("button", name="Copy", exact=True).click()
    field = lan.page.locator("dialog[open] textarea")
    expect(field).to_be_focused()
    assert field.evaluate("(it) => it.value.slice(it.selectionStart, it.selectionEnd)") == (
        "[[tokens=5]] a question"
    )
    shot(lan.page, "copy-by-hand")
    lan.page.keyboard.press("Escape")
    expect(field).to_have_count(0)
