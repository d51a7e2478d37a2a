"""Dictation: speech becomes text at the caret, and only what did not is kept."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.files.samples import are_ready, chips
from tests.browser.sound.recorder import SENTENCE, is_in, press, record, recorder
from tests.browser.stored_data import KEPT
from tests.stack import wait_for


@pytest.fixture
def deletions(heard):
    """The files that the page has the server delete."""
    seen = []
    heard.page.on("request", lambda one: one.method == "DELETE" and seen.append(one.url))
    return seen


def test_every_word_is_put_at_the_caret_and_can_be_taken_back(heard, deletions):
    heard.field.fill("Write: . That is all")
    heard.field.evaluate("(field) => field.setSelectionRange(7, 7)")
    record(heard, 4)
    press(heard.page, "Insert as text")
    expect(recorder(heard.page)).to_contain_text("Turning it into text")
    expect(recorder(heard.page)).to_have_count(0)
    expect(heard.field).to_be_focused()
    written = heard.field.input_value()
    assert written.startswith("Write: ") and written.endswith(". That is all")
    assert is_in(SENTENCE, written.split())
    status = heard.page.locator(".composer [role=status]")
    expect(status.filter(has_text="The text was inserted.")).to_have_count(1)
    expect(chips(heard)).to_have_count(0)
    wait_for(lambda: deletions or heard.page.wait_for_timeout(50), 20)
    file = deletions[0].rpartition("/")[2]
    original = f"{heard.url}/files/{file}/original"
    wait_for(lambda: heard.page.request.get(original).status == 404, 20)
    assert '"pieces":' not in heard.page.evaluate(KEPT)
    # It is a draft like any other, and one step of the history.
    wait_for(lambda: "window" in heard.page.evaluate(KEPT), 20)
    heard.page.keyboard.press("Control+z")
    expect(heard.field).to_have_value("Write: . That is all")


def test_what_cannot_be_turned_into_text_is_tried_again_or_attached(heard, recogniser, deletions):
    record(heard, 1)
    recogniser.refuses = 2
    press(heard.page, "Insert as text")
    reason = recorder(heard.page).get_by_role("alert")
    expect(reason).to_contain_text("could not be turned into text. The provider did not accept")
    expect(recorder(heard.page)).to_be_focused()
    press(heard.page, "Try again")
    wait_for(lambda: recogniser.refuses == 0 or heard.page.wait_for_timeout(50), 20)
    press(heard.page, "Attach the recording")
    expect(chips(heard).locator(".sound-name")).to_have_text(re.compile("Voice note"))
    are_ready(heard)
    wait_for(lambda: len(deletions) == 2 or heard.page.wait_for_timeout(50), 20)


def test_one_need_not_wait_for_the_text(heard):
    record(heard, 1)
    heard.page.route("**/complete", lambda route: route.abort("connectionreset"))
    press(heard.page, "Insert as text")
    expect(recorder(heard.page)).to_contain_text("cannot be reached")
    press(heard.page, "Discard the recording")
    heard.page.get_by_role("button", name="Undo").click()
    press(heard.page, "Insert as text")
    expect(recorder(heard.page)).to_contain_text("cannot be reached")
    press(heard.page, "Attach the recording")
    expect(chips(heard)).to_have_count(1)
    expect(recorder(heard.page)).to_have_count(0)
