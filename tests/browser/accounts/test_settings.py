"""Settings in a real browser: two devices of one person, pictures, no scripts, appearance."""

import re

import pytest
from playwright.sync_api import expect

from tests.accounts.preferences import images
from tests.browser.chat_page import ChatPage


@pytest.fixture
def devices(new_context, stack):
    """Two browsers of one guest: the second one uses the session of the first."""
    first = new_context(color_scheme="light")
    alice = ChatPage(first.new_page(), stack.url).visit()
    alice.ask("[[tokens=3]] Hello")
    second = new_context(color_scheme="light")
    second.add_cookies(first.cookies())
    other = ChatPage(second.new_page(), stack.url).visit()
    other.is_live()
    return alice, other


@pytest.fixture
def settings(devices):
    page = devices[0].page
    page.goto(devices[0].url + "/settings")
    expect(page.locator("html.is-live")).to_be_attached()
    return page


def theme(page):
    return page.locator("html").get_attribute("data-theme")


def saved(page):
    expect(page.locator("[data-saved]")).to_have_text("Saved")


def test_what_is_set_on_one_device_holds_on_the_other_at_once(devices, settings, shot):
    other = devices[1]
    settings.get_by_label("Dark").check()
    saved(settings)
    assert theme(settings) == "dark"
    expect(other.page.locator("html")).to_have_attribute("data-theme", "dark")
    ground = other.page.evaluate("getComputedStyle(document.documentElement).colorScheme")
    assert ground == "dark"
    settings.get_by_label("Ctrl + Enter").check()
    expect(other.field).to_have_attribute("title", re.compile("^Ctrl"))
    count = other.questions.count()
    other.field.fill("[[tokens=3]] one")
    other.field.press("Enter")
    other.field.press_sequentially("two")
    expect(other.questions).to_have_count(count)
    assert other.field.input_value() == "[[tokens=3]] one\ntwo"
    other.field.press("Control+Enter")
    expect(other.questions).to_have_count(count + 1)
    shot(other.page, "settings-other-device-dark")
    # The server's HTML has the new appearance before any script runs.
    html = settings.request.get(settings.url).text()
    assert 'data-theme="dark"' in html


def test_the_way_back_leads_to_the_chat_that_was_left(devices):
    alice, other = devices
    chat = alice.page.url
    alice.pick_of_account("Settings")
    alice.page.goto(f"{alice.url}/settings/data")
    alice.page.get_by_role("link", name="Back to your chats").click()
    expect(alice.questions).to_have_count(1)
    assert alice.page.url == chat
    # A page that was opened in a tab of its own leads to a new chat.
    other.page.goto(f"{other.url}/settings")
    expect(other.page.get_by_role("link", name="Back to your chats")).to_have_attribute("href", "/")


def test_visitors_find_settings_and_read_what_becomes_of_their_chats(new_context, stack, inspect):
    page = new_context().new_page()
    alice = ChatPage(page, stack.url).visit()
    told = "kept for this browser only, and deleted after 30 days without a visit"
    expect(page.locator(".account")).to_contain_text(told)
    inspect(page).look("visitor list", alice.show_list, part=".sidebar")
    page.locator(".account").get_by_role("button", name="Settings").click()
    page.get_by_label("Dark").check()
    saved(page)
    page.get_by_role("link", name="Back to your chats").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.locator(".account-name").click()
    expect(page.locator(".account-box")).to_contain_text(told)
    alice.ask("[[tokens=3]] Hello")


def test_an_open_page_of_settings_follows_the_other(devices, settings):
    page = devices[1].page
    page.goto(devices[1].url + "/settings")
    expect(page.locator("html.is-live")).to_be_attached()
    page.get_by_label("Name").fill("Ada Lovelace")
    page.get_by_label("Light").check()
    page.get_by_label("Time zone").select_option("Asia/Kathmandu")
    saved(page)
    expect(settings.get_by_label("Name")).to_have_value("Ada Lovelace")
    expect(settings.get_by_label("Light")).to_be_checked()
    expect(settings.get_by_label("Time zone")).to_have_value("Asia/Kathmandu")
    expect(settings.locator("[data-avatar]")).to_have_text("AL")


def test_what_is_written_is_saved_while_one_writes_and_is_there_after(settings):
    settings.get_by_label("Instructions to the model").fill("Answer in one sentence.")
    saved(settings)
    settings.reload()
    field = settings.get_by_label("Instructions to the model")
    expect(field).to_have_value("Answer in one sentence.")
    field.fill("x" * 4_001)
    expect(settings.locator("#instructions-error")).to_contain_text("at most 4,000 characters")
    expect(settings.locator("[data-saved]")).to_have_text("Not saved")
    assert len(field.input_value()) == 4_001
    field.fill("Shorter.")
    saved(settings)
    expect(settings.locator("#instructions-error")).to_be_empty()


