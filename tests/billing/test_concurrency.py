"""Concurrent changes to money, with real threads and connections.

Each change is made once, and no purse ever holds more than its balance.
"""

import threading
import uuid
from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from asgiref.sync import async_to_sync
from django.db import connection, connections
from django.utils import timezone

from accounts.models import User
from billing import audit, grants, holds, ledger
from billing.errors import OutOfCredit
from billing.models import Hold, LedgerEntry, Price, Usage
from billing.personal_data.handlers import _hand_over, personal_data
from billing.prices import versions as prices
from billing.prices.versions import Rates
from billing.token_usage import TokenUsage
from chat.charging.pricing import price_of
from chat.llm.endpoints import Endpoint, Model
from chat.models import Reply
from chat.sending.send import Send
from chat.sending.sends import place_send
from tests.billing import purse_history

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]
THREADS = 8
SENDS = 200
CENT = 10_000
MODEL = Model(
    "openrouter/a/b",
    "A",
    Endpoint("openrouter", "https://openrouter.example/v1", "k"),
    8_192,
    pricing=(("prompt", "0.00001"), ("completion", "0.00002")),
)


@pytest.fixture
def alice(shared_database, monkeypatch):
    monkeypatch.setattr(ledger, "on_change", [])
    person = User.objects.create_user("alice@example.org")
    ledger.post(person.id, "top_up", CENT, key="t")
    price_of(MODEL)
    return person


@pytest.fixture
def purse_minima(shared_database):
    """Returns the lowest values that any purse ever had (tests/billing/purse_history.py)."""
    with connection.cursor() as cursor:
        for statement in purse_history.INSTALL[connection.vendor]:
            cursor.execute(statement)

        def read():
            cursor.execute(purse_history.MINIMA)
            return cursor.fetchone()

        yield read
        for statement in purse_history.REMOVE if connection.vendor == "postgresql" else ():
            cursor.execute(statement)


def run_concurrently(work, count):
    """Run work(n) for each n < count on THREADS threads. Returns {n: result or exception}."""
    results, numbers, gate = {}, iter(range(count)), threading.Barrier(THREADS)

    def run():
        gate.wait()
        try:
            while (number := next(numbers, None)) is not None:
                try:
                    results[number] = work(number)
                except Exception as error:  # noqa: BLE001 (the test asserts on it)
                    results[number] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(results) == count
    return results


def test_200_concurrent_sends_never_hold_more_than_the_balance(purse_minima, alice):
    def send(number):
        order = Send(uuid.uuid4(), uuid.uuid4(), f"Question {number}", MODEL.id, None)
        return place_send(alice, order, MODEL)

    results = run_concurrently(send, SENDS)
    placed = [result for result in results.values() if isinstance(result, Reply)]
    refused = [result for result in results.values() if isinstance(result, OutOfCredit)]
    assert len(placed) + len(refused) == SENDS, set(map(repr, results.values()))
    assert placed
    assert refused
    left = ledger.balance(alice.id)
    held = sum(Hold.objects.filter(state="open").values_list("amount_micro_usd", flat=True))
    assert left == ledger.Balance(CENT, held, CENT - held)
    assert 0 <= left.available_micro_usd < held / len(placed)
    assert Hold.objects.count() == Reply.objects.count() == len(placed)
    purse_history.check(purse_minima(), at_least=Hold.objects.count())


