"""A page object for the chat page."""

import re
from typing import Self

from playwright.sync_api import Locator, Page, expect


class ChatPage:
    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url.rstrip("/")
        self.field = page.get_by_role("textbox", name="Your message")
        self.answers = page.locator(".message-answer")
        self.questions = page.locator(".message-user")
        self.chats = page.locator(".chat-link")

    def visit(self, path: str = "/") -> Self:
        self.page.goto(self.url + path)
        expect(self.field).to_be_visible()
        return self

    def send(self, text: str) -> None:
        self.field.fill(text)
        self.page.locator(".composer").get_by_role("button", name="Send", exact=True).click()

    def ask(self, text: str) -> Locator:
        """Sends a message and waits until the answer has ended."""
        count = self.answers.count()
        self.send(text)
        expect(self.answers).to_have_count(count + 1)
        return self.ended()

    def ended(self) -> Locator:
        """Waits until the last answer has ended; returns it."""
        last = self.answers.last
        expect(last).to_have_attribute("aria-busy", "false")
        return last

    def writing(self) -> Locator:
        """Waits until the last answer has some text; returns it."""
        last = self.answers.last
        expect(last.locator(".md")).to_have_text(re.compile(r"\S"))
        return last

    def text_of(self, answer: Locator) -> str:
        return answer.locator(".md").last.inner_text()

    def pick_of_account(self, name: str) -> None:
        """Opens the menu at the foot of the list of chats and picks an item."""
        self.page.locator(".account-name").click()
        self.page.locator(".account-box").get_by_text(name, exact=True).click()

    def is_live(self) -> None:
        expect(self.page.locator(".connection-live")).to_be_attached()

    def show_list(self) -> None:
        """Opens the list of chats, which is hidden at first on a narrow page."""
        show = self.page.locator(".topbar").get_by_role("button", name="Show the list of chats")
        if show.count():
            show.click()
        expect(self.page.locator(".sidebar")).to_be_in_viewport()
