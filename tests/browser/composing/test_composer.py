"""The composer: drafts on all devices, history, pasted texts, the send queue, input methods."""

import re
import uuid

from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage
from tests.browser.clipboard import PASTE, paste
from tests.browser.prompts import QUICK, prompts_of
from tests.stack import wait_for

SLOW = "[[rate=25&tokens=300]]"


def test_a_draft_is_there_on_another_device_while_one_writes(alice, new_context, shot):
    alice.ask(f"{QUICK} Alpha")
    device = new_context()
    device.add_cookies(alice.page.context.cookies())
    path = alice.page.url.removeprefix(alice.url)
    other = ChatPage(device.new_page(), alice.url).visit(path)
    other.is_live()
    alice.field.press_sequentially("half a thought")
    expect(other.field).to_have_value("half a thought")
    later = ChatPage(device.new_page(), alice.url).visit(path)
    expect(later.field).to_have_value("half a thought")
    other.field.fill("mine now")
    alice.page.wait_for_timeout(4_500)  # until her page no longer counts as being typed in
    other.field.press_sequentially(", and more")
    expect(alice.field).to_have_value("mine now, and more")
    alice.ask(f"{QUICK} Beta")
    expect(other.field).to_have_value("")


def test_what_is_typed_in_one_tab_stays_when_another_sends(alice):
    alice.ask(f"{QUICK} Alpha")
    other = ChatPage(alice.page.context.new_page(), alice.url)
    other.visit(alice.page.url.removeprefix(alice.url)).is_live()
    alice.field.press_sequentially(f"{QUICK} Beta")
    other.field.press_sequentially("half a thought")
    alice.page.bring_to_front()
    alice.field.press("Enter")
    alice.ended()
    expect(other.answers).to_have_count(2)
    other.page.wait_for_timeout(5_000)  # until the other page no longer counts as being typed in
    expect(other.field).to_have_value("half a thought")
    later = ChatPage(alice.page.context.new_page(), alice.url)
    later.visit(alice.page.url.removeprefix(alice.url))
    expect(later.field).to_have_value("half a thought")


def test_a_draft_that_was_written_while_the_connection_was_away_is_there_afterwards(
    alice, new_context
):
    alice.ask(f"{QUICK} Alpha")
    device = new_context()
    device.add_cookies(alice.page.context.cookies())
    other = ChatPage(device.new_page(), alice.url)
    sockets, is_away = [], False

    def pass_on(socket):
        sockets.append(socket)
        server = socket.connect_to_server()
        server.on_message(lambda message: None if is_away else socket.send(message))

    other.page.route_web_socket("**/ws*", pass_on)
    other.visit(alice.page.url.removeprefix(alice.url)).is_live()
    is_away = True
    with alice.page.expect_response("**/api/drafts"):
        alice.field.press_sequentially("half a thought")
    other.page.wait_for_timeout(500)
    is_away = False
    sockets[-1].close(code=1012)
    expect(other.field).to_have_value("half a thought")


def test_the_composer_shows_all_of_its_text_when_a_phone_is_turned(alice):
    alice.page.set_viewport_size({"width": 844, "height": 390})
    alice.field.fill("Words that need two lines or more where the page is as narrow as a phone is")
    height = "(field) => [field.clientHeight, field.scrollHeight]"
    lying = alice.field.evaluate(height)
    alice.page.set_viewport_size({"width": 390, "height": 844})
    wait_for(lambda: alice.field.evaluate(height)[0] > lying[0])
    shown, whole = alice.field.evaluate(height)
    assert shown >= whole


def test_a_draft_that_the_page_had_no_room_for_is_there_when_its_chat_is_opened(alice, new_context):
    for title, letter in (("Alpha", "a"), ("Beta", "b")):
        alice.ask(f"{QUICK} {title}")
        draft = letter * 120_000
        with alice.page.expect_response(
            lambda answer, draft=draft: draft in (answer.request.post_data or "")
        ):
            alice.field.fill(draft)
        alice.page.get_by_role("link", name="New chat").click()
        expect(alice.field).to_have_value("")
    device = new_context()
    device.add_cookies(alice.page.context.cookies())
    other = ChatPage(device.new_page(), alice.url).visit("/")
    other.is_live()
    listed = "JSON.parse(document.getElementById('config').textContent).drafts.length"
    assert other.page.evaluate(listed) == 1
    other.chats.last.click()
    expect(other.field).to_have_value("a" * 120_000)
    other.chats.first.click()
    expect(other.field).to_have_value("b" * 120_000)


