"""The record of security events: writing it, access to it, and that nobody can change it."""

import uuid
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import pytest
import time_machine
from django.contrib.auth import authenticate, get_user_model
from django.db import DatabaseError, connection, transaction
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from accounts.models import Preferences, SecurityEvent, User
from accounts.security_events import record
from accounts.suspension import suspend

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
Kind = SecurityEvent.Kind


def kinds(person):
    return list(person.security_events.order_by("id").values_list("kind", flat=True))


def refused(change):
    with pytest.raises(DatabaseError, match="never"), transaction.atomic():
        change()


def test_an_event_cannot_be_changed_or_deleted_in_any_way(alice):
    event = record(alice, Kind.PASSWORD_CHANGED)
    events = SecurityEvent.objects.filter(id=event.id)
    refused(lambda: events.update(kind=Kind.SIGNED_IN))
    refused(events.delete)
    refused(event.delete)
    event.note = "another"
    refused(lambda: event.save(update_fields=["note"]))
    for statement in (
        "UPDATE accounts_securityevent SET note = 'x'",
        "DELETE FROM accounts_securityevent",
    ):
        refused(lambda statement=statement: connection.cursor().execute(statement))
    assert kinds(alice) == ["password_changed"]


def test_the_record_outlives_the_person_until_it_is_erased(alice):
    event = record(alice, Kind.SIGNED_IN)
    alice.delete()
    assert SecurityEvent.objects.filter(id=event.id).exists()
    SecurityEvent.objects.filter(person_id=event.person_id).delete()
    assert not SecurityEvent.objects.exists()


@pytest.mark.django_db(transaction=True)  # A rollback would not run the triggers that a flush does.
def test_the_event_of_a_deletion_is_never_erased(alice):
    event = record(alice, Kind.DELETED)
    refused(event.delete)
    alice.delete()
    refused(SecurityEvent.objects.filter(id=event.id).delete)
    assert SecurityEvent.objects.get().kind == Kind.DELETED


def test_signing_in_and_out_is_recorded_with_address_and_browser(redis_url, operator):
    client = Client(headers={"user-agent": "Test\r\nInjected: 1 " + "x" * 1_000})
    fields = {"username": operator.email, "password": "correct horse"}
    client.post("/admin/login/", fields | {"password": "wrong"})
    client.post("/admin/login/", fields)
    client.post("/admin/logout/")
    assert kinds(operator) == ["sign_in_failed", "signed_in", "signed_out"]
    event = operator.security_events.get(kind="signed_in")
    assert event.address == "127.0.0.1"
    assert event.user_agent.startswith("TestInjected") and len(event.user_agent) == 300
    assert event.at > timezone.now() - timedelta(minutes=1)
    assert "wrong" not in str(list(SecurityEvent.objects.values()))


def test_guests_and_unknown_names_leave_no_record(redis_url, guest):
    client = Client()
    client.force_login(guest)
    client.post("/admin/logout/")
    for name in ("nobody@example.org", "", "x" * 5_000):
        authenticate(RequestFactory().post("/"), username=name, password="x")
    assert not SecurityEvent.objects.exists()


def test_guessing_does_not_fill_the_record(redis_url, alice, settings):
    settings.LIMIT_FAILURES_RECORDED_PER_HOUR_USER = 3
    for _ in range(5):
        authenticate(RequestFactory().post("/"), username="ALICE@example.org", password="x")
    assert kinds(alice) == ["sign_in_failed"] * 3


# The page


def test_a_person_sees_their_own_record_and_nobody_elses(client, alice, operator):
    suspend(operator, alice, "Not for Alice’s eyes")
    record(alice, Kind.LOGIN_CONNECTED, note="<script>alert(1)</script>")
    client.force_login(alice)
    page = client.get("/settings/activity")
    assert page.status_code == HTTPStatus.OK
    text = page.content.decode()
    assert "Sign-in service connected" in text and "Signed in" in text
    assert "Alice’s eyes" not in text
    assert "<script>alert" not in text and "&lt;script&gt;alert" in text
    assert "no-store" in page["Cache-Control"]


def test_it_has_pages(client, alice):
    for number in range(60):
        record(alice, Kind.LOGIN_CONNECTED, note=f"service {number:02}")
    client.force_login(alice)
    assert "service 59" in client.get("/settings/activity").content.decode()
    older = client.get("/settings/activity?page=2").content.decode()
    assert "service 00" in older and "service 59" not in older
    assert client.get("/settings/activity?page=x'").status_code == HTTPStatus.OK


def test_people_without_an_account_are_led_to_the_chats(client, guest):
    assert client.get("/settings/activity").headers["Location"] == "/"
    client.force_login(guest)
    assert client.get("/settings/activity").headers["Location"] == "/"


