"""A data folder of an earlier version opens without a manual step, and nothing is missing."""

import asyncio
import json

import pytest

from tests.data_folders.write import MODEL, Person, environment, rows, unpack
from tests.fake_model import running_fake_model
from tests.stack import wait_for

CHARGES = "SELECT attempt, charged_micro_usd FROM billing_usage WHERE reply_id = ? ORDER BY attempt"
TAKEN = "SELECT -SUM(amount_micro_usd) FROM billing_ledgerentry WHERE reply_id = ?"
OF_GUESTS = "owner_id IN (SELECT id FROM accounts_user WHERE is_guest)"
KEYS = "1:" + 43 * "A" + "="
NEWER_SETTINGS = {"answer_notifications": True, "pinned_models": []}


@pytest.fixture
def model():
    with running_fake_model() as running:
        running.list_models(MODEL)
        yield running


@pytest.fixture
def opened(make_stack, model, tmp_path):
    """Starts a stack on the folder; returns it with the folder's expected content."""
    wrote = unpack("eadb514", tmp_path)
    options = {"model_url": model.base_url, "env": environment(model), "workers": 1}
    stack = make_stack(data=tmp_path, **options)
    return stack.start(), wrote


async def test_it_opens_with_all_that_is_in_it(opened):
    stack, wrote = opened
    async with Person(stack.url) as anna:
        await anna.sign_in()
        await look_at_the_answer(stack, anna, **wrote["running"])
        await look_at_what_was_said(anna, wrote["anna"], wrote["running"]["chat"])
    await asyncio.to_thread(look_at_the_books, stack)
    await asyncio.to_thread(look_at_the_key, stack)
    look_at_the_guest(stack, wrote["guest"])


async def look_at_the_answer(stack, anna, *, chat, reply, text):
    """The answer continues in the message that the killed worker had begun."""
    said = await anna.messages(chat)
    assert [[*message[2:]] for message in said if message[0] == reply] == [
        ["assistant", "done", text]
    ]
    reply_id = reply.replace("-", "")
    wait_for(lambda: len(rows(stack.data, CHARGES, reply_id)) == 2, 20)
    charges = rows(stack.data, CHARGES, reply_id)
    assert [attempt for attempt, _ in charges] == [1, 2]
    assert rows(stack.data, TAKEN, reply_id) == [(sum(amount for _, amount in charges),)]


async def look_at_what_was_said(anna, had, running):
    found = await anna.everything()
    # A setting that is newer than the folder has its default.
    newer = found["settings"].keys() - had["settings"].keys()
    assert {name: found["settings"].pop(name) for name in newer} == NEWER_SETTINGS
    assert running in [chat for chat, _ in found["chats"]]
    found["chats"] = [chat for chat in found["chats"] if chat[0] != running]
    del found["messages"][running]
    assert {part: found[part] for part in had} == had
    picture = await anna.http.get(found["settings"]["picture"]["64"])
    assert picture.headers["content-type"] == "image/webp" and picture.content


def look_at_the_books(stack):
    assert rows(stack.data, "SELECT COUNT(*) FROM billing_hold WHERE state = 'open'") == [(0,)]
    assert rows(stack.data, "SELECT SUM(held_micro_usd) FROM billing_purse") == [(0,)]
    audit = stack.manage("audit_ledger", "--json")
    found = json.loads(audit.stdout)
    assert (audit.returncode, found["differences"]) == (0, [])


def look_at_the_key(stack):
    """The stored key decrypts, because it can be encrypted again with a new key."""
    stack.env["HOLDFAST_KEY_ENCRYPTION_KEYS"] = KEYS
    done = stack.manage("rotate_keys")
    assert done.stdout.splitlines()[-1] == "1 keys are now encrypted with version 1.", done.stderr


def look_at_the_guest(stack, had):
    """Checks the guest in the database, because the guest's session may have expired."""
    drafts = rows(stack.data, f"SELECT text FROM chat_draft WHERE {OF_GUESTS}")
    assert [text for (text,) in drafts] == [text for _, text, _ in had["drafts"]]
    chats = rows(stack.data, f"SELECT id, title FROM chat_chat WHERE {OF_GUESTS}")
    assert [list(chat) for chat in chats] == [
        [chat.replace("-", ""), title] for chat, title in had["chats"]
    ]
