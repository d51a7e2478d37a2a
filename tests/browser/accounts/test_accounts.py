"""Accounts in a real browser: sign-up during an answer, passkeys, appearance."""

import re
import zipfile

import pytest
from playwright.sync_api import expect

from tests.accounts.mailbox import code_in, running_mailbox
from tests.accounts.people import PASSWORD
from tests.accounts.preferences import images
from tests.accounts.sign_in.idp import running_idp
from tests.browser.accounts.signing_up import sign_up
from tests.browser.chat_page import ChatPage
from tests.browser.devices import with_authenticator
from tests.stack import Stack

# Waits until the service worker is active and navigation preload is enabled.
PRELOADS = """async () => {
  const { navigationPreload, active } = await navigator.serviceWorker.ready;
  while (active.state !== "activated" || !(await navigationPreload.getState()).enabled)
    await new Promise((resolve) => setTimeout(resolve, 50));
}"""


@pytest.fixture(scope="module")
def mailbox():
    with running_mailbox() as running:
        yield running


@pytest.fixture(scope="module")
def mail_stack(fake_model, mailbox):
    with running_idp() as issuer:
        env = {"EMAIL_URL": f"smtp://127.0.0.1:{mailbox.port}"}
        env |= {"OIDC_ISSUER": issuer, "OIDC_NAME": "Acme"}
        env |= {"OIDC_CLIENT_ID": "demo-client", "OIDC_CLIENT_SECRET": "demo-secret"}
        yield from _running(fake_model, env)


def _running(fake_model, env):
    with Stack(model_url=fake_model.base_url, env=env) as running:
        # Passkeys want a name, not an address.
        running.url = running.url.replace("127.0.0.1", "localhost")
        yield running


def test_a_guest_signs_up_while_an_answer_is_written(
    new_context, stack_page, mailbox, shot, inspect
):
    context = new_context()
    alice = stack_page(context)
    other_tab = None
    alice.send("[[tokens=200&rate=20]] a long answer")
    alice.writing()
    shot(alice.page, "account-guest-foot")
    other_tab = stack_page(context, "/")
    alice.page.get_by_role("link", name="Sign up to keep your chats").click()
    sign_up(alice.page, mailbox, "alice@example.org")
    expect(alice.page.locator(".account-name")).to_contain_text("alice@example.org")
    # The page that follows says so, not a later one.
    toasts = alice.page.locator(".toasts")
    expect(toasts).to_contain_text("alice@example.org is confirmed.")
    alice.ended()
    # The other tab learns of it over its open socket.
    expect(other_tab.page.locator(".account-name")).to_contain_text("alice@example.org")
    alice.page.locator(".account-name").click()
    inspect(alice.page).look("account menu", alice.show_list)
    expect(alice.page.get_by_role("link", name="Administration")).to_have_count(0)
    with alice.page.expect_navigation():
        alice.page.get_by_role("button", name="Sign out").click()
    expect(toasts).to_have_text("You are signed out.")
    expect(other_tab.page.get_by_text("You are signed out.")).to_be_visible()
    inspect(other_tab.page).look("signed out")
    alice.page.goto(f"{alice.url}/account/login/")
    alice.page.get_by_label("Email").fill("alice@example.org")
    alice.page.get_by_label("Password", exact=True).fill(PASSWORD)
    alice.page.get_by_role("button", name="Sign in", exact=True).click()
    expect(alice.page.locator(".chat-link")).to_have_count(1)


def test_somebody_signs_up_with_a_passkey_and_no_password(new_context, stack_page, mailbox, shot):
    context = new_context()
    alice = stack_page(context)
    page = alice.page
    with_authenticator(context, page)
    alice.ask("[[tokens=5]] mine")
    page.get_by_role("link", name="Sign up to keep your chats").click()
    page.get_by_role("link", name="Sign up with a passkey").click()
    shot(page, "account-passkey-signup")
    page.get_by_label("Email").fill("only-passkey@example.org")
    page.get_by_role("button", name="Go on").click()
    page.get_by_label("Code").fill(code_in(mailbox.to("only-passkey@example.org")))
    page.get_by_role("button", name="Confirm").click()
    shot(page, "account-passkey-signup-make")
    page.get_by_label("Name").fill("Laptop")
    page.wait_for_load_state()  # The button does nothing before the scripts have come.
    page.get_by_role("button", name="Make the passkey").click()
    expect(page.locator(".account-name")).to_contain_text("only-passkey@example.org")
    expect(alice.chats).to_have_count(1)
    page.locator(".account-name").click()
    with page.expect_navigation():
        page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()
    page.goto(f"{alice.url}/account/login/")
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.locator(".account-name")).to_contain_text("only-passkey@example.org")
    expect(alice.chats).to_have_count(1)


