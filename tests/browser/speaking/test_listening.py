"""Answers that are heard while their model speaks them, and then from the file."""

import re

import pytest
from playwright.sync_api import expect

from tests.stack import Stack

# Six seconds, as fast as it is spoken.
ASK = "[[tokens=30&audio=6000&rate=5&jitter_ms=100&audio_split=odd]] Why tides?"
# Twice as fast as it is heard.
FAST = "[[tokens=30&audio=6000&rate=10]] Why moons?"
HEARD = """() => Number(document.querySelector(".speech-bar [data-heard]")?.dataset.heard ?? 0)"""
# The page's own sound, as it leaves the page: how many blocks are silent once it has begun.
MEDIA_TIME = """() => new Promise((done) => {
  const audio = window.sounds.at(-1);
  done(audio.currentTime);
})"""
NOTE_AUDIO = """() => {
  window.sounds = [];
  const Original = window.Audio;
  window.Audio = function () {
    const audio = new Original();
    window.sounds.push(audio);
    return audio;
  };
}"""


@pytest.fixture(scope="module")
def stack(fake_model):
    env = {"HOLDFAST_SPEAKING_MODELS": "known"}
    with Stack(model_url=fake_model.base_url, workers=2, env=env) as running:
        yield running


@pytest.fixture
def seen(alice, inspect):
    return inspect(alice.page)


def listen(answer):
    return answer.get_by_role("button", name="Listen", exact=True)


def player(answer):
    return answer.get_by_role("group", name="Answer read aloud")


def heard(page):
    return page.evaluate(HEARD)


def wait_for_heard(page, samples):
    page.wait_for_function(f"(least) => ({HEARD})() >= least", arg=samples)


def test_it_is_heard_while_it_is_spoken_and_then_from_the_file(alice):
    page = alice.page
    page.add_init_script(f"({NOTE_AUDIO})()")
    page.reload()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    alice.send(ASK)
    answer = alice.writing()
    expect(listen(answer)).to_be_visible()
    # A page on which nobody listens loads none of the sound.
    assert not [url for url in asked if "/live" in url or "ring_worklet" in url]
    listen(answer).click()
    expect(player(answer)).to_contain_text("Being spoken")
    wait_for_heard(page, 24_000)
    bar = player(answer).locator("[data-underruns]")
    expect(bar).to_have_attribute("data-underruns", "0")
    answer = alice.ended()
    # The ordinary player, from where it was, and still playing.
    expect(player(answer).get_by_role("slider", name="Position")).to_be_visible()
    expect(player(answer).get_by_role("button", name="Pause")).to_be_visible()
    assert page.evaluate(MEDIA_TIME) > 0.9
    page.wait_for_function("() => window.sounds.at(-1).ended || window.sounds.at(-1).paused")
    assert len([url for url in asked if "/live" in url]) == 1
    assert [url for url in asked if url.endswith("/original")]


def test_it_waits_while_it_is_paused(alice):
    page = alice.page
    alice.send(ASK)
    answer = alice.writing()
    listen(answer).click()
    wait_for_heard(page, 6_000)
    player(answer).get_by_role("button", name="Pause").click()
    expect(player(answer).get_by_role("button", name="Play")).to_be_visible()
    page.wait_for_timeout(300)
    at = heard(page)
    page.wait_for_timeout(500)
    assert heard(page) == at
    player(answer).get_by_role("button", name="Play").click()
    wait_for_heard(page, at + 6_000)
    answer.get_by_role("button", name="Stop listening").click()
    expect(player(answer)).to_have_count(0)
    alice.ended()


def test_one_sound_at_a_time(alice):
    page = alice.page
    alice.ask(FAST)
    first = alice.answers.first
    alice.send(ASK)
    second = alice.writing()
    first.get_by_role("button", name="Read aloud", exact=True).click()
    expect(player(first).get_by_role("button", name="Pause")).to_be_visible()
    listen(second).click()
    expect(player(first)).to_have_count(0)
    wait_for_heard(page, 6_000)
    page.get_by_role("link", name="New chat").click()
    expect(alice.answers).to_have_count(0)
    assert page.evaluate("navigator.mediaSession.metadata") is None


def test_it_goes_on_when_the_worker_is_killed(alice, stack):
    page = alice.page
    alice.send(ASK.replace("6000", "12000").replace("tokens=30", "tokens=60"))
    answer = alice.writing()
    listen(answer).click()
    wait_for_heard(page, 24_000)
    for name in ("worker-1", "worker-2"):
        stack.kill(name)
    before = heard(page)
    wait_for_heard(page, before + 72_000)
    alice.ended()
    expect(player(answer).get_by_role("slider", name="Position")).to_be_visible()


def test_it_goes_on_when_the_connection_breaks(alice):
    page = alice.page
    alice.send(ASK)
    answer = alice.writing()
    page.route("**/live*", lambda route: route.abort("connectionreset"), times=1)
    with page.expect_event("requestfailed"):
        listen(answer).click()
    wait_for_heard(page, 24_000)
    alice.ended()


def test_in_light_in_dark_and_on_a_phone(alice, seen):
    page = alice.page
    alice.send(ASK)
    answer = alice.writing()
    expect(listen(answer)).to_be_visible()
    seen.look("a spoken answer", part=".message-answer")
    listen(answer).click()
    wait_for_heard(page, 6_000)
    player(answer).get_by_role("button", name="Pause").click()
    seen.look("listening to an answer", part=".speech-bar")
    answer = alice.ended()
    expect(answer.get_by_role("button", name=re.compile("aloud"))).to_be_visible()
