"""Answers on credit: holds, charges, and the end of the credit."""

import asyncio
import io
import json
import uuid
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.core.management import CommandError, call_command
from django.utils import timezone

from billing import audit, holds, ledger
from billing.models import AuditRun, Hold, LedgerEntry, Price, Usage
from billing.prices import versions as prices
from billing.prices.versions import Rates
from chat.charging import reconcile
from chat.charging.attempts import usage_of_stored
from chat.charging.price_refresh import record_prices
from chat.generation.worker import Worker
from chat.llm.catalogue import reset_catalogue
from chat.models import Reply
from tests.billing.tampering import tamper
from tests.chat.charging.priced_answers import (
    GUEST,
    MODEL,
    OUT,
    answered,
    balance,
    charges_of,
    differences,
    ended,
    send,
    table_cost,
    usage_of,
)
from tests.chat.page_requests import new_message
from tests.fake_model import text_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


async def test_an_answer_costs_what_its_tokens_cost(worker, alice):
    _, reply = await send(alice, "[[tokens=30]] Tell me")
    message = await alice.settled(reply)
    assert await ended(reply) == "done"
    [usage] = await usage_of(reply)
    assert (usage.completion_tokens, usage.free, usage.estimated) == (30, "", False)
    cost = table_cost(usage)
    assert usage.cost_micro_usd == usage.charged_micro_usd == message.cost_micro_usd == cost
    assert await charges_of(reply) == [cost]
    assert await balance(alice) == ledger.Balance(GUEST - cost, 0, GUEST - cost)
    price = await Price.objects.aget(model=MODEL)
    entry = await LedgerEntry.objects.select_related("price").aget(kind="charge")
    assert entry.price == price
    assert (price.version, price.source) == (1, "openrouter")


async def test_the_figure_of_the_provider_counts(worker, alice):
    _, reply = await send(alice, "[[tokens=30&cost=0.0001234]] Tell me")
    message = await alice.settled(reply)
    await ended(reply)
    assert message.cost_micro_usd == 124
    assert await charges_of(reply) == [124]
    [usage] = await usage_of(reply)
    assert usage.cost_by_provider


async def test_no_more_than_was_held_is_ever_charged(worker, alice):
    reply = await answered(alice, "[[tokens=30&cost=4.5]] Tell me")
    [usage] = await usage_of(reply)
    assert usage.cost_micro_usd == 4_500_000
    assert [usage.charged_micro_usd] == await charges_of(reply)
    left = await balance(alice)
    assert left.balance_micro_usd == GUEST - usage.charged_micro_usd >= 0
    assert left.held_micro_usd == 0


@pytest.mark.parametrize("cost", ["-4.5", "-0.0000001", "1e400"])
async def test_a_figure_that_is_none_is_not_believed(worker, alice, cost):
    reply = await answered(alice, f"[[tokens=30&cost={cost}]] Tell me")
    [usage] = await usage_of(reply)
    assert await charges_of(reply) == [table_cost(usage)]


async def test_credit_is_held_while_it_is_written(worker, alice):
    _, reply = await send(alice, "[[tokens=400&rate=100]] Long")
    await alice.until(reply, lambda message: bool(message.text))
    hold = await Hold.objects.aget(state="open")
    assert hold.amount_micro_usd >= 4096 * OUT
    assert (await balance(alice)).held_micro_usd == hold.amount_micro_usd
    await alice.post(f"/api/chats/{alice.chat}/replies/{reply}/stop")
    assert await ended(reply) == "stopped"
    assert (await balance(alice)).held_micro_usd == 0


async def test_a_stopped_answer_costs_what_is_stored(worker, alice):
    _, reply = await send(alice, "[[tokens=500&rate=100]] Long")
    await alice.until(reply, lambda message: len(str(message.text)) > 40)
    await alice.post(f"/api/chats/{alice.chat}/replies/{reply}/stop")
    message = await alice.settled(reply)
    assert await ended(reply) == "stopped"
    [usage] = await usage_of(reply)
    assert usage.estimated
    stored = usage_of_stored(usage.prompt_tokens, str(message.text), "")
    assert usage.completion_tokens == stored.completion_tokens
    assert await charges_of(reply) == [table_cost(usage)] == [message.cost_micro_usd]


