"""Pictures that a model makes: in the answer, in the lightbox, downloaded, and changed."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage
from tests.browser.files.samples import chips
from tests.stack import Stack, wait_for

DRAW = """Draw a fox in the snow, with a red scarf and a small lantern
[[tokens=0&images=1&image_px=800x500&image_ms=1500]]"""
BOX_OF = "(image) => { const box = image.getBoundingClientRect(); return [box.width, box.height]; }"


@pytest.fixture(scope="module")
def drawing_stack(fake_model):
    models = {"HOLDFAST_PICTURE_MODELS": "think*", "HOLDFAST_VISION_MODELS": "think*"}
    with Stack(model_url=fake_model.base_url, workers=1, env=models) as running:
        yield running


@pytest.fixture
def artist(new_context, drawing_stack, shot):
    """Somebody who has chosen the model that makes pictures."""
    alice = ChatPage(new_context().new_page(), drawing_stack.url).visit()
    alice.page.get_by_role("button", name="Choose a model").click()
    option = alice.page.get_by_role("option").filter(has_text="makes pictures")
    expect(option).to_have_count(1)
    shot(alice.page, "model that makes pictures")
    option.click()
    return alice


def test_a_picture_is_shown_looked_at_downloaded_and_changed(artist, fake_model, inspect):
    seen = inspect(artist.page)
    artist.send(DRAW)
    placeholder = artist.page.locator(".picture-placeholder")
    expect(placeholder).to_contain_text("Making a picture…")
    seen.look("picture being made", part=".message-answer")
    answer = artist.ended()
    image = answer.locator(".answer-picture img")
    expect(image).to_have_attribute("src", re.compile("/view$"))
    expect(placeholder).to_have_count(0)
    assert image.evaluate(BOX_OF) == [448, 280]
    expect(answer.get_by_role("button", name=re.compile("Draw a fox"))).to_be_visible()
    seen.look("picture made")
    with artist.page.expect_download() as downloading:
        answer.get_by_role("link", name="Download").click()
    assert downloading.value.suggested_filename.startswith("Draw a fox in the snow")
    image.click()
    box = artist.page.get_by_role("dialog", name="Pictures of the message")
    expect(box).to_contain_text("Draw a fox in the snow")
    artist.page.keyboard.press("Escape")
    change = answer.get_by_role("button", name="Change this picture")
    change.click()
    expect(artist.field).to_be_focused()
    expect(chips(artist)).to_have_count(1)
    change.click()
    expect(chips(artist)).to_have_count(1)
    seen.look("picture attached", part=".composer")
    artist.ask("[[tokens=6&images=2]] Make it red")
    expect(artist.questions.last.locator(".picture")).to_have_count(1)
    expect(artist.answers.last.locator(".answer-picture")).to_have_count(2)
    parts = fake_model.requests[-1]["body"]["messages"][-1]["content"]
    assert [part["type"] for part in parts].count("image_url") == 1
    artist.page.reload()
    again = artist.answers.first.locator(".answer-picture img")
    expect(again).to_be_visible()
    wait_for(lambda: again.evaluate(BOX_OF) == [448, 280])


def test_a_picture_that_is_not_kept_says_why(artist):
    answer = artist.ask("[[tokens=3&images=1&image_is=junk]] Draw")
    expect(answer.locator(".file-card")).to_contain_text("could not be read or stored")
    expect(answer.locator(".notice")).to_have_count(0)
