"""200 sends at the same instant on one cent, with real threads and connections."""

import threading
import uuid

import pytest
from asgiref.sync import async_to_sync
from django.db import connections

from accounts.models import User
from billing import holds, ledger
from billing.errors import OutOfCredit
from billing.models import Hold, LedgerEntry, Price
from billing.personal_data.handlers import belongings
from billing.prices import versions as prices
from billing.prices.versions import Rates
from billing.token_usage import TokenUsage
from chat.charging.pricing import price_of
from chat.llm.endpoints import Endpoint, Model
from chat.models import Reply
from chat.sending.send import Send
from chat.sending.sends import place_send

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


def at_once(work, count):
    """Run work(n) for each n < count on THREADS threads; their results, by n."""
    results, numbers, gate = {}, iter(range(count)), threading.Barrier(THREADS)

    def run():
        gate.wait()
        try:
            while (number := next(numbers, None)) is not None:
                try:
                    results[number] = work(number)
                except Exception as error:  # noqa: BLE001 (kept for the test to look at)
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


def test_two_hundred_sends_at_once_never_hold_more_than_there_is(alice):
    def send(number):
        order = Send(uuid.uuid4(), uuid.uuid4(), f"Question {number}", MODEL.id, None)
        return place_send(alice, order, MODEL)

    results = at_once(send, SENDS)
    placed = [found for found in results.values() if isinstance(found, Reply)]
    refused = [found for found in results.values() if isinstance(found, OutOfCredit)]
    assert len(placed) + len(refused) == SENDS, set(map(repr, results.values()))
    assert placed
    assert refused
    left = ledger.balance(alice.id)
    held = sum(Hold.objects.filter(state="open").values_list("amount_micro_usd", flat=True))
    assert left == ledger.Balance(CENT, held, CENT - held)
    assert 0 <= left.available_micro_usd < held / len(placed)
    assert Hold.objects.count() == Reply.objects.count() == len(placed)


def test_two_hundred_calls_at_once_never_cost_more_than_there_is(alice):
    """From the order to the charge, each claimed to have cost a hundred times what was held."""
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

    results = at_once(call, SENDS)
    failed = [e for e in results.values() if e is not None and not isinstance(e, OutOfCredit)]
    assert failed == []
    left = ledger.balance(alice.id)
    spent = -sum(
        LedgerEntry.objects.filter(kind="charge").values_list("amount_micro_usd", flat=True)
    )
    assert left == ledger.Balance(CENT - spent, 0, CENT - spent)
    assert left.balance_micro_usd >= 0
    assert spent > 0


def test_guests_who_join_while_their_answers_are_brought_along_block_nobody(alice):
    """Both take the guest's purse and the account's, from two sides: the hold moves once, and all
    of them come to an end."""
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

    def one(number):
        guest, call = guests[number // 2], calls[number // 2]
        if number % 2:
            return async_to_sync(belongings.hand_over)(guest, alice, False)
        return holds.reserve(alice, call, price, 20, 300).max_tokens

    results = at_once(one, 2 * len(guests))
    assert {results[number] for number in range(0, 40, 2)} == {300}, results
    assert [results[number] for number in range(1, 40, 2)] == [None] * 20
    left = ledger.balance(alice.id)
    assert left.balance_micro_usd == CENT + 1_000_000 + 20 * 1_000
    assert left.held_micro_usd == 20 * (20 * 10 + 300 * 20)
    assert Hold.objects.filter(state="open").count() == 20


def test_the_same_entry_from_many_threads_is_booked_once(alice):
    results = at_once(lambda _: ledger.post(alice.id, "top_up", 500, key="same").id, 40)
    assert len(set(results.values())) == 1
    assert ledger.balance(alice.id).balance_micro_usd == CENT + 500


def test_the_first_entry_of_a_person_from_many_threads(alice):
    somebody = uuid.uuid4()
    results = at_once(lambda n: ledger.post(somebody, "top_up", n + 1, key=f"k{n}").number, 40)
    assert sorted(results.values()) == list(range(1, 41))
    assert ledger.balance(somebody).balance_micro_usd == sum(range(1, 41))


def test_a_new_price_from_many_threads_is_one_version(alice):
    before = Price.objects.count()
    results = at_once(lambda _: prices.offer("openrouter/new", Rates(1, 2), "openrouter").id, 40)
    assert len(set(results.values())) == 1
    assert Price.objects.count() == before + 1
