"""Own provider keys in a real browser: added without JavaScript, used with it."""

import re

import pytest
from playwright.sync_api import expect

from tests.accounts.mailbox import running_mailbox
from tests.accounts.people import PASSWORD
from tests.browser.accounts.signing_up import sign_up
from tests.browser.chat_page import ChatPage
from tests.browser.inspector import FRAMES, TOO_WIDE
from tests.browser.page_tasks import page_tasks
from tests.fake_model import running_fake_model, text_of
from tests.stack import Stack

KEY = "a-secret-of-alice-AbCdEf-0042"
MOST_OPTIONS = 40  # as elements; the others are drawn when one scrolls to them
ACCENTS = "\u0301\u0336\u0489\u20dd\u035c"
HOSTILE_NAMES = {
    "markup": '<img src=x onerror="hacked=1"><script>hacked=1</script><b>',
    "accents": ("a" + ACCENTS * 10) * 2,
    "a long word": "W" * 140,
    "wide letters": "\ufdfd" * 140,
}
HOSTILE_MODELS = [f"{name}{number:03}" for number in range(150) for name in HOSTILE_NAMES.values()]
HOSTILE_LABEL = "accents a" + ACCENTS * 10
# Whether each of these elements, or its box, clips what its text draws outside of it.
CLIPPED = """(selector) => [...document.querySelectorAll(selector)].every(
  (element) => getComputedStyle(element).overflowY !== "visible")"""


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


def test_a_hostile_list_of_models_breaks_no_page(new_context, keys_stack, mailbox, shot):
    """The most models that a key may list, with names of markup, accents and endless words."""
    with running_fake_model() as hostile:
        hostile.accept_keys({KEY: "good"})
        hostile.list_models(*HOSTILE_MODELS)
        page = new_context().new_page()
        page.goto(f"{keys_stack.url}/account/signup/")
        sign_up(page, mailbox, "carol@example.org")
        add_key(page, keys_stack, hostile, HOSTILE_LABEL)
        shot(page, "hostile-keys")
        fits(page)
        tab = ChatPage(page, keys_stack.url)
        with page_tasks(page) as tasks:
            tab.visit()
            page.get_by_role("button", name="Choose a model").click()
            option = page.get_by_role("option").first
            expect(option).to_have_attribute("aria-setsize", re.compile(r"^\d{3}$"))
        assert page.get_by_role("option").count() < MOST_OPTIONS
        print("the list of models, CPU ms", tasks[:3])  # noqa: T201
        shot(page, "hostile-models")
        choose_hostile(tab, shot)


def add_key(page, keys_stack, server, label):
    page.goto(f"{keys_stack.url}/settings/keys")
    page.get_by_role("link", name="Any OpenAI-compatible address").click()
    prove(page)
    page.get_by_label("Label").fill(label)
    page.get_by_label("Address of the API").fill(server.base_url)
    page.get_by_label("Key", exact=True).fill(KEY)
    page.get_by_role("button", name="Check and save").click()
    expect(page.locator("h2, h3").filter(has_text="accents")).to_be_visible()


def choose_hostile(tab, shot):
    page = tab.page
    for place in (0, 1):
        if not page.locator(".menu-box").count():
            page.get_by_role("button", name="Choose a model").click()
        page.get_by_role("combobox", name="Search models").fill("000")
        option = page.get_by_role("group").get_by_role("option").nth(place)
        option.click()
        tab.ask("[[tokens=6]] Hello")
        fits(page)
    for selector in (".answer-model", ".model-button > span"):
        assert page.evaluate(CLIPPED, selector), selector
    page.get_by_role("button", name="Choose a model").click()
    for selector in (".menu-option-name", ".menu-group"):
        assert page.evaluate(CLIPPED, selector), selector
    shot(page, "hostile-model-names")
    fits(page)


def fits(page):
    assert page.evaluate(TOO_WIDE, FRAMES) == []
    assert page.evaluate("window.hacked") is None
