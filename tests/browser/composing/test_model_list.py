"""A list of 600 models: few elements, the keyboard, groups, pinned and recently used models."""

import json
import re

import pytest
from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage
from tests.browser.devices import PHONE

MAKERS = 24
MODELS = [
    {
        "id": f"router/maker{number % MAKERS}/model-{number}",
        "name": f"Maker {number % MAKERS}: Model {number} with a rather long name of its own",
        "endpoint": "openrouter",
        "free": False,
        "own_key": False,
        "input_micro_usd": 100_000 * number,
        "output_micro_usd": 200_000 * number,
        "context_tokens": 1_000 * (number + 1),
    }
    for number in range(600)
]
# The list and everything in it may have this many elements.
MOST_ELEMENTS = 400

# The prices and contexts that are not shown in full.
CUT_OFF = """() => [...document.querySelectorAll(".menu-option > .meta")].filter((meta) => {
  const said = document.createRange();
  said.setStart(meta.firstChild, 0);
  said.setEnd(meta.firstChild, meta.textContent.indexOf("context") + "context".length);
  const [box, needed] = [meta, said].map((one) => one.getBoundingClientRect());
  return needed.right > box.right || needed.bottom > box.bottom + 1;
}).map((meta) => meta.textContent)"""


def with_many(route):
    """The page of a server that has these models besides its own."""
    response = route.fetch()
    many = json.dumps(MODELS)[1:-1]
    body = re.sub(r'"models": ?\[', lambda found: f"{found[0]}{many}, ", response.text(), count=1)
    route.fulfill(response=response, body=body)


def visit_with_many(context, stack):
    alice = ChatPage(context.new_page(), stack.url).visit()
    alice.ask("[[tokens=3]] Hello")
    context.route(re.compile(r"/$"), with_many)
    return alice.visit()


@pytest.fixture
def alice(new_context, stack):
    return visit_with_many(new_context(), stack)


def open_list(alice):
    alice.page.get_by_role("button", name="Choose a model").click()
    field = alice.page.get_by_role("combobox", name="Search models")
    expect(field).to_be_focused()
    return field


def active(alice):
    option = alice.page.locator("[role=option][aria-selected=true]")
    expect(option).to_be_in_viewport(ratio=0.9)
    place = alice.page.get_by_role("combobox", name="Search models")
    expect(place).to_have_attribute("aria-activedescendant", option.get_attribute("id"))
    return option


def test_a_long_list_is_few_elements_and_its_end_is_reached(alice, inspect):
    page = alice.page
    seen = inspect(page)
    field = open_list(alice)
    option = page.get_by_role("option")
    count = int(option.first.get_attribute("aria-setsize"))
    assert count > len(MODELS)
    assert page.locator(".menu-box *").count() < MOST_ELEMENTS
    seen.look("many models", part=".menu-box")
    places = {"End": count, "ArrowDown": 1, "ArrowUp": count, "Home": 1}
    for key, place in places.items():
        field.press(key)
        expect(option.and_(page.locator("[aria-selected=true]"))).to_have_attribute(
            "aria-posinset", str(place)
        )
        active(alice)
        assert page.locator(".menu-box *").count() < MOST_ELEMENTS
    page.locator(".menu-list").evaluate("list => list.scrollTo(0, list.scrollHeight / 2)")
    expect(page.locator(".menu-option-name").first).not_to_have_text(re.compile("Model 0 "))
    field.fill("maker7 model-31")
    expect(option).to_have_count(2)
    field.press("ArrowDown")
    assert "Model 319 " in active(alice).inner_text()
    field.press("Enter")
    expect(page.locator(".model-button")).to_contain_text("Model 319")


def test_models_are_grouped_and_say_what_they_cost(alice):
    page = alice.page
    field = open_list(alice)
    recent = page.get_by_role("group", name="Recently used")
    expect(recent.get_by_role("option")).to_have_count(1)
    field.fill("model-25")
    group = page.get_by_role("group", name="maker1", exact=True)
    expect(group.get_by_role("option")).to_have_count(1)
    expect(group.locator(".menu-option-mark")).to_have_text("M")
    expect(group.get_by_role("option")).to_contain_text(
        "per million tokens · 26k context · openrouter"
    )
    field.fill("model-59")
    for width in (1280, 660, 640, 390):
        page.set_viewport_size({"width": width, "height": 800})
        expect(page.get_by_role("option").first).to_be_visible()
        assert page.evaluate(CUT_OFF) == []


def test_a_pinned_model_comes_first_on_all_devices(alice, new_context, stack):
    page = alice.page
    field = open_list(alice)
    field.fill("model-599")
    field.press("Alt+KeyP")
    field.fill("")
    pinned = page.get_by_role("group", name="Pinned").get_by_role("option")
    expect(pinned).to_have_count(1)
    expect(pinned).to_contain_text("Model 599")
    other = new_context(**PHONE)
    other.add_cookies(page.context.cookies())
    phone = visit_with_many(other, stack)
    open_list(phone)
    there = phone.page.get_by_role("group", name="Pinned").get_by_role("option")
    expect(there).to_contain_text("Model 599")
    there.locator(".menu-pin").tap()
    expect(there).to_have_count(0)
    # The list that is open on the first device follows.
    expect(pinned).to_have_count(0)
