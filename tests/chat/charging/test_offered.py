"""Which models are offered is asked of the database once for many pages."""

import uuid
from dataclasses import replace

import pytest
from asgiref.sync import sync_to_async

from billing.prices import versions as prices
from billing.prices.versions import Rates
from chat.charging import offered
from chat.llm.catalogue import reset_catalogue
from tests.chat.charging.priced_answers import MODEL

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


@pytest.fixture
async def staff_price(holdfast):
    """Sets the price of a model whose list has an invalid one."""
    holdfast.price("script/known", {"prompt": "-1", "completion": "-1"})
    await reset_catalogue()
    rates = Rates(input_micro_usd=10, output_micro_usd=20)

    async def set_price():
        await sync_to_async(prices.set_by_staff)(MODEL, rates, uuid.uuid4())

    return set_price


async def listed(alice):
    models = (await alice.client.get("/api/models")).json()["models"]
    return MODEL in [model["id"] for model in models]


def of_prices(statements):
    executed, _ = statements.take()
    return [sql for sql, _ in executed if "billing_price" in sql]


async def test_a_page_asks_for_no_price_that_was_just_read(no_worker, alice, statements):
    await listed(alice)
    statements.clear()
    await listed(alice)
    assert (await alice.client.get("/")).status_code == 200
    assert of_prices(statements) == []


async def test_a_new_price_is_known_after_some_seconds(no_worker, alice, staff_price, monkeypatch):
    assert not await listed(alice)
    await staff_price()
    assert not await listed(alice)
    known = offered._known
    long_ago = known.read_at - offered.KNOWN_FOR_S
    monkeypatch.setattr(offered, "_known", replace(known, read_at=long_ago))
    assert await listed(alice)


async def test_another_list_of_models_is_asked_for_at_once(no_worker, alice, holdfast):
    assert await listed(alice)
    holdfast.price("script/known", {"prompt": "-1", "completion": "-1"})
    await reset_catalogue()
    assert not await listed(alice)
