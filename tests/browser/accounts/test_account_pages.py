"""All pages about accounts and money: axe finds nothing in light and dark, wide and narrow, nothing
is wider than the smallest phone, and no default text of a library is left."""

import re
from urllib.parse import urlsplit

import pytest
from django.template.loader import render_to_string
from playwright.sync_api import expect

from tests.accounts.mailbox import code_in, running_mailbox, text_of
from tests.accounts.people import PASSWORD
from tests.accounts.sign_in.authenticator import totp
from tests.accounts.sign_in.idp import running_idp
from tests.billing.payments.fake_stripe import SECRET_KEY, WEBHOOK_SECRET, running_fake_stripe
from tests.browser.chat_page import ChatPage
from tests.browser.devices import with_authenticator
from tests.fake_model import running_fake_model
from tests.stack import Stack

EMAIL = "everything@example.org"
REFUSALS = ("400", "403", "403_csrf", "413", "429", "500")
# Default texts of allauth and Django that Holdfast replaces.
LIBRARY_WORDS = re.compile(
    r"third-party|reauthenticate|two-factor|deactivate|\bgenerate\b|successfully|\binvalid\b"
    r"|alternative options|sign-in code|login|this field is required|associated with",
    re.IGNORECASE,
)


@pytest.fixture(scope="module")
def mailbox():
    with running_mailbox() as running:
        yield running


@pytest.fixture(scope="module")
def stack(mailbox):
    with running_fake_stripe() as checkout, running_idp() as issuer, running_fake_model() as model:
        model.list_models("dear")
        model.price("dear", {"prompt": "0.00001", "completion": "0.0002"})
        env = {
            "OPENROUTER_API_KEY": "sk-or-test",
            "OPENROUTER_BASE_URL": model.openrouter_url,
            "HOLDFAST_DEFAULT_MODEL": "openrouter/dear",
            "HOLDFAST_BACKGROUND_CALLS": "False",
            "EMAIL_URL": f"smtp://127.0.0.1:{mailbox.port}",
            "STRIPE_SECRET_KEY": SECRET_KEY,
            "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
            "STRIPE_API_BASE": checkout.url,
            "STRIPE_CHECKOUT_URL": checkout.url,
            "OIDC_ISSUER": issuer,
            "OIDC_NAME": "Acme",
            "OIDC_CLIENT_ID": "demo-client",
            "OIDC_CLIENT_SECRET": "demo-secret",
        }
        with Stack(env=env, workers=1) as running:
            checkout.webhook_url = f"{running.url}/billing/stripe-webhook"
            # Passkeys want a name, not an address.
            running.url = running.url.replace("127.0.0.1", "localhost")
            yield running


class Pages:
    """Inspects each page and its texts."""

    def __init__(self, inspector, base):
        self.inspector = inspector
        self.page = inspector.page
        self.base = base

    def visit(self, *paths):
        for path in paths:
            self.page.goto(self.base + path)
            where = urlsplit(self.page.url).path
            if where != urlsplit(path).path:
                self._note(f"{path} led to {where}")
            self.look(path)

    def look(self, name):
        if len(self.page.get_by_role("heading", level=1).all()) != 1:
            self._note(f"{name}: not one heading of the first level")
        if found := LIBRARY_WORDS.search(self.page.locator("main").inner_text()):
            self._note(f"{name}: says “{found[0]}”")
        if self.page.locator("main .button-primary:visible").count() > 1:
            self._note(f"{name}: more than one primary button")
        self.inspector.look(f"pages {name}")

    def _note(self, problem):
        self.inspector.problems.append(problem)


@pytest.fixture
def pages(new_context, stack, inspect):
    return Pages(inspect(new_context().new_page()), stack.url)


def test_pages_to_come_in_by(pages, mailbox):
    seen = pages
    page = seen.page
    seen.visit(
        "/account/login/",
        "/account/signup/",
        "/account/signup/passkey/",
        "/account/login/code/",
        "/account/password/reset/",
        "/account/password/reset/done/",
        "/account/password/reset/key/1-nonsense/",
        "/account/password/reset/key/done/",
        "/account/inactive/",
        "/account/3rdparty/login/cancelled/",
        "/account/3rdparty/login/error/",
        "/account/oidc/oidc/login/",
    )
    page.goto(f"{seen.base}/account/login/")
    page.get_by_label("Email").fill("nobody@example.org")
    page.get_by_label("Password", exact=True).fill("wrong")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_text("do not belong together")).to_be_visible()
    seen.look("login refused")
    page.goto(f"{seen.base}/account/login/code/")
    page.get_by_label("Email").fill("nobody@example.org")
    page.get_by_role("button", name="Send me a code").click()
    page.get_by_label("Code").fill("000000")
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_text("This is not the code")).to_be_visible()
    seen.look("code refused")


def test_pages_that_say_no(pages):
    seen = pages
    seen.page.route("**/says-no/*", _say_no)
    seen.visit("/no/such/page", *(f"/says-no/{name}" for name in REFUSALS))


def _say_no(route):
    name = route.request.url.rpartition("/")[2]
    route.fulfill(content_type="text/html", body=render_to_string(f"{name}.html"))


