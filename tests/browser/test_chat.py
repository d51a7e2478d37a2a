"""The chat in a real browser on a real stack: asking, stopping, branches, two tabs, the list."""

import re

from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage
from tests.fake_model import text_of

SLOW = "[[rate=25&tokens=120]]"
QUICK = "[[tokens=12]]"
SUSPEND = """
from accounts.models import User
from accounts.suspension import suspend
operator = User.objects.create_superuser("operator@example.org", "x")
# Each process of the tests has a stack of its own, so the newest guest is that of the test.
assert suspend(User.objects.filter(is_guest=True).latest("created_at"), operator, "Spam")
"""


def test_asking_as_a_stranger_makes_a_chat(alice, shot):
    shot(alice.page, "empty")
    expect(alice.page.locator(".connection")).to_have_count(0)
    alice.field.fill(f"{QUICK} Hello")
    alice.field.press("Enter")
    answer = alice.ended()
    assert alice.text_of(answer) == text_of(f"{QUICK} Hello", 12)
    assert re.fullmatch(r"/c/[0-9a-f-]{36}", alice.page.url.removeprefix(alice.url))
    expect(alice.chats).to_have_count(1)
    alice.is_live()
    facts = answer.locator(".foot-facts")
    expect(facts).not_to_contain_text("tokens")
    facts.get_by_role("button").press("Enter")
    expect(facts).to_contain_text(re.compile(r"20\d\d.* s12 tokens"))
    facts.get_by_role("button").press("Enter")
    expect(facts).not_to_contain_text("tokens")
    shot(alice.page, "answer")


def test_a_tab_closed_in_the_middle_misses_nothing(alice, shot):
    prompt = f"{SLOW} Long"
    alice.send(prompt)
    alice.writing()
    page, context = alice.page, alice.page.context
    path = page.url.removeprefix(alice.url)
    shot(page, "streaming")
    page.close()
    again = ChatPage(context.new_page(), alice.url).visit(path)
    assert again.text_of(again.ended()) == text_of(prompt, 120)


def test_stop_keeps_what_is_there_and_works_from_another_tab(alice):
    alice.send(f"{SLOW} Stop me")
    alice.writing()
    other = ChatPage(alice.page.context.new_page(), alice.url)
    other.visit(alice.page.url.removeprefix(alice.url))
    other.writing()
    other.page.keyboard.press("Escape")
    for tab in (alice, other):
        expect(tab.ended().locator(".outcome")).to_contain_text("Stopped")
    assert alice.text_of(alice.answers.last) == other.text_of(other.answers.last) != ""
    assert len(alice.text_of(alice.answers.last)) < len(text_of(f"{SLOW} Stop me", 120))


def test_answering_again_and_editing_are_branches_that_are_remembered(alice, shot):
    alice.ask(f"{QUICK} First")
    alice.answers.last.get_by_role("button", name="Answer again", exact=True).click()
    stepper = alice.answers.last.locator(".stepper-count")
    expect(stepper).to_have_text("2/2")
    alice.ended().get_by_role("button", name="Previous version").click()
    expect(stepper).to_have_text("1/2")
    alice.questions.last.hover()
    alice.questions.last.get_by_role("button", name="Edit").click()
    alice.page.get_by_role("textbox", name="Edit your message").fill(f"{QUICK} Other")
    alice.page.locator(".message-editing").get_by_role("button", name="Send").click()
    expect(alice.questions.last.locator(".bubble")).to_have_text(f"{QUICK} Other")
    assert alice.text_of(alice.ended()) == text_of(f"{QUICK} Other", 12)
    alice.questions.last.get_by_role("button", name="Previous version").click()
    expect(stepper).to_have_text("1/2")
    shot(alice.page, "branches")
    alice.page.reload()
    expect(alice.questions.last.locator(".bubble")).to_have_text(f"{QUICK} First")
    expect(stepper).to_have_text("1/2")


def test_what_is_sent_while_an_answer_runs_goes_next(alice):
    alice.send("[[rate=10&tokens=80]] One")
    alice.writing()
    alice.send(f"{QUICK} Two")
    expect(alice.answers.last.locator(".progress")).to_contain_text("Waiting for the answer")
    assert alice.text_of(alice.ended()) == text_of(f"{QUICK} Two", 12)
    expect(alice.answers).to_have_count(2)


