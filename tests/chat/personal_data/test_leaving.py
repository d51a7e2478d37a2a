"""Deleting an account: no data of the person remains, whichever process is killed meanwhile."""

import asyncio
import contextlib
import itertools
import uuid
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from allauth.account.models import EmailAddress
from asgiref.sync import sync_to_async
from django.apps import apps
from django.conf import settings as project
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.files.storage import default_storage
from django.db import connection
from django.test import AsyncClient
from django.utils import timezone

from accounts import limits, mail
from accounts.models import Export, GuestJoin, SecurityEvent, Session, User
from accounts.personal_data import (
    deletion_request as leaving,
)
from accounts.personal_data import (
    erase as erasing,
)
from accounts.personal_data import (
    export as exports,
)
from accounts.personal_data import (
    handlers as account_handlers,
)
from billing.grants import on_signed_in
from billing.models import Purse
from chat.models import Chat, ErasedChat, Reply
from chat.personal_data import erase as chat_erasing
from streams.log import get_log
from tests.accounts.mailbox import code_in, html_of, text_of
from tests.accounts.people import PASSWORD
from tests.chat.conftest import MODEL, Person
from tests.chat.personal_data.account_forms import account, form, mail_to, prove, sign_in, sign_up
from tests.chat.personal_data.written_chat import written_chat
from tests.chat.websocket.socket_client import Socket

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]
Kind = SecurityEvent.Kind
MARK = "Qzxmark"
DELETE = "/settings/data/delete"


@pytest.fixture
def soon(monkeypatch):
    """Shorten the waits for late writes."""
    monkeypatch.setattr(erasing, "LATE_S", 1)


async def ask(person, email="alice@example.org"):
    await prove(person)
    return await form(person, DELETE, confirmation=email)


async def make_due(person_id):
    await User.objects.filter(id=person_id).aupdate(deletion_due_at=timezone.now())


async def until_gone(person_id):
    async with asyncio.timeout(60):
        while await User.objects.filter(id=person_id).aexists():
            await erasing.carry_on_all()
            await asyncio.sleep(0.1)


# Searching all storage


def everywhere(url):
    """Every stored text with its place in Redis, the database or a file."""
    with redis.Redis.from_url(url) as client:
        for key in client.scan_iter(count=1_000):
            yield f"redis {key!r}", key
            for part in _parts(client, key):
                yield f"redis {key!r}", part
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            for row in cursor.fetchall():
                yield f"table {table}", repr(row).encode()
    for row in Session.objects.all():
        yield "a session", repr(row.get_decoded()).encode()
    for path in Path(project.MEDIA_ROOT).rglob("*"):
        yield f"file {path}", str(path).encode()
        if path.is_file():
            yield f"file {path}", path.read_bytes()
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as archive:
                    for name in archive.namelist():
                        yield f"file {path}", name.encode() + archive.read(name)


def _parts(client, key):
    match client.type(key):
        case b"string":
            yield client.get(key)
        case b"hash":
            for name, value in client.hgetall(key).items():
                yield name + b" " + value
        case b"list":
            yield from client.lrange(key, 0, -1)
        case b"set":
            yield from client.smembers(key)
        case b"zset":
            yield from client.zrange(key, 0, -1)
        case b"stream":
            for entry, fields in client.xrange(key):
                yield entry + b" ".join(itertools.chain(*fields.items()))
            for group in client.xinfo_groups(key):
                yield repr(group).encode()
        case kind:
            raise AssertionError(f"a kind of key this does not know: {kind}")


def found(url, *needles):
    wanted = [needle.lower().encode() for needle in needles]
    return [
        where for where, text in everywhere(url) if any(needle in text.lower() for needle in wanted)
    ]


# The id of a person remains in the deletion and in amounts (docs/decisions/accounts.md).
KEPT = {
    "table accounts_securityevent",
    *(f"table billing_{name}" for name in ("purse", "ledgerentry", "hold", "usage", "topup")),
}


async def traces(*needles):
    return await sync_to_async(found)(project.REDIS_URL, *needles)