def test_pages_of_a_guest(pages):
    seen = pages
    ChatPage(seen.page, seen.base).visit().ask("[[tokens=5]] hello")
    seen.visit("/settings", "/settings/data", "/settings/data/delete", "/billing", "/billing/usage")


def test_pages_of_somebody_with_an_account(pages, mailbox):
    seen = pages
    page = seen.page
    with_authenticator(page.context, page)
    sign_up(seen, mailbox)
    seen.visit(
        "/settings",
        "/settings/account",
        "/settings/prompts",
        "/settings/prompts/new",
        "/settings/keys",
        "/settings/sessions",
        "/settings/activity",
        "/settings/data",
        "/account/email/",
        "/account/password/change/",
        "/account/3rdparty/",
        "/account/2fa/",
        "/account/2fa/webauthn/",
        "/account/logout/",
        "/billing",
        "/billing/usage",
    )
    pay(seen)
    prove(seen)
    seen.visit("/settings/keys?add=openai", "/settings/keys?add=custom", "/settings/data/delete")
    set_up_a_second_factor(seen)
    come_back_with_it(seen)
    reset_the_password(seen, mailbox)


def test_on_a_phone_the_settings_are_behind_one_button(new_context, stack, mailbox, shot):
    """Works without JavaScript, too."""
    page = new_context(viewport={"width": 390, "height": 844}, java_script_enabled=False).new_page()
    ask_for_an_account(page, stack.url, "phone@example.org")
    page.get_by_label("Code").fill(code_in(mailbox.to("phone@example.org")))
    page.get_by_role("button", name="Confirm").click()
    page.goto(f"{stack.url}/account/2fa/")
    places = page.get_by_role("navigation", name="Settings")
    expect(places).to_have_count(0)
    page.locator("summary").filter(has_text="Second factor").click()
    expect(places.get_by_role("link", name="Second factor")).to_have_attribute(
        "aria-current", "page"
    )
    shot(page, "pages-places-390")
    places.get_by_role("link", name="Sessions").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sessions")
    expect(places).to_have_count(0)


def ask_for_an_account(page, base, email):
    page.goto(f"{base}/account/signup/")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign up").click()


def sign_up(seen, mailbox):
    page = seen.page
    ask_for_an_account(page, seen.base, EMAIL)
    seen.look("confirm the address")
    page.get_by_label("Code").fill(code_in(mailbox.to(EMAIL)))
    page.get_by_role("button", name="Confirm").click()
    ChatPage(page, seen.base).visit().ask("[[tokens=5&cost=0.0123]] What is tested here?")


def pay(seen):
    page = seen.page
    page.goto(f"{seen.base}/billing")
    page.get_by_role("button", name="Continue to payment").click()
    page.get_by_role("button", name="Pay", exact=True).click()
    expect(page.get_by_role("heading", name="Receipt")).to_be_visible()
    seen.look("receipt")
    seen.visit("/billing", "/billing/usage")


def prove(seen):
    seen.visit("/account/reauthenticate/")
    seen.page.get_by_label("Password").fill(PASSWORD)
    seen.page.get_by_role("button", name="Confirm").click()


def set_up_a_second_factor(seen):
    page = seen.page
    page.goto(f"{seen.base}/account/2fa/totp/activate/")
    seen.look("set up an app")
    secret = page.locator(".secret").inner_text()
    page.get_by_label("Code").fill(totp(secret))
    page.get_by_role("button", name="Turn on").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    seen.look("recovery codes")
    page.goto(f"{seen.base}/account/2fa/webauthn/add/")
    seen.look("add a passkey")
    page.get_by_label("Name").fill("Phone")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_text("The passkey is added.")).to_be_visible()
    page.goto(f"{seen.base}/account/2fa/webauthn/")
    seen.look("passkeys")
    page.get_by_role("link", name="Rename").click()
    seen.look("rename a passkey")
    page.goto(f"{seen.base}/account/2fa/webauthn/")
    page.get_by_role("link", name="Remove…").click()
    seen.look("remove a passkey")
    seen.visit(
        "/account/2fa/",
        "/account/2fa/totp/deactivate/",
        "/account/2fa/recovery-codes/generate/",
        "/account/2fa/reauthenticate/",
        "/account/2fa/webauthn/reauthenticate/",
    )


def come_back_with_it(seen):
    page = seen.page
    page.goto(f"{seen.base}/account/logout/")
    with page.expect_navigation():
        page.get_by_role("button", name="Sign out").click()
    page.goto(f"{seen.base}/account/login/")
    page.get_by_label("Email").fill(EMAIL)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", name="One more step")).to_be_visible()
    seen.look("one more step")


def reset_the_password(seen, mailbox):
    page = seen.page
    page.goto(f"{seen.base}/account/password/reset/")
    page.get_by_label("Email").fill(EMAIL)
    page.get_by_role("button", name="Send me a link").click()
    [link] = re.findall(r"^http\S+/reset/key/\S+$", text_of(mailbox.to(EMAIL)), re.MULTILINE)
    page.goto(link)
    seen.look("choose a new password")
    page.get_by_label("New password", exact=True).fill("12345678")
    page.get_by_label("New password, again").fill("12345678")
    page.get_by_role("button", name="Save the password").click()
    seen.look("new password refused")
