"""Sound in light, in dark and on a phone: axe finds nothing, and nothing is too wide."""

import pytest
from playwright.sync_api import expect

from tests.browser.files.samples import are_ready, attach
from tests.browser.sound.conftest import SENTENCE as SENTENCE_FILE
from tests.browser.sound.recorder import NOTE_STREAMS, PULL_OUT, press, record, recorder
from tests.browser.sound.samples import tone_file

LONG = "a rather long name of the voice of the harbour master on tides.wav"
# The targets of sound that are smaller than a thumb needs, on a phone.
SMALL = """() => [...document.querySelectorAll(".sound-group button, .sound-player button")]
  .filter((one) => one.checkVisibility())
  .map((one) => [one.outerHTML, one.getBoundingClientRect()])
  .filter(([_, { width, height }]) => Math.min(width, height) < 44)"""


@pytest.fixture
def seen(heard, inspect):
    return inspect(heard.page)


def test_the_recorder(heard, seen, recogniser):
    page = heard.page
    page.evaluate(NOTE_STREAMS)
    record(heard, 2)
    seen.look("recording", part=".composer")
    page.evaluate(PULL_OUT)
    seen.look("microphone lost", part=".composer")
    recogniser.refuses = 1
    press(page, "Insert as text")
    expect(recorder(page).get_by_role("button", name="Try again")).to_be_visible()
    seen.look("not text", part=".composer")
    page.reload()
    expect(recorder(page)).to_contain_text("was interrupted")
    seen.look("recording interrupted", part=".composer")


def test_targets_are_large_enough_for_a_thumb(new_context, hearing_stack):
    phone = new_context(has_touch=True, is_mobile=True, viewport={"width": 360, "height": 740})
    page = phone.new_page()
    page.goto(hearing_stack.url)
    button = page.get_by_role("button", name="Record a voice note")
    assert min(button.bounding_box()[side] for side in ("width", "height")) >= 44
    button.click()
    expect(page.get_by_role("timer")).to_have_text("0:01")
    assert page.evaluate(SMALL) == []
    press(page, "Attach the recording")
    expect(page.locator(".file-chip")).to_have_count(1)
    assert page.evaluate(SMALL) == []


def test_sounds_of_messages(heard, seen, recogniser):
    sentence = {"name": LONG, "mimeType": "audio/wav", "buffer": SENTENCE_FILE.read_bytes()}
    recogniser.is_open.clear()
    attach(heard, sentence, tone_file())
    seen.look("sounds attached", part=".composer")
    are_ready(heard)
    heard.send("SAY Thank you.")
    expect(heard.answers).to_have_count(1)
    recogniser.is_open.set()
    heard.questions.last.get_by_text("Transcript").first.click()
    heard.ended()
    heard.questions.last.scroll_into_view_if_needed()
    seen.look("sounds of a message")
    heard.page.evaluate("() => (document.documentElement.dir = 'rtl')")
    seen.fits_everywhere("sounds from right to left")