async def marked_account(smtp_sink):
    """An account with a marker text in every place that a person can write to."""
    alice = Person()
    alice.client = AsyncClient(headers={"user-agent": f"Firefox/1 {MARK} Linux"})
    await alice.visit()
    _, reply = await alice.send(f"{MARK} as a guest")
    await alice.settled(reply)
    email = f"{MARK.lower()}@example.org"
    await sign_up(alice, smtp_sink, email)
    alice.user = {"id": str((await User.objects.aget(email=email)).id)}
    stranger = AsyncClient(headers={"user-agent": f"Guesser {MARK}"})
    await stranger.post("/account/login/", {"login": email, "password": f"{MARK}-wrong"})
    await stranger.post("/account/login/code/", {"email": email})
    await alice.client.patch(
        f"/api/chats/{alice.chat}", {"title": f"Title {MARK}"}, content_type="application/json"
    )
    await alice.client.patch(
        "/api/settings", {"instructions": f"Be {MARK}"}, content_type="application/json"
    )
    for place in (alice.chat, None):
        draft = {"chat": place, "text": f"{MARK} begun", "pastes": [MARK], "age_ms": 0, "tab": ""}
        await alice.client.put("/api/drafts", draft, content_type="application/json")
    deleted = str(uuid.uuid4())
    _, reply = await alice.send(f"{MARK} in a deleted chat", chat=deleted)
    await alice.settled(reply, deleted)
    await alice.client.delete(f"/api/chats/{deleted}")
    user = await alice.row()
    await User.objects.filter(id=user.id).aupdate(name=f"Name {MARK}")
    await sync_to_async(EmailAddress.objects.create)(
        user=user, email=f"second-{email}", verified=True
    )
    operator = await sync_to_async(User.objects.create_superuser)("op@example.org", "x")
    await sync_to_async(LogEntry.objects.log_actions)(
        operator.id, [user], CHANGE, change_message=f"changed {MARK}", single_object=True
    )
    return alice, user, email


# Complete deletion


async def test_nothing_of_a_person_remains(redis_url, worker, mailbox, soon, settings):
    settings.LIMIT_SIGN_INS_PER_MINUTE_ADDRESS = 100
    settings.LIMIT_SENDS_PER_MINUTE_ACCOUNT = 100
    alice, user, email = await marked_account(mailbox)
    # There are a finished archive, a running answer, and another one in the queue.
    await sync_to_async(exports.ask)(user)
    while not await sync_to_async(exports.ready_export)(user):
        await exports.make_next()
    chat = str(uuid.uuid4())
    _, running = await alice.send(f"[[tokens=4000&rate=20]] {MARK} long", chat=chat)
    await alice.until(running, lambda message: len(str(message.text)) > 20, chat)
    _, waiting = await alice.send(f"{MARK} waits", chat=chat, parent=running)
    assert (await Reply.objects.aget(id=waiting)).state == "waiting"

    id_forms = (str(user.id), user.id.hex)
    everything = await traces(MARK, *id_forms)
    for kind in (
        "redis",
        "table accounts_securityevent",
        "table chat_chat",
        "table chat_draft",
        "a session",
        "file",
    ):
        assert any(where.startswith(kind) for where in everything), kind

    assert (await ask(alice, email)).status_code == 200
    assert "will be deleted" in (await mail_to(mailbox, email))["Subject"]
    await make_due(user.id)
    await until_gone(user.id)

    # Their text may be in the session of another visitor who typed it; it expires within a day.
    typed = set(await traces(MARK))
    assert typed <= {"a session"}
    await Session.objects.filter(person_id=None, expire_date__lt=in_days(2)).adelete()
    assert await traces(MARK, email) == []
    kept = set(await traces(*id_forms))
    assert "table accounts_securityevent" in kept and kept <= KEPT
    event = await SecurityEvent.objects.aget(person_id=user.id)
    assert (event.kind, event.address, event.user_agent, event.note) == ("deleted", "", "", "")
    assert "has been deleted" in (await mail_to(mailbox, email))["Subject"]
    assert await Reply.objects.acount() == 0
    assert (await LogEntry.objects.aget()).object_repr == "somebody who was deleted"


def in_days(days):
    return timezone.now() + timedelta(days=days)


# Kills at any step