def test_what_waits_is_cancelled_at_once_on_every_screen(alice):
    alice.send("[[rate=20&tokens=900]] One")
    alice.writing()
    alice.send(f"{QUICK} Two")
    expect(alice.questions).to_have_count(2)
    alice.send(f"{QUICK} Three")
    expect(alice.questions.nth(2)).to_contain_text("Next in line")
    path = alice.page.evaluate("location.pathname")
    other = ChatPage(alice.page.context.new_page(), alice.url).visit(path)
    other.questions.nth(1).get_by_role("button", name="Cancel").click()
    for page in (alice, other):
        expect(page.answers.nth(1)).to_contain_text("Stopped before the first word.")
        expect(page.questions.nth(1)).not_to_contain_text("Next in line")
        # The first is still being written; the third still waits for it.
        expect(page.answers.nth(0)).to_have_attribute("aria-busy", "true")
        expect(page.questions.nth(2)).to_contain_text("Next in line")
        expect(page.answers.nth(2)).to_contain_text("Waiting for the answer before it")
    alice.page.get_by_role("button", name="Stop the answer").click()
    expect(alice.page.locator("[aria-busy=true]")).to_have_count(0)


def test_an_error_says_what_to_do_and_continue_finishes_the_same_message(alice, shot):
    prompt = "[[status=401&times=1&tokens=12]] Key"
    answer = alice.ask(prompt)
    expect(answer.get_by_role("alert")).to_be_visible()
    shot(alice.page, "error")
    answer.get_by_role("button", name=re.compile("Try again|Continue")).click()
    expect(answer.locator(".md")).to_have_text(text_of(prompt, 12).strip())
    expect(alice.answers).to_have_count(1)


def test_an_answer_that_waits_says_so_until_it_goes_on(alice):
    prompt = "[[tokens=9&status=429&retry_after=6&times=1]] Busy"
    alice.send(prompt)
    waiting = alice.answers.last.locator(".notice-waiting")
    expect(waiting).to_contain_text(re.compile(r"The provider is busy. Trying again in [1-6] s."))
    spoken = alice.page.get_by_role("log", name="What the assistant says")
    expect(spoken).to_contain_text("The provider is busy. Trying again in 6 s.")
    alice.page.reload()
    expect(waiting).to_contain_text(re.compile(r"The provider is busy. Trying again in [1-6] s."))
    answer = alice.ended()
    assert alice.text_of(answer) == text_of(prompt, 9)
    expect(waiting).to_have_count(0)
    assert "Trying again in 5" not in spoken.inner_text()


def test_an_answer_that_waits_can_be_stopped_or_given_to_another_model(alice, shot):
    alice.send("[[tokens=9&status=429&retry_after=50]] Busy")
    waiting = alice.answers.last.locator(".notice-waiting")
    shot(alice.page, "waiting")
    waiting.get_by_role("button", name="Use another model").click()
    alice.page.get_by_role("option", name="think").click()
    expect(alice.answers.last.locator(".answer-model")).to_contain_text("think")
    waiting.get_by_role("button", name="Stop").click()
    answer = alice.ended()
    expect(answer).to_contain_text("Stopped before the first word.")
    expect(answer.locator(".stepper-count")).to_have_text("2/2")
    answer.get_by_role("button", name="Previous version").click()
    expect(alice.ended()).to_contain_text("Stopped before the first word.")


def test_an_error_of_the_site_blames_nobody_and_offers_another_model(alice):
    answer = alice.ask("[[status=401]] Key")
    expect(answer.get_by_role("alert")).to_contain_text("Its operators have been told.")
    expect(answer.get_by_role("alert")).not_to_contain_text("settings")
    answer.get_by_role("alert").get_by_role("button", name="Use another model").click()
    alice.page.get_by_role("option", name="think").click()
    expect(alice.answers.last.locator(".stepper-count")).to_have_text("2/2")


def test_reasoning_is_folded_away(alice):
    answer = alice.ask("[[reasoning=20&tokens=9]] Think")
    answer.locator(".reasoning summary").click()
    expect(answer.locator(".reasoning-text")).to_contain_text(re.compile(r"\w+ \w+"))


def test_the_duration_of_thinking_stays_when_the_text_begins(alice):
    alice.send("[[reasoning=30&rate=12&tokens=40]] Think")
    label = alice.writing().locator(".reasoning summary")
    expect(alice.answers.last).to_have_attribute("aria-busy", "true")
    expect(label).to_have_text(re.compile(r"Thought for \d+ s"))
    alice.ended()
    expect(label).to_have_text(re.compile(r"Thought for \d+\.\d s"))


