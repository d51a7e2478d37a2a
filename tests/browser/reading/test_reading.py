"""Reading: long chats, the browser's own search, print, right-to-left text, a phone."""

import re
import unicodedata

import pytest
from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage
from tests.browser.devices import PHONE
from tests.browser.pdf_text import pdf_text
from tests.browser.reading.bidi_texts import ARABIC
from tests.browser.written_chat import write_chat
from tests.examples import FULL

# Answers of a long chat, answers that fly past, and tokens of a long answer.
MANY, PASSED, LONG_TOKENS = (5_000, 1_500, 17_000) if FULL else (1_000, 600, 8_000)
NEEDLE = "a needle in a haystack"
# `window.find` selects its result, as the browser's search does, but does not scroll to it.
FIND = """(text) => {
  const isFound = find(text, false, false, true);
  if (isFound) getSelection().anchorNode.parentElement.scrollIntoView({block: "center"});
  return isFound;
}"""
SELECTED = """() => {
  const selection = getSelection();
  const {top, bottom} = selection.getRangeAt(0).getBoundingClientRect();
  const view = document.querySelector(".scroller").getBoundingClientRect();
  return {text: selection.toString(), isSeen: top >= view.top && bottom <= view.bottom};
}"""
SETTLED = "new Promise((done) => requestIdleCallback(() => setTimeout(done, 200)))"


@pytest.fixture
def echo(echo_stack, new_context):
    return ChatPage(new_context().new_page(), echo_stack.url).visit()


MOST_SHIFTED = 0.05
# Sums up the layout shifts that no input caused. Those of text are left out: when a part of a text
# begins to be skipped (content-visibility) in the frame in which the view follows the end, Chromium
# compares its place with one that it never had. NOTE_MOVES looks where text really is.
NOTE_SHIFTS = """
window.shifted = 0;
const isText = ({node}) => !node || (node.closest ? node : node.parentElement)?.closest(".md");
new PerformanceObserver((list) => {
  for (const shift of list.getEntries())
    if (!shift.hadRecentInput && !shift.sources.some(isText)) window.shifted += shift.value;
}).observe({ type: "layout-shift", buffered: true });
"""
# Compares, after each frame, where the blocks are that the frame before showed. While the view
# follows the end, they move up, and all by as much. Anything else is a move that a person sees.
NOTE_MOVES = """
window.frames = 0;
window.moves = [];
const blocks = ".scroller :is(.md-block, .message-user)";
let seen = [];
function look() {
  const view = document.querySelector(".scroller")?.getBoundingClientRect();
  const places = seen.filter(([block]) => block.isConnected)
    .map(([block, was]) => [was, block.getBoundingClientRect()]);
  const up = places.map(([was, is]) => was.top - is.top);
  const isAside = places.some(([was, is]) => Math.abs(was.left - is.left) > 1);
  if (isAside || Math.min(...up) < -1 || Math.max(...up) - Math.min(...up) > 1)
    window.moves.push({isAside, up});
  window.frames += places.length > 0;
  seen = [...(view ? document.querySelectorAll(blocks) : [])]
    .map((block) => [block, block.getBoundingClientRect()])
    .filter(([, {top, bottom}]) => bottom > view.top && top < view.bottom);
}
const {port1, port2} = new MessageChannel();
port1.onmessage = look;
(function frame() {
  port2.postMessage(null);
  requestAnimationFrame(frame);
})();
"""
# How much of the chat is below what one sees.
BELOW_VIEW_PX = """() => {
  const { scrollHeight, scrollTop, clientHeight } = document.querySelector(".scroller");
  return scrollHeight - scrollTop - clientHeight;
}"""


def test_the_browsers_own_search_finds_what_is_far_away(alice, stack):
    said = [(f"Question {n}", f"Answer {n} with **some** words.") for n in range(MANY)]
    said[40] = ("Question 40", f"Here is {NEEDLE}, and `more` of it.\n\n- one\n- two")
    write_chat(alice, stack, said)
    expect(alice.answers.last).to_contain_text(f"Answer {MANY - 1}")
    page = alice.page
    # The start of a search loads all messages at once instead of when the page is idle.
    page.keyboard.press("F3")
    expect(page.locator(".message")).to_have_count(2 * MANY, timeout=60_000)
    # The page loses the focus, as when the browser's search field has it.
    page.evaluate("dispatchEvent(new Event('blur'))")
    found = page.locator(".message", has_text=NEEDLE)
    page.evaluate("document.activeElement.blur()")
    assert page.evaluate(FIND, NEEDLE)
    page.evaluate(SETTLED)
    # The message is not redrawn yet, so the result stays selected and in view.
    assert page.evaluate(SELECTED) == {"text": NEEDLE, "isSeen": True}
    page.evaluate("dispatchEvent(new Event('focus'))")
    page.evaluate(SETTLED)
    assert page.evaluate(SELECTED) == {"text": NEEDLE, "isSeen": True}
    # When the selection ends, the message is redrawn.
    page.evaluate("getSelection().removeAllRanges()")
    expect(found.locator(".md li")).to_have_count(2)


