"""Attacks that try to get answers without paying, and false books that the audit must report."""

import asyncio
import threading
import types
import uuid

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError, connection, connections, transaction

from accounts.models import User
from billing import audit, holds
from billing.models import Hold, LedgerEntry, Price, Usage
from chat import events as ev
from chat.charging import pricing, reconcile
from chat.generation.worker import Worker
from chat.llm.endpoints import Model
from chat.models import Chat
from chat.work_orders import load_order
from streams.log import get_log
from tests.billing.tampering import tamper
from tests.chat.charging.priced_answers import (
    MODEL,
    answered,
    charges_of,
    differences,
    ended,
    send,
    table_cost,
    usage_of,
)
from tests.chat.conftest import Person
from tests.chat.page_requests import new_message

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


# Reused ids


async def test_the_charge_of_an_erased_answer_covers_no_other_one_under_its_id(worker, alice, bob):
    """The attack reuses an erased id, because each id is charged only once."""
    message = str(uuid.uuid4())
    reply = await answered(alice, "[[tokens=5]] a", id=message)
    [usage] = await usage_of(reply)
    await Chat.objects.filter(owner_id=alice.user["id"]).adelete()
    await get_log().erase(alice.stream)
    theirs, _ = await send(bob, "[[tokens=5]] b")
    body = {"id": message, "text": "[[tokens=300]] c", "model": MODEL, "parent": None}
    refused = [
        await bob.post(f"/api/chats/{uuid.uuid4()}/messages", **body),
        await bob.post(f"/api/chats/{bob.chat}/replies", id=reply, parent=theirs, model=MODEL),
    ]
    assert [response.status_code for response in refused] == [409, 409]
    assert {response.json()["error"]["code"] for response in refused} == {"id_reused"}
    assert await usage_of(reply) == [usage]


async def test_one_address_makes_only_so_many_guests_a_day(no_worker, settings):
    settings.LIMIT_GUESTS_PER_DAY_ADDRESS = 2
    statuses = []
    for _ in range(3):
        person = Person()
        await person.visit()
        body = new_message(model=MODEL)
        response = await person.post(f"/api/chats/{person.chat}/messages", **body)
        statuses.append(response.status_code)
    assert statuses == [202, 202, 429]
    assert await User.objects.acount() == await Hold.objects.acount() == 2


def test_the_name_of_a_model_shows_who_pays(settings):
    names = ("local/a", "ollama/b:7b", "openrouter/c", "openai/d")
    assert [pricing.free_by_name(name) for name in names] == ["local", "local", "", ""]
    settings.BILLING = False
    assert [pricing.free_by_name(name) for name in names] == ["local", "local", "house", "house"]


# Workers


async def test_a_hold_is_raised_while_nobody_can_take_the_chat_away(no_worker, alice, monkeypatch):
    """Otherwise a worker that was frozen in between would hold the former owner's credit and
    release the new owner's hold."""
    _, reply = await send(alice, "[[tokens=5]] a")
    real, found = holds.reserve, []

    def taken_away():
        try:
            with transaction.atomic():
                if connection.vendor == "postgresql":
                    connection.cursor().execute("SET LOCAL lock_timeout = '200ms'")
                Chat.objects.update(title="taken away")
        except OperationalError:
            return False
        finally:
            connections.close_all()
        return True

    def reserve(*arguments):
        thread = threading.Thread(target=lambda: found.append(taken_away()))
        thread.start()
        thread.join()
        return real(*arguments)

    def raise_it():
        price = Price.objects.get(model=MODEL)
        return pricing.reserve(load_order(reply), 1, Model(MODEL, "A", None, 8_192), price, 10)

    monkeypatch.setattr(holds, "reserve", reserve)
    budget = await sync_to_async(raise_it)()
    assert not budget.limited
    assert found == [False]
    assert (await Hold.objects.aget()).attempt == 1


async def test_an_answer_that_is_stopped_again_before_it_went_on_still_says_what_it_cost(
    no_worker, alice
):
    async def with_a_worker(until):
        worker = Worker()
        running = asyncio.create_task(worker.run())
        try:
            return await until()
        finally:
            worker.leave()
            await running

    _, reply = await send(alice, "[[tokens=300&rate=100]] Long")
    path = f"/api/chats/{alice.chat}/replies/{reply}"

    async def stopped_midway():
        await alice.until(reply, lambda message: len(str(message.text)) > 40)
        await alice.post(f"{path}/stop")
        return await ended(reply)

    assert await with_a_worker(stopped_midway) == "stopped"
    [cost] = await charges_of(reply)
    assert (await alice.post(f"{path}/attempts", id=alice.chat)).status_code == 202
    assert (await alice.post(f"{path}/stop")).status_code == 202
    assert await with_a_worker(lambda: ended(reply)) == "stopped"
    assert await charges_of(reply) == [cost]
    assert (await alice.message(reply)).cost_micro_usd == cost
    assert not await Hold.objects.filter(state="open").aexists()


