"""Credit in a real browser: runs out, is explained, is topped up; the same text is sent again."""

import re

import pytest
from playwright.sync_api import expect

from tests.accounts.mailbox import running_mailbox
from tests.billing.payments.fake_stripe import SECRET_KEY, WEBHOOK_SECRET, running_fake_stripe
from tests.browser.accounts.paid_model import DEAR, balance
from tests.browser.accounts.signing_up import signed_up
from tests.browser.chat_page import ChatPage
from tests.fake_model import running_fake_model
from tests.stack import Stack


@pytest.fixture(scope="module")
def mailbox():
    with running_mailbox() as running:
        yield running


@pytest.fixture(scope="module")
def checkout():
    with running_fake_stripe() as running:
        yield running


@pytest.fixture(scope="module")
def paid_stack(mailbox, checkout):
    with running_fake_model() as model:
        model.list_models("dear")
        model.price("dear", DEAR)
        env = {
            "OPENROUTER_API_KEY": "sk-or-test",
            "OPENROUTER_BASE_URL": model.openrouter_url,
            "HOLDFAST_DEFAULT_MODEL": "openrouter/dear",
            "HOLDFAST_BACKGROUND_CALLS": "False",
            "EMAIL_URL": f"smtp://127.0.0.1:{mailbox.port}",
            "CREDIT_SIGN_UP_MICRO_USD": "1000000",
            "STRIPE_SECRET_KEY": SECRET_KEY,
            "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
            "STRIPE_API_BASE": checkout.url,
            "STRIPE_CHECKOUT_URL": checkout.url,
        }
        with Stack(env=env, workers=1) as running:
            checkout.webhook_url = f"{running.url}/billing/stripe-webhook"
            yield running


@pytest.fixture
def alice(new_context, paid_stack, mailbox, request):
    """A person who has just signed up, with $1.00."""
    name = re.sub(r"\W", "-", request.node.name)[-40:]
    return signed_up(new_context(), paid_stack, mailbox, f"{name}@example.org")


def test_who_runs_out_tops_up_and_goes_on_with_the_same_text(
    alice, checkout, mailbox, shot, inspect
):
    page = alice.page
    seen = inspect(page)
    expect(balance(page)).to_have_text("$1.00")
    alice.ask("[[tokens=5&cost=0.81]] a dear question")
    expect(balance(page)).to_have_text("$0.19")
    expect(page.get_by_text("Your credit is coming to an end.")).to_be_visible()
    seen.look("credit low")
    alice.ask("[[tokens=5&cost=0.189]] another one")
    expect(balance(page)).to_have_text("$0.00")
    # Another tab shows the same balance.
    other = ChatPage(page.context.new_page(), alice.url).visit(page.url.removeprefix(alice.url))
    expect(balance(other.page)).to_have_text("$0.00")
    question = "[[tokens=5&cost=0.5]] What I really wanted to know"
    alice.send(question)
    expect(page.get_by_role("alert")).to_contain_text("Your credit does not cover this")
    expect(alice.field).to_have_value(question)
    expect(alice.questions).to_have_count(2)
    own_key = page.get_by_role("link", name="Use your own provider key")
    expect(own_key).to_have_attribute("href", "/settings/keys")
    seen.look("credit refused")

    page.get_by_role("link", name="Add credit").click()
    expect(page.get_by_text("You pay $22.00")).to_be_visible()
    shot(page, "credit-quotes")
    page.get_by_label("$20.00").check()
    page.get_by_role("button", name="Continue to payment").click()
    expect(page.get_by_role("heading", name="Pay $22.00")).to_be_visible()
    expect(page.get_by_text("Processing fee (10%): $2.00")).to_be_visible()
    page.get_by_role("button", name="Pay", exact=True).click()
    expect(page.get_by_role("heading", name="Receipt")).to_be_visible()
    shot(page, "credit-receipt")

    # The other tab learns of it over its socket.
    expect(balance(other.page)).to_have_text("$20.00")
    page.get_by_role("main").get_by_role("link", name="Back to your chats").click()
    expect(alice.field).to_have_value(question)
    expect(balance(page)).to_have_text("$20.00")
    page.locator(".composer").get_by_role("button", name="Send", exact=True).click()
    expect(alice.answers).to_have_count(3)
    alice.ended()
    expect(balance(page)).to_have_text("$19.50")
    cost = page.locator(".chat-cost-total")
    expect(cost).to_have_text("$1.50")
    cost.click()
    expect(page.locator(".chat-cost-box")).to_contain_text("3 answers, 15 tokens")
    seen.look("credit chat cost")

    page.goto(f"{alice.url}/billing")
    charge = page.get_by_role("link", name=re.compile("^Answer in")).first
    href = charge.get_attribute("href")
    charge.click()
    expect(page.locator(f"#{href.partition('#')[2]}")).to_be_visible()
    page.goto(f"{alice.url}/billing/usage")
    expect(page.get_by_text("$1.50").first).to_be_visible()


