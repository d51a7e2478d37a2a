"""The composer: drafts on all devices, history, pasted texts, the send queue, input methods."""

import re
import uuid

import pytest
from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage
from tests.browser.clipboard import PASTE, paste
from tests.browser.prompts import QUICK, prompts_of
from tests.stack import wait_for

SLOW = "[[rate=25&tokens=300]]"
FIELD_CHARS, FIELD_LINES = 32_000, 4_000  # static/js/chat/compose/pasted.js


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
        folded = letter * (120_000 - FIELD_CHARS)
        with alice.page.expect_response(
            lambda answer, folded=folded: folded in (answer.request.post_data or "")
        ):
            alice.field.fill(letter * 120_000)
        alice.page.get_by_role("link", name="New chat").click()
        expect(alice.field).to_have_value("")
    device = new_context()
    device.add_cookies(alice.page.context.cookies())
    other = ChatPage(device.new_page(), alice.url).visit("/")
    other.is_live()
    listed = "JSON.parse(document.getElementById('config').textContent).drafts.length"
    assert other.page.evaluate(listed) == 1
    for chat, letter in ((other.chats.last, "a"), (other.chats.first, "b")):
        chat.click()
        expect(other.field).to_have_value(letter * FIELD_CHARS)
        expect(other.page.locator(".pasted-start")).to_contain_text(letter * 80)


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