async def test_a_continued_answer_costs_each_of_its_parts(worker, alice):
    question = "[[tokens=200&rate=200]] Long"
    _, reply = await send(alice, question)
    await alice.until(reply, lambda message: len(str(message.text)) > 40)
    await alice.post(f"/api/chats/{alice.chat}/replies/{reply}/stop")
    await alice.settled(reply)
    assert await ended(reply) == "stopped"
    [first] = await charges_of(reply)
    await alice.post(f"/api/chats/{alice.chat}/replies/{reply}/attempts", id=alice.chat)
    message = await alice.until(reply, lambda message: message.status == "done")
    await ended(reply)
    assert str(message.text) == text_of(question, 200)
    one, two = await usage_of(reply)
    assert one.charged_micro_usd == first
    assert two.charged_micro_usd == table_cost(two)
    assert not two.estimated
    assert message.cost_micro_usd == first + two.charged_micro_usd
    assert (await balance(alice)).balance_micro_usd == GUEST - message.cost_micro_usd


async def test_a_provider_that_gives_nothing_costs_nothing(worker, alice):
    _, reply = await send(alice, "[[status=401]] a")
    await alice.settled(reply)
    assert await ended(reply) == "failed"
    assert (await usage_of(reply), await charges_of(reply)) == ([], [])
    assert await balance(alice) == ledger.Balance(GUEST, 0, GUEST)


async def test_a_broken_off_attempt_costs_what_is_stored_of_it(worker, alice):
    question = "[[tokens=30&die_after=10&times=1]] a"
    _, reply = await send(alice, question)
    message = await alice.settled(reply)
    await ended(reply)
    assert (message.status, str(message.text)) == ("done", text_of(question, 30))
    one, two = await usage_of(reply)
    assert (one.estimated, two.estimated) == (True, False)
    assert two.completion_tokens == 20
    assert await charges_of(reply) == [table_cost(one), table_cost(two)]
    assert message.cost_micro_usd == table_cost(one) + table_cost(two)


async def test_editing_and_regenerating_are_answers_of_their_own(worker, alice):
    message, first = await send(alice, "[[tokens=5]] a")
    await alice.settled(first)
    again = str(uuid.uuid4())
    for _ in range(2):
        await alice.post(f"/api/chats/{alice.chat}/replies", id=again, parent=message, model=MODEL)
    await alice.settled(again)
    _, edited = await send(alice, "[[tokens=7]] b", parent=None, edit=True)
    await alice.settled(edited)
    costs = []
    for reply in (first, again, edited):
        await ended(reply)
        [usage] = await usage_of(reply)
        assert await charges_of(reply) == [table_cost(usage)]
        costs.append(usage.charged_micro_usd)
    assert (await balance(alice)).balance_micro_usd == GUEST - sum(costs)
    assert not await Hold.objects.filter(state="open").aexists()


async def test_the_same_send_twenty_times_is_held_and_charged_once(worker, alice):
    ids = {"id": str(uuid.uuid4())}
    sent = await asyncio.gather(*(send(alice, "[[tokens=20]] Once", **ids) for _ in range(20)))
    assert len(set(sent)) == 1
    reply = sent[0][1]
    await alice.settled(reply)
    await ended(reply)
    assert await Hold.objects.acount() == 1
    assert len(await charges_of(reply)) == 1


async def test_a_title_is_an_item_of_its_own(worker, alice, settings):
    settings.BACKGROUND_CALLS = True
    _, reply = await send(alice, "[[tokens=5]] a")
    await alice.settled(reply)
    async with asyncio.timeout(10):
        while not await Usage.objects.filter(purpose="title").aexists():
            await asyncio.sleep(0.02)
    title = await Usage.objects.aget(purpose="title")
    assert title.charged_micro_usd == table_cost(title) > 0
    entry = await LedgerEntry.objects.aget(key=title.key)
    assert (entry.amount_micro_usd, entry.reason) == (-title.charged_micro_usd, "title")
    assert not await Hold.objects.filter(state="open").aexists()


# Too little credit


async def test_a_send_without_credit_is_refused_and_nothing_is_stored(worker, alice, settings):
    settings.CREDIT_GUEST_MICRO_USD = 1_000
    body = new_message(model=MODEL)
    response = await alice.post(f"/api/chats/{alice.chat}/messages", **body)
    assert response.status_code == 402
    assert response.json()["error"]["code"] == "out_of_credit"
    assert "kept" in response.json()["error"]["message"]
    assert not await Reply.objects.aexists()
    assert not await Hold.objects.aexists()


