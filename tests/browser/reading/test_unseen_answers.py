"""Answers that end while the page is hidden: the title, the icon, and notifications."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage
from tests.browser.prompts import SLOW

# A page without a window is always visible for the browser, so tests say when it is not.
SHOW_AS = """state => {
    Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""
OFFER = "Do you want a notification"
# A browser without a window refuses notifications, so these stand in for its own. It has no push
# service either, and says so on the console.
NOTIFICATIONS = """
if (globalThis.Notification && globalThis.ServiceWorkerRegistration) {
    let shown = [];
    const count = () => (document.documentElement.dataset.shown = shown.length);
    window.firstShown = () => [shown[0].body, shown[0].tag];
    const permission = { get: () => localStorage.permission ?? "default" };
    Object.defineProperty(Notification, "permission", permission);
    Notification.requestPermission = async () => (localStorage.permission = "granted");
    ServiceWorkerRegistration.prototype.showNotification = async (title, options) => {
        const close = () => count((shown = shown.filter((each) => each.close !== close)));
        count(shown.push({ title, ...options, close }));
    };
    ServiceWorkerRegistration.prototype.getNotifications = async () => [...shown];
    PushManager.prototype.subscribe = () => Promise.reject(new Error("no push service"));
}
"""
CLICK = """chat => new Promise((resolve) => {
    const notification = { close() {}, data: { chat } };
    // The promise fails at its last step: a browser focuses a page only after a real click.
    const waitUntil = (promise) => promise.catch(() => {}).then(resolve);
    self.dispatchEvent(Object.assign(new Event("notificationclick"), { notification, waitUntil }));
})"""


@pytest.fixture
def alice(new_context, stack):
    context = new_context()
    context.add_init_script(NOTIFICATIONS)
    return ChatPage(context.new_page(), stack.url).visit()


@pytest.fixture
def service_workers():
    return "allow"


def show_as(page, state):
    page.evaluate(SHOW_AS, state)


def icon(page):
    return page.locator("link[rel=icon]")


def test_title_and_icon_tell_of_an_answer_that_ended_unseen(alice):
    page = alice.page
    alice.send(f"{SLOW} Tell me later")
    alice.writing()
    expect(page).to_have_title(re.compile("^Tell|^\\["))
    show_as(page, "hidden")
    alice.ended()
    expect(page).to_have_title(re.compile(r"^\(1\) "))
    expect(icon(page)).to_have_attribute("href", re.compile("favicon-dot"))
    assert page.request.get(icon(page).evaluate("link => link.href")).ok
    show_as(page, "visible")
    expect(page).to_have_title(re.compile(r"^[^(]"))
    expect(icon(page)).not_to_have_attribute("href", re.compile("favicon-dot"))


def test_another_device_that_reads_the_chat_takes_the_sign_away(alice, new_context):
    page = alice.page
    alice.send(f"{SLOW} Tell me elsewhere")
    alice.writing()
    other = new_context()
    other.add_cookies(page.context.cookies())
    elsewhere = ChatPage(other.new_page(), alice.url).visit()
    elsewhere.is_live()
    show_as(page, "hidden")
    alice.ended()
    expect(page).to_have_title(re.compile(r"^\(1\) "))
    elsewhere.chats.first.click()
    elsewhere.ended()
    expect(page).to_have_title(re.compile(r"^[^(]"))


def test_notifications_are_offered_once_and_never_at_the_start(alice, shot):
    page = alice.page
    offer = page.locator(".toast").filter(has_text=OFFER)
    show_as(page, "hidden")
    show_as(page, "visible")
    alice.send(f"{SLOW} Tell me when it is done")
    alice.writing()
    expect(offer).to_have_count(0)
    show_as(page, "hidden")
    show_as(page, "visible")
    expect(offer).to_be_visible()
    expect(offer.get_by_role("button", name="Notify me")).to_be_visible()
    shot(page, "notification-offer")
    offer.get_by_role("button", name="Dismiss").click()
    alice.ended()
    alice.send(f"{SLOW} And once more")
    expect(alice.answers).to_have_count(2)
    alice.writing()
    show_as(page, "hidden")
    show_as(page, "visible")
    alice.ended()
    expect(offer).to_have_count(0)


def test_a_notification_tells_of_the_end_leads_to_the_chat_and_goes_when_it_is_seen(alice):
    page = alice.page
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    alice.send(f"{SLOW} Ring a bell")
    alice.writing()
    chat = page.url.rsplit("/", 1)[1]
    show_as(page, "hidden")
    show_as(page, "visible")
    page.get_by_role("button", name="Notify me").click()
    page.get_by_role("link", name="New chat").first.click()
    show_as(page, "hidden")
    expect(page.locator("html")).to_have_attribute("data-shown", "1")
    assert page.evaluate("firstShown()") == ["Answer complete.", chat]
    page.context.service_workers[0].evaluate(CLICK, chat)
    alice.ended()
    assert page.url.endswith(chat)
    show_as(page, "visible")
    expect(page.locator("html")).to_have_attribute("data-shown", "0")


def test_the_settings_page_turns_notifications_off_and_allows_them_in_this_browser(alice, shot):
    page = alice.page
    alice.ask("[[tokens=3]] Hello")
    page.goto(f"{alice.url}/settings")
    page.get_by_role("button", name="Allow them in this browser").click()
    expect(page.get_by_text("This browser allows them.")).to_be_visible()
    page.get_by_label("Notifications").uncheck()
    expect(page.locator("[data-saved]")).to_have_text("Saved")
    shot(page, "notification-setting")
    page.reload()
    expect(page.get_by_label("Notifications")).not_to_be_checked()
