"""The page without the network: the app shell, stored chats, the send queue, and their deletion."""

import json
import re
import uuid

import pytest
from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage
from tests.browser.prompts import QUICK, SLOW, prompts_of
from tests.browser.stored_data import chat_is_kept, is_kept
from tests.fake_model import text_of

DATABASE_HANGS = """() => {
    const waiting = new Proxy({}, { get: () => () => new EventTarget() });
    IDBDatabase.prototype.transaction = () =>
        Object.assign(new EventTarget(), { objectStore: () => waiting });
}"""


def test_a_known_chat_shows_offline_after_a_reload(alice, shot):
    mark = str(uuid.uuid4())
    alice.ask(f"{QUICK} {mark}")
    chat_is_kept(alice.page)
    text = alice.text_of(alice.answers.last)
    alice.page.context.set_offline(True)
    alice.page.reload()
    expect(alice.questions.locator(".bubble")).to_have_text(f"{QUICK} {mark}")
    expect(alice.answers.last.locator(".md")).to_have_text(text)
    expect(alice.page.locator(".connection-offline")).to_be_visible()
    expect(alice.chats).to_have_count(1)
    shot(alice.page, "offline-reload")
    alice.page.context.set_offline(False)
    alice.is_live()
    alice.ask(f"{QUICK} back again")
    expect(alice.answers).to_have_count(2)


def test_five_sent_offline_go_out_in_order_after_a_reload(alice, fake_model, shot):
    alice.ask(f"{QUICK} Hello")
    chat_is_kept(alice.page)
    mark = str(uuid.uuid4())
    alice.page.context.set_offline(True)
    for number in range(5):
        alice.send(f"{QUICK} {mark} {number}")
        expect(alice.questions).to_have_count(number + 2)
    expect(alice.questions.last).to_contain_text("waiting for the connection")
    expect(alice.page.locator(".connection")).to_contain_text("5 messages wait")
    shot(alice.page, "send-queue")
    alice.page.reload()
    expect(alice.questions).to_have_count(6)
    assert prompts_of(fake_model, mark) == []
    alice.page.context.set_offline(False)
    expect(alice.answers).to_have_count(6)
    for answer in alice.answers.all():
        expect(answer).to_have_attribute("aria-busy", "false")
    assert prompts_of(fake_model, mark) == [f"{QUICK} {mark} {number}" for number in range(5)]
    shown = alice.questions.locator(".bubble").all_inner_texts()
    assert shown[1:] == [f"{QUICK} {mark} {number}" for number in range(5)]


def test_a_new_chat_can_be_begun_offline(alice, fake_model):
    alice.ask(f"{QUICK} Hello")
    chat_is_kept(alice.page)
    mark = str(uuid.uuid4())
    alice.page.context.set_offline(True)
    alice.page.get_by_role("link", name="New chat").click()
    alice.send(f"{QUICK} {mark}")
    expect(alice.chats).to_have_count(2)
    alice.page.reload()
    expect(alice.questions.locator(".bubble")).to_have_text(f"{QUICK} {mark}")
    alice.page.context.set_offline(False)
    # Until the message is stored, the server has no such chat; the page must not say so.
    alice.page.reload()
    alice.ended()
    expect(alice.page).to_have_url(re.compile(r"/c/[0-9a-f-]{36}$"))
    assert prompts_of(fake_model, mark) == [f"{QUICK} {mark}"]


def test_a_message_outlives_a_page_that_is_closed_before_the_browser_has_stored_it(alice):
    alice.ask(f"{QUICK} Hello")
    chat_is_kept(alice.page)
    alice.page.context.set_offline(True)
    alice.page.evaluate(DATABASE_HANGS)
    alice.send(f"{QUICK} Lost?")
    expect(alice.questions.last).to_contain_text("Lost?")
    alice.page.reload()
    expect(alice.questions.last).to_contain_text("Lost?")


def test_two_tabs_share_the_send_queue_and_send_each_message_once(alice, fake_model):
    alice.ask(f"{QUICK} Hello")
    chat_is_kept(alice.page)
    context = alice.page.context
    other = ChatPage(context.new_page(), alice.url).visit(alice.page.url.removeprefix(alice.url))
    expect(other.answers).to_have_count(1)
    mark = str(uuid.uuid4())
    context.set_offline(True)
    alice.send(f"{QUICK} {mark} 0")
    expect(other.questions).to_have_count(2)
    other.send(f"{QUICK} {mark} 1")
    expect(alice.questions).to_have_count(3)
    alice.send(f"{QUICK} {mark} 2")
    expect(other.questions).to_have_count(4)
    context.set_offline(False)
    for tab in (alice, other):
        expect(tab.answers).to_have_count(4)
        tab.ended()
    assert prompts_of(fake_model, mark) == [f"{QUICK} {mark} {number}" for number in range(3)]
    expect(alice.page.get_by_text("waiting for the connection")).to_have_count(0)