STEPS = (
    (leaving, "begin"),
    (erasing, "end_everything"),
    (erasing, "_send_mail"),
    (erasing, "_finish"),
    (account_handlers, "_erase"),
    (account_handlers, "rate_limit_keys"),
    (account_handlers, "_clean_admin_log"),
    (exports, "remove_files"),
    (limits, "forget"),
    (mail, "send"),
    (chat_erasing, "_unfinished"),
    (chat_erasing, "_remove_rows"),
)


class Killed(BaseException):
    """Stands for a kill: no code catches it."""


async def test_erasing_killed_at_any_step_and_repeated_ends_the_same(
    no_worker,
    redis_url,
    mailbox,
    monkeypatch,
):
    monkeypatch.setattr(erasing, "LATE_S", 0)
    deaths = 0
    for step in itertools.count():
        user = await account(f"{MARK}-{step}@example.org")
        for number in range(2):
            await written_chat(user, number)
        guest = await sync_to_async(User.objects.create)(is_guest=True, password="!")
        await written_chat(guest, 7)
        await GuestJoin.objects.acreate(guest_id=guest.id, account=user)
        await sync_to_async(_stored_export)(user)
        await make_due(user.id)
        with monkeypatch.context() as patch:
            fate = _fated(patch, step)
            with contextlib.suppress(Killed):
                await erasing.carry_on_all()
        deaths += fate.dead
        for _ in range(2):  # Repeat it once more than necessary.
            await erasing.carry_on_all()
        assert await traces(f"{MARK}-{step}@", str(guest.id), guest.id.hex) == []
        assert set(await traces(str(user.id), user.id.hex)) <= KEPT
        assert await SecurityEvent.objects.filter(person_id=user.id).acount() == 1
        if not fate.dead:
            break
    assert deaths > 2 * len(STEPS)


def _stored_export(user):
    from django.core.files.base import ContentFile

    row = Export.objects.create(person=user, state=Export.State.READY, attempt=2)
    for attempt in (1, 2):
        default_storage.save(row.file_name(attempt), ContentFile(f"{user.id} {MARK}".encode()))


class Fate:
    """The process is killed before (even `number`) or after (odd `number`) a call."""

    def __init__(self, number):
        self.calls_left, self.after = number // 2 + 1, number % 2 == 1
        self.dead = False

    def began(self):
        self._die(self.dead)
        self.calls_left -= 1
        self._die(self.calls_left == 0 and not self.after)

    def ended(self):
        self._die(self.calls_left <= 0)

    def _die(self, now):
        if now:
            self.dead = True
            raise Killed

    def sync(self, real):
        def counted(*args, **kwargs):
            self.began()
            result = real(*args, **kwargs)
            self.ended()
            return result

        return counted

    def asynchronous(self, real):
        async def counted(*args, **kwargs):
            self.began()
            result = await real(*args, **kwargs)
            self.ended()
            return result

        return counted


def _fated(patch, number):
    fate = Fate(number)
    for module, name in STEPS:
        patch.setattr(module, name, fate.sync(getattr(module, name)))
    for name in ("raise_fence", "erase"):
        patch.setattr(get_log(), name, fate.asynchronous(getattr(get_log(), name)))
    return fate


async def test_two_workers_at_once_erase_once(no_worker, redis_url, mailbox, monkeypatch):
    monkeypatch.setattr(erasing, "LATE_S", 0)
    user = await account()
    await written_chat(user, 1)
    await make_due(user.id)
    await asyncio.gather(*(erasing.carry_on_all() for _ in range(3)))
    assert await SecurityEvent.objects.filter(kind=Kind.DELETED).acount() == 1
    assert [to for to, _ in mailbox.mails] == ["alice@example.org"]


# The grace period


