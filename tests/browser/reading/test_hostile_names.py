"""Titles, search results, pasted texts and models with names made up to run scripts, to break the
layout or to mislead: markup, endless words, accents on accents, control and bidi characters."""

from itertools import pairwise

import pytest
from playwright.sync_api import expect

from tests.browser.chat_list import palette
from tests.browser.chat_page import ChatPage
from tests.browser.inspector import FRAMES, TOO_WIDE
from tests.browser.page_tasks import page_tasks

MOST_CHARS = 200  # of a title
NAMES = {
    "markup": '<img src=x onerror="hacked=1"><script>hacked=1</script><!--</title><b>&lt;',
    "a long word": "W" * MOST_CHARS,
    "wide letters": "\ufdfd" * MOST_CHARS,
    "accents on accents": ("a" + "\u0301\u0336\u0489\u20dd\u035c" * 19) * 2,
    "only accents": "\u0489" * MOST_CHARS,
    "turned around": "\u202egnp.exe\u2067\u202d\u2069 \u202etxt",
    "controls": "a\x01\x07\x1b[31m\u200b\ufeff\u2028\u2029\x85\x7fb",
    "emoji": "👩‍👩‍👧‍👦🏳️‍🌈" * 10,
    "Arabic ligatures": "لله" * 66,
}
FOUND = "needle"
RENAME = """async ([id, title]) => {
  const { api } = await import("/static/js/chat/api.js");
  await api.rename(id, title, crypto.randomUUID());
}"""
# The box of each element, and whether the element or a parent up to `frame` clips what its text
# draws outside of the box, as accents do.
BOXES = """([selector, frame]) => [...document.querySelectorAll(selector)].map((element) => {
  const { top, bottom, left, right } = element.getBoundingClientRect();
  let clip = element;
  const clips = (one) => getComputedStyle(one).overflowY !== "visible";
  while (!clips(clip) && !clip.matches(frame)) clip = clip.parentElement;
  const inside = element.querySelectorAll("*:not(mark)").length;
  return { top, bottom, left, right, isClipped: clips(clip), inside, text: element.textContent };
})"""
# The horizontal places of the first and the last character of a text node's part.
PLACES = """([selector, part]) => {
  const node = document.querySelector(selector).firstChild;
  const start = node.data.lastIndexOf(part);
  return [start, start + part.length - 1].map((at) => {
    const range = document.createRange();
    range.setStart(node, at);
    range.setEnd(node, at + 1);
    return range.getBoundingClientRect().left;
  });
}"""


@pytest.fixture
def tab(echo_stack, new_context):
    return ChatPage(new_context().new_page(), echo_stack.url).visit()


def name_chats(tab: ChatPage) -> None:
    """Begins a chat for each name, which it gets as its title and in its message."""
    for number, name in enumerate(NAMES.values()):
        if number:
            tab.page.get_by_role("link", name="New chat").click()
        tab.ask(f"SAY {name} {FOUND} {name}")
        tab.page.evaluate(RENAME, [tab.page.url.rsplit("/", 1)[1], name])
    tab.page.reload()
    expect(tab.chats).to_have_count(len(NAMES))


def boxes(tab: ChatPage, selector: str, frame: str) -> list[dict]:
    found = tab.page.evaluate(BOXES, [selector, frame])
    assert found, selector
    return found


def fits(tab: ChatPage) -> None:
    assert tab.page.evaluate(TOO_WIDE, FRAMES) == []
    assert tab.page.evaluate("window.hacked") is None


def test_hostile_titles_and_search_results_are_text_in_their_place(tab, shot):
    name_chats(tab)
    with page_tasks(tab.page) as tasks:
        tab.page.reload()
        expect(tab.chats).to_have_count(len(NAMES))
        expect(tab.answers.last).to_be_visible()
    print("the list, CPU ms", tasks[:3])  # noqa: T201
    rows = boxes(tab, ".chat-title", ".chat-row")
    assert {row["text"] for row in rows} == {" ".join(name.split()) for name in NAMES.values()}
    links = boxes(tab, ".chat-row", ".chat-row")
    assert len({round(link["bottom"] - link["top"]) for link in links}) == 1
    assert all(above["bottom"] <= below["top"] + 1 for above, below in pairwise(links))
    for one in [*rows, *boxes(tab, ".topbar-title", ".topbar")]:
        assert one["isClipped"], one
        assert one["inside"] == 0, one
    fits(tab)
    shot(tab.page, "hostile-titles")
    find(tab, shot)


def find(tab: ChatPage, shot) -> None:
    with page_tasks(tab.page) as tasks:
        palette(tab).fill(FOUND)
        expect(tab.page.locator(".palette-snippet mark").first).to_be_visible()
    print("searching, CPU ms", tasks[:3])  # noqa: T201
    shot(tab.page, "hostile-results")
    snippets = boxes(tab, ".palette-snippet", ".palette-option")
    for one in [*snippets, *boxes(tab, ".palette-label", ".palette-option")]:
        assert one["isClipped"], one
        assert one["inside"] == 0, one
    options = boxes(tab, ".palette-option", ".palette-option")
    assert max(one["bottom"] - one["top"] for one in options) < 100
    fits(tab)


def test_a_hostile_title_does_not_turn_a_notice_around(tab, shot):
    tab.ask("SAY ok")
    title = "Plan \u2069\u202e" + "x" * 150
    tab.page.evaluate(RENAME, [tab.page.url.rsplit("/", 1)[1], title])
    expect(tab.chats.first).to_contain_text("Plan")
    tab.chats.first.press("Delete")
    toast = tab.page.locator(".toast span")
    expect(toast).to_contain_text("was deleted.")
    shot(tab.page, "hostile-toast")
    first, last = tab.page.evaluate(PLACES, [".toast span", "deleted"])
    assert first < last
    (box,) = boxes(tab, ".toast", ".toasts")
    assert box["left"] >= 0 and box["right"] <= 1280
    fits(tab)
