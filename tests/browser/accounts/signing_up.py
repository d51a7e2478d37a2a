"""Signs people up on the pages, with the code from their mail."""

from playwright.sync_api import BrowserContext, Page, expect

from tests.accounts.mailbox import Mailbox, code_in
from tests.accounts.people import PASSWORD
from tests.browser.chat_page import ChatPage
from tests.stack import Stack


def sign_up(page: Page, mailbox: Mailbox, email: str) -> None:
    """Fills in the sign-up form on the page and confirms the address."""
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign up").click()
    page.get_by_label("Code").fill(code_in(mailbox.to(email)))
    page.get_by_role("button", name="Confirm").click()


def signed_up(context: BrowserContext, stack: Stack, mailbox: Mailbox, email: str) -> ChatPage:
    """Signs up a new person; returns their chat page."""
    page = context.new_page()
    page.goto(f"{stack.url}/account/signup/")
    sign_up(page, mailbox, email)
    expect(page.get_by_role("textbox", name="Your message")).to_be_visible()
    return ChatPage(page, stack.url).visit()
