"""Rating answers on the page: at once, in other tabs, after a reload and offline."""

from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage


def good(chat):
    return chat.answers.last.get_by_role("button", name="Good answer")


def bad(chat):
    return chat.answers.last.get_by_role("button", name="Bad answer")


def shows(chat, *, up, down):
    expect(good(chat)).to_have_attribute("aria-pressed", str(up).lower())
    expect(bad(chat)).to_have_attribute("aria-pressed", str(down).lower())


def test_a_rating_is_changed_and_taken_back_in_all_tabs(alice, new_context, shot):
    alice.ask("[[tokens=9]] Hello")
    other = ChatPage(alice.page.context.new_page(), alice.url)
    other.visit(alice.page.url.removeprefix(alice.url))
    shows(other, up=False, down=False)
    good(alice).click()
    shows(alice, up=True, down=False)
    shows(other, up=True, down=False)
    shot(alice.page, "rated")
    bad(other).click()
    shows(other, up=False, down=True)
    shows(alice, up=False, down=True)
    alice.page.reload()
    shows(alice, up=False, down=True)
    bad(alice).click()
    shows(alice, up=False, down=False)
    shows(other, up=False, down=False)


def test_it_looks_right_beside_a_second_version(alice, inspect):
    alice.ask("[[tokens=9]] Hello")
    alice.answers.last.get_by_role("button", name="Answer again", exact=True).click()
    expect(alice.page.get_by_role("group", name="Version 2 of 2")).to_be_visible()
    alice.ended()
    good(alice).click()
    shows(alice, up=True, down=False)
    inspect(alice.page).look("rated version")


def test_it_is_a_part_of_the_row_of_actions(alice):
    alice.ask("[[tokens=9]] Hello")
    good(alice).focus()
    alice.page.keyboard.press("ArrowRight")
    expect(bad(alice)).to_be_focused()
    alice.page.keyboard.press("Space")
    shows(alice, up=False, down=True)
    expect(bad(alice)).to_be_focused()


def test_what_is_rated_offline_counts_once_the_network_is_back(alice):
    alice.ask("[[tokens=9]] Hello")
    other = ChatPage(alice.page.context.new_page(), alice.url)
    path = alice.page.url.removeprefix(alice.url)
    alice.page.context.set_offline(True)
    good(alice).click()
    bad(alice).click()
    shows(alice, up=False, down=True)
    alice.page.context.set_offline(False)
    alice.is_live()
    other.visit(path)
    shows(other, up=False, down=True)
    shows(alice, up=False, down=True)


def test_a_refused_rating_is_taken_off_with_the_reason(alice):
    alice.ask("[[tokens=9]] Hello")
    refusal = {"error": {"code": "storage_full", "message": "Your storage is full."}}
    alice.page.route("**/rating?**", lambda route: route.fulfill(status=413, json=refusal))
    good(alice).click()
    expect(alice.page.get_by_text("Your storage is full.")).to_be_visible()
    shows(alice, up=False, down=False)


def test_an_answer_without_text_is_not_rated(alice):
    alice.send("[[tokens=9&first_ms=60000]] slow")
    alice.page.get_by_role("button", name="Stop the answer").click()
    answer = alice.ended()
    expect(answer).to_contain_text("Stopped before the first word.")
    expect(answer.get_by_role("button", name="Good answer")).to_have_count(0)
