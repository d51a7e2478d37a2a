"""Holds: credit is reserved before a call and charged after it, once, however the call ended.

place     with the request: hold the least that a reply needs; OutOfCredit stores nothing
reserve   by the worker before each attempt: raise the hold to the most that the attempt may cost,
          or to the available credit, which then bounds the length of the reply
charge    after an attempt: store its usage and draw its cost from the hold
release   at the end: free the rest, and close the hold

No more than was held is ever charged: if a call costs more, by a provider's error or because
tokens were counted too low, the operator bears the rest. All functions are sync. Each runs in one
transaction, or in the caller's, which locks the purse before the hold. The caller's is rolled back
if the function raises.
"""

import uuid
from dataclasses import dataclass, field
from datetime import UTC

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, QuerySet
from django.utils import timezone

from accounts.models import User
from billing import grants, ledger
from billing.errors import CreditHeld, OutOfCredit
from billing.models import Hold, Price, Purse, Usage
from billing.prices import versions as prices
from billing.token_usage import TokenUsage

# An attempt that cannot be this long is refused, because its answer would be useless.
MIN_ANSWER_TOKENS = 200
# Longer than nearly all answers. For an even longer reply, at most half of the available credit may
# be held: otherwise the person could send nothing else until it has ended.
ROOMY_ANSWER_TOKENS = 8_192


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt at a reply, or one background call. `hold_key` names the hold that it is charged
    to, `key` the call itself."""

    hold_key: str
    key: str
    purpose: str
    person_id: uuid.UUID
    model: str
    chat_id: uuid.UUID | None
    reply_id: uuid.UUID | None = None
    attempt: int = 0
    # Why it is free (a value of Usage.Free); empty if credit was held for it.
    free: str = ""


@dataclass(frozen=True, slots=True)
class Budget:
    """The budget of an attempt. `max_tokens`: the longest answer, None if the model charges nothing
    for it; `limited`: credit, not the model, bounds the length."""

    max_tokens: int | None
    limited: bool
    # The hold as it was reserved.
    price: Price | None = field(default=None, compare=False, repr=False)
    held_micro_usd: int = field(default=0, compare=False)

    def cost_of(self, usage: TokenUsage | None) -> int:
        """Micro-USD that `charge` draws from the hold for this usage."""
        if usage is None or self.price is None:
            return 0
        return min(_cost(self.price, usage), self.held_micro_usd)


def answer_key(reply_id: uuid.UUID) -> str:
    return f"answer:{reply_id}"


def place(
    person: User,
    hold_key: str,
    price: Price,
    prompt_tokens: int,
    *,
    chat_id: uuid.UUID | None,
    reply_id: uuid.UUID | None = None,
    answer_tokens: int = MIN_ANSWER_TOKENS,
    sound_ms: int = 0,
    characters: int = 0,
) -> Hold:
    """Hold the least that a call needs. `sound_ms`: of sound to write down. `characters`: of text
    to read aloud. Raises OutOfCredit."""
    amount = prices.worst_case(price, prompt_tokens, answer_tokens)
    amount += -(-sound_ms * (price.sound_micro_usd or 0) // prices.MILLION)
    amount += -(-characters * (price.character_micro_usd or 0) // prices.MILLION)
    with transaction.atomic(savepoint=False):
        purse = ledger.lock_purse(person.id)
        hold = Hold.objects.filter(key=hold_key, state=Hold.State.OPEN).first()
        if hold is not None:
            return hold  # From an earlier request, not charged yet: the worker raises it.
        if amount > _room(purse, person, amount):
            raise _refusal(purse, amount)
        return Hold.objects.create(
            key=hold_key,
            purse=purse,
            amount_micro_usd=amount,
            model=price.model,
            price=price,
            chat_id=chat_id,
            reply_id=reply_id,
        )


def reserve(
    person: User,
    call: Call,
    price: Price,
    prompt_tokens: int,
    answer_tokens: int,
    least_tokens: int = MIN_ANSWER_TOKENS,
) -> Budget:
    """Raise the hold to the highest cost of an attempt with an answer of `answer_tokens`, or to its
    share of the available credit. `least_tokens`: the shortest useful answer.

    Raises OutOfCredit, and leaves the hold as it is, if the shortest useful answer costs more.
    """
    with transaction.atomic(savepoint=False):
        purse, hold = _lock_both(person, call.hold_key)
        if hold is not None and hold.attempt > call.attempt:
            # Another worker is at a later attempt; the log will refuse this worker's appends.
            return _budget_of(hold, prompt_tokens, answer_tokens)
        held, at_least = hold.amount_micro_usd if hold else 0, 0
        if hold is not None and hold.attempt == call.attempt:
            # This attempt was reserved before, by a worker that died or by a worker that took over
            # while this one was frozen: the hold never shrinks, and its price stays.
            price, at_least = hold.price, held
        least = prices.worst_case(price, prompt_tokens, min(least_tokens, answer_tokens))
        wanted = prices.worst_case(price, prompt_tokens, answer_tokens)
        room = _room(purse, person, wanted, held)
        if least > room:
            raise _refusal(purse, least)
        amount = max(_share(price, prompt_tokens, answer_tokens, room), at_least)
        if hold is None:
            hold = Hold(key=call.hold_key, purse=purse, model=price.model, price=price)
            hold.chat_id, hold.reply_id = call.chat_id, call.reply_id
        hold.amount_micro_usd, hold.attempt, hold.price = amount, call.attempt, price
        hold.model = price.model
        hold.save()
        ledger.notify_after_commit(purse.person_id)
    return _budget_of(hold, prompt_tokens, answer_tokens)


def charge(call: Call, usage: TokenUsage | None, *, last: bool = False) -> None:
    """Store the usage of a call, and draw its cost from the hold. With `last`, close the hold.

    `usage` None: the call delivered nothing and costs nothing. A repetition changes nothing.
    """
    with transaction.atomic(savepoint=False):
        locked = _lock_hold(call)
        if locked is None:
            _count_without_hold(call, usage)
            return
        purse, hold, is_counted = locked
        if usage is not None and not is_counted:
            _charge_to(purse, hold, call, usage, last=last)
        if last and hold.state == Hold.State.OPEN:
            _close(hold, purse)


def release(hold_key: str) -> None:
    """Close the hold, if it is open, and release the rest of it."""
    with transaction.atomic(savepoint=False):
        for purse in ledger.lock_purses((), _open_holds(hold_key).values("purse_id")).values():
            if hold := _open_holds(hold_key).filter(purse=purse).first():
                _close(hold, purse)


def charged_so_far(call: Call, usage: TokenUsage | None) -> int | None:
    """Micro-USD for all attempts at a reply, this one included; None if none was on credit."""
    charged = Usage.objects.filter(reply_id=call.reply_id, free="")
    costs = dict(charged.values_list("key", "charged_micro_usd"))
    hold = _open_holds(call.hold_key).first()
    if call.key not in costs and hold is not None and hold.attempt == call.attempt:
        costs[call.key] = min(_cost(hold.price, usage), hold.amount_micro_usd) if usage else 0
    return sum(costs.values()) if costs else None


# Private


def _share(price: Price, prompt_tokens: int, answer_tokens: int, room: int) -> int:
    """The share of `room` to hold: the most that the answer may cost, but leaving some for the next
    one."""
    wanted = prices.worst_case(price, prompt_tokens, answer_tokens)
    roomy = prices.worst_case(price, prompt_tokens, min(answer_tokens, ROOMY_ANSWER_TOKENS))
    return min(wanted, room, max(roomy, room // 2))


def _budget_of(hold: Hold, prompt_tokens: int, answer_tokens: int) -> Budget:
    """The part of an answer of up to `answer_tokens` that the hold covers."""
    amount, price = hold.amount_micro_usd, hold.price
    if amount >= prices.worst_case(price, prompt_tokens, answer_tokens):
        return Budget(answer_tokens, False, price, amount)
    affordable = prices.affordable_tokens(price, prompt_tokens, amount)
    return Budget(answer_tokens if affordable is None else affordable, True, price, amount)


def _room(purse: Purse, person: User, wanted: int, held: int = 0) -> int:
    """The largest amount that a hold of `held` may be raised to. If that is less than `wanted`,
    credit that is due to the person is granted first. Below `held` if money was taken back."""
    if purse.available_micro_usd + held < wanted:
        grants.give_initial_credit(purse, person)
    return max(purse.available_micro_usd + held, 0)


def _refusal(purse: Purse, amount: int) -> OutOfCredit:
    return CreditHeld() if amount <= purse.balance_micro_usd else OutOfCredit()


def _lock_both(person: User, hold_key: str) -> tuple[Purse, Hold | None]:
    """The person's purse and the open hold in it. An open hold in another purse is closed: the
    chat has moved to this account, which pays from now on."""
    purses = ledger.lock_purses({person.id}, _open_holds(hold_key).values("purse_id"))
    own_purse = purses.pop(person.id)
    for other_purse in purses.values():
        if other_hold := _open_holds(hold_key).filter(purse=other_purse).first():
            _close(other_hold, other_purse)
    return own_purse, _open_holds(hold_key).filter(purse=own_purse).first()


def _lock_hold(call: Call) -> tuple[Purse, Hold, bool] | None:
    """The call's open hold, with its purse locked, and whether the usage of the call is stored;
    None if no hold is open."""
    for purse in ledger.lock_purses((), _open_holds(call.hold_key).values("purse_id")).values():
        counted = Exists(Usage.objects.filter(key=call.key))
        hold = _open_holds(call.hold_key).filter(purse=purse).annotate(is_counted=counted).first()
        if hold is not None:
            return purse, hold, hold.is_counted
    return None


def _open_holds(hold_key: str) -> QuerySet[Hold]:
    """At most one; read it after its purse was locked."""
    return Hold.objects.select_related("price").filter(key=hold_key, state=Hold.State.OPEN)


def _charge_to(purse: Purse, hold: Hold, call: Call, usage: TokenUsage, *, last: bool) -> None:
    """Store the usage of a call that has none yet, and draw its cost from the hold; with `last`,
    close it."""
    if hold.attempt != call.attempt:
        _count_without_hold(call, usage)
        return
    cost = _cost(hold.price, usage)
    charged = min(cost, hold.amount_micro_usd)
    row = _usage_row(call, usage, cost, charged, hold.price, "", hold.purse_id)
    row.save(force_insert=True)
    if charged:
        ledger.charge(
            purse,
            hold,
            charged,
            key=call.key,
            price_id=hold.price_id,
            reason=call.purpose,
            closes=last,
        )


def _count_without_hold(call: Call, usage: TokenUsage | None) -> None:
    """Store the usage of a call, once, that no credit is held for."""
    if usage is None or Usage.objects.filter(key=call.key).exists():
        return
    if not call.free and (price := prices.current(call.model)):
        # Its hold is gone: the person was erased, or an operator released it.
        row = _usage_row(call, usage, _cost(price, usage), 0, price, "", call.person_id)
    else:
        free = call.free or Usage.Free.HOUSE
        # If the operator pays, the provider's figure is stored for the operator.
        cost = usage.cost_micro_usd or 0 if free == Usage.Free.HOUSE else 0
        row = _usage_row(call, usage, cost, 0, None, free, call.person_id)
    # On PostgreSQL nothing is locked, so another process may be first.
    Usage.objects.bulk_create([row], ignore_conflicts=True)


def _usage_row(
    call: Call,
    usage: TokenUsage,
    cost: int,
    charged: int,
    price: Price | None,
    free: str,
    person_id: uuid.UUID,
) -> Usage:
    usage = usage.bounded()
    return Usage(
        key=call.key,
        person_id=person_id,
        purpose=call.purpose,
        chat_id=call.chat_id,
        reply_id=call.reply_id,
        attempt=call.attempt,
        model=call.model,
        day=timezone.now().astimezone(UTC).date(),
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cached_tokens=usage.cached_tokens or 0,
        reasoning_tokens=usage.reasoning_tokens or 0,
        cache_write_tokens=usage.cache_write_tokens,
        audio_tokens=usage.audio_tokens,
        sound_ms=usage.sound_ms,
        image_tokens=usage.image_tokens,
        audio_output_tokens=usage.audio_output_tokens,
        image_input_tokens=usage.image_input_tokens,
        characters=usage.characters,
        estimated=usage.estimated,
        cost_micro_usd=cost,
        cost_by_provider=price is not None and usage.cost_micro_usd is not None,
        charged_micro_usd=charged,
        free=free,
        price=price,
    )


def _cost(price: Price, usage: TokenUsage) -> int:
    """Micro-USD: the provider's own figure, else by the price."""
    if usage.cost_micro_usd is not None:
        return usage.cost_micro_usd
    return prices.cost_of(price, usage)


def _close(hold: Hold, purse: Purse) -> None:
    hold.amount_micro_usd, hold.state = 0, Hold.State.CLOSED
    hold.save(update_fields=["amount_micro_usd", "state", "updated_at"])
    ledger.notify_after_commit(purse.person_id)


def most_answer_tokens(context_tokens: int, prompt_tokens: int, model_limit: int | None) -> int:
    """The most tokens that an answer on credit may have, however much credit there is."""
    room = max(context_tokens - prompt_tokens, MIN_ANSWER_TOKENS)
    return min(room, model_limit or room, settings.CREDIT_MAX_ANSWER_TOKENS)