async def test_an_account_that_is_due_for_deletion_can_only_be_kept(alice, worker, mailbox):
    await sign_up(alice, mailbox)
    other = Person()
    await other.visit()
    await sign_in(other)
    _, reply = await other.send("[[tokens=4000&rate=20]] long")
    await other.until(reply, lambda message: len(str(message.text)) > 20)
    async with Socket(other) as socket:
        await socket.until_type("welcome")
        page = await ask(alice)
        assert page.status_code == 200 and "signed out everywhere" in page.content.decode()
        assert await socket.until_closed() == 4401
    assert (await other.client.get("/api/chats")).status_code == 401
    said = await mail_to(mailbox, "alice@example.org")
    assert "/settings/leaving" in text_of(said) and "/settings/leaving" in html_of(said)

    back = Person()
    await back.visit()
    response = await sign_in(back)
    assert response.status_code == 302
    for path in ("/", f"/c/{other.chat}", "/settings", "/settings/data", "/account/email/"):
        response = await back.client.get(path)
        assert (response.status_code, response["Location"]) == (302, "/settings/leaving"), path
    refused = await back.post(
        f"/api/chats/{other.chat}/messages",
        id=str(uuid.uuid4()),
        text="x",
        model=MODEL,
        parent=None,
    )
    assert refused.status_code == 403 and refused.json()["error"]["code"] == "leaving"
    async with Socket(back) as socket:
        assert await socket.until_closed() == 4401
    back.user = other.user
    assert (await back.settled(reply, other.chat)).status == "stopped"
    page = (await back.client.get("/settings/leaving")).content.decode()
    assert "Keep my account" in page and "Sign out" in page

    assert (await form(back, "/settings/leaving"))["Location"] == "/settings"
    assert (await back.client.get("/api/chats")).status_code == 200
    assert "stays" in (await mail_to(mailbox, "alice@example.org"))["Subject"]
    events = [event.kind async for event in SecurityEvent.objects.order_by("id")]
    assert events[-1] == Kind.DELETION_CANCELLED and Kind.DELETION_ASKED in events
    assert await Chat.objects.acount() == 1
    # It can be requested again.
    await ask(back)
    assert (await User.objects.aget()).is_leaving


async def test_deleting_requires_proof_and_the_address(alice, no_worker, mailbox):
    await sign_up(alice, mailbox)
    response = await alice.client.get(DELETE)
    assert response.status_code == 302 and "reauthenticate" in response["Location"]
    response = await form(alice, DELETE, confirmation="alice@example.org")
    assert response.status_code == 302 and not (await User.objects.aget()).is_leaving
    await prove(alice)
    for wrong in ("", "bob@example.org", "delete"):
        response = await form(alice, DELETE, confirmation=wrong)
        assert b"Nothing has been deleted" in response.content
        assert not (await User.objects.aget()).is_leaving
    response = await form(alice, DELETE, confirmation=" Alice@Example.org ")
    assert response.status_code == 200
    assert response["Clear-Site-Data"] == '"cache", "storage"'
    assert (await User.objects.aget()).is_leaving


async def test_somebody_without_a_password_signs_in_once_more(alice, no_worker, mailbox):
    user = await account()
    user.set_unusable_password()
    await user.asave()
    await form(alice, "/account/login/code/", email=user.email)
    code = code_in(await mail_to(mailbox, user.email))
    await form(alice, "/account/login/code/confirm/", code=code)
    assert (await alice.client.get(DELETE)).status_code == 200  # The person has just signed in.
    session = await alice.client.asession()
    records = await session.aget("account_authentication_methods")
    await session.aset(
        "account_authentication_methods", [one | {"at": one["at"] - 3_600} for one in records]
    )
    await session.asave()
    response = await alice.client.get(DELETE)
    assert response["Location"] == "/account/login/?next=%2Fsettings%2Fdata%2Fdelete"
    assert (await alice.client.get("/settings")).status_code == 302


async def test_the_only_operator_cannot_leave(no_worker, redis_url):
    operator = await sync_to_async(User.objects.create_superuser)("op@example.org", PASSWORD)
    person = Person()
    await person.client.aforce_login(operator)
    await prove(person)
    response = await form(person, DELETE, confirmation="op@example.org")
    assert b"only operator" in response.content
    assert not (await User.objects.aget()).is_leaving


