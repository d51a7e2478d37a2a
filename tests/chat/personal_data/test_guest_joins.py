"""A guest becomes an account or joins one: nothing is lost or doubled, whatever crashes."""

import asyncio
import uuid

import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient

from accounts.guests import expire as idle_guests
from accounts.guests import merge as guest_joins
from accounts.guests import upgrade as guest_accounts
from accounts.models import GuestJoin, User
from chat.models import Chat, Reply
from chat.personal_data import merge_guest
from streams.log import get_log
from tests.accounts.people import PASSWORD
from tests.chat.conftest import Person
from tests.chat.personal_data.account_forms import account, form, sign_in, sign_up
from tests.chat.personal_data.written_chat import shown, written_chat
from tests.folding import fold_entries

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


# Becoming an account


async def test_signing_up_makes_the_guest_the_account(alice, worker, mailbox):
    _, reply = await alice.send("Remember me")
    await alice.settled(reply)
    before, guest_id = await alice.kept(), alice.user["id"]
    old_key = alice.client.cookies["sessionid"].value
    response = await sign_up(alice, mailbox)
    assert response.status_code == 302
    user = await User.objects.aget(email="alice@example.org")
    assert str(user.id) == guest_id and not user.is_guest and await User.objects.acount() == 1
    assert await alice.entries() == before
    assert alice.client.cookies["sessionid"].value != old_key
    assert (await alice.client.get(f"/c/{alice.chat}")).status_code == 200
    thief = AsyncClient()
    thief.cookies["sessionid"] = old_key
    assert (await thief.get("/api/chats")).status_code == 401


async def test_an_answer_goes_on_while_its_guest_signs_up(alice, worker, mailbox):
    _, reply = await alice.send("[[tokens=60&rate=40]] go on")
    await alice.until(reply, lambda message: len(str(message.text)) > 0)
    await sign_up(alice, mailbox)
    message = await alice.settled(reply)
    assert message.status == "done" and message.seams == []


async def test_until_the_address_is_confirmed_the_guest_stays_a_guest(alice, worker, mailbox):
    _, reply = await alice.send("Still a guest")
    await alice.settled(reply)
    await form(alice, "/account/signup/", email="alice@example.org", password1=PASSWORD)
    assert (await alice.client.get("/api/chats")).json()["chats"]
    guest = await alice.row()
    assert guest.is_guest


async def test_the_cookie_of_the_guest_never_opens_the_account(alice, worker, mailbox):
    await alice.send("Mine")
    cookie = alice.client.cookies["hf_visitor"].value
    await sign_up(alice, mailbox)
    thief = Person()
    thief.client.cookies["hf_visitor"] = cookie
    body = {
        "id": str(uuid.uuid4()),
        "text": "hello",
        "model": "openai/script/known",
        "parent": None,
    }
    response = await thief.post(f"/api/chats/{alice.chat}/messages", **body)
    assert response.status_code == 401
    await alice.client.get("/")
    # The cookie was deleted, so the next guest is a different one.
    assert not alice.client.cookies["hf_visitor"].value


@pytest.mark.parametrize("cookie_stays", [False, True])
async def test_after_signing_up_and_out_the_next_guest_is_another(
    alice, worker, mailbox, cookie_stays
):
    await alice.send("Mine")
    cookie, first = alice.client.cookies["hf_visitor"].value, alice.user["id"]
    await sign_up(alice, mailbox)  # No page of chats is opened between here and the sign-out.
    assert not alice.client.cookies["hf_visitor"].value
    await form(alice, "/account/logout/")
    if cookie_stays:  # The response that deleted it got lost.
        alice.client.cookies["hf_visitor"] = cookie
    await alice.visit()
    alice.chat = str(uuid.uuid4())
    await alice.send("Somebody new")
    assert alice.user["id"] != first and alice.user["is_guest"]


