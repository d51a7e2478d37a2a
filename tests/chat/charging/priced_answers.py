"""Answers of a model with a price, and the charges for them."""

import asyncio
import uuid

from asgiref.sync import sync_to_async

from billing import audit, ledger
from billing.models import LedgerEntry, Usage
from chat.models import Reply

MODEL = "openrouter/script/known"
GUEST = 500_000
# As the fake's list has it: $10 for a million tokens in, $20 for a million out.
IN, OUT = 10, 20


async def send(person, text, **more):
    return await person.send(text, model=more.pop("model", MODEL), **more)


async def answered(person, text, **more):
    """Send a message and wait until its reply is charged; returns the id of the reply."""
    _, reply = await send(person, text, **more)
    await person.settled(reply, more.get("chat"))
    await ended(reply)
    return reply


async def ended(reply_id):
    async with asyncio.timeout(20):
        while (reply := await Reply.objects.aget(id=reply_id)).state in ("queued", "waiting"):
            await asyncio.sleep(0.02)
    return reply.state


async def balance(person):
    return await sync_to_async(ledger.balance)(uuid.UUID(person.user["id"]))


async def usage_of(reply_id):
    return [row async for row in Usage.objects.filter(reply_id=reply_id).order_by("attempt")]


async def charges_of(reply_id):
    found = LedgerEntry.objects.filter(reply_id=reply_id, kind="charge").order_by("number")
    return [-amount async for amount in found.values_list("amount_micro_usd", flat=True)]


def table_cost(usage):
    """The cost by the price of the model, where the provider reports none."""
    return usage.prompt_tokens * IN + usage.completion_tokens * OUT


async def differences():
    """The lines of an audit."""
    return (await audit.run()).differences