def test_arrow_up_brings_back_what_was_written(alice):
    alice.ask(f"{QUICK} one")
    alice.ask(f"{QUICK} two")
    alice.field.press("ArrowUp")
    expect(alice.field).to_have_value(f"{QUICK} two")
    alice.field.press("ArrowUp")
    expect(alice.field).to_have_value(f"{QUICK} one")
    alice.field.press("ArrowDown")
    alice.field.press("ArrowDown")
    expect(alice.field).to_have_value("")
    alice.field.fill("mine")
    alice.field.press("ArrowUp")
    expect(alice.field).to_have_value("mine")


def test_a_long_pasted_text_is_folded_and_sent_with_the_message(alice, fake_model, shot):
    mark = str(uuid.uuid4())
    long = "\n".join(f"line {number} {mark}" for number in range(60))
    paste(alice, long)
    chip = alice.page.locator(".pasted")
    expect(chip).to_contain_text("Pasted text, 60 lines")
    expect(alice.field).to_have_value("")
    shot(alice.page, "pasted")
    chip.locator(".pasted-name").click()
    editor = alice.page.get_by_role("textbox", name="Edit the pasted text")
    editor.fill(long + "\nmended")
    alice.page.reload()
    expect(chip).to_contain_text("Pasted text, 61 lines")
    alice.ask(f"{QUICK} What is this?")
    expect(chip).to_have_count(0)
    sent = prompts_of(fake_model, mark)
    assert sent == [f"{QUICK} What is this?\n\n```pasted\n{long}\nmended\n```"]
    block = alice.questions.locator(".pasted-block")
    expect(block.locator("summary")).to_contain_text("Pasted text, 61 lines")
    block.locator("summary").click()
    expect(block.locator("pre")).to_contain_text("line 59")
    shot(alice.page, "pasted-sent")
    paste(alice, long)
    chip.get_by_role("button", name="Remove the pasted text").click()
    expect(chip).to_have_count(0)
    paste(alice, "short")
    expect(chip).to_have_count(0)


# Collects the long values that textareas with `dir="auto"` are given: for those Chromium needs
# time quadratic in the number of lines.
WATCH_VALUES = """(() => {
  window.slowValues = [];
  window.longValues = 0;
  const note = (field, value) => {
    if (String(value).length < 10_000) return;
    longValues += 1;
    if (field.dir === "auto") slowValues.push(field.className);
  };
  for (const [prototype, name] of [
    [HTMLTextAreaElement.prototype, "value"],
    [HTMLTextAreaElement.prototype, "defaultValue"],
  ]) {
    const { get, set } = Object.getOwnPropertyDescriptor(prototype, name);
    const observed = function (value) {
      note(this, value);
      set.call(this, value);
    };
    Object.defineProperty(prototype, name, { get, set: observed });
  }
  new MutationObserver((records) => {
    for (const { addedNodes } of records)
      for (const node of addedNodes)
        for (const field of node.querySelectorAll?.("textarea") ?? [])
          if (field.textContent) note(field, field.textContent);
  }).observe(document, { childList: true, subtree: true });
})()"""


def test_long_texts_are_put_into_fields_in_linear_time(alice):
    page = alice.page
    lines = "\n".join(f"{QUICK} line" if number == 0 else "line" for number in range(4_000))

    def are_put():
        assert page.evaluate("[longValues > 0, slowValues]") == [True, []]
        page.evaluate("longValues = 0")

    def has(field, text):
        wait_for(lambda: field.evaluate("(field) => field.value") == text)
        assert field.evaluate("(field) => field.dir") == "auto"

    page.add_init_script(WATCH_VALUES)
    page.reload()
    # Moves a pasted text into the field.
    paste(alice, lines)
    page.get_by_role("button", name="Put it into the message").click()
    has(alice.field, lines)
    assert alice.field.evaluate("(field) => field === document.activeElement")
    are_put()
    # Restores the draft.
    alice.field.press("Control+End")
    alice.field.press_sequentially("!")
    page.reload()
    has(alice.field, lines + "!")
    are_put()
    # Sends it, and brings it back with the arrow key.
    alice.field.press("Enter")
    expect(alice.answers).to_have_count(1)
    alice.ended()
    alice.field.press("ArrowUp")
    has(alice.field, lines + "!")
    are_put()
    # Edits the message.
    alice.questions.first.hover()
    alice.questions.first.get_by_role("button", name="Edit").click()
    editor = page.get_by_role("textbox", name="Edit your message")
    has(editor, lines + "!")
    are_put()
    # Pastes into the middle of the edited text.
    editor.evaluate("(field) => field.setSelectionRange(1, 3)")
    page.evaluate(PASTE, [editor.element_handle(), lines.replace("\n", "\r\n")])
    has(editor, lines[:1] + lines + lines[3:] + "!")
    assert editor.evaluate("(field) => field.selectionStart") == 1 + len(lines)
    are_put()
    page.get_by_role("button", name="Cancel").click()
    # Opens a pasted text, and pastes another into it.
    alice.field.fill("")
    paste(alice, lines)
    page.locator(".pasted-name").click()
    chip = page.get_by_role("textbox", name="Edit the pasted text")
    has(chip, lines)
    are_put()
    chip.evaluate("(field) => field.setSelectionRange(0, 0)")
    page.evaluate(PASTE, [chip.element_handle(), lines])
    has(chip, lines + lines)
    assert chip.evaluate("(field) => field.selectionStart") == len(lines)
    are_put()
    expect(page.locator(".pasted-title")).to_contain_text("7,999 lines")