def test_the_list_is_live_on_every_tab(alice):
    alice.ask(f"{QUICK} Alpha")
    other = ChatPage(alice.page.context.new_page(), alice.url).visit()
    other.ask(f"{QUICK} Beta")
    expect(alice.chats).to_have_count(2)
    other.chats.first.press("F2")
    rename = other.page.get_by_role("textbox", name="Title of the chat")
    rename.fill("A better name")
    rename.press("Enter")
    expect(alice.chats.first).to_contain_text("A better name")
    other.chats.first.press("Delete")
    expect(alice.chats).to_have_count(1)
    other.page.get_by_role("button", name="Undo").click()
    for tab in (alice, other):
        expect(tab.chats).to_have_count(2)
        expect(tab.chats.first).to_contain_text("A better name")
    other.chats.first.press("Delete")
    other.page.goto(alice.url)  # leaving the page deletes without waiting for Undo
    expect(alice.chats).to_have_count(1)


def test_a_change_that_waits_for_an_earlier_one_is_sent_when_the_page_is_left(alice):
    alice.ask(f"{QUICK} Alpha")
    other = ChatPage(alice.page.context.new_page(), alice.url).visit()
    other.chats.first.press("Delete")
    expect(alice.chats).to_have_count(0)
    unanswered = []

    def restore_and_say_nothing(route):
        unanswered.append((route, route.fetch()))

    other.page.route("**/restore?*", restore_and_say_nothing)
    other.page.get_by_role("button", name="Undo").click()
    expect(alice.chats).to_have_count(1)
    other.chats.first.press("Delete")
    other.page.goto(alice.url)
    expect(alice.chats).to_have_count(0)
    assert unanswered


def test_back_and_forward_switch_chats_over_one_socket(alice):
    sockets = []
    alice.page.on("websocket", lambda socket: sockets.append(socket))
    alice.ask(f"{QUICK} Alpha")
    alice.page.get_by_role("link", name="New chat").click()
    alice.ask(f"{QUICK} Beta")
    alice.page.go_back()
    alice.page.go_back()
    expect(alice.questions.locator(".bubble")).to_have_text(f"{QUICK} Alpha")
    alice.page.go_forward()
    expect(alice.page.get_by_role("heading", level=1)).to_be_visible()
    alice.page.go_forward()
    expect(alice.questions.locator(".bubble")).to_have_text(f"{QUICK} Beta")
    assert len(sockets) == 1


def test_a_refused_message_comes_back_to_the_composer(alice):
    text = "x" * 200_001
    alice.field.fill(text)
    alice.field.press("Enter")
    expect(alice.page.locator(".toast-problem")).to_contain_text("too long")
    # A field shows only so much; the rest is folded.
    expect(alice.field).to_have_value(text[:32_000])
    alice.page.locator(".pasted-name").click()
    expect(alice.page.locator(".pasted-parts")).to_contain_text("Part 1 of 6")
    expect(alice.questions).to_have_count(0)


def test_drafts_are_kept_for_each_chat(alice):
    alice.ask(f"{QUICK} Alpha")
    alice.field.fill("half a thought")
    alice.page.get_by_role("link", name="New chat").click()
    expect(alice.field).to_have_value("")
    alice.chats.first.click()
    expect(alice.field).to_have_value("half a thought")
    alice.page.reload()
    expect(alice.field).to_have_value("half a thought")


def test_somebody_elses_chat_is_not_there(alice, new_context):
    alice.ask(f"{QUICK} Secret")
    charlie = new_context().new_page()
    response = charlie.goto(alice.page.url)
    assert response is not None and response.status == 404
    expect(charlie.get_by_role("heading", level=1)).to_have_text("There is nothing here")
    assert "Secret" not in charlie.content()


def test_a_limited_message_comes_back_to_the_composer(stack, new_context):
    """It can be sent as soon as the limit allows it again."""
    with stack.another_web(LIMIT_SENDS_PER_MINUTE_ADDRESS="1") as url:
        alice = ChatPage(new_context().new_page(), url).visit()
        alice.ask(f"{QUICK} Alpha")
        alice.send("Beta, with much thought")
        expect(alice.page.locator(".toast-problem")).to_contain_text("too often. Try again in")
        expect(alice.field).to_have_value("Beta, with much thought")
        expect(alice.questions).to_have_count(1)
        alice.page.close()


def test_a_suspended_person_is_cut_off_and_told(alice, stack):
    alice.ask(f"{QUICK} Alpha")
    alice.is_live()
    suspended = stack.manage("shell", "-v", "0", "-c", SUSPEND)
    assert suspended.returncode == 0, suspended.stderr
    expect(alice.page.locator(".connection-suspended")).to_have_text("This account is suspended.")
    alice.send("Am I here?")
    expect(alice.page.locator(".toast-problem").last).to_contain_text("suspended")
    expect(alice.field).to_have_value("Am I here?")
