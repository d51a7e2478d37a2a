"""Lighthouse finds no problem of accessibility or best practices on the start page and in a chat;
with --full also on other pages and on a desktop.

Its performance score is a timing, which `manage.py bench --only lighthouse` measures.
"""

import pytest
from playwright.sync_api import expect

from tests import lighthouse
from tests.accounts.people import PASSWORD
from tests.billing.payments.fake_stripe import SECRET_KEY, WEBHOOK_SECRET, running_fake_stripe
from tests.browser.chat_page import ChatPage
from tests.browser.echo_model import running_echo_model
from tests.examples import FULL
from tests.stack import Stack

CATEGORIES = ["accessibility", "best-practices"]
AT_LEAST = 95
EMAIL = "alice@example.org"
# tests/browser/inspector.py always inspects the other pages, and what is visible on a desktop.
DEVICES = [lighthouse.PHONE, lighthouse.DESKTOP] if FULL else [lighthouse.PHONE]
MORE = ["/account/login/"] if FULL else []
MORE_SIGNED_IN = ["/billing", "/settings"] if FULL else []
SAY = (
    "SAY Code:\n\n```python\ndef square(x):\n    return x**2\n```\n\nand math, $a^2 + b^2$:\n\n"
    "$$\\int_0^1 x\\,dx = \\tfrac12$$\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n- [x] done\n"
)
ALICE = f"""
from accounts.models import User
from allauth.account.models import EmailAddress
alice = User.objects.create_user("{EMAIL}", "{PASSWORD}")
EmailAddress.objects.create(user=alice, email="{EMAIL}", verified=True, primary=True)
"""


@pytest.fixture(scope="module")
def stack():
    with running_fake_stripe() as checkout, running_echo_model() as model:
        env = {
            "STRIPE_SECRET_KEY": SECRET_KEY,
            "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
            "STRIPE_API_BASE": checkout.url,
            "STRIPE_CHECKOUT_URL": checkout.url,
            "HOLDFAST_BACKGROUND_CALLS": "False",
        }
        with Stack(model_url=model, workers=1, env=env) as running:
            yield running


def test_lighthouse_finds_nothing_to_mend(stack, browser, browser_path):
    try:
        lighthouse.installed()
    except lighthouse.NotInstalledError as error:
        pytest.skip(f"Pages were not audited: {error}")
    done = stack.manage("shell", "-c", ALICE)
    assert done.returncode == 0, done.stderr
    with lighthouse.browser_to_audit(browser.browser_type, browser_path) as (context, port):
        problems = []

        def look(path, devices=DEVICES[:1]):
            for device in devices:
                report = lighthouse.audit(
                    stack.url + path, device, CATEGORIES, port=port, browser=browser_path
                )
                assert set(report.scores) == set(CATEGORIES)
                if min(report.scores.values()) < AT_LEAST:
                    problems.append(f"{path} ({device}): {report.scores} {report.findings}")

        look("/", DEVICES)
        for path in MORE:
            look(path)
        page = context.new_page()
        sign_in(page, stack.url)
        chat = ChatPage(page, stack.url).visit()
        chat.ask(SAY)
        expect(page.locator(".katex").first).to_be_visible()
        path = page.url.removeprefix(stack.url)
        page.close()
        look(path, DEVICES)
        for path in MORE_SIGNED_IN:
            look(path)
    assert problems == []


def sign_in(page, url):
    page.goto(url + "/account/login/")
    page.get_by_label("Email").fill(EMAIL)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("textbox", name="Your message")).to_be_visible()