async def test_a_send_waits_for_what_another_answer_holds(worker, alice, settings):
    settings.CREDIT_GUEST_MICRO_USD = 20_000
    _, reply = await send(alice, "[[tokens=5&stall_after=3]] Long")
    await alice.until(reply, lambda message: message.credit_limit_tokens)
    body = new_message(model=MODEL)
    other = f"/api/chats/{uuid.uuid4()}/messages"
    refused = await alice.post(other, **body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "credit_held")
    stop = f"/api/chats/{alice.chat}/replies/{reply}/stop"
    assert (await alice.post(stop, id=str(uuid.uuid4()))).status_code == 202
    await ended(reply)
    assert (await alice.post(other, **body)).status_code == 202


async def test_cancelling_what_waits_gives_its_credit_back_at_once(worker, alice):
    _, running = await send(alice, "[[tokens=5&stall_after=3]] Long")
    await alice.until(running, lambda message: bool(message.text))
    _, waiting = await send(alice, "Next", parent=running)
    assert await Hold.objects.filter(reply_id=waiting, state="open").aexists()
    await alice.post(f"/api/chats/{alice.chat}/replies/{waiting}/stop")
    assert await ended(waiting) == "stopped"
    assert (await alice.message(running)).status == "running"
    assert (await Hold.objects.aget(reply_id=waiting)).state == "closed"
    assert await charges_of(waiting) == []
    await alice.post(f"/api/chats/{alice.chat}/replies/{running}/stop")
    await ended(running)


async def test_an_answer_is_no_longer_than_credit_allows_and_can_be_continued(
    worker, alice, settings
):
    settings.CREDIT_GUEST_MICRO_USD = 6_000
    question = "[[tokens=400]] Long"
    _, reply = await send(alice, question)
    message = await alice.settled(reply)
    assert await ended(reply) == "failed"
    assert (message.status, message.error["code"]) == ("error", "out_of_credit")
    assert message.error["retryable"]
    assert message.credit_limit_tokens
    assert text_of(question, 400).startswith(str(message.text))
    assert len(str(message.text)) > 100
    [usage] = await usage_of(reply)
    assert usage.completion_tokens == message.credit_limit_tokens
    left = await balance(alice)
    assert left.balance_micro_usd == 6_000 - table_cost(usage) >= 0
    path = f"/api/chats/{alice.chat}/replies/{reply}/attempts"
    refused = await alice.post(path, id=alice.chat)
    assert refused.status_code == 402
    assert await ended(reply) == "failed"
    person = uuid.UUID(alice.user["id"])
    await sync_to_async(ledger.post)(person, "top_up", 1_000_000, key="t")
    assert (await alice.post(path, id=alice.chat)).status_code == 202
    message = await alice.until(reply, lambda message: message.status == "done")
    assert str(message.text) == text_of(question, 400)
    assert message.credit_limit_tokens is None


async def test_credit_that_went_in_the_meantime_ends_in_a_durable_error(no_worker, alice, settings):
    settings.CREDIT_GUEST_MICRO_USD = 10_000
    _, reply = await send(alice, "[[tokens=5]] " + "word " * 100)
    await sync_to_async(ledger.post)(uuid.UUID(alice.user["id"]), "refund", -9_000, key="r")
    worker = Worker()
    running = asyncio.create_task(worker.run())
    message = await alice.settled(reply)
    assert await ended(reply) == "failed"
    assert (message.status, message.error["code"]) == ("error", "out_of_credit")
    assert await balance(alice) == ledger.Balance(1_000, 0, 1_000)
    worker.leave()
    await running


# Free models, and models without a price


async def test_a_local_model_costs_nothing_and_is_counted(worker, alice):
    _, reply = await alice.send("[[tokens=5]] a")
    await alice.settled(reply)
    await ended(reply)
    [usage] = await usage_of(reply)
    assert (usage.free, usage.completion_tokens, usage.charged_micro_usd) == ("local", 5, 0)
    assert not await LedgerEntry.objects.aexists()
    assert not await Hold.objects.aexists()