FLING = """async () => {
  const scroller = document.querySelector(".scroller");
  const drawn = () => document.querySelectorAll(".message-answer .md").length;
  const before = drawn();
  while (scroller.scrollTop > 0) {
    scroller.scrollTop -= 2_000;
    await new Promise((done) => requestAnimationFrame(done));
  }
  return drawn() - before;
}"""


def test_what_flies_past_is_not_drawn(alice, stack):
    write_chat(alice, stack, [(f"Question {n}", f"Answer {n}.\n\n" * 3) for n in range(PASSED)])
    expect(alice.page.locator(".message")).to_have_count(2 * PASSED, timeout=60_000)
    # Messages near the end are drawn already.
    passed = PASSED - alice.page.locator(".message-answer .md").count()
    assert alice.page.evaluate(FLING) < passed / 4
    expect(alice.page.locator(".message-answer").first.locator(".md p")).to_have_count(3)


def test_on_paper_a_chat_is_whole(alice, stack, shot):
    code = "".join(f"line_{n} = {'value + ' * 30}{n}\n" for n in range(60))
    said = [(f"Question {n}", f"Answer {n} with **strong** words.") for n in range(400)]
    said[0] = ("The very first question", f"The *very first* answer.\n\n```python\n{code}```")
    said[-1] = ("The very last question", "The *very last* answer, $a^2$.")
    write_chat(alice, stack, said)
    expect(alice.answers.last.locator(".katex")).to_be_visible()
    alice.page.emulate_media(color_scheme="dark")
    pages = pdf_text(alice.page.pdf())
    # The machine's font may have ligatures, which are characters of their own in a PDF.
    words = unicodedata.normalize("NFKC", "".join(pages))
    lines = "".join(words.split("\n"))
    for part in ("very first question", "very first answer", "very last question", "very last"):
        assert re.sub(r"\s", "", part) in re.sub(r"\s", "", lines)
    assert "line_0=" in re.sub(r"\s", "", lines) and "line_59=" in re.sub(r"\s", "", lines)
    squeezed = re.sub(r"\s", "", lines)
    assert all(f"Question{n}" in squeezed and f"Answer{n}with" in squeezed for n in range(1, 399))
    assert "**" not in words and "Your message" not in words and "New chat" not in words
    # After printing, the end of the chat is in view, as before.
    expect(alice.answers.last).to_be_in_viewport()
    alice.page.emulate_media(media="print")
    shot(alice.page, "print")


def test_what_is_printed_has_room_and_light_colours(echo, shot):
    echo.ask("SAY A sentence.\n\n```js\n" + "const x = 'a long line of code'; " * 12 + "\n```\n")
    echo.page.emulate_media(media="print", color_scheme="dark")
    for name in (".sidebar", ".dock", ".code-tools"):
        expect(echo.page.locator(name).first).not_to_be_visible()
    expect(echo.page.locator(".topbar-title")).to_be_visible()
    luminance = "(node) => getComputedStyle(node).color"
    assert "0.25" in echo.page.locator(".md p").evaluate(luminance)
    pre = echo.page.locator(".code pre")
    assert pre.evaluate("(node) => node.scrollWidth <= node.clientWidth")
    shot(echo.page, "print-code")


def test_a_wide_table_fits_on_the_paper(echo, shot):
    columns = 14
    head = "|".join(f"A rather long heading {n}" for n in range(columns))
    row = "|".join(f"averylongwordthathasnoplacetobreak{n}" for n in range(columns))
    rows = f"|{row}|\n" * 60
    echo.ask(f"SAY |{head}|\n|{'---|' * columns}\n{rows}")
    echo.page.set_viewport_size({"width": 700, "height": 900})
    echo.page.emulate_media(media="print")
    edge = "(tables) => Math.max(...tables.map((table) => table.getBoundingClientRect().right))"
    paper = echo.page.evaluate("document.documentElement.clientWidth")
    assert echo.page.locator(".md table").evaluate_all(edge) <= paper
    shot(echo.page, "print-table")


