"""The messages to a person without credit and their options, in a browser with a paid model and a
free one."""

import csv
import io
import json
import re

import pytest
from playwright.sync_api import expect

from billing.money import dollars
from tests.accounts.mailbox import code_in, running_mailbox
from tests.accounts.people import PASSWORD
from tests.billing.payments.fake_stripe import SECRET_KEY, WEBHOOK_SECRET, running_fake_stripe
from tests.browser.accounts.paid_model import DEAR, balance
from tests.browser.accounts.signing_up import signed_up
from tests.browser.chat_page import ChatPage
from tests.browser.written_chat import write_chat
from tests.examples import FULL
from tests.fake_model import running_fake_model
from tests.stack import Stack, wait_for

MANY = 5_000 if FULL else 1_000  # answers of a long chat
# Records what a screen reader announces: alerts, and text that is added to live regions.
HEAR = """() => {
  globalThis.heard = [];
  const hear = (target, node) => {
    if (node.nodeType === 1 && node.matches("[role=alert]")) return heard.push(node.textContent);
    const place = target.nodeType === 1 ? target : target.parentElement;
    const region = place?.closest(".dock [role=status], .dock [role=alert]");
    return region && heard.push(node.textContent);
  };
  const note = ({ type, target, addedNodes }) =>
    (type === "characterData" ? [target] : addedNodes).forEach((node) => hear(target, node));
  const observer = new MutationObserver((records) => records.forEach(note));
  observer.observe(document.body, { childList: true, characterData: true, subtree: true });
}"""


@pytest.fixture(scope="module")
def mailbox():
    with running_mailbox() as running:
        yield running


@pytest.fixture(scope="module")
def checkout():
    with running_fake_stripe() as running:
        yield running


@pytest.fixture(scope="module")
def stack(mailbox, checkout):
    with running_fake_model() as model:
        model.list_models("dear", "gift")
        model.price("dear", DEAR)
        model.price("gift", {"prompt": "0", "completion": "0"})
        env = {
            "OPENROUTER_API_KEY": "sk-or-test",
            "OPENROUTER_BASE_URL": model.openrouter_url,
            "HOLDFAST_DEFAULT_MODEL": "openrouter/dear",
            "EMAIL_URL": f"smtp://127.0.0.1:{mailbox.port}",
            "CREDIT_SIGN_UP_MICRO_USD": "1000000",
            "STRIPE_SECRET_KEY": SECRET_KEY,
            "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
            "STRIPE_API_BASE": checkout.url,
            "STRIPE_CHECKOUT_URL": checkout.url,
        }
        # The same models at an address of this machine count as local, so they are free.
        with Stack(model_url=model.base_url, env=env, workers=1) as running:
            checkout.webhook_url = f"{running.url}/billing/stripe-webhook"
            yield running


@pytest.fixture
def alice(new_context, stack, mailbox, request):
    name = re.sub(r"\W", "-", request.node.name)[-40:]
    return signed_up(new_context(), stack, mailbox, f"{name}@example.org")


def notice(page):
    return page.locator(".credit-notice")


def test_a_model_that_is_free_is_a_way_on(alice):
    page = alice.page
    alice.ask("[[tokens=5&cost=0.8]] most of it")
    alice.ask("[[tokens=5&cost=0.1999]] the rest of it")
    expect(notice(page)).to_contain_text("Your credit is used up. What you write is kept.")
    expect(notice(page)).to_contain_text("free credit comes on")
    question = "[[tokens=5]] and now"
    alice.send(question)
    expect(page.get_by_role("alert")).to_contain_text("Your credit does not cover this")
    page.get_by_role("button", name="Use dear, which is free").click()
    expect(notice(page)).to_have_count(0)
    expect(alice.field).to_have_value(question)
    expect(alice.field).to_be_focused()
    page.locator(".composer").get_by_role("button", name="Send", exact=True).click()
    expect(alice.answers).to_have_count(3)
    alice.ended()
    # The free model shows no notice; the paid one does, because it needs credit.
    expect(balance(page)).to_have_text("$0.00")
    expect(notice(page)).to_have_count(0)
    page.get_by_role("button", name="Choose a model").click()
    expect(page.get_by_role("option", name=re.compile("Dear .*free.* openai"))).to_be_visible()
    page.get_by_role("option", name="$10.00 / $200.00 per million tokens").click()
    expect(notice(page)).to_contain_text("Your credit is used up.")
    # A model whose price is zero is free as well.
    page.get_by_role("button", name="Choose a model").click()
    page.get_by_role("option", name=re.compile("Gift.*free.*openrouter", re.IGNORECASE)).click()
    expect(notice(page)).to_have_count(0)
    alice.ask("[[tokens=5]] and for nothing")
    expect(balance(page)).to_have_text("$0.00")


