"""The recorder of a page, and a recogniser that hears what it has recorded."""

import io
import re
import threading
import wave
from functools import cache

from playwright.sync_api import Locator, Page, expect
from pocketsphinx import Decoder

from tests.browser.chat_page import ChatPage

SENTENCE = ["please", "open", "the", "window", "and", "close", "the", "door"]
# Words that are not in the sentence.
OTHERS = [
    "coffee",
    "doctor",
    "family",
    "garden",
    "green",
    "hello",
    "letter",
    "mountain",
    "music",
    "number",
    "river",
    "seven",
]
RATE = 16_000
HEARS_ALONE = threading.Lock()
# Makes the microphone refuse with an error of this name, as browsers do.
REFUSE = """(name) => {
  navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("", name); };
}"""
# Notes the streams of the microphone.
NOTE_STREAMS = """() => {
  const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  window.streams = [];
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    const stream = await open(wanted);
    window.streams.push(stream);
    return stream;
  };
}"""
# As when the device is pulled out: `stop` alone tells nobody.
PULL_OUT = """() => {
  for (const track of window.streams.flatMap((stream) => stream.getTracks())) {
    track.stop();
    track.dispatchEvent(new Event("ended"));
  }
}"""
ARE_CLOSED = """() => window.streams.length > 0 && window.streams
  .every((stream) => stream.getTracks().every(({ readyState }) => readyState === "ended"))"""


def button(page: Page) -> Locator:
    return page.get_by_role("button", name="Record a voice note")


def recorder(page: Page) -> Locator:
    return page.get_by_role("group", name="Recorder")


def press(page: Page, name: str) -> None:
    recorder(page).get_by_role("button", name=name).click()


def record(alice: ChatPage, seconds: int = 1) -> None:
    """Begins a recording, and waits until it has this many seconds."""
    button(alice.page).click()
    has_recorded(alice.page, seconds)


def has_recorded(page: Page, seconds: int) -> None:
    expect(page.get_by_role("timer")).to_have_text(re.compile(f"0:0[{seconds}-9]"))


def words_in(sound: bytes) -> list[str]:
    """What the recogniser hears in a WAV."""
    with wave.open(io.BytesIO(sound)) as read:
        assert (read.getnchannels(), read.getsampwidth(), read.getframerate()) == (1, 2, RATE)
        # A sound that ends within a word would fit no sentence of the grammar.
        samples = read.readframes(read.getnframes()) + bytes(RATE)
    with HEARS_ALONE:
        decoder = _decoder()
        decoder.start_utt()
        decoder.process_raw(samples, no_search=False, full_utt=True)
        decoder.end_utt()
        heard = decoder.hyp()
    return heard.hypstr.split() if heard else []


@cache
def _decoder() -> Decoder:
    """Loading its model takes a second. It knows a few words only, since it is small: of all words
    it sometimes hears “police” for “please”."""
    words = " | ".join(sorted({*SENTENCE, *OTHERS}))
    decoder = Decoder(samprate=RATE, loglevel="FATAL")
    decoder.add_jsgf_string("said", f"#JSGF V1.0; grammar g; public <said> = ({words})+;")
    decoder.activate_search("said")
    return decoder


def is_in(wanted: list[str], heard: list[str]) -> bool:
    """Whether all words were heard, one after the other."""
    rest = iter(heard)
    return all(word in rest for word in wanted)