async def test_becoming_that_crashes_leaves_both_as_they_were(alice, worker, mailbox, monkeypatch):
    await alice.send("Mine")
    guest = await alice.row()
    made = await sync_to_async(User.objects.create_user)("alice@example.org", PASSWORD)
    real = User.save

    def dies(self, *args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(User, "save", dies)
    with pytest.raises(KeyboardInterrupt):
        await sync_to_async(guest_accounts.become)(guest, made)
    monkeypatch.setattr(User, "save", real)
    assert await User.objects.acount() == 2
    assert await sync_to_async(guest_accounts.become)(guest, made)
    assert made.id == guest.id and made.email == "alice@example.org"
    assert not await sync_to_async(guest_accounts.become)(guest, made)


# Joining an account


async def test_signing_in_brings_the_chats_along(alice, worker, mailbox):
    first, reply = await alice.send("First")
    await alice.settled(reply)
    _, second = await alice.send("Second", parent=reply)
    await alice.settled(second)
    before, guest_id = shown(await alice.transcript()), alice.user["id"]
    user = await account()
    response = await sign_in(alice, next=f"/c/{alice.chat}")
    page = await alice.client.get(response["Location"])
    assert page.status_code == 200
    alice.user = {"id": str(user.id)}
    assert shown(await alice.transcript()) == before
    assert [chat["id"] for chat in (await alice.client.get("/api/chats")).json()["chats"]] == [
        alice.chat
    ]
    await GuestJoin.objects.aupdate(moved_at=user.created_at.replace(year=2020))
    await guest_joins.carry_on_all()
    assert not await User.objects.filter(id=guest_id).aexists()
    assert await get_log().tail(f"u:{uuid.UUID(guest_id).hex}") == "0-0"
    assert shown(await alice.transcript()) == before


async def test_an_answer_that_is_running_goes_on_in_the_accounts_log(alice, worker, mailbox):
    _, reply = await alice.send("[[tokens=120&rate=30]] a long one")
    await alice.until(reply, lambda message: len(str(message.text)) > 20)
    user = await account()
    await sign_in(alice)
    await alice.client.get("/")
    alice.user = {"id": str(user.id)}
    message = await alice.settled(reply)
    assert message.status == "done"
    assert len(message.seams) == 1
    deltas = [e for e in await alice.entries() if e.type == "message.completed"]
    assert len(deltas) == 1


@pytest.mark.parametrize("after", range(1, 14))
async def test_a_join_killed_at_any_step_is_finished_by_the_next(
    alice, no_worker, after, monkeypatch
):
    """The process is killed at each call of the log or the database in turn."""
    guest = await sync_to_async(User.objects.create)(is_guest=True, password="!")
    user = await sync_to_async(User.objects.create_user)("alice@example.org", PASSWORD)
    chats = [await written_chat(guest, n) for n in range(2)]
    before = [shown(fold_entries(await get_log().read(guest.stream, chat=c))) for c in chats]
    await sync_to_async(guest_joins.record)(guest, user)
    join = await GuestJoin.objects.select_related("account").aget()
    left = {"calls": after}

    def counting(real):
        async def counted(*args, **kwargs):
            left["calls"] -= 1
            if left["calls"] < 0:
                raise KeyError("killed")
            result = await real(*args, **kwargs)
            if left["calls"] == 0 and after % 2:
                raise KeyError("killed after it was done")
            return result

        return counted

    with monkeypatch.context() as patch:
        log = get_log()
        for name in ("append", "read_page", "chats", "raise_fence", "erase"):
            patch.setattr(log, name, counting(getattr(log, name)))
        try:
            await guest_joins.carry_on(join)
            join.moved_at = user.created_at.replace(year=2020)
            await guest_joins.carry_on(join)
        except KeyError:
            pass
    for _ in range(2):  # Repeat it once more than necessary.
        await guest_joins.carry_on_all()
        await GuestJoin.objects.filter(finished_at=None).aupdate(
            moved_at=user.created_at.replace(year=2020)
        )
    await guest_joins.carry_on_all()
    after_all = [shown(fold_entries(await get_log().read(user.stream, chat=c))) for c in chats]
    assert after_all == before
    ids = [e.data for e in await get_log().read(user.stream)]
    assert len(ids) == len(set(ids))
    assert not await User.objects.filter(id=guest.id).aexists()
    assert await Chat.objects.filter(owner=user).acount() == 2
    assert (await GuestJoin.objects.aget()).finished_at


async def test_concurrent_moves_move_a_chat_once(alice, no_worker):
    guest = await sync_to_async(User.objects.create)(is_guest=True, password="!")
    user = await sync_to_async(User.objects.create_user)("alice@example.org", PASSWORD)
    chat = await written_chat(guest, 0)
    before = shown(fold_entries(await get_log().read(guest.stream, chat=chat)))
    await asyncio.gather(*(merge_guest.move_chats(guest, user, False) for _ in range(4)))
    assert shown(fold_entries(await get_log().read(user.stream, chat=chat))) == before
    ids = [e.data for e in await get_log().read(user.stream)]
    assert len(ids) == len(set(ids))


async def test_late_entries_are_moved_too(alice, no_worker):
    from chat import events as ev

    guest = await sync_to_async(User.objects.create)(is_guest=True, password="!")
    user = await sync_to_async(User.objects.create_user)("alice@example.org", PASSWORD)
    chat = await written_chat(guest, 0)
    await merge_guest.move_chats(guest, user, False)
    late = ev.ChatRenamed(chat=chat, title="late", by="user")
    await get_log().append(guest.stream, [ev.log_event(chat, late, "late")])
    await merge_guest.move_chats(guest, user, True)
    entries = await get_log().read(user.stream, chat=chat)
    assert b'"late"' in entries[-1].data


async def test_a_writer_in_the_guests_log_is_fenced_off(alice, no_worker):
    from streams.errors import FencedError
    from streams.log import Fence

    guest = await sync_to_async(User.objects.create)(is_guest=True, password="!")
    user = await sync_to_async(User.objects.create_user)("alice@example.org", PASSWORD)
    await written_chat(guest, 0)
    reply = await Reply.objects.aget()
    await merge_guest.move_chats(guest, user, False)
    with pytest.raises(FencedError):
        await get_log().raise_fence(guest.stream, Fence(name=str(reply.id), token=10_000))


# Idle guests


async def test_idle_guests_are_erased_with_their_log(alice, no_worker):
    guest = await sync_to_async(User.objects.create)(is_guest=True, password="!")
    chat = await written_chat(guest, 0)
    long_ago = guest.created_at.replace(year=2020)
    await User.objects.filter(id=guest.id).aupdate(created_at=long_ago)
    await Chat.objects.aupdate(updated_at=long_ago)
    assert await idle_guests.remove_idle_guests() == 0  # A reply is pending.
    await Reply.objects.aupdate(state="done", finished_at=long_ago)
    assert await idle_guests.remove_idle_guests() == 1
    assert not await User.objects.filter(id=guest.id).aexists()
    assert await get_log().read(guest.stream, chat=chat) == []


async def test_a_guest_who_returned_is_kept(alice, no_worker):
    guest = await sync_to_async(User.objects.create)(is_guest=True, password="!")
    await User.objects.filter(id=guest.id).aupdate(
        created_at=guest.created_at.replace(year=2020), last_login=guest.created_at
    )
    assert await idle_guests.remove_idle_guests() == 0