def test_a_screen_reader_hears_each_warning_once(alice):
    page = alice.page
    page.evaluate(HEAR)

    def heard(words):
        count = "(words) => heard.filter((said) => said.includes(words)).length"
        return page.evaluate(count, words)

    alice.ask("[[tokens=5&cost=0.81]] most of it")
    expect(notice(page)).to_contain_text("coming to an end")
    alice.ask("[[tokens=5&cost=0.01]] a little")
    alice.ask("[[tokens=5&cost=0.01]] a little more")
    expect(balance(page)).to_have_text("$0.17")
    assert heard("Your credit is coming to an end.") == 1
    alice.ask("[[tokens=5&cost=0.1699]] the rest")
    expect(notice(page)).to_contain_text("used up")
    assert heard("Your credit is used up.") == 1
    for times in (1, 2):
        alice.send("[[tokens=5]] and now")
        page.wait_for_function(
            "(times) => heard.filter((said) => said.includes('does not cover')).length === times",
            arg=times,
        )
        expect(alice.field).to_have_value("[[tokens=5]] and now")


def test_who_puts_the_warning_away_by_keyboard_goes_on_writing(alice):
    page = alice.page
    alice.ask("[[tokens=5&cost=0.81]] most of it")
    page.get_by_role("button", name="Dismiss").focus()
    page.keyboard.press("Enter")
    expect(notice(page)).to_have_count(0)
    expect(alice.field).to_be_focused()


def test_a_guest_signs_up_and_goes_on_with_the_same_text(new_context, stack, mailbox):
    page = new_context().new_page()
    guest = ChatPage(page, stack.url).visit()
    guest.ask("[[tokens=5&cost=0.4999]] hello")
    question = "[[tokens=5&cost=0.5]] What I really wanted to know"
    guest.send(question)
    expect(page.get_by_role("alert")).to_contain_text("Your credit does not cover this")
    expect(page.get_by_role("alert")).to_contain_text("An account comes with $1.00 of credit.")
    expect(guest.field).to_have_value(question)
    chat = page.evaluate("location.pathname")
    page.get_by_role("link", name="Sign up to go on").click()
    page.get_by_label("Email").fill("the-guest@example.org")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign up").click()
    page.get_by_label("Code").fill(code_in(mailbox.to("the-guest@example.org")))
    page.get_by_role("button", name="Confirm").click()
    expect(guest.field).to_have_value(question)
    assert page.evaluate("location.pathname") == chat
    expect(balance(page)).to_have_text("$1.00")
    expect(notice(page)).to_have_count(0)
    page.locator(".composer").get_by_role("button", name="Send", exact=True).click()
    expect(guest.answers).to_have_count(2)
    guest.ended()
    expect(balance(page)).to_have_text("$0.50")
    page.goto(f"{stack.url}/billing")
    expect(
        page.get_by_text("as a guest").or_(page.get_by_text("Guest credit")).first
    ).to_be_visible()