# Operators


def test_the_admin_lists_searches_and_filters_but_changes_nothing(client, alice, operator):
    event = record(alice, Kind.PASSWORD_CHANGED)
    gone = User.objects.create_user("gone@example.org", "x")
    record(gone, Kind.DELETED)
    gone.delete()
    client.force_login(operator)
    base = "/admin/accounts/securityevent/"
    everything = client.get(base).content.decode()
    assert "Password changed" in everything and "Account deleted" in everything
    assert "Password changed" in client.get(base, {"q": "alice@"}).content.decode()
    one_kind = client.get(base, {"kind__exact": "password_changed"}).content.decode()
    assert "alice@example.org" in one_kind and str(gone.id) not in one_kind
    year = str(timezone.now().year)
    assert client.get(base, {"at__year": year}).status_code == HTTPStatus.OK
    for path in ("add/", f"{event.id}/delete/"):
        assert client.post(base + path, {"post": "yes"}).status_code == HTTPStatus.FORBIDDEN
    change = client.post(f"{base}{event.id}/change/", {"kind": "signed_in"})
    assert change.status_code == HTTPStatus.FORBIDDEN
    assert kinds(alice) == ["password_changed"]


def act(client, action, *people, **fields):
    body = {"action": action, "_selected_action": [str(person.id) for person in people]}
    return client.post("/admin/accounts/user/", body | fields)


def test_suspending_in_the_admin_asks_first_and_for_a_reason(
    redis_url, client, alice, guest, operator, django_capture_on_commit_callbacks
):
    client.force_login(operator)
    asked = act(client, "suspend_people", alice, guest)
    assert asked.status_code == HTTPStatus.OK
    assert "Their sessions end" in asked.content.decode()
    unreasoned = act(client, "suspend_people", alice, confirmed="yes", reason="")
    assert "required" in unreasoned.content.decode()
    alice.refresh_from_db()
    assert alice.is_active

    with django_capture_on_commit_callbacks(execute=True):
        done = act(client, "suspend_people", alice, guest, confirmed="yes", reason="Spam")
    assert done.status_code == HTTPStatus.FOUND
    for person in (alice, guest):
        person.refresh_from_db()
        assert not person.is_active and person.suspended_reason == "Spam"
        event = person.security_events.get(kind="suspended")
        assert (event.operator_id, event.note, event.address) == (operator.id, "Spam", "")

    act(client, "restore_people", alice, confirmed="yes", reason="A mistake")
    alice.refresh_from_db()
    assert alice.is_active and alice.suspended_at is None
    assert kinds(alice) == ["suspended", "restored"]


def test_staff_cannot_suspend_themselves_or_superusers(client, alice, operator):
    client.force_login(operator)
    act(client, "suspend_people", operator, confirmed="yes", reason="x")
    staff = User.objects.create_user("staff@example.org", "x", is_staff=True)
    permissions = get_user_model()._meta.get_field("user_permissions").related_model
    staff.user_permissions.set(
        permissions.objects.filter(codename__in=["view_user", "change_user"])
    )
    client.force_login(staff)
    act(client, "suspend_people", operator, confirmed="yes", reason="x")
    operator.refresh_from_db()
    assert operator.is_active


def test_the_list_of_people_tells_guests_apart_and_is_searched(client, alice, guest, operator):
    client.force_login(operator)
    base = "/admin/accounts/user/"
    guests = client.get(base, {"is_guest__exact": 1}).content.decode()
    assert str(guest.id) in guests and "alice@example.org" not in guests
    found = client.get(base, {"q": "alice"}).content.decode()
    assert "alice@example.org" in found and str(guest.id) not in found
    assert client.get(base, {"q": str(uuid.uuid4())}).status_code == HTTPStatus.OK
    assert "number_of_chats" in client.get(base).content.decode()


def test_suspended_people_cannot_sign_in(redis_url, alice, operator):
    suspend(alice, operator, "Spam")
    assert authenticate(None, username=alice.email, password="correct horse") is None


def test_the_activity_page_shows_times_in_the_zone_of_the_person(client, db):
    person = User.objects.create_user("zone@example.org", "x")
    Preferences.objects.create(person=person, time_zone="America/New_York")
    client.force_login(person)
    with time_machine.travel(datetime(2026, 1, 2, 3, 4, tzinfo=UTC), tick=False):
        record(person, SecurityEvent.Kind.PASSWORD_CHANGED)
    page = client.get(reverse("accounts:security-events")).content.decode()
    assert "Times are in America/New York." in page
    assert "1 January 2026, 22:04" in page
