"""The person who is read together with the session is the one Django would read after it."""

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, get_user
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.http import HttpRequest
from django.test.utils import CaptureQueriesContext

from accounts.models import Session, User
from accounts.session_store import SessionStore

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


@pytest.fixture
def key(client, alice):
    client.force_login(alice)
    return client.session.session_key


def person_of(key):
    return SessionStore(key).signed_in_person()


def django_returns(key):
    request = HttpRequest()
    request.session = SessionStore(key)
    return get_user(request)


def set_in_session(key, **data):
    store = SessionStore(key)
    store.update(data)
    store.save()


def test_one_statement_reads_the_session_and_its_person(key, alice):
    with CaptureQueriesContext(connection) as executed:
        assert person_of(key) == alice
    assert len(executed) == 1
    assert django_returns(key) == alice


def test_an_asynchronous_request_gets_the_same_person(key, alice):
    store = SessionStore(key)
    async_to_sync(store.aget)("anything")
    with CaptureQueriesContext(connection) as executed:
        assert store.signed_in_person() == alice
    assert len(executed) == 0


def test_there_is_nobody_in_a_session_that_was_never_stored():
    with CaptureQueriesContext(connection) as executed:
        assert SessionStore().signed_in_person() is None
    assert len(executed) == 0
    assert person_of("0" * 32) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda key, alice: alice.set_password("another") or alice.save(),
        lambda key, alice: User.objects.filter(id=alice.id).update(session_epoch=1),
        lambda key, alice: User.objects.filter(id=alice.id).update(is_active=False),
        lambda key, alice: alice.delete(),
        lambda key, alice: Session.objects.filter(session_key=key).delete(),
        lambda key, alice: set_in_session(key, **{HASH_SESSION_KEY: "forged"}),
        lambda key, alice: set_in_session(key, **{HASH_SESSION_KEY: ""}),
        lambda key, alice: set_in_session(key, **{BACKEND_SESSION_KEY: "removed.Backend"}),
    ],
    ids=[
        "another password",
        "all sessions ended",
        "suspended",
        "deleted",
        "signed out",
        "forged",
        "unsigned",
        "backend removed",
    ],
)
def test_a_session_that_django_refuses_has_nobody(key, alice, change):
    change(key, alice)
    assert person_of(key) is None
    assert isinstance(django_returns(key), AnonymousUser)


def test_a_session_of_another_person_has_nobody(key, alice):
    """The row names one person and the signed data another: Django believes the data."""
    other = User.objects.create_user("bob@example.org", "correct horse")
    Session.objects.filter(session_key=key).update(person=other)
    assert person_of(key) is None
    assert django_returns(key) == alice


def test_a_key_that_was_signed_with_the_former_secret_is_left_to_django(key, alice, settings):
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another" * 10, [settings.SECRET_KEY]
    assert person_of(key) is None
    assert django_returns(key) == alice


@pytest.mark.django_db
def test_only_a_stored_session_changes_its_key(django_assert_num_queries):
    """The key of a session that a visitor brings is never that of the session after a sign-in."""
    new = SessionStore()
    new["typed"] = "x"
    with django_assert_num_queries(0):
        new.cycle_key()
    new.save()
    before = new.session_key
    stored = SessionStore(before)
    stored.cycle_key()
    assert stored.session_key not in (None, before)
    assert stored["typed"] == "x" and not stored.exists(before)
    invented = SessionStore("a" * 32)
    invented.cycle_key()
    invented.save()
    assert invented.session_key != "a" * 32


@pytest.mark.django_db
def test_a_key_that_is_taken_is_not_used(monkeypatch):
    first = SessionStore()
    first.save()
    keys = [first.session_key, "b" * 32]
    monkeypatch.setattr(SessionStore, "_get_new_session_key", lambda self: keys.pop(0))
    second = SessionStore()
    second.save()
    assert second.session_key == "b" * 32
