"""Code that is slow to highlight or contains hidden characters, and very long tables."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage
from tests.browser.written_chat import write_chat
from tests.stack import wait_for

BIDI = "\u202e\u2066\u2069"
TROJAN = (
    f'if (level != "user{BIDI[0]} {BIDI[1]}// admin only{BIDI[2]} {BIDI[1]}") {{\n'
    "  ad\u200bmin = {\u3164: 1};  // \ufefftail\U000e0041\U000e0042\n"
    "  s = '👩\u200d💻 می\u200cخواهم';\n}"
)
INLINE = "rm\u202e -rf\u2069 /"
# Collects hidden characters that are shown without a mark at any change of the page.
WATCH_BARE = """() => {
  window.bare = new Set();
  const look = () => {
    for (const code of document.querySelectorAll(".md code")) {
      const walker = document.createTreeWalker(code, NodeFilter.SHOW_TEXT);
      while (walker.nextNode()) {
        const node = walker.currentNode;
        const isMarked = node.parentElement.closest(".hidden-character");
        if (!isMarked && /[\\u202e\\u2066\\u2069\\u200b]/.test(node.data))
          window.bare.add(node.data);
      }
    }
  };
  const all = {childList: true, subtree: true, characterData: true};
  new MutationObserver(look).observe(document.body, all);
}"""
LEFT_OF = """(code, words) => words.map((word) => {
  const walker = document.createTreeWalker(code, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const index = walker.currentNode.data.indexOf(word);
    if (index < 0) continue;
    const range = document.createRange();
    range.setStart(walker.currentNode, index);
    range.setEnd(walker.currentNode, index + 1);
    return range.getBoundingClientRect().left;
  }
})"""
SELECT = "(node) => getSelection().selectAllChildren(node)"
COPIED = "navigator.clipboard.readText()"
CODES = "(node) => node.textContent"


@pytest.fixture
def echo(echo_stack, new_context):
    return ChatPage(new_context().new_page(), echo_stack.url).visit()


def test_code_that_highlights_for_minutes_keeps_no_other_code_plain(echo, echo_stack):
    workers: list[object] = []
    echo.page.on("worker", lambda worker: "/worker" in worker.url and workers.append(worker))
    # Written at once: the start of a growing answer may be highlighted in time, and then other code
    # would come before the rest of it.
    slow_code = "```bash\n" + "a" * 240_000
    with echo.page.expect_worker(lambda worker: "/worker" in worker.url):
        write_chat(echo, echo_stack, [("Only one letter, please.", slow_code)])
    echo.page.get_by_role("link", name="New chat").first.click()
    expect(echo.answers).to_have_count(0)
    quick = echo.ask("SAY ```bash\nif true; then exit 1; fi\n```\n")
    coloured = quick.locator(".hljs-keyword").first
    expect(coloured).to_be_visible(timeout=120_000)
    assert len(workers) == 2  # the terminated one and its successor
    # Opening the chat again does not repeat the attempt to highlight.
    echo.chats.last.click()
    code = echo.answers.first.locator(".code code")
    expect(code).to_have_text(re.compile("^a{240000}$"))
    echo.chats.first.click()
    expect(coloured).to_be_visible(timeout=120_000)
    echo.chats.last.click()
    expect(code).to_have_text(re.compile("^a{240000}$"))
    assert code.locator("[class^=hljs]").count() == 0
    assert len(workers) == 2


def test_what_is_hidden_in_code_is_shown_and_copied_as_it_is(echo, shot):
    page = echo.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate(WATCH_BARE)
    filler = "const usual = 1;\n" * 50
    answer = echo.ask(f"SAY Run `{INLINE}` now.\n\n```js\n{filler}{TROJAN}\n```\n\nThe end.")
    expect(answer.locator(".hljs-keyword").first).to_be_visible()
    marks = answer.locator("pre .hidden-character")
    shown = ["U+202E", "U+2066", "U+2069", "U+2066", "U+200B", "U+3164", "U+FEFF"]
    expect(marks).to_have_count(8)
    numbers = marks.evaluate_all("(nodes) => nodes.map((node) => node.dataset.shown)")
    assert numbers == [*shown, "U+E0041 U+E0042"]
    expect(answer.get_by_role("img", name="Hidden characters: U+202E")).to_have_count(2)
    expect(answer.get_by_text("Has hidden characters")).to_be_visible()
    assert page.evaluate("[...window.bare]") == []
    # The characters keep their order.
    code = answer.locator("pre code")
    lefts = code.evaluate(LEFT_OF, ["level", "user", "// admin", ") {"])
    assert lefts == sorted(lefts)
    # Copies with the button, then with the keyboard.
    answer.get_by_role("button", name="Copy code").click()
    expect(answer.locator("[data-code=copy]")).to_have_attribute("data-said", "Copied")
    assert page.evaluate(COPIED) == filler + TROJAN
    for element, text in [(code, filler + TROJAN), (answer.locator("p code"), INLINE)]:
        page.evaluate("navigator.clipboard.writeText('')")
        element.evaluate(SELECT)
        page.keyboard.press("Control+c")
        assert page.evaluate(COPIED).removesuffix("\n") == text
    marks.first.scroll_into_view_if_needed()
    shot(page, "hidden-characters")
    page.reload()
    expect(echo.answers.last.locator("pre .hidden-character")).to_have_count(8)
    assert echo.answers.last.locator("pre code").evaluate(CODES) == f"{filler}{TROJAN}\n"


def test_usual_code_has_no_marks(echo):
    code = "x = 'می\u200cخواهم 👍🏽 ❤️'  # \u00e9"
    answer = echo.ask(f"SAY `é 变量` 👩\u200d💻\n\n```py\n{code}\n```\n")
    expect(answer.locator(".hljs-string")).to_be_visible()
    expect(answer.locator(".code-language")).to_have_text("Python")
    assert answer.locator(".hidden-character, .code-hidden").count() == 0


def test_a_flood_of_hidden_characters_leaves_the_page_responsive(echo):
    echo.ask("SAY*30000 ```\n¶a\u202e")
    # After 500 in a line the rest share one mark. A line of this length has several boxes, each of
    # which has at least one mark.
    marks = echo.answers.last.locator(".hidden-character")
    wait_for(lambda: 501 <= marks.count() <= 540)
    code = echo.answers.last.locator("pre code")
    assert code.evaluate(CODES) == "a\u202e" * 30_000
    long = echo.ask("SAY*30000 ```\n¶\u202e")
    expect(long.locator(".hidden-character").first).to_have_attribute(
        "data-shown", re.compile(r"^U\+202E U\+202E U\+202E … ×\d+$")
    )
    # Neither highlighting nor many lines increase their number.
    coloured = echo.ask("SAY*20000 ```js\nif (1) ¶1<\u202e+")
    expect(coloured.locator(".code")).to_have_count(1)
    lines = echo.ask("SAY*400 ```js\nif (1) 1¶\n" + "1<\u202e+" * 20)
    expect(lines.locator(".hljs-keyword")).to_have_count(0)
    for answer in (coloured, lines):
        assert answer.locator(".hidden-character").count() <= 11 * 540
    assert lines.locator("code").evaluate(CODES).count("\n") >= 400
    echo.field.fill("still here")
    expect(echo.field).to_have_value("still here")
    assert echo.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


# Shows the first part of an answer, waits until its code is coloured, and then shows all of it.
# Beside it, the answer is shown at once.
SHOW_IN_TWO = """async ([first, rest]) => {
  const { MarkdownView } = await import("/static/js/chat/markdown/view.js");
  const [grown, whole] = ["grown", "whole"].map((id) => {
    const root = document.createElement("div");
    root.id = id;
    document.querySelector(".scroller-content").append(root);
    return root;
  });
  const view = new MarkdownView(grown);
  view.update(first, false);
  while (!grown.querySelector(".hljs-keyword")) await new Promise((done) => setTimeout(done, 20));
  view.update(first + rest, true);
  new MarkdownView(whole).update(first + rest, true);
}"""
IF = "if (1) 1\n"
HALVES = {
    "too many hidden characters": ("", "1<\u202e+" * 20 + "\n"),
    "too many colours": ("1<" * 1_800, "\n"),
    "too long": ("", "x" * 3_900 + "\n"),
}
REPEATED = {"too many hidden characters": 39, "too many colours": 1, "too long": 78}


@pytest.mark.parametrize("kind", HALVES)
def test_code_that_grows_beyond_a_bound_ends_as_plain_as_when_it_is_read_at_once(echo, kind):
    before, line = HALVES[kind]
    rest = before + line * REPEATED[kind]
    echo.page.evaluate(SHOW_IN_TWO, [f"```js\n{IF}", f"{rest}```\n\n```js\n{IF}```\n"])
    grown, whole = (echo.page.locator(f"{name} .code") for name in ("#grown", "#whole"))
    # The code after it is coloured later, because the worker takes one after another.
    for codes in (grown, whole):
        expect(codes.last.locator(".hljs-keyword")).to_have_count(1)
    expect(whole.first.locator("[class^=hljs]")).to_have_count(0)
    expect(grown.first.locator("[class^=hljs]")).to_have_count(0)
    assert grown.first.locator("code").evaluate(CODES) == IF + rest


ROWS = 1_200


def test_a_long_table_is_one_table_of_which_little_is_laid_out(echo, shot):
    answer = echo.ask(f"SAY*{ROWS} | a | number | see |\n| - | -: | - |¶\n| row | 1 | words |")
    table = answer.get_by_role("table")
    expect(table).to_have_count(1)
    expect(table.get_by_role("row")).to_have_count(ROWS + 1)
    expect(table.get_by_role("columnheader")).to_have_text(["a", "number", "see"])
    expect(table.get_by_role("row").last).to_be_in_viewport()
    laid_out = """(node) => [...node.querySelectorAll("td")]
      .filter((cell) => cell.checkVisibility({contentVisibilityAuto: true})).length"""
    assert table.evaluate(laid_out) < ROWS
    # Columns keep their position over the parts of the table.
    lefts = """(node) => [...node.querySelectorAll(".md-table-part tr:first-child")].map((row) =>
      [...row.cells].map((cell) => cell.getBoundingClientRect().left | 0).join())"""
    assert len(set(table.evaluate(lefts))) == 1
    shot(echo.page, "table-end")
    echo.page.reload()
    expect(echo.answers.last.get_by_role("row")).to_have_count(ROWS + 1)
    echo.page.set_viewport_size({"width": 390, "height": 844})
    table = echo.answers.last.get_by_role("table")
    # The page becomes narrower some frames after the call.
    wait_for(lambda: len(set(table.evaluate(lefts))) == 1)
    shot(echo.page, "table-phone")


def test_what_a_long_table_refers_to_may_come_after_it(alice, stack):
    rows = "".join(f"| row {n} [site] | see[^n] |\n" for n in range(900))
    source = (
        f"| a | b |\n| - | - |\n{rows}\nWords.\n\n[site]: https://ok.example/\n\n[^n]: A note.\n"
    )
    write_chat(alice, stack, [("Rows, please.", source)])
    answer = alice.answers.last
    expect(answer.locator(".notes")).to_contain_text("A note.")
    expect(answer.get_by_role("row")).to_have_count(901)
    expect(answer.locator("td a[href='https://ok.example/']")).to_have_count(900)
    expect(answer.get_by_role("table").get_by_role("cell")).to_have_count(1_800)


RTL_TABLE = "| الاسم | القيمة | نسبة |\n| - | -: | :- |\n| واحد | 10 | 5 |\n| two | خمسة | 7 |\n"
ALIGNED = "(nodes) => nodes.map((node) => getComputedStyle(node).textAlign)"


def test_cells_stand_on_the_side_where_their_table_begins_or_ends(echo, shot):
    answer = echo.ask(f"SAY {RTL_TABLE}\nWords.\n\n| a | b |\n| - | -: |\n| خمسة | 1 |\n")
    cells = [table.locator("th, td") for table in answer.get_by_role("table").all()]
    assert cells[0].evaluate_all(ALIGNED) == ["right", "left", "right"] * 3
    assert cells[1].evaluate_all(ALIGNED) == ["left", "right"] * 2
    shot(echo.page, "table-rtl")


BOXES_IN_VIEW = """(block) => [...block.querySelectorAll(".code-lines")].filter((box) => {
  const { top, bottom } = box.getBoundingClientRect();
  return bottom > 0 && top < innerHeight;
}).length"""


def test_a_line_that_takes_several_boxes_is_wrapped(echo):
    """All boxes in view are laid out at once. Side by side, forty of them took half a second."""
    echo.ask("SAY*40000 ```\n¶א ב ")
    long = echo.answers.last.locator(".code")
    expect(long.locator(".code-lines").nth(29)).to_be_attached()
    assert long.evaluate(BOXES_IN_VIEW) <= 4
    assert long.locator("pre").evaluate("(pre) => pre.scrollWidth <= pre.clientWidth")
    expect(long.get_by_role("button", name="Wrap")).to_have_count(0)
    echo.ask("SAY ```\nshort\n```")
    short = echo.answers.last.locator(".code")
    expect(short.get_by_role("button", name="Wrap")).to_have_count(1)
