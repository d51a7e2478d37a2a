"""Back, Forward and a reload restore the reader's place."""

import pytest
from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage
from tests.browser.devices import PHONE
from tests.browser.written_chat import write_chat
from tests.stack import wait_for

LINES = "\n\n".join(
    f"Paragraph {n} of an answer, which is long enough to be wrapped." for n in range(9)
)
READ = """() => {
  const scroller = document.querySelector(".scroller");
  const top = scroller.getBoundingClientRect().top;
  for (const message of document.querySelectorAll(".message[id]")) {
    // What is not drawn stands nowhere.
    if (!message.checkVisibility({ contentVisibilityAuto: true })) continue;
    const box = message.getBoundingClientRect();
    if (box.bottom > top) return { id: message.id, below: Math.round(box.top - top) };
  }
  return null;
}"""
# Scrolls into the middle of an answer, again and again because drawing moves it.
SCROLL = """async (which) => {
  const scroller = document.querySelector(".scroller");
  const top = scroller.getBoundingClientRect().top;
  const answer = () => [...document.querySelectorAll(".message-answer")].at(which);
  for (let still = 0; still < 15; ) {
    if (!answer().checkVisibility({ contentVisibilityAuto: true })) answer().scrollIntoView();
    const by = answer().getBoundingClientRect().top - top + 150;
    still = Math.abs(by) > 1 ? 0 : still + 1;
    scroller.scrollTop += by;
    await new Promise((done) => setTimeout(done, 50));
  }
}"""
FROM_END = """() => {
  const { scrollHeight, scrollTop, clientHeight } = document.querySelector(".scroller");
  return scrollHeight - scrollTop - clientHeight;
}"""


def said(count):
    return [(f"Question {n}", f"Answer {n}.\n\n{LINES}") for n in range(count)]


def read_at(chat, which):
    """Scrolls into an answer, as a reader does; returns the place."""
    chat.page.locator(".message").last.hover()
    chat.page.mouse.wheel(0, -50)
    chat.page.mouse.move(5, 5)
    chat.page.evaluate(SCROLL, which)
    return at_rest(chat)


def at_rest(chat):
    """Returns the place once it no longer moves: an idle page draws nearby messages."""
    chat.page.get_by_role("link", name="New chat").hover()
    before = None
    while (now := chat.page.evaluate(READ)) != before:
        before = now
        chat.page.wait_for_timeout(1_500)
    return now


def is_read(chat, place):
    def is_there():
        now = chat.page.evaluate(READ)
        return now and now["id"] == place["id"] and abs(now["below"] - place["below"]) <= 1

    for _ in range(60):
        if is_there():
            break
        chat.page.wait_for_timeout(500)
    # The place must not change after that.
    chat.page.wait_for_timeout(1_000)
    assert is_there(), (chat.page.evaluate(READ), place)


@pytest.mark.parametrize("count", [pytest.param(20, marks=pytest.mark.full), 400])
def test_back_forward_and_a_reload_lead_to_where_one_was(alice, stack, count):
    write_chat(alice, stack, said(count))
    # The end is shown first; the rest must be there before the test scrolls to it.
    expect(alice.answers).to_have_count(count)
    place = read_at(alice, -count * 3 // 4)
    page = alice.page
    page.get_by_role("link", name="New chat").click()
    alice.ask("[[tokens=5]] Another chat")
    page.go_back()
    page.go_back()
    is_read(alice, place)
    page.reload()
    is_read(alice, place)
    page.goto(f"{stack.url}/settings")
    page.go_back()
    is_read(alice, place)
    page.go_forward()
    page.go_back()
    is_read(alice, place)
    # The list leads to the end of a chat.
    page.get_by_role("link", name="New chat").click()
    alice.chats.nth(1).click()
    wait_for(lambda: page.evaluate(FROM_END) < 40)


def test_a_place_within_an_answer_that_is_drawn_in_pieces_is_found_again(alice, stack):
    """While the answer grows, the browser scrolls by itself to keep what is below it in view."""
    paragraphs = "\n\n".join(f"Paragraph {n} {'words ' * 40}" for n in range(300))
    alice.ask("[[tokens=5]] A short chat")
    page = alice.page
    page.get_by_role("link", name="New chat").click()
    write_chat(alice, stack, [("A question", paragraphs)])
    expect(alice.answers.last).to_contain_text("Paragraph 299")
    alice.answers.last.hover()
    page.mouse.wheel(0, -9_000)
    place = at_rest(alice)
    alice.chats.nth(1).click()
    expect(alice.questions.last).to_contain_text("A short chat")
    page.go_back()
    is_read(alice, place)


def test_whoever_was_at_the_end_follows_it_after_a_reload(alice, stack):
    write_chat(alice, stack, said(20))
    expect(alice.answers.last).to_contain_text("Answer 19")
    alice.page.reload()
    expect(alice.answers.last).to_contain_text("Answer 19")
    alice.send("[[rate=60&tokens=300]] More")
    alice.ended()
    assert alice.page.evaluate(FROM_END) < 40


def test_a_link_to_a_message_comes_before_the_place(alice, stack):
    write_chat(alice, stack, said(40))
    expect(alice.answers.last).to_contain_text("Answer 39")
    place = read_at(alice, -30)
    target = alice.questions.last.get_attribute("id")
    assert place["id"] != target
    alice.page.evaluate("(id) => (location.hash = id)", target)
    expect(alice.page.locator(f"#{target}")).to_be_in_viewport()
    alice.page.reload()
    expect(alice.page.locator(f"#{target}")).to_be_in_viewport()
    alice.page.go_back()
    is_read(alice, place)


def test_a_link_to_an_answer_that_is_written_does_not_follow_its_end(alice):
    """Where the answer begins is the end of the chat while it is short."""
    alice.ask("[[tokens=5]] Hello")
    alice.send("[[rate=50&tokens=900]] Long")
    target = alice.writing().get_attribute("id")
    path = alice.page.url.removeprefix(alice.url)
    linked = ChatPage(alice.page.context.new_page(), alice.url).visit(f"{path}#{target}")
    expect(linked.page.locator(".scroller[data-held]")).to_be_visible()
    begins = linked.page.locator(f"#{target} p").first
    expect(begins).to_be_in_viewport()
    wait_for(lambda: linked.page.evaluate(FROM_END) > 900)
    expect(begins).to_be_in_viewport()
    linked.ended()
    expect(begins).to_be_in_viewport()


def test_on_a_phone_that_is_turned_the_place_is_a_message_and_no_number_of_pixels(
    stack, new_context
):
    alice = ChatPage(new_context(**PHONE).new_page(), stack.url).visit()
    write_chat(alice, stack, said(40))
    expect(alice.answers.last).to_contain_text("Answer 39")
    alice.page.evaluate(SCROLL, -20)
    place = alice.page.evaluate(READ)
    alice.page.goto(f"{stack.url}/settings")
    alice.page.set_viewport_size({"width": 844, "height": 390})
    alice.page.go_back()
    wait_for(lambda: (alice.page.evaluate(READ) or {}).get("id") == place["id"])
