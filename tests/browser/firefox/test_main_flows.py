"""The main flows in Firefox, if it is installed (Debian: firefox-esr). Everything else runs in
Chromium."""

import re

import pytest

from tests.browser.firefox.driver import find_firefox, running_firefox
from tests.browser.prompts import QUICK, SLOW

pytestmark = pytest.mark.full
FIREFOX = find_firefox()
FIELD = ".composer-field"
ANSWERS = 'document.querySelectorAll(".message-answer")'
LAST = f"[...{ANSWERS}].at(-1)"
TEXT = f"{LAST}?.querySelector('.md')?.innerText"
ENDED = f"{LAST}?.getAttribute('aria-busy') === 'false'"
MARKDOWN = """Some **bold** text and $a^2 + b^2$.

```python
def one(): return 1
```

| a | b |
|---|---|
| 1 | 2 |
"""


@pytest.fixture
def page(stack):
    if FIREFOX is None:
        pytest.skip("Firefox is not installed")
    with running_firefox(FIREFOX) as firefox:
        firefox.resize(1280, 860)
        firefox.goto(stack.url)
        yield firefox
        assert firefox.problems == []


def ask(page, text, answers=1):
    page.click(FIELD)
    page.type(text)
    page.press("Enter")
    page.wait_for(f"{ANSWERS}.length === {answers}")


def test_an_answer_goes_on_after_a_reload(page):
    ask(page, f"{SLOW} Tell me a story")
    begun = page.wait_for(f"({TEXT} ?? '').length > 40 && {TEXT}")
    page.reload()
    whole = page.wait_for(f"{ENDED} && {TEXT}")
    assert whole.startswith(begun.strip())
    assert len(whole.split()) >= 100
    assert page.evaluate("document.querySelectorAll('.message').length") == 2


def test_stop_again_versions_and_the_list(page):
    ask(page, f"{SLOW} Stop me")
    page.wait_for(f"({TEXT} ?? '').length > 10")
    page.press("Escape")
    page.wait_for(ENDED, within_s=10)
    ask(page, f"{QUICK} Second", 2)
    page.wait_for(ENDED)
    page.click(".message-answer:last-of-type [aria-label='Answer again']")
    page.wait_for("document.querySelector('.stepper')?.innerText.includes('2/2')")
    page.wait_for(ENDED)
    page.click("[aria-label='Previous version']")
    page.wait_for("document.querySelector('.stepper')?.innerText.includes('1/2')")
    page.press("Control", "k")
    page.type("stop me")
    page.wait_for("document.querySelector('[role=listbox] [role=option]')?.innerText")
    page.press("Escape")
    assert page.evaluate("document.querySelectorAll('.chat-link').length") == 1


def test_text_that_was_typed_outlives_the_page(page):
    page.click(FIELD)
    page.type("Half a thou")
    page.reload()
    page.wait_for(f"document.querySelector('{FIELD}')?.value === 'Half a thou'")


def test_code_formulas_and_tables(page, echo_stack):
    page.goto(echo_stack.url)
    ask(page, f"SAY {MARKDOWN}")
    page.wait_for(ENDED)
    page.wait_for(f"{LAST}.querySelector('.hljs-keyword') !== null")
    page.wait_for(f"{LAST}.querySelector('.katex')?.getBoundingClientRect().height > 5")
    assert page.evaluate(f"{LAST}.querySelectorAll('table td').length") == 2


def test_on_a_narrow_page(page):
    page.resize(390, 800)
    page.reload()
    ask(page, f"{QUICK} Hello")
    page.wait_for(ENDED)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    chat = page.evaluate("location.pathname")
    assert re.fullmatch(r"/c/[0-9a-f-]{36}", chat)