def test_all_figures_agree(alice):
    """Compares the figures of repeated, edited and stopped answers and a title, on all pages."""
    page = alice.page
    alice.ask("[[tokens=5&cost=0.0123]] a question")
    wait_for(lambda: "title" in [row["purpose"] for row in csv_of(page, "usage.csv")], 30)
    alice.answers.last.get_by_role("button", name="Answer again", exact=True).click()
    expect(page.get_by_role("group", name="Version 2 of 2")).to_be_visible()
    alice.ended()
    alice.send("[[rate=20&tokens=400]] to be stopped")
    expect(alice.answers).to_have_count(2)
    alice.writing()
    page.locator(".composer").get_by_role("button", name="Stop the answer").click()
    alice.ended()
    total = page.locator(".chat-cost-total")
    wait_for(lambda: "is set aside" not in fetched(page, "/billing"), 30)

    rows = csv_of(page, "usage.csv?by=call")
    answers = sum(micro(row["charged_usd"]) for row in rows if row["purpose"] == "answer")
    spent = sum(micro(row["charged_usd"]) for row in rows)
    titles = [row["purpose"] for row in rows].count("title")
    assert len(rows) == 3 + titles and spent > answers > 2 * 12_300
    expect(total).to_have_text(dollars(answers))
    for by in ("day", "model", "chat"):
        table = csv_of(page, f"usage.csv?by={by}")
        assert sum(micro(row["charged_usd"]) for row in table) == spent
    history = csv_of(page, "history.csv")
    charges = [row for row in history if row["kind"] == "charge"]
    assert -sum(micro(row["amount_usd"]) for row in charges) == spent
    assert micro(history[-1]["balance_after_usd"]) == 1_000_000 - spent
    cents = (1_000_000 - spent) // 10_000
    expect(balance(page)).to_have_text(f"$0.{cents}")

    total.click()
    page.get_by_role("link", name="All usage of this chat").click()
    expect(page.locator(".usage-totals")).to_contain_text(dollars(spent))
    titled = re.compile(rf"of these calls w.+ {re.escape(dollars(spent - answers))}\.")
    expect(page.get_by_text(titled)).to_be_visible()


def test_a_charge_leads_to_its_answer_wherever_it_is(alice):
    page = alice.page
    alice.ask("[[tokens=5&cost=0.01]] a question")
    first = alice.answers.last.get_attribute("id")
    alice.answers.last.get_by_role("button", name="Answer again", exact=True).click()
    expect(page.get_by_role("group", name="Version 2 of 2")).to_be_visible()
    alice.ended()
    chat = page.evaluate("location.pathname.split('/').at(-1)")
    link = page.locator(f'.billing-history a[href$="#{first}"]')

    def is_shown():
        page.goto(f"{alice.url}/billing")
        link.click()
        expect(page.locator(f"#{first}")).to_be_in_viewport()

    is_shown()  # This answer is on the branch that is not shown.
    api(page, "PUT", f"/api/chats/{chat}/archive")
    is_shown()
    api(page, "DELETE", f"/api/chats/{chat}")
    page.goto(f"{alice.url}/billing")
    expect(page.get_by_text("Answer in a deleted chat").first).to_be_visible()
    expect(link).to_have_count(0)


def test_a_link_leads_to_its_answer_in_a_long_chat(alice, stack, new_context):
    """The browser has stored nothing of the chat, and loads what follows the answer later."""
    said = [(f"Question {n}", f"Answer {n}") for n in range(MANY)]
    write_chat(alice, stack, said)
    expect(alice.answers.last).to_contain_text(f"Answer {MANY - 1}")
    limit = "/api/chats/" + alice.page.url.rsplit("/", 1)[1] + "/events?limit=40"
    entries = json.loads(fetched(alice.page, limit))["entries"]
    created = [event for _, event in entries if event["type"] == "message.created"]
    wanted = [event["message"] for event in created if event["role"] == "assistant"][1]
    page = new_context(storage_state=alice.page.context.storage_state()).new_page()
    address = alice.page.url.partition("#")[0]
    page.goto(f"{address}#m-{wanted}")
    answer = page.locator(f"#m-{wanted}")
    expect(answer.get_by_text("Answer 0", exact=True)).to_be_in_viewport()