def test_200_concurrent_calls_never_cost_more_than_the_balance(purse_minima, alice):
    """From placing the hold to the charge; each call reports a hundred times the held amount as its
    cost."""
    price = price_of(MODEL)

    def call(number):
        reply = uuid.uuid4()
        key = holds.answer_key(reply)
        holds.place(alice, key, price, 20, chat_id=None, reply_id=reply)
        attempt = holds.Call(key, f"{key}:1", "answer", alice.id, MODEL.id, None, reply, 1)
        try:
            holds.reserve(alice, attempt, price, 20, 4_000)
        finally:
            holds.charge(attempt, TokenUsage(20, 10, cost_micro_usd=900_000), last=True)

    results = run_concurrently(call, SENDS)
    failed = [e for e in results.values() if e is not None and not isinstance(e, OutOfCredit)]
    assert failed == []
    left = ledger.balance(alice.id)
    spent = -sum(
        LedgerEntry.objects.filter(kind="charge").values_list("amount_micro_usd", flat=True)
    )
    assert left == ledger.Balance(CENT - spent, 0, CENT - spent)
    assert left.balance_micro_usd >= 0
    assert spent > 0
    charges = LedgerEntry.objects.filter(kind="charge").count()
    purse_history.check(purse_minima(), at_least=4 * charges)


