"""Formatted amounts; tests/js/lib/money.test.mjs uses the same vectors."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.money import balance_dollars, dollars

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "money.json").read_text())


@pytest.mark.parametrize(("amount", "written"), VECTORS["dollars"])
def test_an_amount_is_written_in_dollars(amount, written):
    assert dollars(amount) == written


@pytest.mark.parametrize(("amount", "written"), VECTORS["signed"])
def test_positive_amounts_can_have_a_plus(amount, written):
    assert dollars(amount, sign=True) == written


@pytest.mark.parametrize(("amount", "written"), VECTORS["balance"])
def test_a_balance_is_whole_cents_rounded_down(amount, written):
    assert balance_dollars(amount) == written


@given(st.integers(-(10**15), 10**15))
def test_no_amount_is_written_in_powers_of_ten_or_far_from_what_it_is(amount):
    written = dollars(amount)
    read = float(written.replace("−", "-").replace("$", "").replace(",", ""))
    assert "e" not in written.lower()
    assert abs(read * 1_000_000 - amount) <= max(0.5, abs(amount) * 0.051, 0)
    assert (amount > 0) == (read > 0)
