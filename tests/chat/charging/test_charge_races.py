"""Charges when a provider reports impossible usage, a worker is late, a person leaves during a
reply, or a title does not end."""

import asyncio
import uuid
from decimal import Decimal

import pytest
from allauth.account.models import EmailAddress
from asgiref.sync import sync_to_async

from accounts.guests import merge as guest_joins
from accounts.models import User
from accounts.personal_data import erase as erasing
from accounts.personal_data.deletion_request import erase_guest
from accounts.suspension import end_everything, suspend
from billing import holds, ledger
from billing.holds import Call
from billing.models import Hold, LedgerEntry, Price, Usage
from billing.prices import versions as prices
from billing.token_usage import TokenUsage
from chat.charging import pricing, reconcile
from chat.generation import titles
from chat.llm.catalogue import Model, reset_catalogue
from chat.llm.stream.chunks import ChunkReader
from chat.llm.tokens import MAX_REPORTED_TOKENS, micro_usd, read_usage
from chat.models import Chat, Reply
from chat.work_orders import load_order
from streams.errors import FencedError
from tests.chat.charging.priced_answers import (
    GUEST,
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


# Impossible reports


@pytest.mark.parametrize(
    "wrong", [-1, MAX_REPORTED_TOKENS + 1, 2**63, 10**30, True, None, "7", 1.5]
)
@pytest.mark.parametrize("which", ["prompt_tokens", "completion_tokens"])
def test_counts_that_cannot_be_are_not_believed(which, wrong):
    said = {"prompt_tokens": 5, "completion_tokens": 6} | {which: wrong}
    assert read_usage(said) is None


@pytest.mark.parametrize("wrong", [-1, 2**64, True, "7"])
def test_parts_that_cannot_be_are_left_out(wrong):
    details = {"prompt_tokens_details": {"cached_tokens": wrong}}
    details |= {"completion_tokens_details": {"reasoning_tokens": wrong}}
    usage = read_usage({"prompt_tokens": 5, "completion_tokens": 6} | details)
    assert (usage.cached_tokens, usage.reasoning_tokens) == (None, None)


@pytest.mark.parametrize(
    "wrong", [Decimal("1E+999999"), Decimal("NaN"), Decimal("-1"), 10**4000, True, float("nan")]
)
def test_a_cost_that_cannot_be_is_none(wrong):
    assert micro_usd(wrong) is None


def test_a_tiny_cost_is_a_whole_micro_dollar():
    assert micro_usd(Decimal("1E-999999")) == 1


@pytest.mark.parametrize("cost", ["1e999999", "1e99999999999999999999", "9" * 100, "NaN", "-1"])
def test_a_chunk_with_such_a_cost_still_tells_its_tokens(cost):
    reader = ChunkReader()
    usage = f'{{"prompt_tokens": 5, "completion_tokens": 6, "cost": {cost}}}'
    reader.feed([f'{{"choices": [], "usage": {usage}}}'.encode()])
    assert (reader.usage.prompt_tokens, reader.usage.cost_micro_usd) == (5, None)


@pytest.mark.parametrize("tokens", ["9223372036854775807", "1" + "0" * 30, "-5"])
async def test_an_answer_whose_provider_counts_absurdly_ends_and_is_charged_by_our_count(
    worker, alice, tokens
):
    _, reply = await send(alice, f"[[tokens=30&says={tokens}]] Tell me")
    message = await alice.settled(reply)
    assert (message.status, await ended(reply)) == ("done", "done")
    [usage] = await usage_of(reply)
    assert usage.estimated
    assert 0 < usage.completion_tokens < 500
    assert await charges_of(reply) == [usage.charged_micro_usd]
    assert (await balance(alice)).held_micro_usd == 0
    assert await differences() == []


async def test_a_page_shows_what_was_paid_not_what_a_provider_claims(worker, alice):
    _, reply = await send(alice, "[[tokens=30&cost=4.5]] Tell me")
    message = await alice.settled(reply)
    await ended(reply)
    assert [message.cost_micro_usd] == await charges_of(reply)


# Late workers


@pytest.fixture
def ordered(no_worker, alice):
    """A function that places a reply; it returns the reply, its owner and its price."""

    async def order():
        _, reply = await send(alice, "[[tokens=5]] a")
        person = await alice.row()
        return reply, person, await Price.objects.aget(model=MODEL)

    return order


def attempt(reply, person, number):
    key = holds.answer_key(reply)
    chat = Reply.objects.get(id=reply).chat_id
    reply_id = uuid.UUID(reply)
    return Call(key, f"{key}:{number}", "answer", person.id, MODEL, chat, reply_id, number)


async def test_a_late_worker_does_not_change_the_charge_of_its_successor(ordered):
    reply, person, price = await ordered()

    def race():
        holds.reserve(person, attempt(reply, person, 2), price, 100, 1_000)
        held = Hold.objects.get().amount_micro_usd
        budget = holds.reserve(person, attempt(reply, person, 1), price, 10, 200)
        assert budget.max_tokens == 200
        assert (Hold.objects.get().attempt, Hold.objects.get().amount_micro_usd) == (2, held)
        holds.charge(attempt(reply, person, 2), TokenUsage(100, 50), last=True)
        return Usage.objects.get().charged_micro_usd

    assert await sync_to_async(race)() == prices.cost_of(price, TokenUsage(100, 50))


@pytest.mark.parametrize("how", ["joined", "erased"])
async def test_a_worker_whose_chat_has_moved_touches_no_hold(ordered, how):
    reply, person, price = await ordered()

    def race():
        order = load_order(reply)
        if how == "joined":
            account = User.objects.create_user("account@example.org")
            Chat.objects.update(owner=account)
        else:
            Chat.objects.all().delete()
        before = list(Hold.objects.values_list("purse_id", "amount_micro_usd", "state"))
        model = Model(MODEL, "A", None, 8_192)
        with pytest.raises(FencedError):
            pricing.reserve(order, 1, model, price, 10)
        assert list(Hold.objects.values_list("purse_id", "amount_micro_usd", "state")) == before

    await sync_to_async(race)()


async def test_one_hold_that_cannot_be_closed_keeps_no_other_open(
    no_worker, alice, bob, monkeypatch
):
    replies = [(await send(person, "[[tokens=5]] a"))[1] for person in (alice, bob)]
    await Reply.objects.filter(id__in=replies).adelete()
    first = await Hold.objects.order_by("updated_at").afirst()
    release = holds.release

    def broken(key):
        if key == first.key:
            raise RuntimeError
        release(key)

    monkeypatch.setattr(reconcile, "STUCK_AFTER_S", -1)
    with monkeypatch.context() as patch:
        patch.setattr(holds, "release", broken)
        assert await reconcile.sweep_holds() == 1
    assert [hold.key async for hold in Hold.objects.filter(state="open")] == [first.key]
    assert await reconcile.sweep_holds() == 1


async def test_a_chat_that_changes_its_owner_during_the_audit_is_no_difference(
    worker, alice, monkeypatch
):
    await answered(alice, "[[tokens=5]] a")
    real, looks = reconcile._ended_replies, []

    def as_it_was(chat_id):
        """On the first read, the log lacks an attempt that is booked."""
        stream, replies = real(chat_id)
        if not looks:
            for _, usage in replies:
                usage[7] = usage[1]
        looks.append(chat_id)
        return stream, replies

    monkeypatch.setattr(reconcile, "_ended_replies", as_it_was)
    assert await differences() == []
    assert len(looks) == 2


# Suspending, erasing and joining people while a paid answer is being written


async def running(alice):
    _, reply = await send(alice, "[[tokens=300&rate=100]] Long")
    await alice.until(reply, lambda message: len(str(message.text)) > 40)
    return reply


async def no_hold_is_left(but_after_s=20):
    async with asyncio.timeout(but_after_s):
        while await Hold.objects.filter(state="open").aexists():
            await asyncio.sleep(0.05)
            await reconcile.sweep_holds()
    assert await differences() == []


@pytest.mark.parametrize("how", ["chat deleted", "suspended", "leaving"])
async def test_what_was_delivered_is_charged_once_however_the_reply_ends(worker, alice, how):
    reply = await running(alice)
    person = await alice.row()
    match how:
        case "chat deleted":
            path = f"/api/chats/{alice.chat}"
            assert (await alice.client.delete(path)).status_code == 204
        case "suspended":
            operator = await sync_to_async(User.objects.create_superuser)("o@example.org", "x")
            assert await sync_to_async(suspend)(person, operator, "Spam")
        case "leaving":
            await sync_to_async(end_everything)(person)
    assert await ended(reply) == "stopped"
    await no_hold_is_left()
    [usage] = await usage_of(reply)
    assert await charges_of(reply) == [usage.charged_micro_usd] == [table_cost(usage)]


@pytest.mark.usefixtures("frequent_sweeps")
async def test_an_erased_person_with_a_running_answer_leaves_no_hold(worker, alice, monkeypatch):
    monkeypatch.setattr(reconcile, "STUCK_AFTER_S", -1)
    monkeypatch.setattr(erasing, "LATE_S", 1)
    await running(alice)
    person = await alice.row()
    assert await sync_to_async(erase_guest)(person)
    async with asyncio.timeout(20):
        while await User.objects.filter(id=person.id).aexists():
            await asyncio.sleep(0.05)
    await no_hold_is_left()


async def test_a_guest_who_joins_mid_answer_pays_their_part_and_the_account_the_rest(worker, alice):
    reply = await running(alice)
    guest = await alice.row()
    account = await sync_to_async(User.objects.create_user)("account@example.org", "x")
    await EmailAddress.objects.acreate(user=account, email=account.email, verified=True)
    assert await sync_to_async(guest_joins.record)(guest, account)
    assert await ended(reply) == "done"
    await no_hold_is_left()
    first, *_, last = await usage_of(reply)
    assert (first.person_id, last.person_id) == (guest.id, account.id)
    assert sorted(await charges_of(reply)) == sorted([table_cost(first), table_cost(last)])
    paid_by_guest = (await sync_to_async(ledger.balance)(guest.id)).balance_micro_usd
    paid_by_account = (await sync_to_async(ledger.balance)(account.id)).balance_micro_usd
    assert paid_by_guest == GUEST - first.charged_micro_usd
    assert paid_by_account == 2_000_000 - last.charged_micro_usd


# Titles


async def first_answer(alice, holdfast, script):
    """An ended reply of a model that also writes the title; both calls follow the script."""
    name = f"script/known?{script}"
    holdfast.list_models(name)
    await reset_catalogue()
    reply = await answered(alice, "a", model=f"openrouter/{name}")
    async with asyncio.timeout(15):
        while not await Hold.objects.filter(key=f"title:{reply}", state="closed").aexists():
            await asyncio.sleep(0.02)
    return reply


async def test_a_title_whose_model_thinks_without_end_is_cut_off_and_charged(
    worker, alice, holdfast, settings, monkeypatch
):
    settings.BACKGROUND_CALLS = True
    monkeypatch.setattr(titles, "THOUGHT_MAX_CHARS", 400)
    await first_answer(alice, holdfast, "reasoning=3000&tokens=1&no_usage=1")
    title = await Usage.objects.aget(purpose="title")
    assert title.estimated
    assert title.reasoning_tokens >= 50
    assert 0 < title.charged_micro_usd <= title.cost_micro_usd
    assert not await Hold.objects.filter(state="open").aexists()


async def test_a_title_that_takes_too_long_is_given_up_and_its_hold_back(
    worker, alice, holdfast, settings, monkeypatch
):
    settings.BACKGROUND_CALLS = True
    monkeypatch.setattr(titles, "ASK_LIMIT_S", 0.2)
    reply = await first_answer(alice, holdfast, "first_ms=1000&tokens=5")
    assert not await Usage.objects.filter(purpose="title").aexists()
    paid = sum(await charges_of(reply))
    assert await balance(alice) == ledger.Balance(GUEST - paid, 0, GUEST - paid)


# The first credit


async def test_a_guest_to_whom_staff_gave_credit_first_still_has_the_budget_that_is_shown(
    no_worker, alice
):
    # The model is free, so nothing is booked yet.
    _, reply = await alice.send("[[tokens=5]] a")
    person = uuid.UUID(alice.user["id"])
    await sync_to_async(ledger.post)(person, "adjustment", 1, key="a", reason="Sorry")
    await send(alice, "[[tokens=5]] b", chat=str(uuid.uuid4()))
    assert (await balance(alice)).balance_micro_usd == GUEST + 1
    assert await LedgerEntry.objects.filter(kind="guest_budget").acount() == 1
