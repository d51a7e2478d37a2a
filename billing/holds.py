"""Holds: credit is put aside before a call and settled after it, once, however the call ended.

place     with the order: what is known to be needed then, or OutOfCredit and nothing is stored
reserve   by the worker before each attempt: raised to the most that the attempt may cost, or to
          what is there, which then bounds how long the answer may be
settle    after an attempt: what it used is written down and its cost drawn from the hold
release   at the end: what is left goes back, and the hold is closed

No more than was held is ever charged: should a call cost more, by a provider's error or because
tokens were counted too low, the house bears the rest. Sync; in one transaction each, in which the
purse is locked before the hold.
"""

import uuid
from dataclasses import dataclass
from datetime import UTC

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from billing import grants, ledger
from billing.errors import CreditHeld, OutOfCredit
from billing.models import Hold, Price, Purse, Usage
from billing.prices import versions as prices
from billing.prices.versions import Used

# An answer that may not even be this long is not worth beginning.
MIN_ANSWER_TOKENS = 200
# Longer than nearly all answers: for more than that no answer holds over half of what is there, or
# the person could send nothing else until it has ended.
ROOMY_ANSWER_TOKENS = 8_192


@dataclass(frozen=True, slots=True)
class Call:
    """What is paid for: one attempt at an answer, or one background call. `hold_key` names the
    hold it is paid from, `key` the call itself."""

    hold_key: str
    key: str
    purpose: str
    person_id: uuid.UUID
    model: str
    chat_id: uuid.UUID | None
    reply_id: uuid.UUID | None = None
    attempt: int = 0
    # Why it is free, if no credit was held for it.
    free: str = ""


@dataclass(frozen=True, slots=True)
class Budget:
    """What an attempt may use. `max_tokens`: how long the answer may be, None if the model does not
    ask for money; `limited`: credit, not the model, is why it may not be longer."""

    max_tokens: int | None
    limited: bool


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
) -> Hold:
    """Hold what a call needs at least. Raises OutOfCredit."""
    amount = prices.worst_case(price, prompt_tokens, answer_tokens)
    with transaction.atomic():
        purse = ledger.lock_purse(person.id)
        hold = Hold.objects.filter(key=hold_key, state=Hold.State.OPEN).first()
        if hold is not None:
            return hold  # Not settled yet, of an earlier round: the worker raises it.
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
    person: User, call: Call, price: Price, prompt_tokens: int, answer_tokens: int
) -> Budget:
    """Raise the hold to what an attempt may cost with so long an answer, or to its share of what
    is there.

    Raises OutOfCredit when the shortest useful answer is too dear; the hold stays as it is.
    """
    with transaction.atomic():
        purse, hold = _lock_both(person, call.hold_key)
        if hold is not None and hold.attempt > call.attempt:
            # Another worker is further than this one, which will find itself fenced off.
            return _budget_of(hold, prompt_tokens, answer_tokens)
        held, at_least = hold.amount_micro_usd if hold else 0, 0
        if hold is not None and hold.attempt == call.attempt:
            # Reserved before for this very attempt, by a worker that died or by one that took over
            # while this one was frozen: never smaller, never dearer.
            price, at_least = hold.price, held
        least = prices.worst_case(price, prompt_tokens, min(MIN_ANSWER_TOKENS, answer_tokens))
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


def settle(call: Call, used: Used | None, *, last: bool = False) -> None:
    """Write down what a call used, and draw its cost from the hold. With `last` close the hold.

    `used` None: it gave nothing and costs nothing. The second time nothing changes.
    """
    with transaction.atomic():
        open_hold = Hold.objects.filter(key=call.hold_key, state=Hold.State.OPEN).first()
        if open_hold is None:
            _count(call, used, None)
            return
        purse = ledger.lock_purse(open_hold.purse_id)
        hold = _open_hold(call.hold_key, purse)
        _count(call, used, hold, purse)
        if last and hold is not None:
            _close(hold, purse)


def release(hold_key: str) -> None:
    """Close the hold, if it is open; what is left of it goes back."""
    with transaction.atomic():
        found = Hold.objects.filter(key=hold_key, state=Hold.State.OPEN).first()
        if found is not None:
            purse = ledger.lock_purse(found.purse_id)
            if hold := _open_hold(hold_key, purse):
                _close(hold, purse)


def paid_so_far(call: Call, used: Used | None) -> int | None:
    """What is paid for all attempts at an answer, this one too; None if none was on credit."""
    settled = Usage.objects.filter(reply_id=call.reply_id, free="")
    costs = dict(settled.values_list("key", "charged_micro_usd"))
    hold = Hold.objects.filter(key=call.hold_key, state=Hold.State.OPEN).first()
    if call.key not in costs and hold is not None and hold.attempt == call.attempt:
        costs[call.key] = min(_cost(hold.price, used), hold.amount_micro_usd) if used else 0
    return sum(costs.values()) if costs else None


# Private


