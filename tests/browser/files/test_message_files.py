"""The files of messages: pictures, cards, the lightbox, edits, and what a model did not get."""

import re

from playwright.sync_api import expect

from tests.browser.files.samples import (
    are_ready,
    attach,
    bring,
    chips,
    large_picture,
    picture,
    text_file,
)
from tests.browser.prompts import QUICK

# In the entry that a page received, and in a replay.
THUMB = re.compile("^data:image/webp|/thumb$")
SIZE_OF = "(image) => [image.width, image.height, image.currentSrc.split(':')[0]]"


def open_editor(alice):
    alice.questions.last.hover()
    alice.questions.last.get_by_role("button", name="Edit").click()
    return alice.page.locator(".message-editing")


def test_a_picture_has_its_place_at_once_and_becomes_sharp_near_the_reader(alice):
    attach(alice, picture("wide.jpg", 1_600, 800))
    are_ready(alice)
    alice.ask(f"{QUICK} Look")
    views = []
    alice.page.route("**/view", lambda route: views.append(route))
    alice.page.reload()
    image = alice.questions.first.locator(".picture img")
    expect(image).to_be_visible()
    expect(image).to_have_attribute("src", THUMB)
    small = image.evaluate(SIZE_OF)
    assert small[:2] == [360, 180]
    for _ in range(100):
        if views:
            break
        alice.page.wait_for_timeout(50)
    views[0].continue_()
    expect(image).to_have_attribute("src", re.compile("/view$"))
    assert image.evaluate(SIZE_OF)[:2] == small[:2]


def test_the_thumbnail_stays_where_the_picture_cannot_be_loaded(alice):
    attach(alice, picture("wide.jpg", 1_600, 800))
    are_ready(alice)
    alice.ask(f"{QUICK} Look")
    alice.page.route("**/view", lambda route: route.abort("connectionreset"))
    with alice.page.expect_event("requestfailed", lambda request: "/view" in request.url):
        alice.page.reload()
    image = alice.questions.first.locator(".picture img")
    expect(image).to_have_attribute("src", THUMB)
    assert image.evaluate("(one) => one.complete && one.naturalWidth") == 256


def test_pictures_far_from_the_reader_are_printed(alice):
    attach(alice, picture("first.png"))
    are_ready(alice)
    alice.ask(f"{QUICK} Look")
    for number in range(6):
        alice.ask(f"[[tokens=300]] Question {number}")
    alice.page.reload()
    expect(alice.answers).to_have_count(7)
    expect(alice.questions.first).not_to_be_in_viewport()
    shown = "() => document.querySelector('.picture img')?.naturalWidth"
    printed = alice.page.pdf()
    assert printed.count(b"/Subtype /Image") >= 1
    assert alice.page.evaluate(shown)


def test_a_document_is_downloaded_as_it_was(alice):
    attach(alice, text_file("tide table.txt", "low and high"))
    are_ready(alice)
    alice.ask(f"{QUICK} Read")
    card = alice.questions.first.locator(".file-card")
    expect(card).to_contain_text("12 bytes")
    with alice.page.expect_download() as downloading:
        card.click()
    assert downloading.value.suggested_filename == "tide table.txt"
    assert downloading.value.path().read_text() == "low and high"


def test_pictures_are_looked_at_with_the_keyboard(alice, shot):
    attach(
        alice,
        picture("one.jpg", 1_600, 1_200),
        picture("two.png", seed=2),
        picture("three.png", seed=3),
    )
    are_ready(alice)
    alice.ask(f"{QUICK} Look")
    tiles = alice.questions.first.locator(".picture-grid button")
    expect(tiles).to_have_count(3)
    tiles.first.focus()
    alice.page.keyboard.press("Enter")
    lightbox = alice.page.get_by_role("dialog", name="Pictures of the message")
    shown = lightbox.locator(".lightbox-stage img")
    expect(lightbox).to_contain_text("one.jpg")
    expect(lightbox).to_contain_text("1 of 3")
    expect(shown).to_have_attribute("src", re.compile("/view$"))
    shot(alice.page, "files-lightbox")
    alice.page.keyboard.press("ArrowRight")
    expect(shown).to_have_attribute("alt", "two.png")
    alice.page.keyboard.press("ArrowLeft")
    alice.page.keyboard.press("ArrowLeft")
    expect(shown).to_have_attribute("alt", "three.png")
    alice.page.keyboard.press("ArrowRight")
    zoom = lightbox.get_by_role("button", name="Show in full size")
    expect(shown).to_have_attribute("src", re.compile("/view$"))
    fitted = shown.bounding_box()
    zoom.press("Enter")
    expect(lightbox.get_by_role("button", name="Fit to the window")).to_be_focused()
    assert shown.bounding_box()["width"] > fitted["width"]
    lightbox.get_by_role("button", name="Fit to the window").press("Enter")
    expect(shown).to_have_js_property("width", round(fitted["width"]))
    link = lightbox.get_by_role("link", name="Download the original")
    with alice.page.expect_download() as downloading:
        link.press("Enter")
    assert downloading.value.suggested_filename == "one.jpg"
    alice.page.keyboard.press("Escape")
    expect(lightbox).to_have_count(0)
    expect(tiles.first).to_be_focused()