def test_selecting_everything_leaves_out_the_label_of_code(echo):
    echo.ask("SAY Look:\n\n```python\nvalue = 1\n```\n\nDone.")
    echo.page.locator(".message-answer .md").evaluate(
        "(md) => getSelection().selectAllChildren(md)"
    )
    selected = echo.page.evaluate("getSelection().toString()")
    assert "value = 1" in selected and "Done." in selected
    assert "python" not in selected.lower()


BOX = "(node) => { const {left, right} = node.getBoundingClientRect(); return [left, right]; }"
TEXT_BOX = """(node) => {
  const range = document.createRange();
  range.selectNodeContents(node);
  const {left, right} = range.getBoundingClientRect();
  return [left, right];
}"""


def test_right_to_left_is_drawn_right_to_left(echo, shot):
    answer = echo.ask("SAY " + ARABIC)
    expect(answer.locator(".katex")).to_be_visible()
    expect(answer.locator(".hljs-string")).to_be_visible()
    for width in (1280, 390):
        echo.page.set_viewport_size({"width": width, "height": 860})
        echo.page.wait_for_function("(width) => innerWidth === width", arg=width)
        is_right_to_left(answer)
        shot(echo.page, f"right-to-left-{width}")


def is_right_to_left(answer):
    def direction(selector: str) -> str:
        return answer.locator(selector).first.evaluate("(node) => getComputedStyle(node).direction")

    for selector in (".md ul", ".md blockquote", ".md table"):
        assert direction(selector) == "rtl"
    for selector in (".md pre", ".md p code", ".md .math"):
        assert direction(selector) == "ltr"
    left, right = answer.locator(".md").evaluate(BOX)
    # The text of an item is beside its marker on the right; a quote has its bar on the right.
    item = answer.locator(".md ul > li").first.evaluate(TEXT_BOX)
    assert right - item[1] < item[0] - left
    bar = answer.locator(".md blockquote").evaluate(
        "(node) => getComputedStyle(node).borderRightWidth"
    )
    assert bar == "3px"
    first, second = (answer.locator(".md th").nth(n).evaluate(BOX) for n in (0, 1))
    assert first[0] > second[0]
    english = answer.get_by_text("An English paragraph").evaluate(TEXT_BOX)
    assert english[0] - left < 2
    hebrew = answer.locator(".md ol > li").first.evaluate(TEXT_BOX)
    assert right - hebrew[1] < hebrew[0] - left


def test_the_foot_of_an_answer_is_tidy_on_a_phone(stack, new_context, shot):
    alice = ChatPage(new_context(**PHONE).new_page(), stack.url).visit()
    answer = alice.ask("[[tokens=1200]] Hello")
    buttons = answer.locator(".message-foot > .quiet-button, .message-foot > .menu .quiet-button")
    tops = {round(one.bounding_box()["y"]) for one in buttons.all()}
    assert buttons.count() >= 4 and len(tops) == 1
    facts = answer.locator(".foot-facts")
    time = facts.bounding_box()
    assert time["height"] < 30 and min(tops) <= time["y"] <= min(tops) + 16
    shot(alice.page, "phone-foot")
    # Other facts have lines of their own.
    facts.get_by_role("button").tap()
    expect(facts).to_contain_text("1,200 tokens")
    all_known = facts.bounding_box()
    assert all_known["height"] < 30
    assert all_known["y"] + all_known["height"] <= buttons.first.bounding_box()["y"] + 8
    shot(alice.page, "phone-foot-open")


def test_the_end_stays_in_view_beside_the_keyboard_of_a_phone(echo_stack, new_context):
    alice = ChatPage(new_context(**PHONE).new_page(), echo_stack.url).visit()
    alice.ask("SAY*60 A paragraph to read.\n\n")
    last = alice.answers.last.locator("p").last
    expect(last).to_be_in_viewport()
    # This browser shrinks the page.
    alice.page.set_viewport_size({"width": 390, "height": 500})
    expect(last).to_be_in_viewport()
    expect(alice.field).to_be_in_viewport(ratio=1)
    alice.page.set_viewport_size({"width": 390, "height": 844})
    # This browser lays the keyboard over the page.
    alice.page.evaluate(KEYBOARD, 500)
    expect(alice.page.locator(".app")).to_have_js_property("clientHeight", 500)
    expect(last).to_be_in_viewport()
    field = alice.field.bounding_box()
    assert field["y"] + field["height"] <= 500
    alice.send("SAY*400 more words ")
    alice.ended()
    # The end of an answer draws its last part again.
    expect(alice.answers.last.locator("p").last).to_be_visible()
    assert alice.answers.last.locator("p").last.bounding_box()["y"] < 500
    alice.page.evaluate(KEYBOARD, 844)
    expect(alice.page.locator(".app")).to_have_js_property("clientHeight", 844)