def test_who_tops_up_in_another_tab_sends_the_same_text_at_once(alice, checkout):
    page = alice.page
    alice.ask("[[tokens=5&cost=0.8]] most of it")
    alice.ask("[[tokens=5&cost=0.1999]] the rest of it")
    question = "[[tokens=5&cost=0.5]] one more"
    alice.send(question)
    expect(page.get_by_role("alert")).to_contain_text("Your credit does not cover this")
    tab = page.context.new_page()
    tab.goto(f"{alice.url}/billing")
    tab.get_by_role("button", name="Continue to payment").click()
    tab.get_by_role("button", name="Pay", exact=True).click()
    expect(tab.get_by_role("heading", name="Receipt")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(alice.field).to_have_value(question)
    page.locator(".composer").get_by_role("button", name="Send", exact=True).click()
    expect(alice.answers).to_have_count(3)
    alice.ended()


def test_a_message_waits_for_credit_that_another_answer_holds(alice, inspect):
    page = alice.page
    alice.ask("[[tokens=5&cost=0.8]] most of it")
    alice.send("[[rate=10&tokens=800]] all that is left is held for this")
    expect(alice.answers).to_have_count(2)
    alice.writing()
    question = "[[tokens=5&cost=0.05]] and one more"
    alice.send(question)
    said = "Not sent yet: your credit is set aside for answers still being written."
    waiting = page.locator(".message-pending")
    expect(waiting).to_contain_text(said)
    expect(waiting.locator(".bubble")).to_have_text(question)
    expect(page.get_by_role("alert")).to_have_count(0)
    inspect(page).look("credit-held")
    # The message is kept over a reload and shown in every tab.
    page.reload()
    expect(waiting).to_contain_text(said)
    other = ChatPage(page.context.new_page(), alice.url).visit(page.evaluate("location.pathname"))
    expect(other.page.locator(".message-pending")).to_contain_text(said)
    expect(alice.answers).to_have_count(2)
    expect(alice.answers.last).to_have_attribute("aria-busy", "true")

    page.locator(".composer").get_by_role("button", name="Stop the answer").click()
    expect(alice.answers).to_have_count(3)
    alice.ended()
    expect(alice.questions.last.locator(".bubble")).to_have_text(question)
    for tab in (page, other.page):
        expect(tab.locator(".message-pending")).to_have_count(0)
        expect(tab.locator(".bubble").filter(has_text="and one more")).to_have_count(1)
    expect(alice.field).to_have_value("")


def test_a_guest_who_runs_out_is_invited_to_sign_up(new_context, paid_stack, inspect):
    page = new_context().new_page()
    guest = ChatPage(page, paid_stack.url).visit()
    guest.ask("[[tokens=5&cost=0.4999]] hello")
    guest.send("[[tokens=5]] again")
    expect(page.get_by_role("alert")).to_contain_text("Your credit does not cover this")
    expect(page.get_by_role("link", name="Sign up to go on")).to_be_visible()
    # Guests have no keys.
    expect(page.get_by_role("link", name="Use your own provider key")).to_have_count(0)
    inspect(page).look("credit guest")
    page.get_by_role("link", name="See your credit").click()
    expect(page.get_by_role("heading", name="Guest credit")).to_be_visible()


def test_a_payment_that_is_not_made_costs_nothing(alice, checkout):
    page = alice.page
    page.goto(f"{alice.url}/billing")
    page.get_by_role("button", name="Continue to payment").click()
    page.get_by_role("link", name="Back").click()
    expect(page.get_by_role("heading", name="Credit", exact=True)).to_be_visible()
    expect(page.locator(".billing-amount")).to_have_text("$1.00")