# Counts the lines of what textareas are given, and collects the fields that are given many while
# they have `dir="auto"`: for those Chromium needs time quadratic in the number of lines.
WATCH_VALUES = """(() => {
  window.slowValues = [];
  window.mostLines = 0;
  const note = (field, value) => {
    const lines = String(value).split("\\n").length;
    mostLines = Math.max(mostLines, lines);
    if (field.dir === "auto" && lines > 200) slowValues.push(field.className);
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
DROP = PASTE.replace("clipboardData", "dataTransfer").replace(
    'new ClipboardEvent("paste"', 'new DragEvent("drop"'
)
PUT = """(field, text) => {
  field.setRangeText(text, 0, field.value.length);
  field.dispatchEvent(new InputEvent("input", { bubbles: true }));
}"""
SEND = """async ([chat, id, text]) => {
  const token = document.cookie.match(/csrftoken=([^;]+)/)[1];
  const headers = { "X-CSRFToken": token, "Content-Type": "application/json" };
  const { models } = JSON.parse(document.getElementById("config").textContent);
  const body = JSON.stringify({ id, text, model: models[0].id });
  const path = `/api/chats/${chat}/messages`;
  return (await fetch(path, { method: "POST", headers, body })).status;
}"""
LINES = [f"{QUICK} line 0", *(str(number) for number in range(1, 10_000))]
LONG = "\n".join(LINES)


@pytest.fixture
def fields(alice):
    """Asserts which values the page has set since the last call."""
    alice.page.add_init_script(WATCH_VALUES)
    alice.page.reload()
    expect(alice.field).to_be_visible()

    def were_short():
        assert 200 < alice.page.evaluate("mostLines") <= FIELD_LINES + 1
        assert alice.page.evaluate("slowValues") == []
        alice.page.evaluate("mostLines = 0")

    return were_short


def test_the_composer_never_lays_out_a_long_text(alice, fake_model, fields):
    """What does not fit is folded, and the whole text is sent."""
    page, chip = alice.page, alice.page.locator(".pasted-title")
    paste(alice, LONG)
    expect(chip).to_contain_text("10,000 lines")
    expect(alice.field).to_have_value("")
    # One that fits can be moved into the field, this one cannot.
    expect(page.get_by_role("button", name="Put it into the message")).to_have_count(0)
    page.get_by_role("button", name="Remove the pasted text").click()
    short = "\n".join(f"{line}, and on" for line in LINES[:300])
    paste(alice, short)
    page.get_by_role("button", name="Put it into the message").click()
    expect(alice.field).to_have_value(short)
    expect(alice.field).to_be_focused()
    fields()
    alice.field.fill("")
    page.evaluate(DROP, [alice.field.element_handle(), LONG])
    expect(chip).to_contain_text("10,000 lines")
    page.get_by_role("button", name="Remove the pasted text").click()
    # It grows beyond the bound.
    alice.field.evaluate(PUT, LONG)
    is_folded(alice.field, chip)
    # Restores the draft.
    page.reload()
    is_folded(alice.field, chip)
    assert alice.field.evaluate("(field) => field.dir") == "auto"
    fields()
    # Sends it, and brings it back with the arrow key, which then goes on to the message before.
    alice.field.press("Enter")
    expect(alice.answers).to_have_count(1)
    alice.ended()
    first = alice.questions.first.locator(".pasted-block pre")
    assert first.evaluate("(it) => it.textContent").endswith(LINES[-1])
    alice.ask(f"{QUICK} {uuid.uuid4()}")
    page.evaluate("mostLines = 0")
    alice.field.press("ArrowUp")
    alice.field.press("ArrowUp")
    is_folded(alice.field, chip)
    fields()
    alice.field.press("ArrowDown")
    expect(chip).to_have_count(0)
    alice.field.press("ArrowDown")
    expect(alice.field).to_have_value("")


def test_a_long_message_is_edited_folded(alice, fake_model, fields):
    page, mark = alice.page, str(uuid.uuid4())
    long = f"{QUICK} {mark}\n" + ("a" + "\n" * 9) * 500 + "."
    sent_without_folds(alice, long)
    alice.questions.first.hover()
    alice.questions.first.get_by_role("button", name="Edit").click()
    editor = page.get_by_role("textbox", name="Edit your message")
    chip = page.locator(".message-editing .pasted-title")
    is_folded(editor, chip)
    fields()
    # Nothing was changed: nothing is sent.
    editor.press("Enter")
    expect(editor).to_have_count(0)
    assert prompts_of(fake_model, mark) == [long]
    alice.questions.first.hover()
    alice.questions.first.get_by_role("button", name="Edit").click()
    page.evaluate(PASTE, [editor.element_handle(), "pasted\r\n" * 40])
    expect(chip).to_have_count(2)
    page.evaluate(DROP, [editor.element_handle(), LONG])
    expect(chip).to_have_count(3)
    # The model could not read all of them.
    page.get_by_role("button", name="Remove the pasted text").last.click()
    editor.press("Control+End")
    editor.press_sequentially("!")
    editor.press("Enter")
    expect(alice.questions.first.locator(".pasted-block")).to_have_count(2)
    wait_for(lambda: len(prompts_of(fake_model, mark)) == 2)
    first, *pastes = prompts_of(fake_model, mark)[-1].split("\n\n```pasted\n")
    texts = [paste.removesuffix("\n```") for paste in pastes]
    start = first.removesuffix("!")
    assert long.startswith(start) and long.endswith(texts[0])
    assert long.count("a") == start.count("a") + texts[0].count("a")
    assert texts[1:] == ["pasted\n" * 40]
    fields()


def test_a_long_pasted_text_is_edited_in_parts(alice, fields):
    page = alice.page
    paste(alice, LONG)
    page.locator(".pasted-name").click()
    part = page.get_by_role("textbox", name="Edit the pasted text")
    place = page.locator(".pasted-parts")
    expect(place).to_contain_text("Part 1 of 3")
    expect(part).to_be_focused()
    parts = [part.input_value()]
    for _ in range(2):
        page.get_by_role("button", name="Next part").click()
        parts.append(part.input_value())
    assert "".join(parts) == LONG
    expect(page.get_by_role("button", name="Next part")).to_be_disabled()
    part.press("Control+End")
    part.press_sequentially("!")
    # A long text that is pasted divides the part, and the caret follows it.
    part.evaluate("(field) => field.setSelectionRange(1, 3)")
    page.evaluate(PASTE, [part.element_handle(), LONG])
    expect(place).to_contain_text("Part 5 of 5")
    caret = part.evaluate("(field) => field.selectionStart")
    assert part.input_value()[:caret].endswith(LINES[-1])
    expect(part).to_be_focused()
    fields()
    page.reload()
    expect(page.locator(".pasted-title")).to_contain_text("19,999 lines")
    alice.field.press("Enter")
    sent = alice.questions.first.locator(".pasted-block pre")
    expected = "".join(parts[:2]) + parts[2][:1] + LONG + parts[2][3:] + "!"
    assert sent.evaluate("(it) => it.textContent") == expected


def is_folded(field, chip):
    """The field shows the beginning of a long text."""
    expect(chip).to_contain_text("lines")
    expect(field).to_have_value(re.compile(re.escape(QUICK)))
    assert 200 < field.input_value().count("\n") < FIELD_LINES


def sent_without_folds(alice, text):
    """Sends as another client may, then opens the chat."""
    chat = str(uuid.uuid4())
    assert alice.page.evaluate(SEND, [chat, str(uuid.uuid4()), text]) == 202
    alice.visit(f"/c/{chat}")
    alice.ended()


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