async def test_the_operator_may_pay(worker, alice, settings):
    settings.BILLING = False
    reply = await answered(alice, "[[tokens=5&cost=0.25]] a")
    [usage] = await usage_of(reply)
    assert (usage.free, usage.cost_micro_usd, usage.charged_micro_usd) == ("house", 250_000, 0)
    assert not await LedgerEntry.objects.aexists()
    assert await differences() == []


@pytest.mark.parametrize("then", [False, True])
async def test_billing_may_be_switched_while_an_answer_is_written(worker, alice, settings, then):
    """A reply with a hold is charged; a reply that started free stays free."""
    settings.BILLING = not then
    _, reply = await send(alice, "[[tokens=60&rate=100]] a")
    await alice.until(reply, lambda message: bool(message.text))
    settings.BILLING = then
    await alice.settled(reply)
    await ended(reply)
    [usage] = await usage_of(reply)
    assert await charges_of(reply) == ([] if then else [table_cost(usage)])
    assert not await Hold.objects.filter(state="open").aexists()
    assert await differences() == []


@pytest.mark.parametrize(
    "pricing",
    [
        None,
        {"prompt": "-1", "completion": "-1"},
        {"prompt": "0.00001"},
        {"prompt": "NaN", "completion": "0.1"},
        {"prompt": "0.00001", "completion": "1e30"},
        {"prompt": "0.00001", "completion": "0.5"},
        {"prompt": "", "completion": "0.00001"},
        {"prompt": "0.00001", "completion": "0.00001", "request": "-0.5"},
    ],
)
async def test_a_model_without_a_price_is_not_offered_and_refused(
    no_worker, alice, holdfast, pricing
):
    holdfast.price("script/known", pricing)
    await reset_catalogue()
    listed = (await alice.client.get("/api/models")).json()
    assert MODEL not in [model["id"] for model in listed["models"]]
    body = new_message(model=MODEL)
    response = await alice.post(f"/api/chats/{alice.chat}/messages", **body)
    assert (response.status_code, response.json()["error"]["code"]) == (422, "no_price")
    assert not await Price.objects.aexists()
    assert not await Reply.objects.aexists()


async def test_a_model_has_its_price_and_one_that_costs_nothing_is_free(
    worker, alice, holdfast, settings, monkeypatch
):
    monkeypatch.setattr("chat.charging.offered.KNOWN_FOR_S", 0)
    settings.CREDIT_GUEST_MICRO_USD = 0
    holdfast.list_models("script/known", "gift")
    holdfast.price("script/known", {"prompt": "0.00000015", "completion": "0.0000006"})
    holdfast.price("gift", {"prompt": "0", "completion": "0"})
    await reset_catalogue()
    for is_stored in (False, True):
        if is_stored:
            await record_prices()
        models = {m["id"]: m for m in (await alice.client.get("/api/models")).json()["models"]}
        gift = models["openrouter/gift"]
        assert gift["free"] and "input_micro_usd" not in gift
    known = models["openrouter/script/known"]
    prices_of_known = (known["input_micro_usd"], known["output_micro_usd"])
    assert (known["free"], *prices_of_known) == (False, 150_000, 600_000)
    _, reply = await alice.send("[[tokens=5]] a", model="openrouter/gift")
    assert (await alice.settled(reply)).status == "done"
    assert await ended(reply) == "done"
    assert await charges_of(reply) == []


async def test_a_bill_names_the_version_that_was_held(worker, alice):
    _, reply = await send(alice, "[[tokens=50&rate=100]] a")
    await alice.until(reply, lambda message: bool(message.text))
    rates = Rates(input_micro_usd=10**9, output_micro_usd=10**9)
    await sync_to_async(prices.set_by_staff)(MODEL, rates, uuid.uuid4())
    await alice.settled(reply)
    await ended(reply)
    [usage] = await usage_of(reply)
    assert usage.charged_micro_usd == table_cost(usage)
    assert (await Price.objects.aget(id=usage.price_id)).version == 1


# The audit


