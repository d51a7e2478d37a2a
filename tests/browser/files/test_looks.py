"""Files in light, in dark and on a phone: axe finds nothing, and nothing is too wide."""

import pytest
from playwright.sync_api import expect

from tests.browser.files.samples import (
    are_ready,
    attach,
    chips,
    damaged,
    large_picture,
    picture,
    text_file,
)
from tests.browser.prompts import QUICK

LONG = "a rather long name of the quarterly report on tides and harbours.txt"


@pytest.fixture
def seen(alice, inspect):
    return inspect(alice.page)


def test_files_of_the_composer(alice, seen):
    held = []
    alice.page.route("**/parts/1", lambda route: held.append(route))
    attach(alice, picture("harbour.jpg", 1_600, 900), text_file(LONG), damaged(), large_picture())
    expect(chips(alice).nth(2)).to_have_class("file-chip file-chip-refused")
    alice.field.fill("What do these have in common?")
    seen.look("files attached", part=".composer")


def test_files_of_messages(alice, seen):
    attach(alice, picture("harbour.jpg", 1_600, 900))
    are_ready(alice)
    alice.ask(f"{QUICK} What is this?")
    attach(alice, *(picture(f"{number}.png", seed=number) for number in range(4)), text_file(LONG))
    are_ready(alice)
    alice.ask(f"{QUICK} And these?")
    alice.questions.first.scroll_into_view_if_needed()
    seen.look("files of messages")
    alice.questions.last.locator(".picture").first.click()
    lightbox = alice.page.get_by_role("dialog", name="Pictures of the message")
    expect(lightbox).to_be_visible()
    seen.look("lightbox", part=".lightbox")
    alice.page.keyboard.press("Escape")
    alice.questions.last.hover()
    alice.questions.last.get_by_role("button", name="Edit").click()
    expect(alice.page.locator(".message-editing .file-chip")).to_have_count(5)
    seen.look("files edited", part=".message-editing")


def test_a_message_whose_files_are_on_their_way(alice, seen):
    alice.ask(f"{QUICK} Hello")
    alice.page.route("**/parts/*", lambda route: route.abort("connectionreset"))
    attach(alice, picture("harbour.jpg", 1_600, 900), text_file())
    alice.send("Look")
    expect(alice.questions.last).to_contain_text("waiting for the connection")
    seen.look("files pending", part=".message-pending")