def test_what_waits_can_be_edited_and_cancelled(alice, fake_model):
    alice.ask(f"{QUICK} Hello")
    mark = str(uuid.uuid4())
    alice.page.context.set_offline(True)
    alice.send(f"{QUICK} {mark} keep")
    alice.send(f"{QUICK} {mark} mend")
    alice.send(f"{QUICK} {mark} drop")
    expect(alice.questions).to_have_count(4)
    expect(alice.questions.last).to_contain_text("waiting for the connection")
    alice.questions.last.get_by_role("button", name="Cancel").click()
    expect(alice.questions).to_have_count(3)
    alice.questions.last.get_by_role("button", name="Edit").click()
    expect(alice.field).to_have_value(f"{QUICK} {mark} mend")
    alice.send(f"{QUICK} {mark} mended")
    alice.page.context.set_offline(False)
    expect(alice.answers).to_have_count(3)
    alice.ended()
    assert prompts_of(fake_model, mark) == [f"{QUICK} {mark} keep", f"{QUICK} {mark} mended"]


def test_a_tab_killed_while_it_sends_loses_and_doubles_nothing(alice, stack, fake_model):
    context = alice.page.context
    alice.ask(f"{QUICK} Hello")
    chat_is_kept(alice.page)
    mark, path = str(uuid.uuid4()), alice.page.url.removeprefix(alice.url)
    with stack.frozen("web"):  # the request is sent and gets no response
        alice.send(f"{QUICK} {mark}")
        is_kept(alice.page, mark)
        session = context.new_cdp_session(alice.page)
        session.send("Page.stopLoading")
        alice.page.close()
    again = ChatPage(context.new_page(), stack.url).visit(path)
    expect(again.answers).to_have_count(2)
    again.ended()
    assert prompts_of(fake_model, mark) == [f"{QUICK} {mark}"]


def test_it_lives_through_the_loss_of_the_server(make_stack, fake_model, new_context, shot):
    stack = make_stack(model_url=fake_model.base_url, workers=1).start()
    alice = ChatPage(new_context().new_page(), stack.url).visit()
    mark = str(uuid.uuid4())
    alice.ask(f"{QUICK} Hello")
    chat_is_kept(alice.page)
    stack.stop()
    alice.page.reload()
    expect(alice.questions.locator(".bubble")).to_have_text(f"{QUICK} Hello")
    alice.send(f"{QUICK} {mark}")
    expect(alice.questions.last).to_contain_text("waiting for the connection")
    shot(alice.page, "server-away")
    stack.start()
    expect(alice.answers).to_have_count(2, timeout=60_000)
    alice.ended()
    assert prompts_of(fake_model, mark) == [f"{QUICK} {mark}"]


REFUSALS = [
    (402, "no_credit", "Your credit is used up."),
    (403, "suspended", "This account is suspended."),
    (409, "id_reused", "This id already names something else."),
    (413, "message_too_long", "This message is too long."),
    (413, "storage_full", "You have stored as much as a guest can."),
    (429, "too_many_requests", "That was too often."),
]


@pytest.mark.parametrize(
    ("status", "code", "sentence"),
    [REFUSALS[0], *(pytest.param(*refusal, marks=pytest.mark.full) for refusal in REFUSALS[1:])],
)
def test_what_is_refused_later_stays_with_the_reason_and_a_way_out(
    stack, new_context, fake_model, shot, status, code, sentence
):
    # `route` does not see requests of a service worker.
    alice = ChatPage(new_context(service_workers="block").new_page(), stack.url).visit()
    alice.ask(f"{QUICK} Hello")
    mark = str(uuid.uuid4())
    alice.page.context.set_offline(True)
    alice.send(f"{QUICK} {mark} 0")
    alice.send(f"{QUICK} {mark} 1")
    expect(alice.questions).to_have_count(3)
    body = json.dumps({"error": {"code": code, "message": sentence}})
    alice.page.route(
        "**/messages",
        lambda route: route.fulfill(status=status, body=body, content_type="application/json"),
    )
    alice.page.context.set_offline(False)
    refused = alice.questions.nth(1)
    expect(refused).to_contain_text(f"Not sent. {sentence}")
    expect(alice.questions.nth(2)).to_contain_text("waits for the message before it")
    shot(alice.page, f"refused-{status}")
    alice.page.unroute("**/messages")
    alice.page.reload()
    expect(refused).to_contain_text(f"Not sent. {sentence}")
    refused.get_by_role("button", name="Send again").click()
    expect(alice.answers).to_have_count(3)
    alice.ended()
    assert prompts_of(fake_model, mark) == [f"{QUICK} {mark} 0", f"{QUICK} {mark} 1"]