async def test_the_audit_finds_nothing_in_right_books_and_each_wrong_micro_dollar(worker, alice):
    replies = []
    for text in ("[[tokens=5]] a", "[[tokens=30&die_after=10&times=1]] b", "[[status=401]] c"):
        _, reply = await send(alice, text, chat=str(uuid.uuid4()))
        await ended(reply)
        replies.append(reply)
    _, free = await alice.send("[[tokens=5]] d", chat=str(uuid.uuid4()))
    await ended(free)
    found = await audit.run()
    assert found.differences == []
    assert found.checked["answers"] == 4
    await sync_to_async(tamper)(
        "UPDATE billing_usage SET completion_tokens = completion_tokens + 1 WHERE price_id IS NULL",
        "usage",
    )
    await sync_to_async(tamper)("DELETE FROM billing_usage WHERE attempt = 2", "usage")
    await sync_to_async(tamper)(
        "UPDATE billing_purse SET balance_micro_usd = balance_micro_usd + 1", "purse"
    )
    lines = "\n".join((await audit.run()).differences)
    assert f"answer {free}, attempt 1: the log says" in lines
    assert f"answer {replies[1]}, attempt 2: in the log, but not charged" in lines
    assert f"charge answer:{replies[1]}:2: took" in lines
    assert "its entries add up to" in lines


async def test_a_hold_whose_answer_is_gone_is_swept_up(no_worker, alice, monkeypatch):
    _, reply = await send(alice, "[[tokens=5]] a")
    assert (await balance(alice)).held_micro_usd > 0
    await Reply.objects.filter(id=reply).adelete()
    monkeypatch.setattr(reconcile, "STUCK_AFTER_S", -1)
    assert await reconcile.sweep_holds() == 1
    assert await balance(alice) == ledger.Balance(GUEST, 0, GUEST)
    assert await reconcile.sweep_holds() == 0


async def test_a_hold_of_before_the_clock_was_set_back_is_swept_up(no_worker, alice):
    _, reply = await send(alice, "[[tokens=5]] a")
    await Reply.objects.filter(id=reply).adelete()
    ahead = timezone.now() + timedelta(hours=1)
    await Hold.objects.filter(reply_id=reply).aupdate(updated_at=ahead)
    assert await reconcile.sweep_holds() == 1
    assert (await balance(alice)).held_micro_usd == 0


async def test_a_hold_that_a_crash_left_at_the_end_is_settled_by_the_log(
    worker, alice, monkeypatch
):
    """The crash came after the row was written and before the charge was."""

    def without_charge(*arguments, **options):
        return None

    with monkeypatch.context() as patch:
        patch.setattr("chat.charging.settle.charge", without_charge)
        _, reply = await send(alice, "[[tokens=5]] a")
        await ended(reply)
        assert (await balance(alice)).held_micro_usd > 0
        monkeypatch.setattr(reconcile, "OVERDUE_AFTER_S", -1)
        assert (await audit.run()).differences
    monkeypatch.setattr(reconcile, "STUCK_AFTER_S", -1)
    assert await reconcile.sweep_holds() == 1
    [usage] = await usage_of(reply)
    assert await charges_of(reply) == [table_cost(usage)]
    assert (await balance(alice)).held_micro_usd == 0
    assert await differences() == []


async def test_the_command_says_whether_the_books_balance(worker, alice):
    await answered(alice, "[[tokens=5]] a")
    out = io.StringIO()
    await asyncio.to_thread(call_command, "audit_ledger", stdout=out)
    assert "The books balance." in out.getvalue()
    await sync_to_async(tamper)("UPDATE billing_purse SET entries = entries + 1", "purse")
    out = io.StringIO()
    with pytest.raises(CommandError):
        await asyncio.to_thread(call_command, "audit_ledger", "--json", stdout=out)
    assert len(json.loads(out.getvalue())["differences"]) == 1
    assert await AuditRun.objects.acount() == 2


async def test_the_hold_of_a_title_that_was_lost_is_given_back(worker, alice, monkeypatch):
    reply = await answered(alice, "[[tokens=5]] a")
    before = await balance(alice)
    person = await alice.row()
    price = await Price.objects.aget(model=MODEL)
    await sync_to_async(holds.place)(person, f"title:{reply}", price, 10, chat_id=None)
    assert (await balance(alice)).held_micro_usd > 0
    assert await reconcile.sweep_holds() == 0
    monkeypatch.setattr(reconcile, "STUCK_AFTER_S", -1)
    monkeypatch.setattr(reconcile, "TITLE_GONE_AFTER_S", -1)
    assert await reconcile.sweep_holds() == 1
    assert await balance(alice) == before
