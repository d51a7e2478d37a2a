"""Uploads that are interrupted: by a lost connection, a reload, the closed page, a lost file."""

import re
import uuid

import pytest
from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage
from tests.browser.files.samples import (
    are_ready,
    attach,
    chips,
    damaged,
    large_picture,
    picture,
    text_file,
)
from tests.browser.prompts import QUICK
from tests.browser.stored_data import chat_is_kept, is_kept
from tests.conftest import LAN_HOST
from tests.stack import wait_for

PARTS = "**/api/files/*/parts/*"


@pytest.fixture
def service_workers() -> str:
    return "allow"


def parts_sent(page):
    """The numbers of the parts that the page has sent, as they are sent."""
    sent = []
    page.on("request", lambda request: "/parts/" in request.url and sent.append(request.url[-1]))
    return sent


def test_the_progress_is_shown_and_an_upload_goes_on_where_the_connection_broke(alice, shot):
    sent = parts_sent(alice.page)
    broken = []

    def break_once(route):
        if route.request.url.endswith("/parts/1") and not broken:
            broken.append(route)
            return route.abort("connectionreset")
        return route.continue_()

    alice.page.route(PARTS, break_once)
    attach(alice, large_picture())
    bar = chips(alice).locator("progress")
    expect(bar).to_have_js_property("max", 1)
    shot(alice.page, "files-uploading")
    are_ready(alice)
    assert len(broken) == 1
    assert sent == ["0", "1", "1", "2"]
    alice.ask(f"{QUICK} Look")
    expect(alice.questions.first.locator(".picture")).to_be_visible()


def test_an_upload_goes_on_after_a_reload(alice):
    alice.ask(f"{QUICK} Hello")
    held = []
    alice.page.route("**/parts/1", lambda route: held.append(route))
    attach(alice, large_picture())
    wait_for(lambda: held or alice.page.wait_for_timeout(50), 20)
    is_kept(alice.page, "large.png")
    sent = parts_sent(alice.page)
    alice.page.reload()
    expect(chips(alice)).to_have_count(1)
    expect(chips(alice).locator("img")).to_be_visible()
    wait_for(lambda: len(held) > 1 or alice.page.wait_for_timeout(50), 20)
    held[1].continue_()
    are_ready(alice)
    assert sent == ["1", "2"]
    alice.ask(f"{QUICK} Look")
    expect(alice.questions.last.locator(".picture")).to_be_visible()


def test_a_file_of_a_visitor_is_there_after_a_reload(alice):
    attach(alice, picture("mine.png"))
    are_ready(alice)
    alice.page.reload()
    expect(chips(alice)).to_have_count(1)
    are_ready(alice)
    alice.ask(f"{QUICK} Look")
    expect(alice.questions.last.locator(".picture")).to_be_visible()
    wait_for(lambda: "mine.png" not in stored_files(alice.page), 20)


def stored_files(page):
    """The names of the files that the browser has stored to be sent."""
    read = """() => new Promise((resolve) => {
      const opening = indexedDB.open("holdfast");
      opening.onsuccess = () => {
        const all = opening.result.transaction("files").objectStore("files").getAll();
        all.onsuccess = () => (opening.result.close(), resolve(all.result.map((one) => one.name)));
      };
    })"""
    return page.evaluate(read)


def prompts_with(fake_model, mark):
    """The prompts that have this mark and a file."""
    prompts = [one["prompt"] for one in fake_model.requests]
    return [prompt for prompt in prompts if mark in prompt and f"“{text_file()['name']}”" in prompt]


def test_a_message_with_files_is_sent_once_after_a_reload_offline(alice, fake_model):
    alice.ask(f"{QUICK} Hello")
    chat_is_kept(alice.page)
    mark = str(uuid.uuid4())
    alice.page.context.set_offline(True)
    attach(alice, picture("offline.png"), text_file())
    expect(chips(alice).first.locator("img")).to_be_visible()
    alice.send(f"{QUICK} {mark}")
    pending = alice.page.locator(".message-pending")
    expect(pending).to_contain_text("waiting for the connection")
    expect(pending.locator(".picture img")).to_be_visible()
    is_kept(alice.page, mark, "offline.png")
    alice.page.reload()
    expect(pending.locator(".picture img")).to_be_visible()
    expect(pending.locator(".file-card")).to_contain_text("tides.txt")
    assert prompts_with(fake_model, mark) == []
    alice.page.context.set_offline(False)
    expect(alice.answers).to_have_count(2)
    alice.ended()
    expect(alice.questions).to_have_count(2)
    expect(alice.questions.last.locator(".picture")).to_have_count(1)
    assert len(prompts_with(fake_model, mark)) == 1
    wait_for(lambda: stored_files(alice.page) == [], 20)


