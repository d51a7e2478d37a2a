"""Sizes and places as docs/design.md has them: of texts, of targets, of the two columns, and of
notices, which leave the composer free."""

import pytest
from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage
from tests.browser.conftest import ARGUMENTS
from tests.browser.devices import PHONE
from tests.browser.written_chat import write_chat

ANSWER = "# First\n\n## Second\n\n### Third\n\nA paragraph.\n\n" + "\n\n".join(["More."] * 40)
STYLES = """([selector, names]) => {
  const styles = getComputedStyle(document.querySelector(selector));
  return names.map((name) => styles[name]).join(" ");
}"""
EDGES = """() => {
  const begin = (selector) => {
    const element = document.querySelector(selector);
    const { paddingLeft, borderLeftWidth } = getComputedStyle(element);
    const { left } = element.getBoundingClientRect();
    return left + parseFloat(paddingLeft) + parseFloat(borderLeftWidth);
  };
  const scroller = document.querySelector(".scroller");
  return {
    by: begin(".message-answer .md") - begin(".composer-field"),
    scrolls: scroller.scrollHeight > scroller.clientHeight,
    bar: scroller.offsetWidth - scroller.clientWidth,
  };
}"""
OVER_COMPOSER = """() => {
  const box = (selector) => document.querySelector(selector).getBoundingClientRect();
  const [toast, composer] = [box(".toast"), box(".composer")];
  return toast.bottom > composer.top && toast.top < composer.bottom;
}"""


@pytest.fixture(scope="module")
def with_scrollbars(browser, browser_path):
    """A browser whose scroll bars take room, as on Windows and Linux; Playwright hides them."""
    launched = browser.browser_type.launch(
        executable_path=browser_path, args=ARGUMENTS, ignore_default_args=["--hide-scrollbars"]
    )
    yield launched
    launched.close()


def test_texts_have_their_sizes(alice, stack):
    write_chat(alice, stack, [("A question", ANSWER)])
    page = alice.page
    expect(page.locator(".md h3")).to_be_attached()

    def styles(selector, *names):
        return page.evaluate(STYLES, [selector, names])

    page.get_by_role("link", name="New chat").click()
    alice.ask("[[tokens=3]] Another")
    alice.chats.last.click()
    expect(page.locator(".md h3")).to_be_attached()
    assert styles("html", "fontSize") == "16px"
    assert styles(".composer-field", "fontSize") == "16px"
    assert styles(".message-answer .md p", "fontSize", "lineHeight") == "16px 27px"
    assert styles(".md h1", "fontSize", "fontWeight") == "24px 700"
    assert styles(".md h2", "fontSize", "fontWeight") == "20px 650"
    assert styles(".md h3", "fontSize", "fontWeight") == "17px 600"
    assert styles(".message-foot .meta", "fontSize") == "13px"
    assert styles(".chat-link:not([aria-current])", "fontSize", "fontWeight") == "14px 450"
    assert styles(".chat-link[aria-current]", "fontSize", "fontWeight") == "14px 550"


def test_fields_and_targets_are_large_enough_for_a_finger(new_context, stack):
    """Safari on a phone zooms in when a field with smaller letters gets the focus."""
    alice = ChatPage(new_context(**PHONE).new_page(), stack.url).visit()
    alice.ask("[[tokens=3]] Hello")
    assert alice.page.evaluate(STYLES, [".composer-field", ["fontSize"]]) == "16px"
    buttons = alice.page.locator(".topbar button:visible, .composer button:visible")
    for button in buttons.all():
        box = button.bounding_box()
        assert min(box["width"], box["height"]) >= 40, button


@pytest.mark.parametrize("count", [1, 4])
def test_answers_and_composer_have_the_same_edge_beside_a_scroll_bar(with_scrollbars, stack, count):
    context = with_scrollbars.new_context(viewport={"width": 1280, "height": 860})
    alice = ChatPage(context.new_page(), stack.url).visit()
    write_chat(alice, stack, [("A question", "A paragraph.\n\n" * count * 8)])
    expect(alice.answers.last).to_contain_text("A paragraph.")
    edges = alice.page.evaluate(EDGES)
    assert edges["scrolls"] == (count > 1) and edges["bar"] > 0
    assert abs(edges["by"]) < 1
    context.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_a_notice_does_not_cover_the_composer(alice, width):
    alice.ask("[[tokens=3]] Hello")
    alice.page.set_viewport_size({"width": width, "height": 700})
    alice.page.keyboard.press("Control+Shift+E")
    expect(alice.page.locator(".toast")).to_contain_text("was archived")
    expect(alice.page.get_by_role("heading", name="Ask anything.")).to_be_visible()
    assert not alice.page.evaluate(OVER_COMPOSER)
    alice.page.get_by_role("button", name="Undo").click()
    alice.chats.first.evaluate("(chat) => chat.click()")
    alice.page.keyboard.press("Control+Shift+C")
    expect(alice.page.locator(".toast", has_text="Copied")).to_be_visible()
    assert not alice.page.evaluate(OVER_COMPOSER)