def test_an_edit_keeps_drops_and_adds_files(alice):
    attach(alice, picture("kept.png"), picture("dropped.png", seed=2))
    are_ready(alice)
    alice.ask(f"{QUICK} Look")
    editor = open_editor(alice)
    expect(editor.locator(".file-chip-name")).to_have_text(["kept.png", "dropped.png"])
    editor.get_by_role("button", name="Remove dropped.png").click()
    assert bring(editor.locator("textarea"), "drop", text_file("added.txt")) == [True, True]
    expect(editor.locator(".file-chip-name")).to_have_text(["kept.png", "added.txt"])
    expect(chips(alice)).to_have_count(0)
    editor.get_by_role("button", name="Send").click()
    expect(alice.questions.last.get_by_text("2 / 2").or_(alice.questions.last)).to_be_visible()
    alice.ended()
    expect(alice.questions.last.locator(".picture")).to_have_count(1)
    expect(alice.questions.last.locator(".file-card")).to_contain_text("added.txt")
    # The old version still has its own.
    alice.questions.last.hover()
    alice.questions.last.get_by_role("button", name="Previous version").click()
    expect(alice.questions.last.locator(".picture")).to_have_count(2)


def test_an_edit_that_is_left_changes_nothing(alice):
    attach(alice, picture("kept.png"))
    are_ready(alice)
    alice.ask(f"{QUICK} Look")
    editor = open_editor(alice)
    editor.get_by_role("button", name="Remove kept.png").click()
    editor.get_by_role("button", name="Cancel").click()
    expect(alice.questions.last.locator(".picture")).to_have_count(1)
    editor = open_editor(alice)
    expect(editor.locator(".file-chip-name")).to_have_text(["kept.png"])
    alice.page.keyboard.press("Escape")
    expect(alice.questions).to_have_count(1)


def test_answering_again_keeps_the_files(alice):
    attach(alice, picture("kept.png"))
    are_ready(alice)
    alice.ask(f"{QUICK} Look")
    alice.answers.last.hover()
    alice.answers.last.get_by_role("button", name="Answer again", exact=True).click()
    expect(alice.answers.last).to_contain_text("2")
    alice.ended()
    expect(alice.questions.last.locator(".picture")).to_have_count(1)


def test_a_picture_does_not_move_the_page_as_it_is_sent(alice):
    attach(alice, large_picture())
    are_ready(alice)
    alice.send(f"{QUICK} Look")
    image = alice.questions.first.locator(".picture img")
    expect(image).to_be_visible()
    before = image.evaluate(SIZE_OF)[:2]
    alice.ended()
    expect(alice.page.locator(".message-pending")).to_have_count(0)
    assert image.evaluate(SIZE_OF)[:2] == before


def test_a_file_that_is_deleted_elsewhere_leaves_its_name(alice):
    attach(alice, picture("kept.png"), picture("gone.png", seed=2))
    are_ready(alice)
    alice.ask(f"{QUICK} Look")
    settings = alice.page.context.new_page()
    settings.goto(f"{alice.url}/settings/files")
    row = settings.get_by_text("gone.png").locator("xpath=ancestor::*[.//a[text()='Delete…']][1]")
    row.get_by_role("link", name="Delete…").click()
    settings.get_by_role("button", name="Delete").click()
    expect(settings.get_by_text("is deleted")).to_be_visible()
    question = alice.questions.last
    expect(question.locator(".file-card")).to_contain_text("Deleted")
    expect(question.locator("a.file-card")).to_have_count(0)
    expect(question.locator(".picture")).to_have_count(1)
    editor = open_editor(alice)
    expect(editor.locator(".file-chip-name")).to_have_text(["kept.png"])
