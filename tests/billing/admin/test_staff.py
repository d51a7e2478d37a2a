"""Staff actions: limits to the cent, repetition and refunds."""

import uuid

import pytest

from accounts.models import User
from billing.admin import staff
from billing.admin.staff import StaffActionRefused
from billing.models import LedgerEntry
from billing.payments import top_up_audit, top_ups
from tests.billing.stripe_fixtures import balance, ordered, posted

pytestmark = pytest.mark.django_db(transaction=True)
DOLLAR = 1_000_000


@pytest.fixture
def helper(settings, transactional_db):
    settings.STAFF_GIVES_AT_MOST_MICRO_USD = 20 * DOLLAR
    settings.STAFF_GIVES_A_DAY_MICRO_USD = 50 * DOLLAR
    return User.objects.create_user("helper@example.org", is_staff=True)


@pytest.fixture
def give(helper, payer):
    def give(dollars, *, action_id=None, by=helper, limited=True):
        fields = {"action_id": action_id or uuid.uuid4(), "reason": "Sorry", "staff_id": by.id}
        return staff.adjust(payer.id, dollars * DOLLAR, limited=limited, **fields)

    return give


def test_repeating_an_action_is_idempotent_even_at_the_limit(give, payer):
    acts = [uuid.uuid4() for _ in range(3)]
    first = [give(dollars, action_id=act) for dollars, act in zip((20, 20, 10), acts, strict=True)]
    again = [give(dollars, action_id=act) for dollars, act in zip((20, 20, 10), acts, strict=True)]
    assert again == first
    assert balance(payer) == 50 * DOLLAR
    with pytest.raises(StaffActionRefused):
        give(1)


def test_the_limit_ignores_credit_taken_or_given_by_others(give, helper, payer):
    other = User.objects.create_user("other@example.org", is_staff=True)
    give(20)
    give(20, by=other)
    give(-30, limited=False)
    give(20)
    assert staff.given_lately_micro_usd(helper.id) == 40 * DOLLAR
    with pytest.raises(StaffActionRefused):
        give(11)
    give(10)
    assert balance(payer) == 40 * DOLLAR


@pytest.mark.parametrize("dollars", [0, -1, 21])
def test_a_limited_action_cannot_exceed_its_limit(give, payer, dollars):
    with pytest.raises(StaffActionRefused):
        give(dollars)
    assert not LedgerEntry.objects.exists()


def test_suspended_staff_cannot_give_credit(give, helper, payer):
    User.objects.filter(id=helper.id).update(is_active=False)
    with pytest.raises(StaffActionRefused):
        give(1)
    assert not LedgerEntry.objects.exists()


@pytest.mark.parametrize("cents", [0, -1, 2_201])
def test_a_refund_cannot_exceed_the_payment(fake_stripe, helper, payer, cents):
    top_up = ordered(payer)
    fields = {"action_id": uuid.uuid4(), "reason": "Sorry", "staff_id": helper.id}
    with pytest.raises(StaffActionRefused):
        staff.refund(top_up, 100, **fields)  # It is not paid yet.
    fake_stripe.pay(top_up.session_id)
    top_up = top_ups.refresh(top_up.id)
    with pytest.raises(StaffActionRefused):
        staff.refund(top_up, cents, **fields)
    assert not fake_stripe.refunds


def test_a_repeated_refund_is_made_and_booked_once(fake_stripe, helper, payer):
    top_up = ordered(payer)
    fake_stripe.pay(top_up.session_id)
    top_up = top_ups.refresh(top_up.id)
    fields = {"action_id": uuid.uuid4(), "reason": "Sorry", "staff_id": helper.id}
    for _ in range(3):
        refunded = staff.refund(top_up, 1_100, **fields)
    assert refunded.refunded_cents == 1_100
    # A refund made at Stripe is an entry of its own, without staff.
    fake_stripe.refund(top_up.session_id, 550)
    top_ups.refresh(top_up.id)
    entries = LedgerEntry.objects.filter(kind="refund").order_by("number")
    assert [(entry.amount_micro_usd, entry.staff_id) for entry in entries] == [
        (-10_000_000, helper.id),
        (-5_000_000, None),
    ]
    assert posted(top_up)["refund"] == -15_000_000
    assert list(top_up_audit.differences()) == []


def test_a_repeated_staff_refund_is_not_confused_with_one_at_stripe(fake_stripe, helper, payer):
    """Two refunds of the same amount: the first by staff and booked, the second made at Stripe."""
    top_up = ordered(payer)
    fake_stripe.pay(top_up.session_id)
    top_up = top_ups.refresh(top_up.id)
    staff.refund(top_up, 550, action_id=uuid.uuid4(), reason="Sorry", staff_id=helper.id)
    fake_stripe.refund(top_up.session_id, 550)
    top_ups.refresh(top_up.id)
    entries = LedgerEntry.objects.filter(kind="refund").order_by("number")
    assert [entry.staff_id for entry in entries] == [helper.id, None]
    assert posted(top_up)["refund"] == -10_000_000
    assert list(top_up_audit.differences()) == []
