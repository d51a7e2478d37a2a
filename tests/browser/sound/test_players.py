"""Sounds in composers and messages: how they are played, and what the page says of them."""

import re

from playwright.sync_api import expect

from tests.browser.files.samples import are_ready, attach, chips
from tests.browser.pdf_text import pdf_text
from tests.browser.prompts import QUICK
from tests.browser.sound.conftest import SENTENCE as SENTENCE_FILE
from tests.browser.sound.recorder import SENTENCE, button, is_in, words_in
from tests.browser.sound.samples import tone_file, webm

PLAYING = "() => [...document.querySelectorAll('audio')].map((audio) => !audio.paused)"
# Notes the handlers of media keys.
NOTE_KEYS = """() => {
  window.keys = {};
  navigator.mediaSession.setActionHandler = (action, handler) => (window.keys[action] = handler);
}"""


def play(page, name):
    return page.get_by_role("button", name=f"Play {name}")


def pause(page, name):
    return page.get_by_role("button", name=f"Pause {name}")


def test_one_sound_is_played_at_a_time_before_and_after_it_is_sent(alice):
    page = alice.page
    page.evaluate(NOTE_KEYS)
    attach(alice, tone_file("long.wav", 20), tone_file("other.wav", 20))
    expect(chips(alice).first).to_contain_text("0:20")
    play(page, "long.wav").click()
    expect(pause(page, "long.wav")).to_be_visible()
    play(page, "other.wav").click()
    expect(pause(page, "other.wav")).to_be_visible()
    expect(play(page, "long.wav")).to_be_visible()
    assert page.evaluate(PLAYING) == [False, True]
    assert page.evaluate("navigator.mediaSession.metadata.title") == "other.wav"
    page.evaluate("() => window.keys.pause()")
    expect(play(page, "other.wav")).to_be_visible()
    are_ready(alice)
    alice.ask(f"{QUICK} Listen")
    player = alice.questions.last.get_by_role("group", name="long.wav")
    play(player, "long.wav").click()
    expect(pause(player, "long.wav")).to_be_visible()
    # Something begins to be recorded.
    button(page).click()
    expect(play(player, "long.wav")).to_be_visible()
    page.keyboard.press("Escape")


def test_a_player_is_used_by_keyboard_and_says_where_it_is(alice):
    page = alice.page
    attach(alice, tone_file("long.wav", 20))
    position = page.get_by_role("slider", name="Position in long.wav")
    position.focus()
    page.keyboard.press("ArrowRight")
    expect(position).to_have_attribute("aria-valuetext", "0:05 of 0:20")
    page.keyboard.press("ArrowRight")
    expect(position).to_have_attribute("aria-valuetext", "0:10 of 0:20")
    page.keyboard.press("ArrowLeft")
    expect(position).to_have_attribute("aria-valuetext", "0:05 of 0:20")
    page.evaluate("() => (document.documentElement.dir = 'rtl')")
    page.keyboard.press("ArrowLeft")
    expect(position).to_have_attribute("aria-valuetext", "0:10 of 0:20")
    page.keyboard.press("End")
    expect(position).to_have_attribute("aria-valuetext", "0:20 of 0:20")
    page.get_by_role("button", name="Speed: 1×").press("Enter")
    expect(page.get_by_role("button", name="Speed: 1.25×")).to_be_visible()
    page.wait_for_function("() => document.querySelector('audio').playbackRate === 1.25")


def test_a_sound_that_cannot_be_played_says_so(alice):
    torn = tone_file("torn.wav")
    attach(alice, torn | {"buffer": torn["buffer"][:30]})
    expect(alice.page.locator(".file-chip-refused")).to_have_count(1)
    play(alice.page, "torn.wav").click()
    expect(chips(alice)).to_contain_text("can’t be played now")


def test_a_sent_sound_gets_its_transcript(heard, recogniser):
    sentence = {"name": "said.wav", "mimeType": "audio/wav", "buffer": SENTENCE_FILE.read_bytes()}
    recogniser.is_open.clear()
    attach(heard, sentence)
    expect(heard.page.locator(".files-notice")).to_contain_text("It gets the transcript.")
    are_ready(heard)
    heard.send("SAY Thank you.")
    expect(heard.answers).to_have_count(1)
    recogniser.is_open.set()
    transcript = heard.questions.last.locator("details")
    expect(transcript.locator("p")).to_be_hidden()
    transcript.get_by_text("Transcript").click()
    assert is_in(SENTENCE, transcript.locator("p").inner_text().split())


def test_a_printed_sound_is_its_name_and_what_is_said(heard):
    attach(
        heard, {"name": "said.wav", "mimeType": "audio/wav", "buffer": SENTENCE_FILE.read_bytes()}
    )
    are_ready(heard)
    heard.ask("SAY Thank you.")
    expect(heard.questions.last.locator("details")).to_contain_text("Transcript")
    printed = " ".join(" ".join(pdf_text(heard.page.pdf())).split())
    assert "said.wav" in printed and is_in(SENTENCE, printed.split())
    heard.page.emulate_media(media="print")
    for name in (".sound-play", ".sound-position", ".sound-speed", "a[download]"):
        expect(heard.questions.last.locator(name)).to_be_hidden()


def test_sound_of_another_kind_goes_with_a_wav(alice):
    attach(alice, webm(alice, 2_500))
    expect(alice.page.locator(".files-notice")).to_contain_text("no model here that does")
    are_ready(alice)
    expect(chips(alice)).to_contain_text(re.compile("0:0[23]"))
    answer = alice.ask(f"{QUICK} Listen")
    link = alice.questions.last.get_by_role("link", name="Download speech.webm")
    original = alice.url + link.get_attribute("href")
    assert alice.page.request.get(original).headers["content-type"] == "audio/webm"
    wav = alice.page.request.get(original.replace("/original", "/wav")).body()
    assert is_in(SENTENCE[:4], words_in(wav))
    expect(answer.locator(".notice")).to_contain_text("1 file was not played to the model")


def test_a_sound_is_played_while_its_message_waits_for_the_connection(alice):
    alice.ask(f"{QUICK} Hello")
    alice.page.route("**/parts/*", lambda route: route.abort("connectionreset"))
    attach(alice, tone_file("long.wav", 20))
    alice.send(f"{QUICK} Listen")
    expect(alice.page.locator(".message-pending")).to_contain_text("waiting for the connection")
    play(alice.page, "long.wav").click()
    expect(pause(alice.page, "long.wav")).to_be_visible()
    alice.page.unroute("**/parts/*")
    expect(alice.answers).to_have_count(2)
    alice.ended()
    expect(alice.questions.last.get_by_role("group", name="long.wav")).to_contain_text("0:20")
