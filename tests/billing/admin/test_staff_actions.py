"""Staff actions in the admin: the people they may affect, the confirmation, and the records."""

import uuid
from http import HTTPStatus

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.urls import reverse

from accounts.models import User
from billing import ledger
from billing.models import LedgerEntry, Purse
from billing.payments import top_ups
from tests.billing.admin.admin_pages import post_act, url
from tests.billing.stripe_fixtures import ordered

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
CREDIT = {"reason": "Sorry", "confirmed": "yes"}


@pytest.fixture
def sign_in(client):
    def sign_in(group, **fields):
        fields = {"is_staff": True} | fields
        staff = User.objects.create_user(f"{group.lower()}@example.org", "x", **fields)
        staff.groups.set(Group.objects.filter(name=group))
        client.force_login(staff)
        return staff

    return sign_in


@pytest.fixture
def alice():
    person = User.objects.create_user("alice@example.org", "x")
    ledger.post(person.id, "adjustment", 20_000_000, key="t1", reason="Hello")
    return person


def give(client, *people, page="purse_changelist", **fields):
    path = page if page.startswith("/") else url(page)
    return post_act(
        client, path, "change_credit", people, **CREDIT | {"act": uuid.uuid4()} | fields
    )


def purse_of(person):
    return Purse.objects.get_or_create(person_id=person.id)[0]


def messages(client):
    page = client.get(url("purse_changelist"))
    return [str(message) for message in page.context["messages"]]


def adjustments():
    return list(
        LedgerEntry.objects.filter(staff_id__isnull=False).values_list("purse_id", flat=True)
    )


@pytest.mark.parametrize(
    ("group", "superuser", "done"),
    [("Support", False, 0), ("Finance", False, 0), ("Nobody", True, 1)],
)
def test_only_superusers_give_credit_to_themselves(client, sign_in, group, superuser, done):
    staff = sign_in(group, is_superuser=superuser)
    give(client, purse_of(staff), amount="1")
    assert len(adjustments()) == done
    shown = messages(client)
    assert len(shown) == 1 and ("yourself" in shown[0]) == (not done)


def test_finance_but_not_support_gives_credit_to_staff(client, sign_in, alice):
    other = User.objects.create_user("other@example.org", "x", is_staff=True)
    sign_in("Support")
    give(client, purse_of(other), purse_of(alice), amount="1")
    assert adjustments() == [alice.id]
    shown = messages(client)
    assert shown == ["other@example.org: They are staff. Ask Finance to do it.", "Done for 1."]
    sign_in("Finance")
    give(client, purse_of(other), amount="1")
    assert adjustments() == [alice.id, other.id]


def test_deleted_people_lose_credit_but_get_none(client, sign_in):
    gone = uuid.uuid4()
    ledger.post(gone, "adjustment", 5_000_000, key="a", reason="Hello")
    sign_in("Finance")
    purse = Purse.objects.get(person_id=gone)
    give(client, purse, amount="1")
    assert adjustments() == [] and "nobody could use" in messages(client)[0]
    give(client, purse, amount="-5")
    assert ledger.balance(gone).balance_micro_usd == 0


def test_the_form_shows_people_with_credit_before_and_after(client, sign_in, alice):
    sign_in("Finance")
    bob = User.objects.create_user("bob@example.org", "x")
    ledger.post(bob.id, "adjustment", 1_000_000, key="b", reason="Hello")
    people = [purse_of(alice), purse_of(bob)]
    page = post_act(
        client,
        url("purse_changelist"),
        "change_credit",
        people,
        act=uuid.uuid4(),
        amount="-2.5",
        reason="Sorry",
    )
    rows = {name: [key, *(cell for _, cell in cells)] for key, name, cells in page.context["rows"]}
    assert rows == {
        "alice@example.org": [alice.id, "$20.00", "−$2.50", "$17.50"],
        "bob@example.org": [bob.id, "$1.00", "−$2.50", "−$1.50"],
    }
    assert "<b>−$2.50</b> for each of these 2, <b>−$5.00</b> in all" in page.content.decode()
    assert adjustments() == []


def test_the_form_keeps_its_values_after_errors_and_going_back(client, sign_in, alice):
    sign_in("Support")
    fields = {"act": uuid.uuid4(), "reason": "A long <b>reason</b>"}
    for more in ({"amount": "999"}, {"amount": "5", "back": "Change it"}):
        page = post_act(
            client, url("purse_changelist"), "change_credit", [purse_of(alice)], **fields, **more
        )
        shown = page.content.decode()
        assert f'value="{more["amount"]}"' in shown and "A long &lt;b&gt;reason" in shown
        assert ("errorlist" in shown) == (more["amount"] == "999") and "yes, do it" not in shown