def test_a_chat_that_is_full_leads_to_a_new_one_with_the_text(stack, new_context, fake_model, shot):
    alice = ChatPage(new_context(service_workers="block").new_page(), stack.url).visit()
    alice.ask(f"{QUICK} Hello")
    sentence = "This chat is as long as one can be. Go on in a new chat."
    body = json.dumps({"error": {"code": "chat_full", "message": sentence}})
    alice.page.route(
        f"**/api/chats/{alice.page.url[-36:]}/messages",
        lambda route: route.fulfill(status=413, body=body, content_type="application/json"),
    )
    mark = f"{QUICK} {uuid.uuid4()}"
    alice.send(mark)
    refused = alice.questions.nth(1)
    expect(refused).to_contain_text(f"Not sent. {sentence}")
    alice.page.reload()
    expect(refused).to_contain_text(f"Not sent. {sentence}")
    shot(alice.page, "chat-full")
    refused.get_by_role("button", name="New chat").click()
    expect(alice.page).to_have_url(alice.url + "/")
    expect(alice.field).to_have_value(mark)
    alice.ask(mark)
    expect(alice.questions).to_have_count(1)
    expect(alice.chats).to_have_count(2)
    assert prompts_of(fake_model, mark) == [mark]


def test_another_answer_that_a_full_chat_refuses_leads_to_a_new_chat(stack, new_context):
    alice = ChatPage(new_context(service_workers="block").new_page(), stack.url).visit()
    alice.ask(f"{QUICK} Hello")
    sentence = "This chat is as long as one can be. Go on in a new chat."
    body = json.dumps({"error": {"code": "chat_full", "message": sentence}})
    alice.page.route(
        f"**/api/chats/{alice.page.url[-36:]}/replies",
        lambda route: route.fulfill(status=413, body=body, content_type="application/json"),
    )
    alice.answers.last.get_by_role("button", name="Answer again", exact=True).click()
    notice = alice.page.locator(".toast").filter(has_text=sentence)
    expect(notice).to_be_visible()
    notice.get_by_role("button", name="New chat").click()
    expect(alice.page).to_have_url(alice.url + "/")


def test_a_damaged_copy_is_read_again(alice):
    answer = alice.ask(f"{QUICK} Hello")
    text = alice.text_of(answer)
    chat_is_kept(alice.page)
    alice.page.evaluate(
        """async () => {
          const database = await new Promise((resolve) => {
            const request = indexedDB.open("holdfast");
            request.onsuccess = () => resolve(request.result);
          });
          const transaction = database.transaction("blocks", "readwrite");
          const cursor = transaction.objectStore("blocks").openCursor();
          cursor.onsuccess = () => {
            if (!cursor.result) return;
            for (const message of cursor.result.value) if (message.sha256) message.text = "wrong";
            cursor.result.update(cursor.result.value);
            cursor.result.continue();
          };
          await new Promise((resolve) => (transaction.oncomplete = resolve));
          database.close();
        }"""
    )
    alice.page.reload()
    expect(alice.answers.last.locator(".md")).to_have_text(text)


def test_a_browser_that_keeps_nothing_works_all_the_same(new_context, stack):
    context = new_context()
    context.add_init_script(
        "Object.defineProperty(globalThis, 'indexedDB', { get() { throw new Error('no') } });"
        "Object.defineProperty(globalThis, 'localStorage', { get() { throw new Error('no') } });"
    )
    alice = ChatPage(context.new_page(), stack.url).visit()
    alice.ask(f"{QUICK} One")
    alice.ask(f"{QUICK} Two")
    alice.page.reload()
    expect(alice.answers).to_have_count(2)


def test_what_is_running_goes_on_where_the_copy_ends(alice):
    prompt = f"{SLOW} {uuid.uuid4()}"
    alice.send(prompt)
    alice.writing()
    is_kept(alice.page, prompt)
    for _ in range(3):
        alice.page.reload()
        alice.writing()
    assert alice.text_of(alice.ended()) == text_of(prompt, 100)
