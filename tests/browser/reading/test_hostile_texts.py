"""Texts made up to keep the page busy (tests/js/markdown/hostile_shapes.mjs), as questions and as
answers, while they stream and when they are complete. The test asserts the number of nodes and
prints the longest task."""

import json
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from chat.llm.stream.body import stored_bytes
from tests.browser.chat_page import ChatPage
from tests.browser.conftest import PATIENCE_MS
from tests.browser.page_tasks import page_tasks
from tests.node import NODE

SHAPES = Path(__file__).parents[2] / "js" / "markdown" / "hostile_shapes.mjs"
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
MOST_CHARS = 190_000  # some shapes become longer; a message may have 200,000
TOGETHER = 8  # in one chat
THOUGHT_BYTES = 950_000  # MAX_ANSWER_BYTES is a million
MOST_NODES = 20_000
# Nothing is drawn farther from the viewport than this; what is nearer may have many nodes.
FAR_PX = 2_500
TEXTS = """
const {shapes} = await import(process.argv[1]);
const [chars, names, every] = JSON.parse(process.argv[2]);
const chosen = [...shapes(chars)].filter(
  ([name], index) => names.includes(name) || (every && index % every === 0));
console.log(JSON.stringify(chosen.map(([name, make]) => [name, make()])));
"""
WATCH = """(() => {
  window.longestMs = 0;
  new PerformanceObserver((list) => {
    for (const {duration} of list.getEntries()) longestMs = Math.max(longestMs, duration);
  }).observe({type: "longtask", buffered: true});
})()"""
NODES = f"""() => {{
  const isFar = (element) => {{
    const {{top, bottom}} = element.getBoundingClientRect();
    return bottom < -{FAR_PX} || top > innerHeight + {FAR_PX};
  }};
  const countOf = (node) => {{
    let count = 0;
    const walker = document.createTreeWalker(node, NodeFilter.SHOW_ALL);
    while (walker.nextNode()) count += 1;
    return count;
  }};
  const sum = (elements) => elements.reduce((total, element) => total + countOf(element), 0);
  const texts = [...document.querySelectorAll(".message")].map((message) => {{
    const parts = [...message.querySelectorAll(".md-part, .long-piece")];
    return {{all: countOf(message), far: sum(parts.filter(isFar))}};
  }});
  return {{texts, all: countOf(document.body), longestMs}};
}}"""

# Each look at the clock is 5 ms after the one before: two batches of blocks fit into a step.
BLOCKS = 3_000
BLOCKS_PER_STEP = """async (count) => {
  const { MarkdownView } = await import("/static/js/chat/markdown/view.js");
  const root = document.createElement("div");
  document.querySelector(".scroller-content").append(root);
  let nowMs = 0;
  performance.now = () => (nowMs += 5);
  const steps = [];
  const blocksIn = (node) =>
    node.nodeName === "P" ? 1 : (node.querySelectorAll?.("p").length ?? 0);
  const added = (record) => [...record.addedNodes].reduce((sum, node) => sum + blocksIn(node), 0);
  new MutationObserver((records) => {
    // A block that was added together with its part is in both records.
    const parts = records.flatMap((record) => [...record.addedNodes]);
    const isWithin = ({ target }) => parts.some((part) => part.contains(target));
    const outermost = records.filter((record) => !isWithin(record));
    steps.push(outermost.reduce((sum, record) => sum + added(record), 0));
  }).observe(root, { childList: true, subtree: true });
  const view = new MarkdownView(root);
  view.update("a\\n\\n".repeat(count), true);
  const isDrawn = () => root.querySelectorAll("p").length === count;
  while (!isDrawn()) await new Promise((done) => setTimeout(done, 20));
  return steps;
}"""

# The same clock. The texts of a chat are drawn one after another in the same task.
VIEWS, CHARS_OF_VIEW = 20, 30_000
DRAWN_AT_ONCE = """async ([count, chars]) => {
  const { MarkdownView } = await import("/static/js/chat/markdown/view.js");
  const scroller = document.querySelector(".scroller-content");
  const roots = Array.from({ length: count }, () => document.createElement("div"));
  scroller.append(...roots);
  let nowMs = 0;
  performance.now = () => (nowMs += 5);
  const source = `${"a ".repeat(149)}\\n\\n`.repeat(chars / 300);
  for (const root of roots) new MarkdownView(root).update(source, true);
  const begun = () => roots.filter((root) => root.childElementCount > 0).length;
  const atOnce = begun();
  while (begun() < count) await new Promise((done) => setTimeout(done, 20));
  return atOnce;
}"""

LINES = 3_000
MARKED_AT_ONCE = """async (count) => {
  const { MarkdownView } = await import("/static/js/chat/markdown/view.js");
  const root = document.createElement("div");
  document.querySelector(".scroller-content").append(root);
  new MarkdownView(root).update("```js\\n" + "a\u200b\\n".repeat(count) + "```\\n", true);
  const marked = () => root.querySelectorAll(".hidden-character").length;
  const atOnce = marked();
  while (marked() < count) await new Promise((done) => setTimeout(done, 20));
  return [atOnce, marked()];
}"""

# Sets the text as the page does (static/js/chat/ui/composer/text_field.js). People paste such
# texts, and the composer folds them.
PUT = """(field, text) => {
  field.dir = "";
  field.value = text;
  field.dir = "auto";
  field.dispatchEvent(new Event("input", {bubbles: true}));
  field.offsetHeight;
  requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => (longestMs = 0))));
}"""


