"""The page behind a proxy that blocks or interrupts WebSockets."""

import re
import uuid

import pytest
from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage
from tests.fake_model import text_of

NOTE = "Live connection blocked; updates come a little slower"
ONLINE = "dispatchEvent(new Event('online'))"


class Proxy:
    """A proxy between a page and the server's socket. `how` is a way to block, or "open"."""

    def __init__(self, context, how):
        self.how = how
        self.tries = 0
        context.route_web_socket(re.compile("/ws$"), self._take)

    def _take(self, socket):
        self.tries += 1
        if self.how == "refuses":
            socket.close()
        elif self.how == "drops frames":
            pass  # the socket stays open, and no frame passes
        elif self.how == "drops what is sent":
            server = socket.connect_to_server()
            socket.on_message(lambda _: None)
            server.on_message(socket.send)
        else:
            socket.connect_to_server()


def blocked_page(new_context, stack, how):
    context = new_context()
    proxy = Proxy(context, how)
    return ChatPage(context.new_page(), stack.url).visit(), proxy


def is_over_http(chat):
    expect(chat.page.locator(".connection-over-http")).to_contain_text(NOTE)


@pytest.mark.parametrize("how", ["refuses", "drops frames", "drops what is sent"])
def test_an_answer_comes_while_it_is_written(new_context, stack, how, shot):
    alice, _ = blocked_page(new_context, stack, how)
    prompt = f"[[rate=15&tokens=120]] {uuid.uuid4()}"
    alice.send(prompt)
    alice.writing()
    is_over_http(alice)
    shot(alice.page, "over-http")
    assert alice.text_of(alice.ended()) == text_of(prompt, 120)
    expect(alice.answers).to_have_count(1)


def test_a_stop_a_title_and_another_chat_reach_every_tab(new_context, stack):
    alice, proxy = blocked_page(new_context, stack, "refuses")
    alice.ask("[[tokens=5]] Alpha")
    other = ChatPage(alice.page.context.new_page(), stack.url)
    other.visit(alice.page.url.removeprefix(alice.url))
    expect(other.answers).to_have_count(1)
    alice.send("[[rate=20&tokens=400]] Beta")
    expect(other.answers).to_have_count(2)
    other.writing()
    other.field.press("Escape")
    expect(alice.ended()).to_contain_text("Stopped")
    alice.chats.first.press("F2")
    alice.page.locator(".rename-field").fill("Renamed")
    alice.page.locator(".rename-field").press("Enter")
    expect(other.chats.first).to_contain_text("Renamed")
    assert proxy.tries >= 4


def test_a_websocket_that_gets_through_takes_over_in_the_middle_of_an_answer(new_context, stack):
    alice, proxy = blocked_page(new_context, stack, "refuses")
    prompt = f"[[rate=20&tokens=200]] {uuid.uuid4()}"
    alice.send(prompt)
    alice.writing()
    is_over_http(alice)
    proxy.how = "open"
    with alice.page.expect_event("requestfailed", lambda it: "/api/follow" in it.url):
        alice.page.evaluate(ONLINE)
    expect(alice.page.locator(".connection-over-http")).to_have_count(0)
    alice.is_live()
    assert alice.text_of(alice.ended()) == text_of(prompt, 200)
    with alice.page.expect_websocket() as opened:
        alice.page.reload()
    assert opened.value.url.endswith("/ws")


def test_an_answer_outlives_the_web_process_without_a_websocket(stack, new_context):
    alice, _ = blocked_page(new_context, stack, "refuses")
    prompt = f"[[rate=25&tokens=200]] {uuid.uuid4()}"
    alice.send(prompt)
    alice.writing()
    pid = stack.kill("web")
    stack.wait_replaced("web", pid)
    assert alice.text_of(alice.ended()) == text_of(prompt, 200)
    expect(alice.answers).to_have_count(1)


def test_a_page_with_a_websocket_asks_nothing_over_http(alice):
    asked = []
    alice.page.on("request", lambda request: asked.append(request.url))
    alice.ask("[[tokens=30]] Hello")
    alice.page.wait_for_timeout(2_000)
    assert not [url for url in asked if "/api/follow" in url or "poll_socket" in url]
