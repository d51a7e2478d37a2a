"""Charges against the log: the audit has a line for each difference, and the sweep touches no hold
whose reply may still continue."""

import uuid
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from accounts.models import User
from billing import audit, holds, ledger
from billing.models import Hold, Price, Usage
from chat.charging import pricing, reconcile
from chat.llm.catalogue import reset_catalogue
from chat.llm.tokens import estimate_tokens
from chat.models import Reply
from tests.billing.tampering import tamper
from tests.chat.charging.priced_answers import (
    GUEST,
    IN,
    MODEL,
    answered,
    balance,
    charges_of,
    differences,
    ended,
    send,
    table_cost,
    usage_of,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


async def audited(alice, text):
    """The id of a reply in which the audit finds no difference."""
    reply = await answered(alice, text)
    assert await differences() == []
    return reply


async def test_a_cost_by_the_provider_must_be_that_of_the_log(worker, alice):
    reply = await audited(alice, "[[tokens=5&cost=0.0001]] a")
    await sync_to_async(tamper)(
        "UPDATE billing_usage SET cost_micro_usd = cost_micro_usd + 1", "usage"
    )
    [line] = await differences()
    assert line.startswith(f"answer {reply}, attempt 1: the log says")


async def test_each_kind_of_token_must_be_that_of_the_log(worker, alice):
    _, reply = await alice.send("[[tokens=5]] a")
    await ended(reply)
    await sync_to_async(tamper)(
        "UPDATE billing_usage SET completion_tokens = completion_tokens + 1, "
        "prompt_tokens = prompt_tokens - 1",
        "usage",
    )
    [line] = await differences()
    assert "the log says" in line


async def test_an_attempt_without_reported_usage_must_be_what_is_stored_of_it(worker, alice):
    """The attempt broke off, so only the text in the log shows its size."""
    reply = await audited(alice, "[[tokens=30&die_after=10&times=1]] a")
    await sync_to_async(tamper)(
        "UPDATE billing_usage SET completion_tokens = completion_tokens + 1 WHERE attempt = 1",
        "usage",
    )
    assert any(
        line.startswith(f"answer {reply}, attempt 1: the log says") for line in await differences()
    )


async def test_a_charge_for_nothing_is_found(worker, alice):
    reply = await audited(alice, "[[status=401]] a")

    def charge_for(number):
        person = uuid.UUID(alice.user["id"])
        today = timezone.now().date()
        about = {"person_id": person, "chat_id": alice.chat, "reply_id": reply, "attempt": number}
        given = {"purpose": "answer", "model": MODEL, "day": today, "free": "house"}
        tokens = {"prompt_tokens": 1, "completion_tokens": 1}
        costs = {"cost_micro_usd": 0, "charged_micro_usd": 0}
        Usage.objects.create(key=f"answer:{reply}:{number}", **about, **given, **tokens, **costs)

    await sync_to_async(charge_for)(1)
    assert await differences() == [f"answer {reply}, attempt 1: 0 charged, nothing in the log"]
    await sync_to_async(charge_for)(7)
    assert f"answer {reply}, attempt 7: 0 charged, not in the log" in await differences()


async def test_an_open_hold_is_reported(worker, alice, monkeypatch):
    reply = await audited(alice, "[[tokens=5]] a")

    def hold_again():
        person, price = User.objects.get(id=alice.user["id"]), Price.objects.get(model=MODEL)
        holds.place(person, holds.answer_key(reply), price, 5, chat_id=None, reply_id=reply)

    await sync_to_async(hold_again)()
    assert await differences() == []  # It was changed just now.
    monkeypatch.setattr(reconcile, "OVERDUE_AFTER_S", -1)
    assert await differences() == [f"hold answer:{reply}: left open"]


async def test_the_audit_goes_through_all_chats(worker, alice, monkeypatch):
    monkeypatch.setattr(reconcile, "BATCH", 2)
    for number in range(5):
        _, reply = await alice.send(f"[[tokens=2]] {number}", chat=str(uuid.uuid4()))
        await ended(reply)
    found = await audit.run()
    assert (found.checked["answers"], found.differences) == (5, [])


# The sweep


def aged(**fields):
    """Set the times of holds and of ended replies an hour back."""
    then = timezone.now() - timedelta(hours=1)
    Hold.objects.update(updated_at=then)
    Reply.objects.filter(finished_at__isnull=False).update(finished_at=then)
    Reply.objects.update(**fields)


async def test_the_hold_of_an_answer_that_runs_is_never_swept(no_worker, alice):
    _, reply = await send(alice, "[[tokens=5]] a")
    await sync_to_async(aged)()
    assert await reconcile.sweep_holds() == 0
    assert (await Hold.objects.aget()).state == "open"


async def test_the_hold_of_a_reply_that_has_just_ended_is_not_swept(no_worker, alice):
    _, reply = await send(alice, "[[tokens=5]] a")
    await sync_to_async(aged)()
    await Reply.objects.aupdate(state="failed", finished_at=timezone.now())
    assert await reconcile.sweep_holds() == 0
    await sync_to_async(aged)()
    assert await reconcile.sweep_holds() == 1
    assert await balance(alice) == ledger.Balance(GUEST, 0, GUEST)
    assert await charges_of(reply) == []


async def test_a_reply_that_continues_during_the_sweep_keeps_its_hold(no_worker, alice):
    _, reply = await send(alice, "[[tokens=5]] a")
    hold = await Hold.objects.aget()
    await reconcile._sweep(hold)
    assert (await Hold.objects.aget()).state == "open"


async def test_a_hold_that_was_touched_lately_is_not_swept(no_worker, alice):
    _, reply = await send(alice, "[[tokens=5]] a")
    await Reply.objects.filter(id=reply).adelete()
    assert await reconcile.sweep_holds() == 0


async def test_the_hold_of_a_young_title_is_not_swept(no_worker, alice, monkeypatch):
    _, reply = await send(alice, "[[tokens=5]] a")
    monkeypatch.setattr(reconcile, "STUCK_AFTER_S", -1)
    person = await alice.row()
    price = await Price.objects.aget(model=MODEL)
    await sync_to_async(holds.place)(person, f"title:{reply}", price, 10, chat_id=None)
    assert await reconcile.sweep_holds() == 0
    await sync_to_async(aged)()
    assert await reconcile.sweep_holds() == 1
    assert (await Hold.objects.aget(key=f"title:{reply}")).state == "closed"


# The size of a charge


async def test_thinking_that_was_cut_short_is_charged(worker, alice, holdfast):
    holdfast.list_models("script/known?reasoning=400&rate=100")
    await reset_catalogue()
    model = "openrouter/script/known?reasoning=400&rate=100"
    _, reply = await send(alice, "[[tokens=5]] a", model=model)
    await alice.until(reply, lambda message: len(str(message.reasoning)) > 40)
    await alice.post(f"/api/chats/{alice.chat}/replies/{reply}/stop")
    assert await ended(reply) == "stopped"
    [usage] = await usage_of(reply)
    assert usage.completion_tokens == usage.reasoning_tokens > 0
    assert await charges_of(reply) == [table_cost(usage)]
    assert await differences() == []


async def test_an_answer_longer_than_was_asked_for_is_cut_off(worker, alice, settings, monkeypatch):
    """The provider ignores `max_tokens`: output beyond it is neither read nor charged."""
    settings.CREDIT_GUEST_MICRO_USD = 6_000
    monkeypatch.setattr("chat.generation.model_caller.MAX_CHARS_PER_TOKEN", 1)
    _, reply = await send(alice, "[[tokens=5000]] a")
    message = await alice.settled(reply)
    assert await ended(reply) == "failed"
    assert message.error["code"] == "out_of_credit"
    assert len(str(message.text)) < 3_000
    assert (await balance(alice)).balance_micro_usd >= 0
    assert await differences() == []


async def test_a_model_is_used_on_credit_up_to_where_it_gets_dearer(no_worker, alice):
    model = await pricing.model_of(await User.objects.afirst(), MODEL)
    price = Price(model=MODEL, version=1, prompt_limit_tokens=4_000)
    assert model.context_tokens == 8_192
    assert pricing.within_price(model, price).context_tokens == 4_000
    price.prompt_limit_tokens = None
    assert pricing.within_price(model, price).context_tokens == 8_192
    price.prompt_limit_tokens = 1_000_000
    assert pricing.within_price(model, price).context_tokens == 8_192


async def test_the_longer_the_question_the_more_is_held_for_it(no_worker, alice):
    held = []
    for length in (4, 4_000):
        _, reply = await send(alice, "x" * length, chat=str(uuid.uuid4()))
        hold = await Hold.objects.aget(reply_id=reply)
        held.append(hold.amount_micro_usd)
    more = estimate_tokens("x" * 4_000) - estimate_tokens("xxxx")
    assert held[1] - held[0] == more * IN > 0
