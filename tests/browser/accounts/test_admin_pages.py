"""The admin's pages of billing and of ratings, empty and full: axe finds nothing in light and dark,
wide and narrow, and nothing is wider than the smallest phone."""

import pytest
from playwright.sync_api import expect

from tests.accounts.people import PASSWORD
from tests.billing.payments.fake_stripe import SECRET_KEY, WEBHOOK_SECRET, running_fake_stripe
from tests.browser.chat_page import ChatPage
from tests.fake_model import running_fake_model
from tests.stack import Stack, wait_for

OWNER = "owner@example.org"
# The lists whose rows are inspected as well; those of the others have the same page.
ROWS = ("purse", "topup")
LISTS = ("purse", "ledgerentry", "hold", "usage", "topup", "price", "auditrun")
PAGES = ("books/", "books/balance/", "books/webhooks/")


@pytest.fixture(scope="module")
def stack():
    with running_fake_stripe() as checkout, running_fake_model() as model:
        model.list_models("dear")
        model.price("dear", {"prompt": "0.00001", "completion": "0.0002"})
        env = {
            "OPENROUTER_API_KEY": "sk-or-test",
            "OPENROUTER_BASE_URL": model.openrouter_url,
            "HOLDFAST_DEFAULT_MODEL": "openrouter/dear",
            "HOLDFAST_BACKGROUND_CALLS": "False",
            "STRIPE_SECRET_KEY": SECRET_KEY,
            "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
            "STRIPE_API_BASE": checkout.url,
            "STRIPE_CHECKOUT_URL": checkout.url,
            "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
        }
        with Stack(env=env, workers=1) as running:
            checkout.webhook_url = f"{running.url}/billing/stripe-webhook"
            running.manage("createsuperuser", "--noinput", "--email", OWNER, check=True)
            yield running


@pytest.fixture
def owner(new_context, stack):
    page = new_context().new_page()
    page.goto(f"{stack.url}/admin/")
    page.get_by_label("Email").fill(OWNER)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Site administration")).to_be_visible()
    return page


def test_the_pages_of_billing_with_nothing_in_them_and_with_everything(owner, stack, inspect):
    seen = inspect(owner)

    def look(path, name):
        owner.goto(f"{stack.url}/admin/{path}")
        seen.look(f"admin {name or path}")

    empty = ("billing/books/", "billing/books/balance/", "billing/topup/?q=nobody", "chat/rating/")
    for path in empty:
        look(path, f"empty {path}")
    give_oneself_credit(owner, stack)
    use_and_pay(owner, stack)
    look("", "index that nobody audited")
    have_the_books_audited(owner, stack)
    look("", "index")
    look("accounts/user/", "people")
    owner.get_by_role("link", name=OWNER).first.click()
    expect(owner.get_by_role("button", name="End sessions…")).to_be_visible()
    seen.look("admin person")
    for path in PAGES:
        look(f"billing/{path}", path)
    for name in LISTS:
        look(f"billing/{name}/", name)
        if name in ROWS:
            owner.locator(f"#result_list a[href*='/{name}/'][href*='/change/']").first.click()
            expect(owner.locator("#content h2").first).to_be_visible()
            seen.look(f"admin one {name}")
    look("chat/rating/", "ratings")
    expect(owner.get_by_text("100%")).to_be_visible()
    look("billing/price/add/", "new price")
    for name, action, amount in (("purse", "change_credit", "-2.5"), ("topup", "refund", "5")):
        owner.goto(f"{stack.url}/admin/billing/{name}/")
        choose(owner, action)
        owner.get_by_label("Amount").fill("nothing")
        owner.get_by_label("Reason").fill("They asked for it")
        owner.get_by_role("button", name="Go on").click()
        expect(owner.locator(".errorlist")).to_be_visible()
        seen.look(f"admin {action} refused")
        owner.get_by_label("Amount").fill(amount)
        owner.get_by_role("button", name="Go on").click()
        expect(owner.get_by_role("button", name="yes, do it")).to_be_visible()
        seen.look(f"admin {action} to confirm")


def have_the_books_audited(page, stack):
    """By a worker, which looks by itself every five minutes only."""
    page.goto(f"{stack.url}/admin/billing/books/balance/")
    page.get_by_role("button", name="Audit the books now").click()

    def is_done():
        page.reload()
        return page.locator(".books-balance").is_visible()

    wait_for(is_done, 60)


def give_oneself_credit(page, stack):
    """Grants credit to the site's creator, who has no purse and is the only person."""
    page.goto(f"{stack.url}/admin/accounts/user/")
    choose(page, "change_credit")
    page.get_by_label("Amount").fill("20")
    page.get_by_label("Reason").fill("To try things out")
    page.get_by_role("button", name="Go on").click()
    page.get_by_role("button", name="yes, do it").click()
    expect(page.get_by_text("Done for 1.")).to_be_visible()


def choose(page, action):
    page.locator("#action-toggle").check()
    page.locator("select[name=action]").select_option(action)
    page.get_by_role("button", name="Go", exact=True).click()


def test_the_account_menu_leads_staff_to_the_admin(owner, stack):
    ChatPage(owner, stack.url).visit()
    owner.locator(".account-name").click()
    owner.get_by_role("link", name="Administration").click()
    expect(owner.get_by_role("heading", level=1)).to_be_visible()
    assert owner.url == f"{stack.url}/admin/"


def use_and_pay(page, stack):
    answer = ChatPage(page, stack.url).visit().ask("[[tokens=5&cost=0.0123]] What is tested here?")
    good = answer.get_by_role("button", name="Good answer")
    with page.expect_response("**/rating?**"):
        good.click()
    page.goto(f"{stack.url}/billing")
    page.get_by_role("button", name="Continue to payment").click()
    page.get_by_role("button", name="Pay", exact=True).click()
    expect(page.get_by_role("heading", name="Receipt")).to_be_visible()