async def test_a_guest_is_erased_at_once(alice, worker, soon):
    _, reply = await alice.send(f"[[tokens=4000&rate=20]] {MARK}")
    await alice.until(reply, lambda message: len(str(message.text)) > 20)
    assert (await alice.client.get(DELETE)).status_code == 200
    async with Socket(alice) as socket:
        await socket.until_type("welcome")
        page = await form(alice, DELETE)
        assert page.status_code == 200
        assert page["Clear-Site-Data"] == '"cache", "storage"'
        assert await socket.until_closed() == 4401
    guest_id = uuid.UUID(alice.user["id"])
    await until_gone(guest_id)
    assert await traces(MARK) == []
    assert set(await traces(str(guest_id), guest_id.hex)) <= KEPT
    # The next visitor becomes a different guest.
    await alice.visit()
    _, reply = await alice.send("Hello again")
    assert alice.user["id"] != str(guest_id)


async def test_a_guests_chats_are_not_moved_to_an_account_that_leaves(alice, no_worker, mailbox):
    await alice.send("Mine")
    user = await account()
    await User.objects.filter(id=user.id).aupdate(deletion_due_at=in_days(3))
    await sign_in(alice)
    assert await GuestJoin.objects.acount() == 0
    assert (await alice.row()).is_active


async def test_operators_can_cancel_or_hasten_a_deletion(no_worker, redis_url, mailbox):
    user, other = await account(), await account("bob@example.org")
    await User.objects.filter(id=user.id).aupdate(deletion_due_at=in_days(5))
    operator = await sync_to_async(User.objects.create_superuser)("op@example.org", "x")
    client = AsyncClient()
    await client.aforce_login(operator)

    async def act(action):
        chosen = [str(user.id), str(other.id)]
        body = {"action": action, "_selected_action": chosen, "reason": "They rang"}
        asked = await client.post("/admin/accounts/user/", body)
        assert asked.status_code == 200 and b"They rang" not in asked.content[:0]
        return await client.post("/admin/accounts/user/", body | {"confirmed": "yes"})

    await act("hasten_deletions")
    await user.arefresh_from_db()
    await other.arefresh_from_db()
    assert user.deletion_due_at <= timezone.now() and other.deletion_due_at is None
    await act("cancel_deletions")
    await user.arefresh_from_db()
    assert user.deletion_due_at is None
    [event] = [event async for event in SecurityEvent.objects.filter(kind=Kind.DELETION_CANCELLED)]
    assert event.operator_id == operator.id and event.note == "They rang"
    assert "stays" in (await mail_to(mailbox, "alice@example.org"))["Subject"]
    # Deleting only the row is not possible.
    assert (await client.get(f"/admin/accounts/user/{user.id}/delete/")).status_code == 403


async def test_a_deletion_that_has_begun_cannot_be_cancelled(no_worker, redis_url, monkeypatch):
    user = await account()
    await make_due(user.id)
    await erasing.carry_on_all()
    await user.arefresh_from_db()
    assert user.deletion_begun_at and not user.is_active
    operator = await sync_to_async(User.objects.create_superuser)("op@example.org", "x")
    assert not await sync_to_async(leaving.cancel)(user, operator, "too late")
    assert await User.objects.filter(id=user.id).aexists()  # The deletion waits for late writes.


async def test_a_returning_address_gets_no_second_sign_up_credit(no_worker, redis_url, monkeypatch):
    monkeypatch.setattr(erasing, "LATE_S", 0)
    user = await account("Alice@example.org")
    await sync_to_async(on_signed_in)(user)
    given = (await Purse.objects.aget(person_id=user.id)).balance_micro_usd
    await make_due(user.id)
    await erasing.carry_on_all()
    again, other = await account("alice@example.org"), await account("bob@example.org")
    for person in (again, other):
        await sync_to_async(on_signed_in)(person)
    purses = {p.person_id: p.balance_micro_usd async for p in Purse.objects.all()}
    assert purses[again.id] == 0 and purses[other.id] == given > 0


# Deleted chats


async def deleted_chat(owner, hours_ago, *, running=False):
    chat = await written_chat(owner, 3)
    ago = timezone.now() - timedelta(hours=hours_ago)
    await Chat.objects.filter(id=chat).aupdate(deleted_at=ago)
    if not running:
        await Reply.objects.filter(chat_id=chat).aupdate(state="stopped", finished_at=ago)
    return chat