def texts(chars: int, every: int = 0) -> list[tuple[str, str]]:
    command = [str(NODE), "--input-type=module", "-e", TEXTS, str(SHAPES)]
    chosen = json.dumps([chars, SELECTED, every])
    run = subprocess.run([*command, chosen], capture_output=True, text=True, check=True)
    return [(name, sendable(text)) for name, text in json.loads(run.stdout)]


def sendable(text: str) -> str:
    """The text as the API accepts it: without NUL and halves of characters, and not too long."""
    return text.encode(errors="ignore").decode().replace("\0", "")[:MOST_CHARS]


@pytest.fixture
def echo(echo_stack, new_context):
    page = new_context().new_page()
    page.add_init_script(WATCH)
    return ChatPage(page, echo_stack.url)


def test_a_page_is_not_held_by_what_is_asked_and_answered(echo):
    are_borne(echo, texts(CHARS))


def test_many_blocks_are_drawn_in_short_steps(echo):
    echo.visit("/")
    steps = echo.page.evaluate(BLOCKS_PER_STEP, BLOCKS)
    assert sum(steps) == BLOCKS
    assert max(steps) <= 64


def test_long_texts_that_are_shown_together_are_drawn_one_after_another(echo):
    echo.visit("/")
    assert 1 <= echo.page.evaluate(DRAWN_AT_ONCE, [VIEWS, CHARS_OF_VIEW]) <= 5
    # Short ones are drawn at once, so that a reading position can be restored.
    echo.visit("/")
    assert echo.page.evaluate(DRAWN_AT_ONCE, [VIEWS, 1_500]) == VIEWS


def test_hidden_characters_below_the_first_are_marked_in_short_steps(echo):
    echo.visit("/")
    at_once, marked = echo.page.evaluate(MARKED_AT_ONCE, LINES)
    assert at_once <= 600
    assert marked == LINES


@pytest.mark.full
def test_a_page_is_not_held_by_texts_of_full_size(echo):
    chosen = texts(FULL_CHARS, every=40)
    for start in range(0, len(chosen), TOGETHER):
        are_borne(echo, chosen[start : start + TOGETHER])


def are_borne(echo: ChatPage, together: list[tuple[str, str]]) -> None:
    """Sends the texts one after another in a chat, then opens it with all of them."""
    echo.visit("/")
    for name, text in together:
        ask(echo, f"SAY {text}")
        counts_nodes(echo.page, f"{name}, as it came")
    with page_tasks(echo.page) as tasks:
        echo.page.reload()
        expect(echo.answers.last).to_be_visible(timeout=PATIENCE_MS)
        on_page = counts_nodes(echo.page, "all of them, whole")
    print("opening them, CPU ms of the longest tasks:", tasks[:5])  # noqa: T201
    assert on_page <= 2 * MOST_NODES


def ask(echo: ChatPage, text: str) -> None:
    begin(echo, text)
    is_answered(echo)


def is_answered(echo: ChatPage) -> None:
    """Else the page would have nothing to draw."""
    expect(echo.ended().locator(".notice-problem")).to_have_count(0)


def begin(echo: ChatPage, text: str) -> None:
    put(echo, text)
    send(echo)


def put(echo: ChatPage, text: str) -> None:
    """Sets the field's text directly, because the browser is slow to type many lines. Lines that
    are not folded, as pasted ones are, take it 0.5 s to lay out."""
    echo.field.evaluate(PUT, text)
    echo.page.wait_for_timeout(100)


def send(echo: ChatPage) -> None:
    count = echo.answers.count()
    echo.page.locator(".composer").get_by_role("button", name="Send", exact=True).click()
    expect(echo.answers).to_have_count(count + 1)


def test_a_page_is_not_held_by_what_is_thought(echo):
    are_thought(echo, texts(CHARS)[:3], times=6)


@pytest.mark.full
def test_a_page_is_not_held_by_thinking_of_full_size(echo):
    """Almost a megabyte, the most that is stored of an answer."""
    for name, text in texts(FULL_CHARS, every=120):
        are_thought(echo, [(name, text)], times=max(1, THOUGHT_BYTES // stored_bytes(text)))


def are_thought(echo: ChatPage, thoughts: list[tuple[str, str]], times: int) -> None:
    """Follows thinking that is shown while it arrives; then opens the chat, and the thinking."""
    for name, text in thoughts:
        echo.visit("/")
        put(echo, f"THINK*{times} {text}")
        with page_tasks(echo.page) as tasks:
            send(echo)
            echo.answers.last.locator(".reasoning summary").click()
            is_answered(echo)
            counts_nodes(echo.page, f"{name}, as it came")
        print(name, "streamed, CPU ms of the longest tasks:", tasks[:3])  # noqa: T201
        with page_tasks(echo.page) as tasks:
            echo.page.reload()
            echo.answers.last.locator(".reasoning summary").click()
            expect(echo.answers.last.locator(".reasoning-text .md > *").first).to_be_attached()
            counts_nodes(echo.page, f"{name}, whole")
        print(name, "opened, CPU ms of the longest tasks:", tasks[:3])  # noqa: T201


def counts_nodes(page: Page, name: str) -> int:
    """Checks the number of nodes of each text; returns that of the whole page."""
    page.wait_for_timeout(300)
    counted = page.evaluate(NODES)
    print(name, counted)  # noqa: T201
    assert max(text["far"] for text in counted["texts"]) <= MOST_NODES, name
    assert max(text["all"] for text in counted["texts"]) <= 2 * MOST_NODES, name
    return int(counted["all"])


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