def test_somebody_downloads_everything_and_leaves(new_context, stack_page, mailbox, inspect):
    email = "leaver@example.org"
    alice = stack_page(new_context())
    page = alice.page
    seen = inspect(page)
    alice.ask("[[tokens=5]] mine")
    page.goto(f"{alice.url}/account/signup/")
    sign_up(page, mailbox, email)
    expect(page.locator(".composer")).to_be_visible()
    page.goto(f"{alice.url}/settings/data")
    seen.fits_everywhere("data")
    page.get_by_role("button", name="Prepare my download").click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    download = page.get_by_role("link", name="Download", exact=True)
    expect(download).to_be_visible()
    seen.fits_everywhere("data ready")
    with page.expect_download() as given:
        download.click()
    with zipfile.ZipFile(given.value.path()) as archive:
        assert any(name.endswith(".md") for name in archive.namelist())
    page.get_by_role("link", name="Delete…").click()
    seen.fits_everywhere("delete")
    page.get_by_label("Type your address").fill(email)
    page.get_by_role("button", name="Delete my account").click()
    expect(page.get_by_role("heading", name="You are signed out everywhere")).to_be_visible()
    seen.fits_everywhere("deleted")
    page.goto(f"{alice.url}/account/login/")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", name="about to be deleted")).to_be_visible()
    seen.fits_everywhere("leaving")
    page.get_by_role("button", name="Keep my account").click()
    page.goto(alice.url)
    expect(alice.chats).to_have_count(1)


def test_a_passkey_is_added_and_signs_in(new_context, stack_page, mailbox, shot):
    context = new_context()
    page = stack_page(context).page
    with_authenticator(context, page)
    base = page.url.rstrip("/")
    page.goto(f"{base}/account/signup/")
    sign_up(page, mailbox, "passkey@example.org")
    expect(page.locator(".account-name")).to_be_visible()
    page.goto(f"{base}/account/2fa/webauthn/add/")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    shot(page, "account-passkey-add")
    page.get_by_label("Sign in with it alone").check()
    page.get_by_role("button", name="Add").click()
    page.wait_for_url(re.compile("recovery-codes|webauthn/$"))
    shot(page, "account-passkey-added")
    page.goto(f"{base}/settings")
    with page.expect_navigation():
        page.get_by_role("button", name="Sign out").click()
    page.route("**/webauthn.*js", lambda route: None)
    page.goto(f"{base}/account/login/", wait_until="commit")
    button = page.get_by_role("button", name="Sign in with a passkey")
    # A click before the script is there would submit the form without a passkey.
    expect(button).to_be_disabled()
    page.unroute_all()
    button.click()
    expect(page.locator(".account-name")).to_contain_text("passkey@example.org")


def test_a_guest_becomes_an_account_by_a_provider(browser, stack_page, mailbox):
    # Without the usual watch for problems: the provider's page loads scripts of other hosts.
    context = browser.new_context()
    context.route(re.compile(r"^https://"), lambda route: route.abort())
    alice = stack_page(context)
    alice.ask("[[tokens=5]] mine")
    # Navigation preload requests pages as well, and the provider's code is valid only once.
    alice.page.evaluate(PRELOADS)
    alice.page.get_by_role("link", name="Sign up to keep your chats").click()
    alice.page.get_by_role("button", name="Continue with Acme").click()
    alice.page.locator("input[name=username]").fill("testuser")
    alice.page.locator("input[name=password]").fill("test123")
    alice.page.locator("button[type=submit]").first.click()
    field = alice.page.get_by_label("Code")
    expect(field.or_(alice.page.locator(".account-name"))).to_be_visible()
    if field.count():  # The provider has not verified the address.
        alice.page.get_by_label("Code").fill(code_in(mailbox.to("test@example.org")))
        alice.page.get_by_role("button", name="Confirm").click()
    expect(alice.page.locator(".account-name")).to_contain_text("test@example.org")
    expect(alice.chats).to_have_count(1)
    context.close()


def test_name_and_picture_are_in_the_list_of_chats_at_once(new_context, stack_page, mailbox, shot):
    context = new_context()
    alice = stack_page(context)
    alice.page.goto(f"{alice.url}/account/signup/")
    sign_up(alice.page, mailbox, "picture@example.org")
    who = alice.page.locator(".account-name")
    expect(who.locator(".avatar")).to_have_text("P")
    settings = context.new_page()
    settings.goto(f"{alice.url}/settings")
    settings.get_by_label("Name").fill("Ada Lovelace")
    expect(who).to_contain_text("Ada Lovelace")
    expect(who.locator(".avatar")).to_have_text("AL")
    face = {"name": "me.jpg", "mimeType": "image/jpeg", "buffer": images.halves()}
    settings.locator("input[type=file]").set_input_files(face)
    expect(who.locator("img.avatar")).to_have_js_property("naturalWidth", 64)
    shot(alice.page, "account-picture")
    shot(settings, "account-settings-picture")


@pytest.fixture
def stack_page(mail_stack):
    def make(context, path="/"):
        return ChatPage(context.new_page(), mail_stack.url).visit(path)

    return make
