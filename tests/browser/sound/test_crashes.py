"""Pages that end while a recording becomes a file: one of the two stays, never none or both."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chat_page import ChatPage
from tests.browser.files.samples import are_ready, chips
from tests.browser.prompts import QUICK
from tests.browser.sound.recorder import button, press, record, recorder
from tests.browser.stored_data import KEPT
from tests.stack import wait_for

# The database takes this many further changes of contents, and then none, as if the page had ended.
END_AFTER = """(changes) => {
  const begin = IDBDatabase.prototype.transaction;
  IDBDatabase.prototype.transaction = function (names, mode, ...rest) {
    const isChange = mode === "readwrite" && [...names].includes("file_data");
    const isLate = mode === "readwrite" && (isChange ? changes-- : changes) <= 0;
    if (isLate) throw new DOMException("", "InvalidStateError");
    return begin.call(this, names, mode, ...rest);
  };
}"""
NO_ROOM_FOR_FILES = """() => {
  const put = IDBObjectStore.prototype.put;
  IDBObjectStore.prototype.put = function (...all) {
    if (this.name === "files") throw new DOMException("full", "QuotaExceededError");
    return put.apply(this, all);
  };
}"""
NEVER_OPENS = """
IDBFactory.prototype.open = () => {
  const request = {};
  queueMicrotask(() => request.onerror());
  return request;
};
"""
HAS_ATTACHING = """() => performance.getEntriesByType("resource")
  .some(({ name }) => name.includes("/attaching."))"""
SECOND = '"pieces":'


def is_stored(page: Page, part: str = SECOND) -> None:
    wait_for(lambda: part in page.evaluate(KEPT) or page.wait_for_timeout(50), 20)


def is_removed(page: Page, part: str = SECOND) -> None:
    wait_for(lambda: part not in page.evaluate(KEPT) or page.wait_for_timeout(50), 20)


def is_attached(alice: ChatPage) -> None:
    expect(chips(alice)).to_have_count(1)
    are_ready(alice)


def has_either(alice: ChatPage) -> None:
    """After a reload there is the file or the offer."""
    alice.page.reload()
    expect(button(alice.page)).to_be_visible()
    one = chips(alice).or_(recorder(alice.page))
    expect(one.first).to_be_visible()
    # The other would come a moment later.
    alice.page.wait_for_timeout(500)
    expect(one).to_have_count(1)


@pytest.mark.parametrize("changes", range(4))
def test_a_page_that_ends_while_it_attaches_leaves_one_of_the_two(alice, changes):
    record(alice, 1)
    is_stored(alice.page)
    alice.page.evaluate(END_AFTER, changes)
    press(alice.page, "Attach the recording")
    is_attached(alice)
    has_either(alice)


@pytest.mark.parametrize("changes", range(3))
def test_a_page_that_ends_while_it_attaches_what_was_interrupted_leaves_one(alice, changes):
    record(alice, 1)
    is_stored(alice.page)
    alice.page.reload()
    expect(recorder(alice.page)).to_contain_text("was interrupted")
    alice.page.evaluate(END_AFTER, changes)
    press(alice.page, "Attach")
    is_attached(alice)
    expect(recorder(alice.page)).to_have_count(0)
    has_either(alice)


@pytest.mark.parametrize("was_interrupted", [False, True])
def test_without_room_for_the_file_the_recording_stays_until_it_is_sent(alice, was_interrupted):
    page = alice.page
    record(alice, 1)
    is_stored(page)
    for _ in range(2):
        if was_interrupted:
            page.reload()
            expect(recorder(page)).to_contain_text("was interrupted")
        page.evaluate(NO_ROOM_FOR_FILES)
        press(page, "Attach" if was_interrupted else "Attach the recording")
        is_attached(alice)
        expect(recorder(page)).to_have_count(0)
        other = page.context.new_page()
        other.goto(alice.url)
        expect(button(other)).to_be_visible()
        # The file is with the first page, which still runs.
        other.wait_for_timeout(500)
        expect(recorder(other)).to_have_count(0)
        other.close()
        was_interrupted = True
    alice.ask(f"{QUICK} Listen")
    is_removed(page)
    page.reload()
    expect(button(page)).to_be_visible()
    page.wait_for_timeout(500)
    expect(recorder(page)).to_have_count(0)


def test_a_file_that_is_removed_takes_its_recording_with_it(alice):
    record(alice, 1)
    is_stored(alice.page)
    alice.page.evaluate(NO_ROOM_FOR_FILES)
    press(alice.page, "Attach the recording")
    is_attached(alice)
    chips(alice).get_by_role("button", name="Remove").click()
    is_removed(alice.page)


def test_a_database_that_does_not_open_once_loses_no_file(alice):
    record(alice, 1)
    press(alice.page, "Attach the recording")
    is_attached(alice)
    is_stored(alice.page, "Voice note")
    page = alice.page.context.new_page()
    page.add_init_script(NEVER_OPENS)
    page.goto(alice.url)
    page.wait_for_function(HAS_ATTACHING)
    page.wait_for_timeout(500)
    page.close()
    alice.page.reload()
    expect(chips(alice)).to_have_count(1)