KEYBOARD = """(height) => {
  Object.defineProperty(visualViewport, "height", {value: height, configurable: true});
  visualViewport.dispatchEvent(new Event("resize"));
}"""


def test_a_part_that_could_not_be_fetched_comes_when_the_network_does(alice):
    page = alice.page
    page.route("**/dialogs*.js", lambda route: route.abort("internetdisconnected"))
    page.route("**/menus*.js", lambda route: route.abort("internetdisconnected"))
    page.keyboard.press("Control+k")
    expect(page.get_by_text("The server cannot be reached.")).to_be_visible()
    page.get_by_role("button", name="Choose a model").first.click()
    expect(page.get_by_role("listbox")).to_have_count(0)
    page.unroute_all()
    expect(page.get_by_role("listbox")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    expect(page.get_by_role("combobox", name="Search your chats")).to_be_focused()


def test_a_chat_is_drawn_once_its_parts_can_be_fetched(alice):
    for part in ("**/conversation*.js", "**/lazy_markdown*.js"):
        alice.page.route(part, lambda route: route.abort("internetdisconnected"))
    alice.send("[[tokens=5]] Hello")
    expect(alice.page.locator(".skeleton").first).to_be_visible()
    expect(alice.answers).to_have_count(0)
    alice.page.unroute_all()
    expect(alice.ended().locator(".md")).to_have_text(re.compile(r"\S"))


def test_the_head_of_a_long_block_of_code_stays_in_view(echo_stack, new_context, shot):
    alice = ChatPage(new_context().new_page(), echo_stack.url).visit()
    alice.ask("SAY Long:\n\n```python\n" + "value = 1  # of many\n" * 120 + "```\n\nIt ends.")
    block = alice.answers.last.locator(".code")
    alice.page.reload()
    # Until then the page puts the reader where the chat was left.
    expect(alice.ended().locator(".md")).not_to_have_attribute("data-drawing", "")
    expect(alice.answers.last.locator(".message-foot")).to_have_css("visibility", "visible")
    alice.is_live()
    block.get_by_role("button", name="Show all 120 lines").click()
    view = alice.page.locator(".scroller").bounding_box()
    block.evaluate("(block) => block.scrollIntoView({ block: 'center' })")
    head = block.locator(".code-head")
    expect(head).to_be_in_viewport(ratio=1)
    assert block.bounding_box()["y"] < view["y"] - 100
    assert abs(head.bounding_box()["y"] - view["y"]) < 2
    shot(alice.page, "code-head")
    # It does not leave its block.
    alice.page.locator(".scroller").evaluate("(scroller) => (scroller.scrollTop = 1e6)")
    end = block.bounding_box()
    assert head.bounding_box()["y"] + head.bounding_box()["height"] <= end["y"] + end["height"]


def test_nothing_moves_while_a_long_answer_comes_or_is_loaded_again(stack, new_context):
    """On a phone four times slower than this machine."""
    page = new_context(**PHONE).new_page()
    session = page.context.new_cdp_session(page)
    session.send("Emulation.setCPUThrottlingRate", {"rate": 4})
    for script in (NOTE_SHIFTS, NOTE_MOVES):
        page.add_init_script(f"{{ {script} }}")
    alice = ChatPage(page, stack.url).visit()
    alice.ask(f"[[tokens={LONG_TOKENS}&rate=2500]] Long")
    assert_nothing_moved(page)
    page.reload()
    foot = alice.ended().locator(".message-foot")
    # It comes when all of the text is there.
    expect(foot).to_have_css("visibility", "visible")
    expect(alice.answers.last.locator(".md")).not_to_have_attribute("data-drawing", "")
    page.wait_for_timeout(300)
    assert_nothing_moved(page)


def assert_nothing_moved(page):
    assert page.evaluate("window.frames")
    assert page.evaluate("window.moves") == []
    assert page.evaluate("window.shifted") <= MOST_SHIFTED
    # The view follows in the frame that shows the last words, which are in the DOM before that.
    page.wait_for_function(f"() => ({BELOW_VIEW_PX})() < 2")