def test_paying_needs_no_script(alice, new_context, checkout):
    plain = new_context(
        java_script_enabled=False, storage_state=alice.page.context.storage_state()
    ).new_page()
    plain.goto(f"{alice.url}/billing")
    plain.get_by_label("$50.00").check()
    expect(plain.get_by_text("You pay $55.00")).to_be_visible()
    plain.get_by_role("button", name="Continue to payment").click()
    plain.get_by_role("link", name="Back").click()
    expect(plain.get_by_text("Nothing was charged.")).to_be_visible()
    expect(plain.get_by_label("$50.00")).to_be_checked()
    plain.get_by_role("button", name="Continue to payment").click()
    plain.get_by_role("button", name="Pay", exact=True).click()
    expect(plain.get_by_role("heading", name="Receipt")).to_be_visible()
    # The other window of the same person learns of it.
    expect(balance(alice.page)).to_have_text("$51.00")
    plain.goto(f"{alice.url}/billing/usage")
    expect(plain.get_by_role("heading", name="Usage")).to_be_visible()


def test_the_pages_about_money_in_every_look(alice, inspect):
    page = alice.page
    seen = inspect(page)
    alice.ask("[[tokens=5&cost=0.81]] a dear question")
    expect(notice(page)).to_be_visible()
    page.locator(".chat-cost-total").click()
    seen.look("credit cost of a chat")
    page.get_by_role("link", name="All usage of this chat").click()
    days = page.locator(".chart-day")
    days.last.focus()
    expect(page.locator(".chart-value").filter(visible=True)).to_have_text(re.compile("0.81"))
    page.keyboard.press("ArrowLeft")
    expect(days.nth(days.count() - 2)).to_be_focused()
    expect(page.locator(".chart-day[tabindex='0']")).to_have_count(1)
    days.last.locator(".chart-ground").hover(position={"x": 3, "y": 3})
    expect(page.locator(".chart-value").filter(visible=True)).to_have_text(re.compile("0.81"))
    seen.shot(page, "usage-chart")
    page.get_by_text("The figures", exact=True).click()
    expect(page.get_by_role("row", name=re.compile("0.81"))).to_have_count(2)
    seen.look("credit usage of a chat")
    page.goto(f"{alice.url}/billing")
    page.get_by_role("button", name="Continue to payment").click()
    page.get_by_role("link", name="Back").click()
    expect(page.get_by_text("Nothing was charged.")).to_be_visible()
    seen.look("credit left checkout")
    page.get_by_role("button", name="Continue to payment").click()
    page.get_by_role("button", name="Pay", exact=True).click()
    expect(page.get_by_role("heading", name="Receipt")).to_be_visible()
    seen.look("credit receipt")
    # The printed page has only the receipt, dark on white.
    page.emulate_media(media="print", color_scheme="dark")
    expect(page.get_by_text("Total paid, USD")).to_be_visible()
    expect(page.get_by_role("navigation")).to_have_count(0)
    expect(page.get_by_role("link", name="Back to your chats")).to_have_count(0)
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"


def csv_of(page, path):
    table = fetched(page, f"/billing/{path}").lstrip("\ufeff")
    return list(csv.DictReader(io.StringIO(table)))


def fetched(page, path):
    return page.evaluate("(path) => fetch(path).then((answer) => answer.text())", path)


def micro(usd):
    whole, rest = usd.lstrip("-").split(".")
    return (-1 if usd.startswith("-") else 1) * (int(whole) * 1_000_000 + int(rest))


def api(page, method, path):
    status = page.evaluate(
        """async ([method, path]) => {
          const token = document.cookie.match(/csrftoken=([^;]+)/)?.[1];
          const headers = { "X-CSRFToken": token, "Content-Type": "application/json" };
          return (await fetch(path, { method, headers, body: "{}" })).status;
        }""",
        [method, path],
    )
    assert status in (200, 204), status
