"""Texts that somebody makes up to keep the page busy (tests/js/hostile_shapes.mjs), as questions
and as answers: as they come in, and whole. Nodes are asserted; the longest task is printed."""

import json
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chat_page import ChatPage
from tests.browser.conftest import PATIENCE_MS
from tests.node import NODE

SHAPES = Path(__file__).parents[1] / "js" / "hostile_shapes.mjs"
SELECTED = (
    "accents on accents",
    "uses, then footnotes",
    "a table of a hundred columns, filled",
    "hidden, lines of code",
    "comment, around a long text",
    "fence, repeated",
    "letters from the right, repeated",
)
CHARS = 16_000
FULL_CHARS = 100_000
MOST_NODES = 20_000
# So far from the reader nothing is drawn; nearer, what is drawn may be many nodes.
FAR_PX = 2_500
TEXTS = """
const {shapes} = await import(process.argv[1]);
const [chars, names, every] = JSON.parse(process.argv[2]);
const chosen = [...shapes(chars)].filter(
  ([name], index) => names.includes(name) || (every && index % every === 0));
console.log(JSON.stringify(chosen.map(([name, make]) => [name, make()])));
"""
WATCH = """() => {
  window.longest = 0;
  const watch = (list) => {
    for (const {duration} of list.getEntries()) window.longest = Math.max(window.longest, duration);
  };
  new PerformanceObserver(watch).observe({type: "longtask", buffered: true});
}"""
NODES = f"""() => {{
  const isFar = (element) => {{
    const {{top, bottom}} = element.getBoundingClientRect();
    return bottom < -{FAR_PX} || top > innerHeight + {FAR_PX};
  }};
  const inOf = (node) => document.createTreeWalker(node, NodeFilter.SHOW_ALL);
  let [all, far] = [0, 0];
  for (const message of document.querySelectorAll(".message")) {{
    for (const walker = inOf(message); walker.nextNode(); ) all += 1;
    for (const part of message.querySelectorAll(".md-part, .long-piece")) {{
      if (isFar(part)) for (const walker = inOf(part); walker.nextNode(); ) far += 1;
    }}
  }}
  return {{all, far, longestMs: Math.round(window.longest)}};
}}"""


PUT = """(field, text) => {
  field.value = text;
  field.dispatchEvent(new Event("input", {bubbles: true}));
}"""


def texts(chars: int, every: int = 0) -> list[tuple[str, str]]:
    command = [str(NODE), "--input-type=module", "-e", TEXTS, str(SHAPES)]
    chosen = json.dumps([chars, SELECTED, every])
    run = subprocess.run([*command, chosen], capture_output=True, text=True, check=True)
    return [(name, text) for name, text in json.loads(run.stdout)]


@pytest.fixture
def echo(echo_stack, new_context):
    return ChatPage(new_context().new_page(), echo_stack.url)


def test_a_page_is_not_held_by_what_is_asked_and_answered(echo):
    for name, text in texts(CHARS):
        is_borne(echo, name, text)


@pytest.mark.full
def test_a_page_is_not_held_by_texts_of_full_size(echo):
    for name, text in texts(FULL_CHARS, every=40):
        is_borne(echo, name, text)


def is_borne(echo: ChatPage, name: str, text: str) -> None:
    echo.visit("/")
    echo.page.evaluate(WATCH)
    ask(echo, f"SAY {text}")
    counts_nodes(echo.page, f"{name}, as it came")
    echo.page.reload()
    expect(echo.answers.last).to_be_visible(timeout=PATIENCE_MS)
    echo.page.evaluate(WATCH)
    counts_nodes(echo.page, f"{name}, whole")


def ask(echo: ChatPage, text: str) -> None:
    """At once: to type many lines into a field takes the browser long."""
    echo.field.evaluate(PUT, text)
    echo.page.locator(".composer").get_by_role("button", name="Send", exact=True).click()
    expect(echo.answers).to_have_count(1)
    echo.ended()


def counts_nodes(page: Page, name: str) -> None:
    page.wait_for_timeout(300)
    counted = page.evaluate(NODES)
    print(name, counted)  # noqa: T201
    assert counted["far"] <= MOST_NODES, name
    assert counted["all"] <= 2 * MOST_NODES, name


def test_what_is_too_large_is_shown_plain_and_says_so(echo, shot):
    echo.visit("/")
    echo.ask("SAY*2600 *Before.*\n\n¶\n> said")
    answer = echo.answers.last
    expect(answer.locator("em")).to_have_text("Before.")
    note = answer.locator(".md-too-large")
    expect(note).to_have_text("Shown as plain text: too large to lay out.")
    expect(note).to_have_count(1)
    expect(answer.locator("blockquote")).to_have_count(0)
    note.scroll_into_view_if_needed()
    for scheme in ("light", "dark"):
        echo.page.emulate_media(color_scheme=scheme)
        shot(echo.page, f"too-large-{scheme}")
    echo.page.set_viewport_size({"width": 390, "height": 844})
    shot(echo.page, "too-large-phone")


def test_a_formula_that_is_nested_too_deep_stays_as_it_was_written(echo):
    echo.visit("/")
    deep = "\\hat{" * 150 + "x" + "}" * 150
    echo.ask(f"SAY $$\n{deep}\n$$\n\nand $\\hat{{y}}$")
    expect(echo.answers.last.locator(".math-drawn")).to_have_count(1)
    expect(echo.answers.last.locator(".math-display")).to_have_text(deep)
    echo.page.reload()
    expect(echo.answers.last.locator(".math-drawn")).to_have_count(1)
