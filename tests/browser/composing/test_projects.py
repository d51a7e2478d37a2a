"""Projects on the page: making one, beginning and moving chats, other tabs, and deleting."""

import uuid

import pytest
from playwright.sync_api import expect

from tests.browser.chat_list import palette, row_menu
from tests.browser.chat_page import ChatPage
from tests.browser.prompts import prompts_of

QUICK = "[[tokens=3]]"
INSTRUCTIONS = "Answer as a gardener."


@pytest.fixture
def guest(alice):
    """Somebody who has written a message, and so may keep something."""
    alice.ask(f"{QUICK} Hello")
    return alice


def dialog_of(person, name):
    return person.page.get_by_role("dialog", name=name)


def fill(person, name, instructions=INSTRUCTIONS):
    dialog = dialog_of(person, "New project")
    dialog.get_by_label("Name").fill(name)
    dialog.get_by_label("Instructions").fill(instructions)
    dialog.get_by_role("button", name="Add project").click()
    expect(dialog).to_have_count(0)


def add(person, name):
    palette(person).fill("New project")
    person.page.keyboard.press("Enter")
    fill(person, name)


def rows(person):
    return person.page.locator(".project-link")


def project_of_chat(person):
    return person.page.locator(".topbar-project")


def back(person):
    person.page.get_by_role("button", name="Back to your chats").click()


def test_a_chat_begins_in_a_project(guest, inspect):
    page = guest.page
    seen = inspect(page)
    palette(guest).fill("New project")
    page.keyboard.press("Enter")
    dialog = dialog_of(guest, "New project")
    expect(dialog.get_by_label("Name")).to_be_focused()
    expect(dialog).to_contain_text("keeps chats about one thing together")
    seen.look("project new", part=".dialog")
    dialog.get_by_role("button", name="Add project").click()
    expect(dialog.get_by_role("alert")).to_have_text("Enter a name.")
    fill(guest, "Herb garden")
    expect(page.get_by_role("heading", name="A new chat in “Herb garden”")).to_be_visible()
    expect(page.get_by_text("The chats of this project will be listed here.")).to_be_visible()
    seen.look("project empty", guest.show_list)
    guest.field.fill(f"{QUICK} When do I plant garlic?")
    guest.field.press("Enter")
    guest.ended()
    expect(project_of_chat(guest)).to_have_text("Herb garden")
    expect(guest.chats).to_have_count(1)
    seen.look("project chat", guest.show_list)
    back(guest)
    expect(guest.chats).to_have_count(2)
    seen.look("projects", guest.show_list)
    # The project is still that of the chat after a reload; a new chat is in none.
    page.reload()
    expect(project_of_chat(guest)).to_have_text("Herb garden")
    project_of_chat(guest).click()
    expect(page.get_by_role("heading", name="Herb garden")).to_be_visible()
    back(guest)
    page.get_by_role("link", name="New chat", exact=True).first.click()
    expect(page.get_by_role("heading", name="Ask anything. Lose nothing.")).to_be_visible()
    guest.ask(f"{QUICK} Elsewhere")
    expect(project_of_chat(guest)).to_have_count(0)


def test_the_address_of_a_new_chat_names_its_project(guest):
    add(guest, "Herb garden")
    guest.page.reload()
    expect(guest.page.get_by_role("heading", name="A new chat in “Herb garden”")).to_be_visible()
    guest.ask(f"{QUICK} When do I plant garlic?")
    expect(project_of_chat(guest)).to_have_text("Herb garden")
    guest.page.go_back()
    guest.page.goto(f"{guest.url}/#project-01920000-0000-7000-8000-0000000000b1")
    guest.page.reload()
    expect(guest.page.get_by_role("heading", name="Ask anything. Lose nothing.")).to_be_visible()


