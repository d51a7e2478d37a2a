"""The menu of a chat saves it as a file and prints it."""

import json
import re

import pytest
from playwright.sync_api import expect

from tests.browser.chat_list import row_menu


def download(alice, item):
    with alice.page.expect_download() as started:
        row_menu(alice, alice.chats.first.inner_text(), item)
    return started.value


def test_a_chat_is_saved_as_markdown_and_as_json(alice):
    alice.ask("[[tokens=5]] Keep this")
    markdown = download(alice, "Save as Markdown")
    assert re.fullmatch(r"\[\[tokens=5\]\] Keep this\.md", markdown.suggested_filename)
    assert "Keep this" in markdown.path().read_text()
    whole = download(alice, "Save as JSON")
    content = json.loads(whole.path().read_text())
    assert [content["messages"][id_]["role"] for id_ in content["shown"]] == ["user", "assistant"]


@pytest.mark.parametrize("is_open", [True, False], ids=["open", "from another chat"])
def test_a_chat_is_printed_once_it_is_drawn(alice, is_open):
    page = alice.page
    alice.ask("[[tokens=5]] Print this")
    if not is_open:
        page.get_by_role("link", name="New chat").first.click()
        expect(alice.answers).to_have_count(0)
    page.evaluate(
        "window.print = () => { document.body.dataset.printed ="
        " document.querySelectorAll('.transcript .message').length; }"
    )
    row_menu(alice, alice.chats.first.inner_text(), "Print")
    expect(page.locator("body")).to_have_attribute("data-printed", "2")


def test_a_refused_export_says_why(alice):
    alice.ask("[[tokens=5]] Keep this")
    problem = {"error": {"code": "too_many_requests", "message": "Too many at once."}}
    alice.page.route("**/export?*", lambda route: route.fulfill(status=429, json=problem))
    row_menu(alice, alice.chats.first.inner_text(), "Save as JSON")
    expect(alice.page.locator(".toast-problem")).to_contain_text("Too many at once.")