def test_joining_guests_and_running_replies_do_not_deadlock(alice):
    """Both lock the guest's purse and the account's. The hold moves once, and every thread ends."""
    price = price_of(MODEL)
    guests = [User.objects.create(is_guest=True, password="!") for _ in range(20)]
    ledger.post(alice.id, "top_up", 1_000_000, key="more")
    calls = []
    for guest in guests:
        reply = uuid.uuid4()
        key = holds.answer_key(reply)
        holds.place(guest, key, price, 20, chat_id=None, reply_id=reply)
        ledger.post(guest.id, "adjustment", 1_000, key=f"gift:{guest.id}", reason="Sorry")
        calls.append(holds.Call(key, f"{key}:1", "answer", alice.id, MODEL.id, None, reply, 1))

    def join_or_reserve(number):
        guest, call = guests[number // 2], calls[number // 2]
        if number % 2:
            return async_to_sync(personal_data.hand_over)(guest, alice, False)
        return holds.reserve(alice, call, price, 20, 300).max_tokens

    results = run_concurrently(join_or_reserve, 2 * len(guests))
    assert {results[number] for number in range(0, 40, 2)} == {300}, results
    assert [results[number] for number in range(1, 40, 2)] == [None] * 20
    left = ledger.balance(alice.id)
    assert left.balance_micro_usd == CENT + 1_000_000 + 20 * 1_000
    assert left.held_micro_usd == 20 * (20 * 10 + 300 * 20)
    assert Hold.objects.filter(state="open").count() == 20


def test_many_threads_book_the_same_entry_once(alice):
    results = run_concurrently(lambda _: ledger.post(alice.id, "top_up", 500, key="same").id, 40)
    assert len(set(results.values())) == 1
    assert ledger.balance(alice.id).balance_micro_usd == CENT + 500


def test_many_threads_book_the_first_entries_of_a_person(alice):
    somebody = uuid.uuid4()
    results = run_concurrently(
        lambda n: ledger.post(somebody, "top_up", n + 1, key=f"k{n}").number, 40
    )
    assert sorted(results.values()) == list(range(1, 41))
    assert ledger.balance(somebody).balance_micro_usd == sum(range(1, 41))


def test_many_threads_add_one_version_of_a_new_price(alice):
    before = Price.objects.count()
    results = run_concurrently(
        lambda _: prices.offer("openrouter/new", Rates(1, 2), "openrouter").id, 40
    )
    assert len(set(results.values())) == 1
    assert Price.objects.count() == before + 1


def test_many_threads_settle_one_call_once(alice):
    """The worker that ended the call, the sweep and a late worker may settle it at once."""
    price, reply = price_of(MODEL), uuid.uuid4()
    key = holds.answer_key(reply)
    call = holds.Call(key, f"{key}:1", "answer", alice.id, MODEL.id, None, reply, 1)
    holds.place(alice, key, price, 20, chat_id=None, reply_id=reply)
    holds.reserve(alice, call, price, 20, 200)

    def end(number):
        return (
            holds.charge(call, TokenUsage(20, 10), last=True) if number % 2 else holds.release(key)
        )

    # The first thread decides: released unpaid, or settled.
    results = run_concurrently(end, 40)
    assert set(results.values()) == {None}
    [usage] = Usage.objects.all()
    assert usage.charged_micro_usd in (0, 400)
    spent = usage.charged_micro_usd
    assert ledger.balance(alice.id) == ledger.Balance(CENT - spent, 0, CENT - spent)
    assert audit.books().differences == []


@pytest.mark.parametrize("free", ["", "house"])
def test_many_threads_count_a_call_without_a_hold_once(alice, free):
    """A free call, and one whose hold was released before."""
    reply, _ = uuid.uuid4(), price_of(MODEL)
    key = holds.answer_key(reply)
    call = holds.Call(key, f"{key}:1", "answer", alice.id, MODEL.id, None, reply, 1, free)
    results = run_concurrently(lambda _: holds.charge(call, TokenUsage(20, 10), last=True), 40)
    assert set(results.values()) == {None}
    assert [usage.charged_micro_usd for usage in Usage.objects.all()] == [0]


def test_many_threads_reserve_one_attempt_once(alice):
    price, reply = price_of(MODEL), uuid.uuid4()
    key = holds.answer_key(reply)
    call = holds.Call(key, f"{key}:1", "answer", alice.id, MODEL.id, None, reply, 1)
    results = run_concurrently(lambda _: holds.reserve(alice, call, price, 20, 210).max_tokens, 40)
    assert set(results.values()) == {210}
    assert ledger.balance(alice.id).held_micro_usd == 20 * 10 + 210 * 20
    assert Hold.objects.count() == 1


def test_concurrent_sign_ins_give_the_sign_up_credit_once(shared_database, monkeypatch):
    """One person in many windows, and many accounts of one mailbox."""
    monkeypatch.setattr(ledger, "on_change", [])
    people = [User.objects.create_user(f"alice+{n}@example.org") for n in range(THREADS)]
    for person in people:
        EmailAddress.objects.create(user=person, email=person.email, verified=True)
    results = run_concurrently(lambda n: grants.on_signed_in(user=people[n % THREADS]), 40)
    assert set(results.values()) == {None}
    assert list(LedgerEntry.objects.values_list("kind", flat=True)) == ["signup_credit"]


def test_many_workers_give_the_free_credit_once(alice, monkeypatch):
    EmailAddress.objects.create(user=alice, email=alice.email, verified=True)
    ledger.post(alice.id, "refund", -CENT, key="r")
    then = timezone.now() + timedelta(days=31)
    results = run_concurrently(lambda _: grants.give_free_credit(then), THREADS)
    assert sum(results.values()) == 1
    assert ledger.balance(alice.id).balance_micro_usd == 500_000


def test_transfers_in_both_directions_do_not_deadlock(shared_database, monkeypatch):
    """Purses are locked in one order, so no thread waits forever, and no micro-dollar is lost."""
    monkeypatch.setattr(ledger, "on_change", [])
    first, second = (User.objects.create_user(f"{n}@example.org").id for n in range(2))
    for person_id in (first, second):
        ledger.post(person_id, "top_up", CENT, key=f"t:{person_id}")
    pairs = [(first, second), (second, first)]
    results = run_concurrently(lambda n: _hand_over(*pairs[n % 2], f"part{n}"), 40)
    assert set(results.values()) == {None}
    left = [ledger.balance(person_id).balance_micro_usd for person_id in (first, second)]
    assert sum(left) == 2 * CENT
    assert audit.books().differences == []


def test_many_threads_add_one_version_of_each_new_price(alice):
    before, models = Price.objects.count(), 20

    def offer(number):
        return prices.offer(f"openrouter/{number // THREADS}", Rates(1, 2), "openrouter").id

    results = run_concurrently(offer, models * THREADS)
    assert len(set(results.values())) == models
    assert Price.objects.count() == before + models