def test_a_message_is_taken_back_with_its_files_while_they_are_uploaded(alice):
    alice.page.route(PARTS, lambda route: route.abort("connectionreset"))
    attach(alice, picture("one.png"))
    alice.send("Look")
    alice.questions.first.get_by_role("button", name="Edit").click()
    expect(alice.field).to_have_value("Look")
    expect(chips(alice)).to_have_count(1)
    expect(alice.questions).to_have_count(0)
    alice.page.unroute(PARTS)
    are_ready(alice)
    alice.ask(f"{QUICK} Look")
    expect(alice.questions.first.locator(".picture")).to_be_visible()


def test_a_message_that_is_cancelled_comes_back_with_its_files(alice):
    alice.ask(f"{QUICK} Hello")
    alice.page.route(PARTS, lambda route: route.abort("connectionreset"))
    attach(alice, picture("one.png"))
    alice.send(f"{QUICK} Look")
    alice.questions.last.get_by_role("button", name="Cancel").click()
    expect(alice.questions).to_have_count(1)
    alice.page.unroute(PARTS)
    alice.page.get_by_role("button", name="Undo").click()
    expect(alice.answers).to_have_count(2)
    alice.ended()
    expect(alice.questions.last.locator(".picture")).to_be_visible()


def test_the_files_of_a_cancelled_message_are_deleted(alice):
    alice.ask(f"{QUICK} Hello")
    alice.page.route("**/complete", lambda route: route.abort("connectionreset"))
    attach(alice, picture("one.png"))
    alice.send(f"{QUICK} Look")
    with alice.page.expect_request(lambda request: request.method == "DELETE") as deleting:
        alice.questions.last.get_by_role("button", name="Cancel").click()
    answer = deleting.value.response()
    assert answer is not None and answer.status == 204
    wait_for(lambda: stored_files(alice.page) == [], 20)


def test_a_refused_file_brings_its_message_back_with_all_files(alice):
    alice.ask(f"{QUICK} Hello")
    held = []
    alice.page.route("**/complete", lambda route: held.append(route))
    attach(alice, damaged("torn.png"), picture("whole.png"))
    alice.send("Look")
    wait_for(lambda: len(held) == 2 or alice.page.wait_for_timeout(50), 20)
    for route in held:
        route.continue_()
    expect(alice.field).to_have_value("Look")
    expect(chips(alice)).to_have_count(2)
    refused = chips(alice).filter(has_text="torn.png")
    expect(refused.locator(".meta-problem")).to_have_text(re.compile(r"\w"))
    expect(alice.questions).to_have_count(1)


def test_a_file_that_the_server_has_forgotten_is_uploaded_again(alice):
    attach(alice, picture("one.png"))
    are_ready(alice)
    # As the server does after a day.
    forget = """async () => {
      const { id } = await new Promise((resolve) => {
        const opening = indexedDB.open("holdfast");
        opening.onsuccess = () => {
          const all = opening.result.transaction("files").objectStore("files").getAll();
          all.onsuccess = () => (opening.result.close(), resolve(all.result[0]));
        };
      });
      const token = document.cookie.match(/csrftoken=([^;]+)/)[1];
      const options = { method: "DELETE", headers: { "X-CSRFToken": token } };
      return (await fetch(`/api/files/${id}`, options)).status;
    }"""
    assert alice.page.evaluate(forget) == 204
    alice.ask(f"{QUICK} Look")
    expect(alice.questions.first.locator(".picture")).to_be_visible()


def test_without_room_in_the_browser_files_are_sent_and_one_is_told(alice):
    full = """() => {
      const put = IDBObjectStore.prototype.put;
      IDBObjectStore.prototype.put = function (...all) {
        if (this.name === "file_data") throw new DOMException("full", "QuotaExceededError");
        return put.apply(this, all);
      };
    }"""
    alice.page.evaluate(full)
    attach(alice, picture("one.png"))
    expect(alice.page.locator(".toast-problem")).to_contain_text("no room to keep the files")
    are_ready(alice)
    alice.ask(f"{QUICK} Look")
    expect(alice.questions.first.locator(".picture")).to_be_visible()


def test_a_page_over_plain_http_computes_digests_itself(new_context, stack):
    """It has no digests, no locks and no service worker."""
    url = stack.url.replace("127.0.0.1", LAN_HOST)
    alice = ChatPage(new_context().new_page(), url).visit()
    assert alice.page.evaluate("() => crypto.subtle === undefined")
    attach(alice, large_picture())
    are_ready(alice)
    alice.ask(f"{QUICK} Look")
    expect(alice.questions.first.locator(".picture")).to_be_visible()
