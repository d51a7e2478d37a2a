"""The days and times of messages."""

import re
import time
from datetime import datetime

from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage
from tests.browser.prompts import QUICK

DAY_MS = 86_400_000
ENTRY_ID = re.compile(r'"(\d{13})-(\d+)"')


def test_days_are_separated_and_a_time_tells_its_date_by_keyboard(alice, new_context, shot):
    alice.ask(f"{QUICK} On the day before")
    expect(alice.page.locator(".day-mark")).to_have_count(0)
    border_ms = time.time() * 1000
    alice.ask(f"{QUICK} Today")

    def a_day_earlier(found):
        ms = int(found[1])
        return f'"{ms - DAY_MS if ms < border_ms else ms}-{found[2]}"'

    def pass_on(socket):
        server = socket.connect_to_server()
        server.on_message(lambda frame: socket.send(ENTRY_ID.sub(a_day_earlier, frame)))

    device = new_context()
    device.add_cookies(alice.page.context.cookies())
    page = device.new_page()
    page.route_web_socket("**/ws*", pass_on)
    ChatPage(page, alice.url).visit(alice.page.url.removeprefix(alice.url))
    expect(page.locator(".day-mark")).to_have_text(["Yesterday", "Today"])
    shot(page, "days")
    clock = page.locator(".message-answer").last.locator(".time-button")
    moment = clock.locator("time").get_attribute("datetime")
    assert abs(datetime.fromisoformat(moment).timestamp() * 1000 - border_ms) < DAY_MS / 2
    expect(clock).not_to_contain_text(str(datetime.fromisoformat(moment).year))
    clock.press("Enter")
    expect(clock).to_contain_text(str(datetime.fromisoformat(moment).year))
    expect(clock).to_have_attribute("aria-expanded", "true")
