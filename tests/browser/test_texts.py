"""The chat page in a right-to-left pseudo-language that puts all texts in brackets, from the same
files as a real language: no English text is left, and no style depends on the physical left."""

import re

import pytest
from playwright.sync_api import expect

from tests.config.i18n import pseudo
from tests.config.i18n.pseudo import LANGUAGE, bare

# Returns the visible and spoken texts of the page, without those of chats and names of models.
SEEN = """() => {
  const unseen = "script, style, template, noscript, svg, kbd";
  const data = ".md, [role=log], .bubble, .chat-title, time";
  const models = ".answer-model, .model-button, .menu-option-name, .menu-group";
  const names = ["title", "aria-label", "placeholder", "alt", "data-said"];
  const texts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const { data: text, parentElement } = walker.currentNode;
    if (!parentElement.closest(`${unseen}, ${data}, ${models}`)) texts.push(text);
  }
  for (const element of document.querySelectorAll("body *:not(.chat-link, time)"))
    for (const name of names) texts.push(element.getAttribute(name) ?? "");
  return texts;
}"""
# Changes the root element before any script of the page runs. (If Playwright fulfilled the request
# for the page, Chromium would refuse it a socket to this machine.)
ROOT = """
new MutationObserver((_, observer) => {
  const root = document.documentElement;
  if (!root) return;
  Object.assign(root, { lang: "%s", dir: "rtl" });
  root.dataset.texts = "/pseudo.json";
  observer.disconnect();
}).observe(document, { childList: true });
"""
WORD = re.compile(r"[^\W\d_]{3,}")


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pseudo")
    pseudo.write(folder / "locale", folder / "texts")
    return (folder / "texts" / f"{LANGUAGE}.json").read_text()


@pytest.fixture
def bracketed(new_context, stack, catalogue):
    """The page as the server renders it in that language (tests/config/i18n/test_texts.py)."""
    context = new_context()
    context.add_init_script(ROOT % LANGUAGE)
    context.route("**/pseudo.json", lambda route: route.fulfill(body=catalogue))
    page = context.new_page()
    page.goto(stack.url)
    return page


# Names of keys, and names of models and chats within other texts.
NAMES = re.compile(r"\[\[\S+\]\]|Known|Zebra|Holdfast|Esc|Ctrl|Shift|Alt|Enter|Backspace|openai")


def left_of(page):
    """Returns the lines with words outside of brackets."""
    left = NAMES.sub(" ", bare("\n".join(page.evaluate(SEEN))))
    return [line.strip() for line in left.splitlines() if WORD.search(line)]


def write(page, text):
    field = page.locator(".composer textarea")
    field.fill(text)
    field.press("Enter")


def test_no_state_of_the_chat_page_shows_english(bracketed, shot):
    page, left = bracketed, []
    expect(page.locator(".composer textarea")).to_be_visible()
    expect(page.locator(".empty")).to_contain_text("⟦")
    left += left_of(page)
    shot(page, "texts-empty-rtl")
    write(page, "[[tokens=6]] Zebra")
    answer = page.locator(".message-answer").last
    expect(answer).to_have_attribute("aria-busy", "false", timeout=30_000)
    left += left_of(page)
    write(page, "[[rate=12&tokens=400]] Zebra")
    expect(answer.locator(".md")).to_have_text(re.compile(r"\S"))
    left += left_of(page)
    page.locator(".round-button-stop").click()
    expect(page.locator(".message-answer").last).to_have_attribute("aria-busy", "false")
    left += left_of(page)
    write(page, "[[status=401]] Zebra")
    expect(page.locator(".message-answer .notice-problem")).to_contain_text("⟦")
    left += left_of(page)
    shot(page, "texts-chat-rtl")
    page.keyboard.press("Control+k")
    expect(page.locator(".palette-list")).to_contain_text("⟦")
    left += left_of(page)
    shot(page, "texts-palette-rtl")
    page.locator(".palette-field input").fill("Nowhere at all")
    expect(page.locator(".palette")).to_contain_text("⟦")
    page.keyboard.press("Escape")
    page.locator(".composer .model-button").click()
    left += left_of(page)
    page.keyboard.press("Escape")
    page.locator("body").press("?")
    expect(page.locator("dialog[open]")).to_contain_text("⟦")
    left += left_of(page)
    shot(page, "texts-shortcuts-rtl")
    assert sorted(set(left)) == []