async def test_deleted_chats_are_erased_when_they_can_no_longer_be_restored(
    no_worker, redis_url, settings
):
    settings.CHAT_UNDO_HOURS = 24
    user = await account()
    gone = await deleted_chat(user, 25)
    fresh, busy = await deleted_chat(user, 23), await deleted_chat(user, 25, running=True)
    await chat_erasing.erase_deleted_chats()
    left = {str(chat_id) async for chat_id in Chat.objects.values_list("id", flat=True)}
    assert left == {fresh, busy}
    assert await get_log().read(user.stream, chat=gone) == []
    assert {entry.chat for entry in await get_log().read(user.stream)} == {fresh, busy}
    tombstone = await ErasedChat.objects.aget()
    assert str(tombstone.id) == gone and tombstone.finished_at


async def test_a_late_send_does_not_recreate_an_erased_chat(alice, no_worker, settings):
    settings.CHAT_UNDO_HOURS = 0
    message_id = str(uuid.uuid4())
    await alice.send("Hello", id=message_id)
    hour = timezone.now() - timedelta(hours=1)
    await Reply.objects.aupdate(state="done", finished_at=hour)
    await Chat.objects.aupdate(deleted_at=hour)
    await chat_erasing.erase_deleted_chats()
    body = {"id": message_id, "text": "Hello", "model": MODEL, "parent": None}
    response = await alice.post(f"/api/chats/{alice.chat}/messages", **body)
    assert response.status_code == 404
    assert await Chat.objects.acount() == 0 and await alice.entries() == []


async def test_a_chat_that_is_restored_at_the_last_moment_is_kept(
    no_worker, redis_url, monkeypatch
):
    user = await account()
    chat = await deleted_chat(user, 1_000)
    real = chat_erasing._expired_chats
    calls = []

    def brought_back():
        calls.append(1)
        if len(calls) == 2:  # This happens between the read and the lock.
            Chat.objects.filter(id=chat).update(deleted_at=None)
        return real()

    monkeypatch.setattr(chat_erasing, "_expired_chats", brought_back)
    await chat_erasing.erase_deleted_chats()
    assert await Chat.objects.filter(id=chat).aexists()
    assert await get_log().read(user.stream, chat=chat)


@pytest.mark.parametrize("dies", ["rows", "log", "log half", "note"])
async def test_erasing_a_chat_killed_at_any_step_ends_the_same(
    no_worker, redis_url, monkeypatch, dies
):
    user = await account()
    await deleted_chat(user, 1_000)
    other = await written_chat(user, 5)
    with monkeypatch.context() as patch:

        async def killed(*_, **__):
            raise Killed

        async def half(stream, name):
            await get_log()._read_pipe.execute("UNLINK", f"hf:{{{stream}}}:chat:{name}")
            raise Killed

        if dies == "rows":
            patch.setattr(chat_erasing, "_pending_erasures", lambda: (_ for _ in ()).throw(Killed))
        elif dies == "note":
            patch.setattr(type(ErasedChat.objects.all()), "aupdate", killed)
        else:
            patch.setattr(get_log(), "erase_chat", half if dies == "log half" else killed)
        with pytest.raises(Killed):
            await chat_erasing.erase_deleted_chats()
    for _ in range(2):
        await chat_erasing.erase_deleted_chats()
    assert {entry.chat for entry in await get_log().read(user.stream)} == {other}
    assert (await ErasedChat.objects.aget()).finished_at


def test_every_relation_to_a_person_is_covered():
    """Rows that refer to a person by id, without a relation, are not deleted by a cascade."""
    loose = {
        f"{model._meta.label}.{field.name}"
        for model in apps.get_models()
        for field in model._meta.get_fields()
        if getattr(field, "column", None) in ("person_id", "guest_id", "operator_id", "owner_id")
        and not getattr(field, "db_constraint", False)
    }
    assert loose <= {
        "accounts.SecurityEvent.person",  # Removed with the row, except DELETED.
        "accounts.SecurityEvent.operator_id",  # The id of the staff member remains.
        "accounts.GuestJoin.guest_id",  # Deleted with its account.
        "accounts.Session.person",  # accounts/personal_data/handlers.py
    } | {label for label in loose if label.startswith("billing.")}
