"""Web Push: the page subscribes the browser, and the service worker shows what comes."""

import pytest

from tests.accounts.push_service import Browser, sender_of
from tests.browser.chat_page import ChatPage
from tests.browser.prompts import SLOW
from tests.stack import wait_for

RECEIVE = """content => new Promise((resolve) => {
    const shown = [];
    const note = async (title, options) => shown.push([title, options.body, options.tag]);
    self.registration.showNotification = note;
    const waitUntil = (promise) => promise.then(() => resolve(shown));
    const data = { json: () => content };
    self.dispatchEvent(Object.assign(new Event("push"), { data, waitUntil }));
})"""


@pytest.fixture
def service_workers():
    return "allow"


@pytest.fixture
def browser_part(push_service):
    return Browser(push_service)


@pytest.fixture
def alice(new_context, stack, browser_part):
    context = new_context()
    context.add_init_script(browser_part.script)
    return ChatPage(context.new_page(), stack.url).visit()


def test_a_browser_is_told_of_an_answer_that_ends_after_it_was_closed(
    alice, push_service, browser_part
):
    page = alice.page
    with page.expect_response("**/api/push*") as subscribing:
        alice.ask("[[tokens=3]] Hello")
    assert subscribing.value.status == 204
    key = page.locator("html").get_attribute("data-push-key")
    alice.send(f"{SLOW} Tell me later")
    alice.writing()
    worker, chat = page.context.service_workers[0], page.url.rsplit("/", 1)[1]
    elsewhere = page.context.new_page()
    page.close()
    wait_for(lambda: push_service.to(browser_part), 60)
    [delivery] = push_service.to(browser_part)
    sender_of(delivery, key)
    content = browser_part.read(delivery)
    assert content["chat"] == chat
    shown = [[content["title"], "Answer complete.", chat]]
    assert worker.evaluate(RECEIVE, content) == shown
    # A page that is in view shows the end of an answer by itself.
    elsewhere.goto(alice.url)
    assert worker.evaluate(RECEIVE, content) == []
