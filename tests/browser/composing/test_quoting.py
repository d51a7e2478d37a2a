"""Quoting a part of an answer in the message."""

import pytest
from playwright.sync_api import expect

SELECT = """answer => {
    const words = document.createTreeWalker(answer.querySelector(".md"), NodeFilter.SHOW_TEXT);
    const range = document.createRange();
    range.selectNodeContents(words.nextNode());
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    return String(getSelection());
}"""


@pytest.fixture
def answer(alice):
    return alice.ask("[[tokens=12]] Tell me")


def test_a_selection_is_quoted_after_what_is_written(alice, answer, shot, inspect):
    page = alice.page
    alice.field.fill("Written before")
    quote = page.get_by_role("button", name="Quote", exact=True)
    expect(quote).to_have_count(0)
    selected = answer.evaluate(SELECT)
    expect(quote).to_be_in_viewport(ratio=1)
    inspect(page).look("quote")
    answer.evaluate(SELECT)
    quote.click()
    expect(alice.field).to_be_focused()
    alice.field.press_sequentially("Why?")
    assert alice.field.input_value() == f"Written before\n\n> {selected}\n\nWhy?"
    expect(quote).to_have_count(0)
    # It is a draft like any other.
    page.reload()
    expect(alice.field).to_have_value(f"Written before\n\n> {selected}\n\nWhy?")


def test_a_key_quotes_and_only_answers_are_quoted(alice, answer):
    page = alice.page
    page.evaluate("document.activeElement.blur()")
    alice.questions.first.evaluate("node => getSelection().selectAllChildren(node)")
    page.keyboard.press("Alt+q")
    expect(page.get_by_role("button", name="Quote", exact=True)).to_have_count(0)
    assert alice.field.input_value() == ""
    selected = answer.evaluate(SELECT)
    page.keyboard.press("Alt+q")
    expect(alice.field).to_have_value(f"> {selected}\n\n")
