"""Answers that are read aloud: by the provider's voice, with a player, and by the browser's own."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage
from tests.stack import Stack

# Three sentences.
ASK = "[[tokens=27]] Why tides?"
# What is marked now.
MARKED = (
    """() => [...(CSS.highlights.get("spoken") ?? [])].map((range) => range.toString()).join()"""
)
SPOKEN = """(wanted) => [...(CSS.highlights.get("spoken") ?? [])].join() === wanted"""
# A voice that speaks until the test says that a sentence has ended.
VOICE = """() => {
  const said = (window.said = []);
  Object.defineProperty(window, "speechSynthesis", { value: {
    getVoices: () => [{}], addEventListener() {},
    speak: (utterance) => said.push(utterance), cancel: () => said.push(null),
  } });
}"""


@pytest.fixture(scope="module")
def stack(fake_model):
    env = {"HOLDFAST_SPEECH": "openai/tts?ms=60&headers_ms=400", "HOLDFAST_SPEECH_VOICE": "verse"}
    with Stack(model_url=fake_model.base_url, workers=1, env=env) as running:
        yield running


@pytest.fixture(scope="module")
def silent_stack(fake_model):
    with Stack(model_url=fake_model.base_url, workers=1) as running:
        yield running


@pytest.fixture
def seen(alice, inspect):
    return inspect(alice.page)


def begin(answer):
    return answer.get_by_role("button", name="Read aloud", exact=True)


def end(answer):
    return answer.get_by_role("button", name="Stop reading aloud")


def player(answer):
    return answer.get_by_role("group", name="Answer read aloud")


def sentences(answer):
    return re.findall(r"[^.]+\.", answer.locator(":scope > .md").inner_text())


def spoken(fake_model):
    return [one["prompt"] for one in fake_model.requests if one["path"].endswith("/audio/speech")]


def test_an_answer_is_made_once_played_and_marked(alice, fake_model):
    page, answer = alice.page, alice.ask(ASK)
    first, second, _ = (sentence.strip() for sentence in sentences(answer))
    begin(answer).focus()
    page.keyboard.press("Enter")
    expect(player(answer)).to_contain_text("Preparing…")
    expect(end(answer)).to_be_focused()
    expect(player(answer).get_by_role("button", name="Pause")).to_be_visible()
    page.wait_for_function(SPOKEN, arg=first)
    position = player(answer).get_by_role("slider", name="Position")
    player(answer).get_by_role("button", name="Pause").click()
    position.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(SPOKEN, arg=second)
    expect(position).to_have_attribute("aria-valuetext", re.compile(r"^0:0\d of 0:1\d$"))
    player(answer).get_by_role("button", name="Speed: 1×").click()
    player(answer).get_by_role("button", name="Speed: 1.25×").focus()
    page.keyboard.press("Escape")
    expect(player(answer)).to_have_count(0)
    expect(begin(answer)).to_be_focused()
    assert page.evaluate(MARKED) == ""
    calls = len(spoken(fake_model))
    # The second time nothing is asked for.
    page.reload()
    answer = alice.answers.last
    posts = []
    page.on("request", lambda request: request.method == "POST" and posts.append(request.url))
    begin(answer).click()
    page.wait_for_function(SPOKEN, arg=first)
    assert not [url for url in posts if url.endswith("/speech")]
    assert len(spoken(fake_model)) == calls


# The middle of the first letters of a text in the answer, in the window.
POINT = """(answer, text) => {
  const root = answer.querySelector(":scope > .md");
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const start = walker.currentNode.data.indexOf(text);
    if (start < 0) continue;
    const range = new Range();
    range.setStart(walker.currentNode, start);
    range.setEnd(walker.currentNode, start + 3);
    const { x, y, width, height } = range.getBoundingClientRect();
    return { x: x + width / 3, y: y + height / 2 };
  }
}"""
SELECT = """(answer, text) => {
  find(text, true, false, true);
  document.activeElement.blur();
}"""


def test_a_word_leads_to_its_place_in_the_sound(alice):
    page, answer = alice.page, alice.ask(ASK)
    first, second, third = (sentence.strip() for sentence in sentences(answer))
    begin(answer).click()
    page.wait_for_function(SPOKEN, arg=first)
    position = player(answer).get_by_role("slider", name="Position")
    player(answer).get_by_role("button", name="Pause").click()
    point = answer.evaluate(POINT, third)
    page.mouse.click(point["x"], point["y"])
    page.wait_for_function(SPOKEN, arg=third)
    # It goes on from there.
    player(answer).get_by_role("button", name="Pause").click()
    point = answer.evaluate(POINT, second)
    page.mouse.click(point["x"], point["y"])
    page.wait_for_function(SPOKEN, arg=second)
    player(answer).get_by_role("button", name="Pause").click()
    at = position.input_value()
    # Selecting text is not asking for it.
    page.mouse.dblclick(point["x"], point["y"])
    page.mouse.move(point["x"], point["y"])
    page.mouse.down()
    page.mouse.move(point["x"] + 90, point["y"], steps=4)
    page.mouse.up()
    assert page.evaluate("getSelection().toString()")
    expect(player(answer).get_by_role("button", name="Play", exact=True)).to_be_visible()
    assert abs(int(position.input_value()) - int(at)) < 1_000
    # Enter goes to what is selected.
    answer.evaluate(SELECT, third)
    page.keyboard.press("Enter")
    page.wait_for_function(SPOKEN, arg=third)
    end(answer).click()
    page.mouse.click(point["x"], point["y"])
    expect(player(answer)).to_have_count(0)


def test_one_at_a_time_and_until_the_chat_is_left(alice):
    page = alice.page
    alice.ask(ASK)
    alice.ask(f"{ASK} And moons?")
    first, second = alice.answers.nth(0), alice.answers.nth(1)
    begin(first).click()
    expect(player(first)).to_be_visible()
    begin(second).click()
    expect(player(first)).to_have_count(0)
    expect(player(second).get_by_role("button", name="Pause")).to_be_visible()
    # A refusal that comes too late ends nothing.
    end(second).click()
    held = []
    page.route("**/speech", lambda route: held.append(route), times=1)
    alice.ask(f"{ASK} And suns?")
    third = alice.answers.nth(2)
    begin(third).click()
    expect(player(third)).to_contain_text("Preparing…")
    begin(second).click()
    expect(player(second).get_by_role("button", name="Pause")).to_be_visible()
    with page.expect_event("requestfailed"):
        held[0].abort("connectionreset")
    page.evaluate("() => new Promise(requestAnimationFrame)")
    expect(player(second).get_by_role("button", name="Pause")).to_be_visible()
    assert page.evaluate("navigator.mediaSession.metadata.title")
    page.get_by_role("link", name="New chat").click()
    expect(alice.answers).to_have_count(0)
    assert page.evaluate("navigator.mediaSession.metadata") is None
    assert page.evaluate(MARKED) == ""


def test_a_refusal_is_said_and_a_deleted_sound_is_made_again(alice, seen):
    page, answer = alice.page, alice.ask(ASK)
    page.route("**/speech", lambda route: route.abort("connectionreset"), times=1)
    begin(answer).click()
    expect(player(answer)).to_contain_text("The server can’t be reached.")
    seen.look("reading aloud refused", part=".speech-bar")
    begin(answer).click()
    expect(player(answer).get_by_role("button", name="Pause")).to_be_visible()
    end(answer).click()
    # The page does not know yet that it is gone.
    page.route("**/original", lambda route: route.fulfill(status=404), times=1)
    with page.expect_request("**/speech"):
        begin(answer).click()
    expect(player(answer).get_by_role("button", name="Pause")).to_be_visible()


def test_in_light_in_dark_and_on_a_phone(alice, seen):
    page, answer = alice.page, alice.ask(ASK)
    begin(answer).click()
    player(answer).get_by_role("button", name="Pause").click()
    page.evaluate("() => document.activeElement.blur()")
    seen.look("reading aloud")


def test_the_voice_of_the_browser(new_context, silent_stack):
    page = new_context().new_page()
    page.add_init_script(f"({VOICE})()")
    alice = ChatPage(page, silent_stack.url).visit()
    answer = alice.ask(ASK)
    parts = [sentence.strip() for sentence in sentences(answer)]
    begin(answer).click()
    page.wait_for_function(SPOKEN, arg=parts[0])
    assert page.evaluate("said.at(-1).text") == parts[0]
    page.evaluate("said.at(-1).onend()")
    page.wait_for_function(SPOKEN, arg=parts[1])
    expect(player(answer)).to_have_count(0)
    page.keyboard.press("Escape")
    expect(begin(answer)).to_be_visible()
    assert page.evaluate("said.at(-1)") is None and page.evaluate(MARKED) == ""
    begin(answer).click()
    for _ in parts:
        page.evaluate("said.at(-1).onend()")
    expect(begin(answer)).to_be_visible()


def test_without_any_voice_there_is_no_button(new_context, silent_stack):
    page = new_context().new_page()
    page.add_init_script("Object.defineProperty(window, 'speechSynthesis', { value: undefined })")
    answer = ChatPage(page, silent_stack.url).visit().ask(ASK)
    expect(answer.get_by_role("button", name="Copy")).not_to_have_count(0)
    expect(begin(answer)).to_have_count(0)
