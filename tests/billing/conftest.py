import datetime as dt
from datetime import UTC

import pytest

from billing.models import Price
from tests.billing.stripe_fixtures import caller, fake_stripe, payer, stripe_server

__all__ = ["caller", "fake_stripe", "payer", "stripe_server"]


@pytest.fixture
def price():
    return Price.objects.create(
        model="openrouter/a",
        version=1,
        valid_from=dt.datetime(2026, 1, 1, tzinfo=UTC),
        source="staff",
        input_micro_usd=10_000_000,
        output_micro_usd=20_000_000,
    )
