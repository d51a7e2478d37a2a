"""Whatever the rates and whatever a call uses: what was held for it is enough, and no rate that a
list states is lost or made smaller."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.models import Price
from billing.prices import versions as prices
from billing.prices.versions import BadPrice, Rates
from billing.token_usage import TokenUsage

rates = st.integers(0, 10**9)
maybe = st.none() | rates
tokens = st.integers(0, 300_000)


@st.composite
def any_price(draw):
    return Price(
        model="m",
        version=1,
        input_micro_usd=draw(rates),
        output_micro_usd=draw(rates),
        cached_input_micro_usd=draw(maybe),
        reasoning_micro_usd=draw(maybe),
        per_request_micro_usd=draw(st.integers(0, 10**6)),
    )


@given(any_price(), tokens, tokens, tokens, tokens, tokens, tokens)
def test_no_call_costs_more_than_its_worst_case(
    price, prompt, answer, fewer, shorter, cached, thought
):
    used = TokenUsage(min(prompt, fewer), min(answer, shorter), cached, thought)
    assert 0 <= prices.cost_of(price, used) <= prices.worst_case(price, prompt, answer)


@given(any_price(), tokens, tokens, tokens, tokens)
def test_a_cost_is_the_exact_sum_rounded_up_once(price, prompt, answer, cached, thought):
    cached, thought = min(cached, prompt), min(thought, answer)

    def rate(own, otherwise):
        return Fraction(otherwise if own is None else own, 10**6)

    exact = (
        (prompt - cached) * rate(price.input_micro_usd, None)
        + cached * rate(price.cached_input_micro_usd, price.input_micro_usd)
        + (answer - thought) * rate(price.output_micro_usd, None)
        + thought * rate(price.reasoning_micro_usd, price.output_micro_usd)
        + price.per_request_micro_usd
    )
    cost = prices.cost_of(price, TokenUsage(prompt, answer, cached, thought))
    assert exact <= cost < exact + 1


def test_a_rate_of_nothing_is_not_a_rate_that_is_missing():
    free = {"cached_input_micro_usd": 0, "reasoning_micro_usd": 0}
    price = Price(model="m", version=1, input_micro_usd=10**6, output_micro_usd=10**6, **free)
    assert (
        prices.cost_of(price, TokenUsage(100, 50, cached_tokens=60, reasoning_tokens=20)) == 40 + 30
    )
    price.cached_input_micro_usd = price.reasoning_micro_usd = None
    assert prices.cost_of(price, TokenUsage(100, 50, cached_tokens=60, reasoning_tokens=20)) == 150


@given(any_price(), tokens, st.integers(0, 10**9))
def test_what_is_affordable_is_paid_for_by_what_there_is(price, prompt, money):
    affordable = prices.affordable_tokens(price, prompt, money)
    if prices.worst_case(price, prompt, 0) > money:
        assert not affordable
    elif affordable is None:
        assert prices.worst_case(price, prompt, 10**6) <= money
    else:
        assert prices.worst_case(price, prompt, affordable) <= money


@given(any_price(), tokens, tokens, tokens)
def test_more_parts_than_there_are_tokens_are_as_many_as_there_are(price, prompt, answer, more):
    odd = TokenUsage(prompt, answer, prompt + more, answer + more)
    assert prices.cost_of(price, odd) == prices.cost_of(
        price, TokenUsage(prompt, answer, prompt, answer)
    )


@pytest.mark.parametrize(
    ("usd", "micro_usd"),
    [("0.0000001", 100_000), ("0.00000000000015", 1), ("0.0000000000010001", 2), ("0", 0)],
)
def test_a_rate_of_a_list_is_rounded_up(usd, micro_usd):
    assert prices.usd_rate(usd, 10**6) == micro_usd


@pytest.mark.parametrize("wrong", [True, 0.5, None, "-0.01", Decimal("NaN"), Decimal("-1"), 10**7])
@pytest.mark.parametrize("each", [1, 10**6])
def test_what_is_no_number_of_dollars_is_no_rate(each, wrong):
    with pytest.raises(BadPrice):
        prices.usd_rate(wrong, each)


@pytest.mark.parametrize("name", [name for name in Rates.__dataclass_fields__ if "usd" in name])
def test_no_rate_is_negative_or_absurd(name):
    good = {"input_micro_usd": 1, "output_micro_usd": 1}
    most = 10**8 if name in ("per_request_micro_usd", "image_micro_usd") else 10**10
    assert getattr(Rates(**good | {name: most}), name) == most
    for wrong in (-1, most + 1):
        with pytest.raises(BadPrice):
            Rates(**good | {name: wrong})