def test_an_action_is_in_the_admin_log_once_without_its_reason(client, sign_in, alice):
    staff = sign_in("Finance")
    act = uuid.uuid4()
    for _ in range(2):
        give(client, purse_of(alice), act=act, amount="3", reason="They wept")
    entry = LedgerEntry.objects.get(staff_id=staff.id)
    note = LogEntry.objects.get()
    assert (note.user_id, note.object_id) == (staff.id, str(alice.id))
    assert note.change_message == f"Credit +$3.00: {entry.key}"
    history = client.get(reverse("admin:accounts_user_history", args=[alice.id]))
    assert history.status_code == HTTPStatus.OK and entry.key.encode() in history.content


def test_a_person_without_a_purse_gets_credit_from_the_list_of_people(client, sign_in):
    person = User.objects.create_user("new@example.org", "x")
    people = reverse("admin:accounts_user_changelist")
    sign_in("Support")
    give(client, person, page=people, amount="2")
    assert ledger.balance(person.id).balance_micro_usd == 2_000_000
    only_looks = sign_in("Looks")
    only_looks.user_permissions.set(
        User.user_permissions.rel.model.objects.filter(codename="view_user")
    )
    assert b"change_credit" not in client.get(people).content
    give(client, person, page=people, amount="2")
    assert ledger.balance(person.id).balance_micro_usd == 2_000_000


# Refunds


def refund(client, top_up, **fields):
    body = {"act": uuid.uuid4(), "amount": "5", "reason": "Asked for", "confirmed": "yes"}
    return post_act(client, url("topup_changelist"), "refund", [top_up], **body | fields)


@pytest.fixture
def paid(fake_stripe, payer):
    top_up = ordered(payer)
    fake_stripe.pay(top_up.session_id)
    return top_ups.refresh(top_up.id)


@pytest.mark.django_db(transaction=True)
def test_a_form_resent_days_later_refunds_nothing_more(client, sign_in, fake_stripe, paid):
    sign_in("Finance")
    act = uuid.uuid4()
    refund(client, paid, act=act)
    fake_stripe.forget_keys()
    refund(client, paid, act=act)
    paid.refresh_from_db()
    assert paid.refunded_cents == 500 and len(fake_stripe.refunds) == 1
    note = LogEntry.objects.get()
    assert note.object_id == str(paid.id) and note.change_message.startswith("Refund of $5.00")


@pytest.mark.django_db(transaction=True)
def test_staff_cannot_refund_their_own_payment(client, sign_in, fake_stripe, paid):
    sign_in("Finance")
    User.objects.filter(id=paid.person_id).update(is_staff=True)
    own = User.objects.get(id=paid.person_id)
    own.groups.add(Group.objects.get(name="Finance"))
    client.force_login(own)
    refund(client, paid)
    assert len(fake_stripe.refunds) == 0


@pytest.mark.django_db(transaction=True)
def test_a_refund_shows_the_credit_after_it(client, sign_in, fake_stripe, paid, payer):
    sign_in("Finance")
    body = {"act": uuid.uuid4(), "amount": "11", "reason": "Asked for"}
    page = post_act(client, url("topup_changelist"), "refund", [paid], **body)
    (key, name, cells), *others = page.context["rows"]
    assert (key, name, others) == (paid.id, "alice@example.org", [])
    assert [cell for _, cell in cells] == ["$22.00", "$0.00", "$11.00", "−$10.00", "$10.00"]
    unpaid = ordered(payer)
    page = post_act(client, url("topup_changelist"), "refund", [unpaid])
    assert page.status_code == HTTPStatus.FOUND
    assert b"not been refunded in full" in client.get(url("topup_changelist")).content


@pytest.mark.parametrize("chosen", [["nonsense"], ["\x00"], [str(uuid.uuid4())], ["9" * 400]])
@pytest.mark.parametrize("name", ["purse", "topup"])
def test_invalid_rows_are_ignored(client, sign_in, settings, chosen, name):
    settings.STRIPE_SECRET_KEY = "sk_test_1"
    sign_in("Finance")
    action = {"purse": "change_credit", "topup": "refund"}[name]
    body = {"action": action, "_selected_action": chosen}
    answer = client.post(url(f"{name}_changelist"), body, follow=True)
    assert answer.status_code == HTTPStatus.OK
    assert answer.redirect_chain and len(list(answer.context["messages"])) == 1