def test_a_chat_is_moved_in_and_out_and_other_tabs_follow(guest, inspect):
    seen = inspect(guest.page)
    other = ChatPage(guest.page.context.new_page(), guest.url).visit(
        guest.page.url.removeprefix(guest.url)
    )
    other.is_live()
    row_menu(guest, f"{QUICK} Hello", "Move to a project…")
    dialog = dialog_of(guest, f"Move “{QUICK} Hello” to a project")
    expect(dialog).to_contain_text("You have no projects yet.")
    seen.look("move without projects", part=".dialog")
    dialog.get_by_role("button", name="New project").click()
    fill(guest, "Herb garden")
    for tab in (guest, other):
        expect(project_of_chat(tab)).to_have_text("Herb garden")
    expect(rows(other)).to_have_count(1)
    add(guest, "Kitchen")
    back(guest)
    guest.chats.first.click()
    row_menu(guest, f"{QUICK} Hello", "Move to a project…")
    choice = dialog.get_by_role("button", name="Herb garden")
    expect(choice).to_be_focused()
    expect(choice).to_have_attribute("aria-current", "true")
    seen.look("move", part=".dialog")
    dialog.get_by_role("button", name="Kitchen").click()
    for tab in (guest, other):
        expect(project_of_chat(tab)).to_have_text("Kitchen")
    row_menu(guest, f"{QUICK} Hello", "Move to a project…")
    dialog.get_by_role("button", name="No project").click()
    for tab in (guest, other):
        expect(project_of_chat(tab)).to_have_count(0)
    guest.page.get_by_role("button", name="Undo").last.click()
    for tab in (guest, other):
        expect(project_of_chat(tab)).to_have_text("Kitchen")


def test_a_project_is_edited_and_deleted_without_its_chats(guest, inspect):
    page = guest.page
    seen = inspect(page)
    add(guest, "Herb garden")
    guest.ask(f"{QUICK} When do I plant garlic?")
    other = ChatPage(page.context.new_page(), guest.url).visit(page.url.removeprefix(guest.url))
    expect(project_of_chat(other)).to_have_text("Herb garden")
    project_of_chat(other).click()
    page.get_by_role("button", name="Edit the project “Herb garden”").click()
    dialog = dialog_of(guest, "Project")
    expect(dialog.get_by_label("Instructions")).to_have_value(INSTRUCTIONS)
    seen.look("project", part=".dialog")
    dialog.get_by_label("Instructions").fill("x" * 20_001)
    expect(dialog.get_by_role("alert")).to_contain_text("20,001 characters; at most 20,000")
    dialog.get_by_label("Instructions").fill("Answer as a cook.")
    dialog.get_by_label("Name").fill("Kitchen")
    dialog.get_by_role("button", name="Save").click()
    for tab in (guest, other):
        expect(project_of_chat(tab)).to_have_text("Kitchen")
    page.get_by_role("button", name="Edit the project “Kitchen”").click()
    expect(dialog.get_by_label("Instructions")).to_have_value("Answer as a cook.")
    dialog.get_by_role("button", name="Delete…").click()
    asked = dialog_of(guest, "Delete “Kitchen”?")
    expect(asked.get_by_role("radio", name="Keep its chats, in no project")).to_be_checked()
    seen.look("project to delete", part=".dialog")
    asked.get_by_role("button", name="Delete project").click()
    for tab in (guest, other):
        expect(project_of_chat(tab)).to_have_count(0)
        expect(rows(tab)).to_have_count(0)
        # The list of its chats gives way to that of all chats.
        expect(tab.chats).to_have_count(2)


def test_a_project_is_deleted_with_its_chats_on_request(guest):
    page = guest.page
    add(guest, "Herb garden")
    guest.ask(f"{QUICK} When do I plant garlic?")
    page.get_by_role("button", name="Edit the project “Herb garden”").click()
    dialog_of(guest, "Project").get_by_role("button", name="Delete…").click()
    asked = dialog_of(guest, "Delete “Herb garden”?")
    asked.get_by_role("radio", name="Delete its chats, too.").check()
    asked.get_by_role("button", name="Delete project").click()
    expect(rows(guest)).to_have_count(0)
    expect(guest.chats).to_have_count(1)
    expect(guest.chats.first).to_contain_text("Hello")
    palette(guest).fill("Recently deleted")
    page.keyboard.press("Enter")
    expect(page.locator(".chat-row")).to_contain_text("When do I plant garlic?")


