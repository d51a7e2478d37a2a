"""Finding chats again: the list on two devices, ⌘K, links to messages, shortcuts."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.chat_list import appears, palette, rename_first, row_menu
from tests.browser.chat_page import ChatPage
from tests.browser.stored_data import is_kept
from tests.examples import FULL
from tests.stack import wait_for

LONG_LIST = 5_000 if FULL else 1_000
QUICK = "[[tokens=6]]"
SLOW = "[[rate=12&tokens=60]]"


def make_chats(tab, *titles):
    for number, title in enumerate(titles):
        if number:
            tab.page.get_by_role("link", name="New chat").click()
        tab.ask(f"{QUICK} About {title}")
        rename_first(tab, title)


def group(tab, name):
    return tab.page.locator(".chat-list section", has=tab.page.get_by_role("heading", name=name))


@pytest.fixture
def second(alice, new_context, stack):
    """Opens pages in another browser of the same person."""

    def make(path="/"):
        other = new_context(storage_state=alice.page.context.storage_state())
        return ChatPage(other.new_page(), stack.url).visit(path)

    return make


def test_the_list_is_the_same_on_two_devices(alice, second, shot):
    make_chats(alice, "Alpha", "Beta", "Gamma")
    other = second()
    expect(other.chats).to_have_count(3)
    row_menu(alice, "Alpha", "Pin")
    for tab in (alice, other):
        expect(group(tab, "Pinned").locator(".chat-link")).to_have_text("Alpha")
        expect(group(tab, "Today").locator(".chat-link")).to_have_text(["Gamma", "Beta"])
    shot(alice.page, "sidebar")
    row_menu(other, "Beta", "Archive")
    expect(alice.chats).to_have_text(["Alpha", "Gamma"])
    alice.pick_of_account("Archived")
    expect(alice.chats).to_have_text(["Beta"])
    shot(alice.page, "archived")
    row_menu(alice, "Beta", "Move out of the archive")
    expect(other.chats).to_have_text(["Alpha", "Gamma", "Beta"])
    alice.page.get_by_role("button", name="Back to your chats").click()
    expect(alice.chats).to_have_count(3)


def test_the_foot_of_the_list_is_one_row_with_a_menu(alice):
    alice.ask("[[tokens=3]] Hello")
    row = alice.page.locator(".account-name")
    # All that one reads there is its name for screen readers and voice control, too.
    expect(row).to_have_accessible_name("Your account: Guest Credit: $0.50")
    shown = alice.page.locator(".account").locator("a, button, summary").filter(visible=True)
    expect(shown).to_have_text(["Sign up to keep your chats", re.compile("Guest")])
    row.press("Enter")
    expect(shown).to_have_count(9)
    row.press("Escape")
    expect(shown).to_have_count(2)
    row.press("Enter")
    alice.page.get_by_role("button", name="Keyboard shortcuts").press("Enter")
    expect(alice.page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    alice.page.keyboard.press("Escape")
    expect(row).to_be_focused()
    alice.pick_of_account("Archived")
    expect(row).to_be_focused()
    expect(shown).to_have_count(2)
    expect(alice.page.get_by_role("heading", name="Archived")).to_be_visible()


def test_of_the_connection_only_what_is_wrong_is_shown(alice):
    alice.ask("[[tokens=3]] Hello")
    alice.is_live()
    state = alice.page.locator(".connection")
    wait_for(lambda: state.bounding_box()["width"] <= 1)
    expect(state).to_have_text("Live")
    alice.page.context.set_offline(True)
    alice.page.evaluate("dispatchEvent(new Event('offline'))")
    expect(state).to_contain_text("Offline since")
    assert state.bounding_box()["width"] > 50
    alice.page.context.set_offline(False)
    alice.page.evaluate("dispatchEvent(new Event('online'))")
    alice.is_live()
    expect(state).to_have_text("Live")
    wait_for(lambda: state.bounding_box()["width"] <= 1)


def test_deleting_is_taken_back_at_once_and_later(alice, second):
    make_chats(alice, "Alpha", "Beta")
    other = second()
    row_menu(alice, "Beta", "Delete")
    expect(other.chats).to_have_text(["Alpha"])
    expect(alice.page).to_have_url(alice.url + "/")
    alice.page.get_by_role("button", name="Undo").click()
    for tab in (alice, other):
        expect(tab.chats).to_have_count(2)
    expect(alice.answers).to_have_count(1)
    other.chats.last.press("Delete")
    expect(alice.chats).to_have_text(["Beta"])
    alice.page.reload()
    alice.pick_of_account("Recently deleted")
    alice.page.get_by_role("button", name="Restore: Alpha").click()
    expect(other.chats).to_have_count(2)


def test_renaming_in_place(alice):
    make_chats(alice, "Alpha")
    alice.chats.first.dblclick()
    field = alice.page.get_by_role("textbox", name="Title of the chat")
    field.fill("Not this")
    field.press("Escape")
    expect(alice.chats.first).to_have_text("Alpha")
    expect(alice.chats.first).to_be_focused()
    row_menu(alice, "Alpha", "Rename")
    field.fill("<b>Beta</b>")
    field.press("Enter")
    expect(alice.chats.first).to_have_text("<b>Beta</b>")


def test_what_ended_elsewhere_is_unread_until_somebody_looks(alice, second):
    make_chats(alice, "Alpha", "Beta")
    other = second()
    expect(other.page.locator(".unread")).to_have_count(0)
    alice.send(f"{SLOW} Long")
    expect(other.page.locator(".chat-row", has_text="Beta").locator(".pulse")).to_be_visible()
    alice.page.get_by_role("link", name="Alpha").click()
    mark = other.page.locator(".chat-row", has_text="Beta").locator(".unread")
    expect(mark).to_be_visible()
    expect(alice.page.locator(".unread")).to_have_count(1)
    third = second()
    expect(third.page.locator(".unread")).to_have_count(1)
    other.page.get_by_role("link", name="Beta").click()
    for tab in (alice, other, third):
        expect(tab.page.locator(".unread")).to_have_count(0)


def test_search_finds_what_was_said_and_leads_to_it(alice, second, shot):
    alice.ask(f"{QUICK} The quokka smiles <img src=x>")
    for number in range(3):
        alice.ask(f"{QUICK} More {number} " + "and so on " * 200)
    rename_first(alice, "Animals")
    alice.page.get_by_role("link", name="New chat").click()
    field, option = searched(alice, "quokka smil", "quokka smiles")
    expect(option.locator("mark")).to_have_text(["quokka", "smiles"])
    expect(option).to_contain_text("<img src=x>")
    expect(option).to_have_attribute("aria-selected", "true")
    shot(alice.page, "palette")
    field.press("Enter")
    target = alice.questions.filter(has_text="quokka")
    expect(target).to_be_in_viewport()
    expect(target).to_be_focused()
    expect(alice.page).to_have_url(re.compile(r"/c/[0-9a-f-]{36}#m-[0-9a-f-]{36}$"))
    other = second(alice.page.url.removeprefix(alice.url))
    expect(other.questions.filter(has_text="quokka")).to_be_in_viewport()


def test_search_leads_to_what_this_browser_has_not_read_yet(alice, second):
    """This browser stored the chat before another device continued it."""
    alice.ask(f"{QUICK} First")
    is_kept(alice.page, f"{QUICK} First", '"sha256":"')
    path = alice.page.url.removeprefix(alice.url)
    alice.visit()
    other = second(path)
    expect(other.answers).to_have_count(1)
    other.ask(f"{QUICK} The axolotl grins")
    field, _ = searched(alice, "axolotl", "axolotl grins")
    field.press("Enter")
    expect(alice.questions.filter(has_text="axolotl")).to_be_focused()
    expect(alice.page.locator(".toast")).to_have_count(0)


def searched(tab, words, found):
    """Searches in the palette; returns its field and the option with the result."""
    field = palette(tab)
    option = tab.page.get_by_role("option", name=re.compile(found))
    for _ in range(20):  # new messages take a moment to be indexed
        field.fill(words)
        if option.count() or appears(option):
            break
        field.fill("")
    return field, option


def test_a_link_leads_to_a_branch_that_is_not_shown_and_moves_nobody_else(alice, second):
    alice.ask(f"{QUICK} First")
    alice.answers.last.get_by_role("button", name="Answer again", exact=True).click()
    stepper = alice.answers.last.locator(".stepper-count")
    expect(stepper).to_have_text("2/2")
    alice.ended().get_by_role("button", name="Previous version").click()
    expect(stepper).to_have_text("1/2")
    link = alice.page.url + "#" + alice.answers.last.get_attribute("id")
    alice.answers.last.get_by_role("button", name="Next version").click()
    expect(stepper).to_have_text("2/2")
    other = second(link.removeprefix(alice.url))
    expect(other.answers.last.locator(".stepper-count")).to_have_text("1/2")
    third = second(alice.page.url.removeprefix(alice.url))
    expect(third.answers.last.locator(".stepper-count")).to_have_text("2/2")


def test_the_last_chosen_branch_stays_though_an_earlier_choice_had_to_be_repeated(alice, second):
    alice.ask(f"{QUICK} First")
    alice.answers.last.get_by_role("button", name="Answer again", exact=True).click()
    stepper = alice.answers.last.locator(".stepper-count")
    expect(stepper).to_have_text("2/2")
    alice.ended()
    is_choice = re.compile(r"/branch\?")
    answered: list[str] = []

    def is_second_choice(response):
        if is_choice.search(response.url):
            answered.append(response.url)
        return len(answered) == 2

    alice.page.route(is_choice, lambda route: route.abort("connectionreset"), times=1)
    with alice.page.expect_response(is_second_choice):
        alice.answers.last.get_by_role("button", name="Previous version").click()
        alice.answers.last.get_by_role("button", name="Next version").click()
    other = second(alice.page.url.removeprefix(alice.url))
    expect(other.answers.last.locator(".stepper-count")).to_have_text("2/2")


def test_the_link_to_a_message_is_copied(alice):
    alice.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    answer = alice.ask(f"{QUICK} Hello")
    answer.get_by_role("button", name="Copy link to this message").click()
    copied = alice.page.evaluate("navigator.clipboard.readText()")
    assert copied == f"{alice.page.url}#{answer.get_attribute('id')}"


def test_a_message_that_a_link_leads_to_is_washed_and_not_framed(alice):
    """Right after the page was loaded, too, when the styles of the menus are not there yet."""
    target = alice.ask(f"{QUICK} Hello").get_attribute("id")
    address = f"{alice.page.url}#{target}"
    alice.page.goto("about:blank")
    alice.page.goto(address)
    message = alice.page.locator(f"#{target}.message-target")
    expect(message).to_have_css("animation-name", "message-target")
    expect(message).to_have_count(0)
    expect(alice.page.locator(f"#{target}")).to_be_focused()
    expect(alice.page.locator(f"#{target}")).to_have_css("outline-style", "none")


def test_the_palette_switches_between_light_and_dark_on_every_device(alice, second):
    alice.ask(f"{QUICK} Hello")
    other = second()
    for appearance in ("dark", "light"):
        palette(alice).fill("dark")
        alice.page.get_by_role("option", name="Switch between light and dark").click()
        for tab in (alice, other):
            expect(tab.page.locator("html")).to_have_attribute("data-theme", appearance)
    alice.page.reload()
    expect(alice.page.locator("html")).to_have_attribute("data-theme", "light")


def test_the_palette_runs_commands_by_keyboard_and_gives_the_focus_back(alice, shot):
    make_chats(alice, "Alpha", "Beta")
    alice.field.focus()
    field = palette(alice)
    shot(alice.page, "palette-empty")
    field.press("Escape")
    expect(alice.field).to_be_focused()
    field = palette(alice)
    field.fill("pin this")
    expect(alice.page.get_by_role("option").first).to_have_attribute("aria-selected", "true")
    field.press("Enter")
    expect(group(alice, "Pinned").locator(".chat-link")).to_have_text("Beta")
    field = palette(alice)
    field.fill("alpha")
    field.press("Enter")
    expect(alice.page.locator(".chat-link[aria-current=page]")).to_have_text("Alpha")
    field = palette(alice)
    field.fill("zzzz nothing zzzz")
    expect(alice.page.get_by_text("Nothing found for")).to_be_visible()
    shot(alice.page, "palette-nothing")
    alice.page.keyboard.press("Control+k")
    expect(field).to_have_count(0)


def test_shortcuts_never_fire_for_typing(alice, shot):
    make_chats(alice, "Alpha", "Beta")
    alice.field.press_sequentially("/?")
    expect(alice.field).to_have_value("/?")
    alice.field.fill("")
    alice.page.locator(".topbar-title").click()
    alice.page.keyboard.press("?")
    sheet = alice.page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(sheet).to_be_visible()
    shot(alice.page, "shortcuts")
    alice.page.keyboard.press("Escape")
    expect(sheet).to_have_count(0)
    alice.page.keyboard.press("/")
    expect(alice.field).to_be_focused()
    alice.page.locator(".topbar-title").click()
    alice.page.keyboard.press("Alt+ArrowDown")
    expect(alice.page.locator(".chat-link[aria-current=page]")).to_have_text("Alpha")
    alice.page.keyboard.press("Control+Shift+o")
    expect(alice.page).to_have_url(alice.url + "/")
    alice.page.keyboard.press("Control+b")
    expect(alice.page.locator(".sidebar")).not_to_be_visible()


def test_a_title_that_is_being_typed_stays_while_the_row_changes(alice):
    """The row is drawn again when an answer ends, and when the title changes elsewhere."""
    alice.ask(f"{QUICK} Alpha")
    other = ChatPage(alice.page.context.new_page(), alice.url)
    other.visit(alice.page.url.removeprefix(alice.url))
    alice.send("[[rate=20&tokens=40]] Beta")
    expect(alice.chats.first.locator(".pulse")).to_be_visible()
    other.chats.first.press("F2")
    field = other.page.locator(".rename-field")
    field.fill("My own")
    expect(other.ended()).not_to_be_empty()
    expect(field).to_have_value("My own")
    alice.chats.first.press("F2")
    alice.page.locator(".rename-field").fill("Another")
    alice.page.locator(".rename-field").press("Enter")
    expect(other.page.locator(".topbar-title")).to_have_text("Another")
    expect(field).to_have_value("My own")
    field.press("Enter")
    expect(alice.chats.first).to_have_text("My own")


def test_a_long_list_comes_page_by_page_and_stays_quick(alice, stack):
    alice.ask(f"{QUICK} The last one")
    made = stack.manage("shell", "-c", MANY)
    assert made.returncode == 0, made.stderr
    alice.page.reload()
    expect(alice.chats).to_have_count(100)
    mouse = alice.page.locator(".chat-list")
    for _ in range(200):
        mouse.evaluate("(list) => list.scrollTo(0, list.scrollHeight)")
        if alice.page.get_by_text(f"Chat {LONG_LIST - 1}").count():
            break
        alice.page.wait_for_timeout(50)
    expect(alice.chats).to_have_count(LONG_LIST + 1)
    mouse.evaluate("(list) => list.scrollTo(0, 0)")
    alice.ask(f"{QUICK} Still here")


MANY = f"""
import uuid
from datetime import timedelta
from accounts.models import User
from chat.models import Chat
from django.utils import timezone
# Each process of the tests has a stack of its own, so the newest guest is that of the test.
owner = User.objects.filter(is_guest=True).latest("created_at")
Chat.objects.bulk_create(
    Chat(id=uuid.uuid4(), owner=owner, title="Chat %s" % n, model="openai/script/known",
         updated_at=timezone.now() - timedelta(hours=1 + n))
    for n in range({LONG_LIST})
)
"""