def _share(price: Price, prompt_tokens: int, answer_tokens: int, room: int) -> int:
    """How much of `room` to hold: what the answer may cost, but some is left for the next one."""
    wanted = prices.worst_case(price, prompt_tokens, answer_tokens)
    roomy = prices.worst_case(price, prompt_tokens, min(answer_tokens, ROOMY_ANSWER_TOKENS))
    return min(wanted, room, max(roomy, room // 2))


def _budget_of(hold: Hold, prompt_tokens: int, answer_tokens: int) -> Budget:
    """What the hold pays for, of an answer that may be so long."""
    amount = hold.amount_micro_usd
    if amount >= prices.worst_case(hold.price, prompt_tokens, answer_tokens):
        return Budget(answer_tokens, limited=False)
    affordable = prices.affordable_tokens(hold.price, prompt_tokens, amount)
    return Budget(answer_tokens if affordable is None else affordable, limited=True)


def _room(purse: Purse, person: User, wanted: int, held: int = 0) -> int:
    """How much a hold that has `held` may have. Gives what the person has coming, if that falls
    short of what is wanted. Less than is held, when money was taken back since."""
    if purse.available_micro_usd + held < wanted:
        grants.give_initial_credit(purse, person)
    return max(purse.available_micro_usd + held, 0)


def _refusal(purse: Purse, amount: int) -> OutOfCredit:
    return CreditHeld() if amount <= purse.balance_micro_usd else OutOfCredit()


def _lock_both(person: User, hold_key: str) -> tuple[Purse, Hold | None]:
    """The person's purse and the open hold in it. One in another purse is closed: the chat was
    brought to this account in the meantime, which pays from here on."""
    found = Hold.objects.filter(key=hold_key, state=Hold.State.OPEN)
    purses = ledger.lock_purses({person.id, *found.values_list("purse_id", flat=True)})
    mine = purses.pop(person.id)
    for other in purses.values():
        if left := _open_hold(hold_key, other):
            _close(left, other)
    return mine, _open_hold(hold_key, mine)


def _open_hold(hold_key: str, purse: Purse) -> Hold | None:
    """As it is now that the purse is locked."""
    holds = Hold.objects.select_related("price")
    return holds.filter(key=hold_key, purse=purse, state=Hold.State.OPEN).first()


def _count(call: Call, used: Used | None, hold: Hold | None, purse: Purse | None = None) -> None:
    if used is None or Usage.objects.filter(key=call.key).exists():
        return
    if hold is not None and purse is not None and hold.attempt == call.attempt:
        cost = _cost(hold.price, used)
        charged = min(cost, hold.amount_micro_usd)
        is_new = _write_usage(call, used, cost, charged, hold.price, "", hold.purse_id)
        if is_new and charged:
            ledger.charge(
                purse, hold, charged, key=call.key, price_id=hold.price_id, reason=call.purpose
            )
    elif not call.free and (price := prices.current(call.model)):
        # Its hold is gone: the person has left, or an operator has let it go.
        _write_usage(call, used, _cost(price, used), 0, price, "", call.person_id)
    else:
        free = call.free or Usage.Free.HOUSE
        # What the operator pays for is of interest to the operator, where the provider tells it.
        cost = used.cost_micro_usd or 0 if free == Usage.Free.HOUSE else 0
        _write_usage(call, used, cost, 0, None, free, call.person_id)


def _write_usage(
    call: Call,
    used: Used,
    cost: int,
    charged: int,
    price: Price | None,
    free: str,
    person_id: uuid.UUID,
) -> bool:
    """False: it is there. Free calls lock nothing, so another process may just have written it."""
    _, is_new = Usage.objects.get_or_create(
        key=call.key,
        defaults={
            "person_id": person_id,
            "purpose": call.purpose,
            "chat_id": call.chat_id,
            "reply_id": call.reply_id,
            "attempt": call.attempt,
            "model": call.model,
            "day": timezone.now().astimezone(UTC).date(),
            "prompt_tokens": used.prompt_tokens,
            "completion_tokens": used.completion_tokens,
            "cached_tokens": used.cached_tokens,
            "reasoning_tokens": used.reasoning_tokens,
            "cache_write_tokens": used.cache_write_tokens,
            "estimated": used.estimated,
            "cost_micro_usd": cost,
            "cost_by_provider": price is not None and used.cost_micro_usd is not None,
            "charged_micro_usd": charged,
            "free": free,
            "price": price,
        },
    )
    return is_new


def _cost(price: Price, used: Used) -> int:
    """The provider's own figure, else by the price."""
    if used.cost_micro_usd is not None:
        return used.cost_micro_usd
    return prices.cost_of(price, used)


def _close(hold: Hold, purse: Purse) -> None:
    hold.amount_micro_usd, hold.state = 0, Hold.State.CLOSED
    hold.save(update_fields=["amount_micro_usd", "state", "updated_at"])
    ledger.notify_after_commit(purse.person_id)


def most_answer_tokens(context_tokens: int, prompt_tokens: int, model_limit: int | None) -> int:
    """How long an answer on credit may be at most, credit aside."""
    room = max(context_tokens - prompt_tokens, MIN_ANSWER_TOKENS)
    return min(room, model_limit or room, settings.CREDIT_MAX_ANSWER_TOKENS)