def test_it_works_with_the_keyboard_and_says_what_it_cannot_do(guest):
    page = guest.page
    add(guest, "Herb garden")
    back(guest)
    rows(guest).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("navigation", name="Herb garden")).to_be_visible()
    edit = page.get_by_role("button", name="Edit the project “Herb garden”")
    edit.focus()
    page.keyboard.press("Enter")
    dialog = dialog_of(guest, "Project")
    expect(dialog.get_by_label("Name")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(edit).to_be_focused()
    refusal = {"error": {"code": "project_not_found", "message": "This project is gone."}}
    page.route("**/api/projects/*", lambda route: route.fulfill(status=404, json=refusal))
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_have_text("This project is gone.")
    expect(dialog.get_by_role("button", name="Save")).to_be_disabled()


def test_a_chat_begun_offline_begins_in_its_project(guest):
    page = guest.page
    add(guest, "Herb garden")
    page.context.set_offline(True)
    guest.send(f"{QUICK} When do I plant garlic?")
    expect(project_of_chat(guest)).to_have_text("Herb garden")
    page.context.set_offline(False)
    guest.ended()
    page.reload()
    expect(project_of_chat(guest)).to_have_text("Herb garden")


def lose_first_response(page):
    """The server places a message in no project, and the page does not hear of it."""
    lost = []

    def lose(route):
        if lost or route.request.post_data_json.get("project"):
            return route.continue_()
        lost.append(route.fetch())
        return route.abort("internetdisconnected")

    page.route("**/api/chats/*/messages", lose)


@pytest.mark.parametrize("is_on_screen", [True, False])
def test_a_message_written_offline_outlives_its_project(
    guest, new_context, fake_model, is_on_screen
):
    page = guest.page
    add(guest, "Herb garden")
    page.context.set_offline(True)
    mark = f"{QUICK} {uuid.uuid4()}"
    guest.send(mark)
    expect(guest.questions.last).to_contain_text("waiting for the connection")
    if not is_on_screen:
        back(guest)
        guest.chats.filter(has_text="Hello").click()
    elsewhere = new_context(storage_state=page.context.storage_state())
    other = ChatPage(elsewhere.new_page(), guest.url).visit()
    rows(other).click()
    other.page.get_by_role("button", name="Edit the project “Herb garden”").click()
    dialog_of(other, "Project").get_by_role("button", name="Delete…").click()
    asked = dialog_of(other, "Delete “Herb garden”?")
    asked.get_by_role("button", name="Delete project").click()
    expect(rows(other)).to_have_count(0)
    if not is_on_screen:
        lose_first_response(page)
    page.context.set_offline(False)
    expect(page.get_by_text("is in no project now.")).to_be_visible()
    for tab in (guest, other):
        tab.chats.filter(has_text=mark).click()
        tab.ended()
        expect(tab.questions.locator(".bubble")).to_have_text(mark)
        expect(project_of_chat(tab)).to_have_count(0)
    assert prompts_of(fake_model, mark) == [mark]


@pytest.mark.parametrize("is_phone", [False, True])
def test_the_palette_finds_a_project_by_its_name(guest, inspect, is_phone):
    page = guest.page
    seen = inspect(page)
    add(guest, "Herb garden")
    back(guest)
    if is_phone:
        page.set_viewport_size({"width": 390, "height": 844})
    field = palette(guest)
    field.fill("herb gard")
    option = page.get_by_role("group", name="Projects").get_by_role("option", name="Herb garden")
    expect(option).to_have_attribute("aria-selected", "true")
    if not is_phone:
        seen.look("palette of projects", part=".dialog")
    field.press("Enter")
    expect(page.get_by_role("navigation", name="Herb garden")).to_be_in_viewport()
    # The way into its chats continues from there.
    expect(page.get_by_role("button", name="Back to your chats")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="New chat in this project")).to_be_focused()
