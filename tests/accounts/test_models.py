"""People and guests: constraints of the database."""

import uuid
from io import StringIO

import pytest
from django.contrib.auth import authenticate
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import User

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def refused(**fields):
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.create(password="!", **fields)


def test_an_account_has_an_email_and_a_guest_has_none():
    refused(is_guest=False, email=None)
    refused(is_guest=True, email="alice@example.org")
    User.objects.create(is_guest=True)
    User.objects.create(is_guest=True)
    User.objects.create(email="alice@example.org")


def test_an_email_is_taken_once_in_whatever_case():
    User.objects.create_user("alice@example.org", "secret")
    for email in ("alice@example.org", "Alice@Example.org", "ALICE@EXAMPLE.ORG"):
        refused(email=email)


def test_an_update_is_checked_as_well():
    guest = User.objects.create(is_guest=True)
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.filter(id=guest.id).update(is_guest=False)
    assert User.objects.filter(id=guest.id).update(is_guest=False, email="a@example.org") == 1


@pytest.mark.parametrize("email", ["", None])
def test_nobody_is_made_without_an_email(email):
    with pytest.raises(ValueError, match="email"):
        User.objects.create_user(email, "secret")


def test_signing_up_keeps_id_and_log():
    guest = User.objects.create(is_guest=True)
    stream = guest.stream
    guest.is_guest, guest.email = False, "alice@example.org"
    guest.save(update_fields=["is_guest", "email"])
    assert User.objects.get(id=guest.id).stream == stream == f"u:{guest.id.hex}"


def test_ids_are_random():
    assert isinstance(User().id, uuid.UUID) and User().id != User().id


def test_a_guest_cannot_sign_in_by_a_password():
    User.objects.create(is_guest=True, password="!")
    for name in (None, "", "None"):
        assert authenticate(username=name, password="!") is None
    User.objects.create_user("alice@example.org", "secret")
    assert authenticate(username="alice@example.org", password="secret") is not None
    assert authenticate(username="alice@example.org", password="wrong") is None


def test_the_command_makes_an_administrator_who_can_sign_in_on_the_site(client, redis_url):
    """Without a code by mail, which a new site may not be able to send."""
    call_command("createsuperuser", interactive=False, email="Root@Example.org")
    root = User.objects.get()
    assert root.is_staff and root.is_superuser and not root.is_guest
    root.set_password("correct horse")
    root.save()
    client.post("/account/login/", {"login": "ROOT@example.org", "password": "correct horse"})
    assert client.session["_auth_user_id"] == str(root.id)
    with pytest.raises(CommandError, match="already taken"):
        call_command("createsuperuser", interactive=False, email="ROOT@example.org")


def test_an_account_is_made_an_administrator():
    alice = User.objects.create_user("alice@example.org", "secret")
    assert not User.objects.administrators().exists()
    call_command("make_superuser", "Alice@example.org", stdout=StringIO())
    assert list(User.objects.administrators()) == [alice]


@pytest.mark.parametrize("wrong", [{"is_active": False}, {"deletion_due_at": timezone.now()}])
def test_nobody_who_may_not_act_is_made_an_administrator(wrong):
    User.objects.create_user("alice@example.org", "secret", **wrong)
    for address in ("alice@example.org", "nobody@example.org"):
        with pytest.raises(CommandError):
            call_command("make_superuser", address)
    assert not User.objects.filter(is_superuser=True).exists()


def test_erasing_a_person_erases_their_chats():
    from django.utils import timezone

    from chat.models import Chat, Reply

    alice = User.objects.create(is_guest=True)
    chat = Chat.objects.create(id=uuid.uuid4(), owner=alice, updated_at=timezone.now())
    first = Reply.objects.create(
        id=uuid.uuid4(), chat=chat, prompt_id=uuid.uuid4(), model="x", state="done"
    )
    Reply.objects.create(
        id=uuid.uuid4(), chat=chat, prompt_id=uuid.uuid4(), model="x", state="queued", parent=first
    )
    chat.tip = first
    chat.save(update_fields=["tip"])
    alice.delete()
    assert not Chat.objects.exists() and not Reply.objects.exists()
