"""Limits of the admin for staff, and for somebody with a staff member's password."""

from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from accounts.models import User
from accounts.personal_data import deletion_request as leaving
from accounts.suspension import restore, suspend

pytestmark = pytest.mark.django_db(transaction=True)
PEOPLE = "/admin/accounts/user/"
SECRET = "JBSWY3DPEHPK3PXP"


@pytest.fixture
def staff(db):
    """A staff member with every permission who is not a superuser."""
    made = User.objects.create_user("staff@example.org", "correct horse", is_staff=True)
    made.user_permissions.set(Permission.objects.all())
    return made


@pytest.fixture
def desk(client, staff, redis_url):
    client.force_login(staff)
    return client


def with_second_factor(person):
    data = {"secret": SECRET}
    return Authenticator.objects.create(user=person, type=Authenticator.Type.TOTP, data=data)


def fields(person, **more):
    return {"email": person.email, "name": person.name, "groups": [], "user_permissions": []} | more


@pytest.mark.parametrize("who", ["staff", "alice", "guest"])
def test_settings_and_chat_lead_staff_alone_to_the_admin(client, redis_url, request, who):
    person = request.getfixturevalue(who)
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    assert ('href="/admin/"' in client.get("/settings").content.decode()) is person.is_staff
    assert f'"is_staff":{str(person.is_staff).lower()}' in (
        client.get("/").content.decode().replace(" ", "").replace("&quot;", '"')
    )


def test_staff_cannot_give_itself_everything(desk, staff, alice):
    for person in (staff, alice):
        sent = fields(person, is_staff="on", is_superuser="on", name="Renamed")
        assert desk.post(f"{PEOPLE}{person.id}/change/", sent).status_code == 302
        person.refresh_from_db()
        assert person.name == "Renamed" and not person.is_superuser
    assert not alice.is_staff
    assert staff.user_permissions.exists()


def test_staff_cannot_change_superusers(desk, operator):
    sent = fields(operator, email="staff@evil.example", name="Renamed")
    assert desk.post(f"{PEOPLE}{operator.id}/change/", sent).status_code == 403
    operator.refresh_from_db()
    assert operator.email == "operator@example.org" and operator.name == ""


def test_nobody_is_given_another_address_by_hand(client, alice, operator, redis_url):
    client.force_login(operator)
    client.post(f"{PEOPLE}{alice.id}/change/", fields(alice, email="x@evil.example", is_staff="on"))
    alice.refresh_from_db()
    assert (alice.email, alice.is_staff) == ("alice@example.org", True)


SIGN_INS = (
    "account/emailaddress",
    "mfa/authenticator",
    "socialaccount/socialaccount",
    "socialaccount/socialapp",
    "socialaccount/socialtoken",
    "usersessions/usersession",
)


@pytest.mark.parametrize("page", SIGN_INS)
def test_pages_about_sign_ins_are_not_for_staff(desk, page):
    assert desk.get(f"/admin/{page}/").status_code in (403, 404)


def test_a_superuser_sees_no_secret_and_no_session(client, alice, operator, redis_url):
    client.force_login(operator)
    factor = with_second_factor(alice)
    address = EmailAddress.objects.create(user=alice, email=alice.email, primary=True)
    paths = ["/admin/", f"/admin/mfa/authenticator/{factor.id}/change/", PEOPLE]
    paths += [f"/admin/{page}/" for page in SIGN_INS[:3]]
    for path in [*paths, f"{PEOPLE}{alice.id}/change/"]:
        html = client.get(path).content.decode()
        assert "</html>" in html and SECRET not in html
        assert client.session.session_key not in html
    changed = client.post(f"/admin/account/emailaddress/{address.id}/change/", {"email": "x@y.zz"})
    assert changed.status_code == 403


def test_a_superuser_helps_somebody_who_is_locked_out(client, alice, operator, redis_url):
    client.force_login(operator)
    factor = with_second_factor(alice)
    done = client.post(f"/admin/mfa/authenticator/{factor.id}/delete/", {"post": "yes"})
    assert done.status_code == 302 and not Authenticator.objects.exists()
    event = alice.security_events.get(kind="second_factor_removed")
    assert event.operator_id == operator.id


def test_the_admin_does_not_bypass_the_second_factor(operator, redis_url, settings):
    with_second_factor(operator)
    client = Client()
    sent = {"username": operator.email, "password": "correct horse", "next": "/admin/"}
    answer = client.post("/admin/login/", sent)
    assert answer.status_code == 200 and "second factor" in answer.content.decode()
    assert SESSION_KEY not in client.session


def test_changing_the_password_ends_the_other_sessions(desk):
    changed = desk.get("/admin/password_change/")
    assert changed.status_code == 302 and changed["Location"] == "/account/password/change/"
    fields = {"old_password": "correct horse", "new_password1": "n", "new_password2": "n"}
    assert desk.post("/admin/password_change/", fields).status_code == 302
    assert User.objects.get(email="staff@example.org").check_password("correct horse")


def test_people_are_listed_with_when_they_were_seen(client, alice, guest, operator, redis_url):
    client.force_login(alice)
    seen = timezone.now() - timedelta(days=3)
    UserSession.objects.filter(user=alice).update(last_seen_at=seen)
    User.objects.filter(id=guest.id).update(last_login=seen - timedelta(days=1))
    client.force_login(operator)
    User.objects.filter(id=operator.id).update(last_login=seen - timedelta(days=2))
    UserSession.objects.filter(user=operator).delete()
    html = client.get(PEOPLE, {"o": "7"}).content.decode()
    assert "field-last_seen" in html
    places = [html.index(f"{PEOPLE}{person.id}/") for person in (operator, guest, alice)]
    assert places == sorted(places)


def test_people_being_erased_cannot_be_restored(alice, operator, redis_url):
    suspend(alice, operator, "Spam")
    User.objects.filter(id=alice.id).update(deletion_due_at=timezone.now())
    assert leaving.begin(User.objects.all(), alice)
    assert not restore(alice, operator, "A mistake")
    alice.refresh_from_db()
    assert not alice.is_active