def test_a_picture_is_set_refused_and_removed(devices, settings, shot):
    other = devices[1].page
    other.goto(devices[1].url + "/settings")
    chosen = settings.locator("input[type=file]")
    chosen.set_input_files({"name": "me.jpg", "mimeType": "image/jpeg", "buffer": images.rotated()})
    picture = settings.locator("[data-avatar] img")
    expect(picture).to_have_js_property("naturalWidth", 256)
    expect(other.locator("[data-avatar] img")).to_have_js_property("naturalWidth", 256)
    address = picture.get_attribute("src")
    settings.get_by_label("Name").fill("Ada Lovelace")
    bomb = images.png_of(50_000, 50_000)
    chosen.set_input_files({"name": "bomb.png", "mimeType": "image/png", "buffer": bomb})
    expect(settings.locator("#picture-error")).to_contain_text("too many pixels")
    shot(settings, "settings-picture-refused")
    # After the refusal the old picture and the text in the form are still there.
    assert picture.get_attribute("src") == address
    expect(settings.get_by_label("Name")).to_have_value("Ada Lovelace")
    settings.get_by_role("button", name="Remove").click()
    expect(settings.locator("[data-avatar]")).to_have_text("AL")
    expect(other.locator("[data-avatar]")).to_have_text("AL")


def test_without_a_script_every_panel_has_its_button(new_context, devices):
    context = new_context(java_script_enabled=False)
    context.add_cookies(devices[0].page.context.cookies())
    page = context.new_page()
    page.goto(devices[0].url + "/settings")
    page.get_by_label("Name").fill("Ada")
    page.locator("[aria-labelledby=profile]").get_by_role("button", name="Save").click()
    expect(page.get_by_label("Name")).to_have_value("Ada")
    expect(page.get_by_text("Saved.")).to_be_visible()
    page.get_by_label("Dark").check()
    page.locator("[aria-labelledby=look]").get_by_role("button", name="Save").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    text = "y" * 4_001
    page.get_by_label("Instructions to the model").fill(text)
    page.locator("[aria-labelledby=chat]").get_by_role("button", name="Save").click()
    expect(page.locator("#instructions-error")).to_contain_text("at most 4,000")
    expect(page.get_by_label("Instructions to the model")).to_have_value(text)
    file = {"name": "me.png", "mimeType": "image/png", "buffer": images.plain()}
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_role("button", name="Upload").click()
    expect(page.locator("[data-avatar] img")).to_be_visible()


def test_instructions_of_a_chat_are_the_same_on_both_devices(devices, shot):
    alice, other = devices
    other.chats.first.click()
    button = alice.page.get_by_role("button", name="Instructions for this chat")
    button.click()
    dialog = alice.page.get_by_role("dialog", name="Instructions for this chat")
    field = dialog.get_by_role("textbox")
    expect(field).to_be_focused()
    shot(alice.page, "settings-instructions")
    field.fill("In verse.")
    field.press("Control+Enter")
    expect(dialog).to_be_hidden()
    expect(button).to_be_focused()
    there = other.page.get_by_role("button", name=re.compile("there are some"))
    there.click()
    field = other.page.get_by_role("dialog").get_by_role("textbox")
    expect(field).to_have_value("In verse.")
    # A change elsewhere appears in the open dialog, because nothing was typed there.
    button.click()
    alice.page.get_by_role("dialog").get_by_role("textbox").fill("In prose.")
    alice.page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(field).to_have_value("In prose.")
    field.fill("z" * 4_001)
    save = other.page.get_by_role("dialog").get_by_role("button", name="Save")
    expect(save).to_be_disabled()
    expect(other.page.get_by_role("dialog").get_by_role("alert")).to_contain_text("at most 4,000")
    field.press("Escape")
    expect(other.page.get_by_role("dialog")).to_be_hidden()
    expect(there).to_be_focused()


def test_escape_in_the_dialog_does_not_stop_an_answer(devices):
    alice, _ = devices
    alice.send("[[tokens=60&rate=20]] a longer answer")
    alice.writing()
    alice.page.get_by_role("button", name="Instructions for this chat").click()
    expect(alice.page.get_by_role("dialog").get_by_role("textbox")).to_be_focused()
    alice.page.keyboard.press("Escape")
    expect(alice.page.get_by_role("dialog")).to_be_hidden()
    assert "Stopped" not in alice.ended().inner_text()


def test_a_new_chat_begins_with_the_chosen_model(new_context, devices, settings):
    alice, other = devices
    choice = settings.get_by_label("Model of new chats")
    options = choice.locator("option")
    value = options.nth(options.count() - 1).get_attribute("value")
    name = options.nth(options.count() - 1).inner_text().split(" · ")[0]
    choice.select_option(value)
    saved(settings)
    other.page.get_by_role("link", name="New chat").click()
    expect(other.page.locator(".model-button")).to_contain_text(name)


def test_the_page_fits(alice, inspect):
    alice.ask("[[tokens=3]] Hello")
    page = alice.page
    page.goto(alice.url + "/settings")
    expect(page.locator("html.is-live")).to_be_attached()
    page.get_by_label("Name").fill("Ada Lovelace")
    saved(page)
    inspect(page).fits_everywhere("settings")
