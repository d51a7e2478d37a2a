"""Own provider keys in a real browser: added without JavaScript, used with it."""

import re

import pytest
from playwright.sync_api import expect

from tests.accounts.mailbox import running_mailbox
from tests.accounts.people import PASSWORD
from tests.browser.accounts.signing_up import sign_up
from tests.browser.chat_page import ChatPage
from tests.fake_model import running_fake_model, text_of
from tests.stack import Stack

KEY = "a-secret-of-alice-AbCdEf-0042"


@pytest.fixture(scope="module")
def own():
    with running_fake_model() as running:
        running.accept_keys({KEY: "good"})
        yield running


@pytest.fixture(scope="module")
def mailbox():
    with running_mailbox() as running:
        yield running


@pytest.fixture(scope="module")
def keys_stack(fake_model, mailbox):
    env = {"EMAIL_URL": f"smtp://127.0.0.1:{mailbox.port}"}
    env["HOLDFAST_ALLOW_PRIVATE_MODEL_URLS"] = "True"
    with Stack(model_url=fake_model.base_url, workers=1, env=env) as running:
        yield running


def prove(page):
    if "/account/reauthenticate/" in page.url:
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Confirm").click()


def test_a_key_is_added_without_javascript_and_chatted_with(
    new_context, keys_stack, mailbox, own, fake_model, shot, inspect
):
    context = add_without_javascript(new_context, keys_stack, mailbox, own, shot)
    page = new_context(storage_state=context.storage_state()).new_page()
    seen = inspect(page)
    look_at_the_page(seen, keys_stack)
    chat_with_it(seen, keys_stack, own, fake_model)
    remove_it(page, keys_stack)
    assert KEY not in keys_stack.output


def add_without_javascript(new_context, keys_stack, mailbox, own, shot):
    context = new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{keys_stack.url}/account/signup/")
    sign_up(page, mailbox, "alice@example.org")
    page.goto(f"{keys_stack.url}/settings")
    page.get_by_role("link", name="Provider keys").first.click()
    expect(page.get_by_text("No keys yet")).to_be_visible()
    shot(page, "keys-empty-no-js")
    page.get_by_role("link", name="Any OpenAI-compatible address").click()
    prove(page)
    page.get_by_label("Label").fill("Lab server")
    page.get_by_label("Address of the API").fill(own.base_url)
    page.get_by_label("Key", exact=True).fill("not-the-key-0000000000")
    page.get_by_role("button", name="Check and save").click()
    expect(page.get_by_text("does not know this key")).to_be_visible()
    expect(page.get_by_label("Label")).to_have_value("Lab server")
    expect(page.get_by_label("Key", exact=True)).to_have_value("")
    own.accept_keys({KEY: "quota"})
    page.get_by_label("Key", exact=True).fill(KEY)
    page.get_by_role("button", name="Check and save").click()
    expect(page.get_by_label("Save it anyway")).to_be_visible()
    shot(page, "keys-warning-no-js")
    own.accept_keys({KEY: "good"})
    page.get_by_label("Key", exact=True).fill(KEY)
    page.get_by_role("button", name="Check and save").click()
    expect(page.get_by_role("heading", name="Lab server")).to_be_visible()
    expect(page.get_by_text("0042")).to_be_visible()

    return context


def look_at_the_page(seen, keys_stack):
    page = seen.page
    page.goto(f"{keys_stack.url}/settings/keys")
    seen.look("keys list")
    page.get_by_role("link", name="OpenAI", exact=True).click()
    prove(page)
    seen.look("keys form")


def chat_with_it(seen, keys_stack, own, fake_model):
    page = ChatPage(seen.page, keys_stack.url).visit()
    page.page.get_by_role("button", name="Choose a model").click()
    group = page.page.get_by_role("group", name="Lab server")
    expect(group).to_be_visible()
    seen.look("keys menu", part=".menu-box")
    group.get_by_role("option").first.click()
    used = len(fake_model.requests)
    answer = page.ask("[[tokens=6]] Hello")
    assert page.text_of(answer) == text_of("[[tokens=6]] Hello", 6)
    assert own.requests[-1]["headers"]["authorization"] == f"Bearer {KEY}"
    assert len(fake_model.requests) == used


def remove_it(page, keys_stack):
    page.goto(f"{keys_stack.url}/settings/keys")
    page.get_by_role("button", name="Check again").click()
    expect(page.get_by_text("The key is being checked")).to_be_visible()
    page.get_by_role("button", name="Remove").click()
    prove(page)
    expect(page.get_by_text("No keys yet")).to_be_visible()
    page.goto(f"{keys_stack.url}/settings/activity")
    expect(page.get_by_text(re.compile("Provider key removed"))).to_be_visible()