async def test_a_sweep_that_reads_the_log_of_a_moved_chat_charges_nothing(
    worker, alice, monkeypatch
):
    """The guest joined an account, and the guest's log was erased before the sweep read it."""
    with monkeypatch.context() as patch:
        patch.setattr("chat.charging.settle.charge", lambda *_arguments, **_options: None)
        reply = await answered(alice, "[[tokens=5]] a")
    account = await sync_to_async(User.objects.create_user)("account@example.org")
    entries = await alice.entries()

    class Log:
        async def slices(self, stream, chat):
            await Chat.objects.aupdate(owner=account)
            if stream != alice.stream:
                yield entries

    monkeypatch.setattr(reconcile, "get_log", Log)
    monkeypatch.setattr(reconcile, "STUCK_AFTER_S", -1)
    await reconcile.sweep_holds()
    assert await charges_of(reply) == []
    assert (await Hold.objects.aget()).state == "open"
    await reconcile.sweep_holds()
    [usage] = await usage_of(reply)
    assert await charges_of(reply) == [table_cost(usage)]
    assert (await Hold.objects.aget()).state == "closed"


async def test_a_held_reply_is_charged_and_shows_its_cost_after_billing_is_turned_off(
    worker, alice, settings
):
    _, reply = await send(alice, "[[tokens=60&rate=100]] a")
    await alice.until(reply, lambda message: bool(message.text))
    settings.BILLING = False
    message = await alice.settled(reply)
    await ended(reply)
    [usage] = await usage_of(reply)
    assert await charges_of(reply) == [table_cost(usage)] == [message.cost_micro_usd]


# The audit


async def test_the_audit_decodes_a_chat_once(worker, alice, monkeypatch):
    """Otherwise a chat of ten thousand messages would be decoded five thousand times. (In slices:
    tests/streams/test_bounds.py.)"""
    for number in range(4):
        await answered(alice, f"[[tokens=5]] Question {number}")
    decoded = []

    def parse(data):
        decoded.append(data)
        return ev.parse(data)

    monkeypatch.setattr(reconcile, "ev", types.SimpleNamespace(**{**vars(ev), "parse": parse}))
    findings = audit.Findings()
    await reconcile.check(findings)
    assert (findings.checked["answers"], findings.differences) == (4, [])
    assert 0 < len(decoded) == len(set(decoded)) <= len(await alice.kept())


async def test_the_audit_sees_a_price_put_in_the_place_of_what_the_provider_said(worker, alice):
    reply = await answered(alice, "[[tokens=30&cost=0.0001234]] Tell me")
    [usage] = await usage_of(reply)
    assert await differences() == []
    await sync_to_async(tamper)(
        f"UPDATE billing_usage SET cost_by_provider = false, cost_micro_usd = {table_cost(usage)}",
        "usage",
    )
    [line] = await differences()
    assert line.startswith(f"answer {reply}, attempt 1: the log says")


async def test_the_audit_sees_a_charge_to_somebody_who_used_nothing(worker, alice):
    reply = await answered(alice, "[[tokens=30]] Tell me")
    charge = await LedgerEntry.objects.aget(kind="charge")
    somebody = uuid.uuid4() if connection.vendor == "postgresql" else uuid.uuid4().hex
    await sync_to_async(tamper)(f"UPDATE billing_usage SET person_id = '{somebody}'", "usage")
    line = f"charge answer:{reply}:1: took {-charge.amount_micro_usd}, its usage says 0"
    assert line in await differences()


async def test_the_audit_sees_a_charge_that_is_not_in_the_log(worker, alice):
    reply = await answered(alice, "[[tokens=30]] Tell me")
    _, free = await alice.send("[[tokens=5]] b", chat=str(uuid.uuid4()))
    await ended(free)
    assert await Usage.objects.acount() == 2
    await get_log().erase(alice.stream)
    [usage] = await usage_of(reply)
    line = f"answer {reply}, attempt 1: {usage.charged_micro_usd} charged, not in the log"
    assert await differences() == [line]
