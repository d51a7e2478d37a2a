"""Recordings: what is in them, and what becomes of them when they are interrupted."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.files.samples import are_ready, chips
from tests.browser.prompts import QUICK
from tests.browser.sound.recorder import (
    ARE_CLOSED,
    NOTE_STREAMS,
    PULL_OUT,
    REFUSE,
    SENTENCE,
    button,
    has_recorded,
    is_in,
    press,
    record,
    recorder,
    words_in,
)
from tests.browser.stored_data import KEPT
from tests.stack import wait_for

NOTE = re.compile(r"Voice note .*\d\d.*\.wav")


def is_stored(page, part='"pieces":'):
    wait_for(lambda: part in page.evaluate(KEPT) or page.wait_for_timeout(50), 20)


def original(alice):
    """The sound of the last message, as the server has it."""
    link = alice.questions.last.get_by_role("link", name="Download Voice note")
    answer = alice.page.request.get(alice.url + link.get_attribute("href"))
    assert answer.headers["content-type"] == "audio/wav"
    return answer.body()


def test_every_word_is_in_the_sound_that_the_server_has(alice, shot):
    alice.page.evaluate(NOTE_STREAMS)
    record(alice, 4)
    shot(alice.page, "recording")
    # Nothing here turns sound into text.
    expect(recorder(alice.page).get_by_role("button", name="Insert as text")).to_have_count(0)
    press(alice.page, "Attach the recording")
    expect(chips(alice)).to_have_count(1)
    expect(chips(alice).locator(".sound-name")).to_have_text(NOTE)
    expect(alice.field).to_be_focused()
    # The light of the microphone is off.
    assert alice.page.evaluate(ARE_CLOSED)
    are_ready(alice)
    alice.ask(f"{QUICK} Listen")
    assert is_in(SENTENCE, words_in(original(alice)))


def test_a_recording_that_is_interrupted_is_offered(alice):
    record(alice, 2)
    is_stored(alice.page, '"pieces":2')
    other = alice.page.context.new_page()
    other.goto(alice.url)
    expect(button(other)).to_be_visible()
    # It still runs there.
    expect(other.get_by_text("was interrupted")).to_have_count(0)
    alice.page.reload()
    offer = recorder(alice.page)
    expect(offer).to_contain_text(re.compile(r"A recording of 0:0[2-9] was interrupted\."))
    offer.get_by_role("button", name="Attach").click()
    expect(chips(alice).locator(".sound-name")).to_have_text(NOTE)
    expect(chips(alice)).to_contain_text(re.compile("0:0[2-9]"))
    expect(recorder(alice.page)).to_have_count(0)
    alice.page.reload()
    expect(chips(alice)).to_have_count(1)
    expect(alice.page.get_by_text("was interrupted")).to_have_count(0)


def test_an_interrupted_recording_can_be_discarded(alice):
    record(alice)
    is_stored(alice.page)
    alice.page.reload()
    press(alice.page, "Discard")
    expect(recorder(alice.page)).to_have_count(0)
    assert '"pieces":' not in alice.page.evaluate(KEPT)
    alice.page.reload()
    expect(button(alice.page)).to_be_visible()
    assert alice.page.evaluate("localStorage.getItem('holdfast:recordings')") is None


def test_a_discarded_recording_can_be_brought_back(alice):
    alice.page.evaluate(NOTE_STREAMS)
    record(alice)
    press(alice.page, "Discard the recording")
    expect(recorder(alice.page)).to_have_count(0)
    assert alice.page.evaluate(ARE_CLOSED)
    wait_for(lambda: '"pieces":' not in alice.page.evaluate(KEPT), 20)
    alice.page.get_by_role("button", name="Undo").click()
    is_stored(alice.page)
    press(alice.page, "Attach the recording")
    expect(chips(alice)).to_have_count(1)
    wait_for(lambda: '"pieces":' not in alice.page.evaluate(KEPT), 20)


def test_the_keyboard_alone_records_and_every_step_is_said(alice):
    page = alice.page
    said = page.locator(".composer [role=status]")
    button(page).focus()
    page.keyboard.press("Enter")
    expect(recorder(page)).to_be_focused()
    expect(said.filter(has_text="Recording.")).to_have_count(1)
    has_recorded(page, 1)
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Pause")).to_be_focused()
    page.keyboard.press("Enter")
    expect(said.filter(has_text=re.compile(r"Paused at 0:0\d\."))).to_have_count(1)
    paused = page.get_by_role("timer").inner_text()
    expect(page.get_by_role("button", name="Go on")).to_be_focused()
    page.keyboard.press("Enter")
    expect(said.filter(has_text="Recording again.")).to_have_count(1)
    expect(page.get_by_role("timer")).not_to_have_text(paused)
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Attach the recording")).to_be_focused()
    page.keyboard.press("Enter")
    expect(alice.field).to_be_focused()
    expect(said.filter(has_text="Attached: Voice note")).to_have_count(1)
    button(page).focus()
    page.keyboard.press("Enter")
    has_recorded(page, 1)
    page.keyboard.press("Escape")
    expect(recorder(page)).to_have_count(0)
    expect(alice.field).to_be_focused()
    expect(chips(alice)).to_have_count(1)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        ("NotAllowedError", "The microphone is not allowed here."),
        ("NotFoundError", "No microphone was found."),
        ("NotReadableError", "The microphone can’t be used now"),
    ],
)
def test_without_a_microphone_the_page_says_why(alice, error, sentence):
    alice.page.evaluate(REFUSE, error)
    button(alice.page).click()
    expect(recorder(alice.page).get_by_role("alert")).to_contain_text(sentence)
    press(alice.page, "Try again")
    expect(recorder(alice.page).get_by_role("alert")).to_contain_text(sentence)
    press(alice.page, "Discard the recording")
    expect(alice.page.locator(".composer-row")).to_be_visible()
    expect(alice.page.locator(".toast")).to_have_count(0)


def test_a_microphone_that_is_pulled_out_loses_nothing(alice):
    alice.page.evaluate(NOTE_STREAMS)
    record(alice, 1)
    alice.page.evaluate(PULL_OUT)
    expect(recorder(alice.page).get_by_role("alert")).to_contain_text("The microphone is gone.")
    before = alice.page.get_by_role("timer").inner_text()
    press(alice.page, "Go on")
    expect(alice.page.get_by_role("timer")).not_to_have_text(before)
    press(alice.page, "Attach the recording")
    expect(chips(alice)).to_have_count(1)


def test_nothing_of_a_temporary_chat_is_stored(alice):
    alice.page.get_by_role("switch", name="Temporary chat").click()
    record(alice, 1)
    press(alice.page, "Pause")
    assert '"pieces":' not in alice.page.evaluate(KEPT)
    press(alice.page, "Attach the recording")
    expect(chips(alice)).to_have_count(1)
    assert "Voice note" not in alice.page.evaluate(KEPT)


def test_another_chat_does_not_end_a_recording(alice):
    alice.ask(f"{QUICK} Hello")
    record(alice, 1)
    alice.page.get_by_role("link", name="New chat").first.click()
    expect(alice.questions).to_have_count(0)
    expect(recorder(alice.page)).to_be_visible()
    before = alice.page.get_by_role("timer").inner_text()
    expect(alice.page.get_by_role("timer")).not_to_have_text(before)
    press(alice.page, "Attach the recording")
    expect(chips(alice)).to_have_count(1)


def test_without_room_the_recording_stays_with_the_page(alice):
    full = """() => {
      const put = IDBObjectStore.prototype.put;
      IDBObjectStore.prototype.put = function (...all) {
        if (this.name === "file_data") throw new DOMException("full", "QuotaExceededError");
        return put.apply(this, all);
      };
    }"""
    alice.page.evaluate(full)
    record(alice, 1)
    expect(recorder(alice.page).get_by_role("alert")).to_contain_text("no room to keep")
    press(alice.page, "Attach the recording")
    expect(chips(alice)).to_have_count(1)