def test_a_text_with_half_of_a_character_is_sent(alice, fake_model):
    mark = str(uuid.uuid4())
    put = "(field, text) => { field.value = text; field.dispatchEvent(new Event('input')) }"
    alice.field.evaluate(put, f"{QUICK} {mark}")
    alice.field.evaluate("(field) => { field.value += ' half \\ud83d.' }")
    alice.field.press("Enter")
    expect(alice.answers).to_have_count(1)
    alice.ended()
    assert prompts_of(fake_model, mark) == [f"{QUICK} {mark} half \ufffd."]


def test_what_is_sent_while_an_answer_runs_goes_next(alice, fake_model, shot):
    mark = str(uuid.uuid4())
    alice.send(f"{SLOW} {mark} first")
    alice.writing()
    alice.send(f"{QUICK} {mark} second")
    expect(alice.questions.last).to_contain_text("Next in line")
    alice.send(f"{QUICK} {mark} third")
    expect(alice.questions).to_have_count(3)
    shot(alice.page, "queue")
    alice.questions.last.get_by_role("button", name="Cancel").click()
    expect(alice.answers.last).to_contain_text("Stopped before the first word")
    expect(alice.questions.nth(1)).to_contain_text("Next in line")
    expect(alice.answers.nth(1)).to_have_attribute("aria-busy", "false")
    assert prompts_of(fake_model, mark) == [f"{SLOW} {mark} first", f"{QUICK} {mark} second"]


def test_composing_with_an_input_method_never_sends(alice):
    alice.field.fill("にほん")
    for event in ("{ isComposing: true }", "{ keyCode: 229 }"):
        alice.field.evaluate(
            "(field) => field.dispatchEvent(new KeyboardEvent('keydown',"
            f" {{ key: 'Enter', bubbles: true, cancelable: true, ...{event} }}))"
        )
    expect(alice.field).to_have_value("にほん")
    expect(alice.questions).to_have_count(0)
    alice.field.press("Shift+Enter")
    expect(alice.field).to_have_value("にほん\n")


def test_it_grows_with_its_text_up_to_a_bound(alice):
    one = alice.field.bounding_box()["height"]
    alice.field.fill("a\nb\nc\nd")
    four = alice.field.bounding_box()["height"]
    alice.field.fill("\n".join("many" for _ in range(200)))
    most = alice.field.bounding_box()["height"]
    assert one < four < most < alice.page.viewport_size["height"] / 2
    assert alice.field.evaluate("(field) => field.scrollHeight > field.clientHeight")


def test_a_send_that_is_clicked_twice_is_one(alice, fake_model):
    mark = str(uuid.uuid4())
    alice.field.fill(f"{QUICK} {mark}")
    alice.page.locator(".composer").get_by_role("button", name="Send", exact=True).dblclick()
    alice.ended()
    expect(alice.questions).to_have_count(1)
    assert prompts_of(fake_model, mark) == [f"{QUICK} {mark}"]


def test_answering_again_with_another_model_is_a_branch(alice):
    alice.ask(f"{QUICK} Alpha")
    alice.answers.last.hover()
    alice.answers.last.get_by_role("button", name="Answer again with another model").click()
    alice.page.get_by_role("option", name=re.compile("think")).click()
    expect(alice.answers.last.locator(".stepper-count")).to_have_text("2/2")
    alice.ended()
    expect(alice.answers.last.locator(".answer-model")).to_contain_text("think")
