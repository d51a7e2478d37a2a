"""Pictures and sound, and models that cannot see or hear them: what the page says before sending
and afterwards."""

import pytest
from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage
from tests.browser.files.samples import are_ready, attach, bring, picture, text_file
from tests.browser.prompts import QUICK
from tests.browser.sound.samples import tone_file
from tests.stack import Stack


@pytest.fixture(scope="module")
def seeing_stack(fake_model):
    """A stack in which one of two models sees and hears."""
    models = {"HOLDFAST_VISION_MODELS": "think*", "HOLDFAST_HEARING_MODELS": "think*"}
    with Stack(model_url=fake_model.base_url, workers=1, env=models) as running:
        yield running


def test_a_model_that_cannot_see_is_told_of_before_sending(new_context, seeing_stack, shot):
    alice = ChatPage(new_context().new_page(), seeing_stack.url).visit()
    notice = alice.page.locator(".files-notice")
    attach(alice, text_file())
    are_ready(alice)
    expect(notice).to_have_count(0)
    bring(alice.field, "paste", picture())
    expect(notice).to_contain_text("can’t see pictures.")
    shot(alice.page, "files-blind")
    use = notice.get_by_role("button", name="Use ")
    name = use.inner_text().removeprefix("Use ")
    use.click()
    expect(notice).to_have_count(0)
    expect(alice.page.get_by_role("button", name=f"Choose a model: {name}")).to_be_visible()
    are_ready(alice)
    answer = alice.ask(f"{QUICK} What is this?")
    expect(answer).not_to_contain_text("can’t see")


def test_a_model_that_cannot_hear_is_told_of_before_sending(new_context, seeing_stack):
    alice = ChatPage(new_context().new_page(), seeing_stack.url).visit()
    notice = alice.page.locator(".files-notice")
    attach(alice, tone_file())
    expect(notice).to_contain_text("can’t hear.")
    notice.get_by_role("button", name="Use ").click()
    expect(notice).to_have_count(0)
    are_ready(alice)
    answer = alice.ask(f"{QUICK} What is this?")
    expect(answer).not_to_contain_text("can’t hear")


def test_where_no_model_sees_the_page_says_so(alice):
    attach(alice, picture())
    notice = alice.page.locator(".files-notice")
    expect(notice).to_contain_text("there is no model here that does")
    expect(notice.get_by_role("button")).to_have_count(0)


def test_an_answer_of_a_model_that_cannot_see_says_so(alice):
    attach(alice, picture("one.png"), picture("two.png", seed=2))
    are_ready(alice)
    answer = alice.ask(f"{QUICK} What is this?")
    expect(answer.locator(".notice")).to_contain_text("2 files were not shown to the model")
    alice.page.reload()
    expect(alice.answers.last.locator(".notice")).to_contain_text("2 files were not shown")
