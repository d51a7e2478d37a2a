"""The list of people and the page of a person: figures, links and buttons, by permission."""

import re
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.utils import timezone

from accounts.models import SecurityEvent, User
from accounts.suspension import suspend
from billing import ledger
from billing.models import Purse, Usage
from chat.models import Chat

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_url")]
PEOPLE = "/admin/accounts/user/"
FIGURE = re.compile(r"<dt>(.*?)</dt><dd>(.*?)</dd>")
BUTTON = re.compile(r'name="action" value="(\w+)"')


@pytest.fixture
def alice():
    person = User.objects.create_user("alice@example.org", "correct horse")
    ledger.post(person.id, "top_up", 5_000_000, key="t1")
    for number in range(3):
        Chat.objects.create(
            id=uuid.uuid4(),
            owner=person,
            updated_at=timezone.now(),
            deleted_at=timezone.now() if number == 2 else None,
        )
    return person


@pytest.fixture
def call(alice, dear):
    def call(days_ago, free=""):
        Usage.objects.create(
            key=f"answer:{uuid.uuid4()}:1",
            person_id=alice.id,
            purpose="answer",
            model=dear.model,
            day=datetime.now(UTC).date() - timedelta(days=days_ago),
            prompt_tokens=1_000,
            completion_tokens=200,
            cost_micro_usd=1_200,
            charged_micro_usd=0 if free else 1_200,
            free=free,
            price=dear,
        )

    return call


@pytest.fixture
def sign_in(client):
    def sign_in(*groups, superuser=False):
        staff = User.objects.create_user(
            "staff@example.org", "x", is_staff=True, is_superuser=superuser
        )
        staff.groups.set(Group.objects.filter(name__in=groups))
        client.force_login(staff)
        return staff

    return sign_in


@pytest.fixture
def look(client):
    def look(person):
        return client.get(f"{PEOPLE}{person.id}/change/").content.decode()

    return look


def test_the_list_names_people_and_ticks_those_who_may_act(client, sign_in, alice):
    staff = sign_in(superuser=True)
    guest = User.objects.create(is_guest=True, password="!")
    suspend(alice, staff, "Spam")
    html = client.get(PEOPLE).content.decode()
    rows = dict(
        re.findall(r'<th class="field-person"><a href=".*?">(.*?)</a></th>(.*?)</tr>', html)
    )
    assert set(rows) == {alice.email, staff.email, f"Guest {str(guest.id)[:8]}"}
    ticked = {
        name: "icon-yes" in row.split("field-is_allowed")[1][:99] for name, row in rows.items()
    }
    assert ticked == {name: name != alice.email for name in rows}


def test_the_page_of_a_person_shows_what_they_have_and_use(look, sign_in, alice, call):
    for days_ago, free in ((0, ""), (29, ""), (30, ""), (1, "own_key")):
        call(days_ago, free)
    sign_in(superuser=True)
    figures = dict(FIGURE.findall(look(alice)))
    assert figures.pop("Last seen") == "never"
    assert figures == {
        "Balance": "$5.00",
        "Held": "$0.00",
        "Chats": "2",
        "Calls in 30 days": "3",
        "Tokens in 30 days": "3,600",
        # The call on their own key cost us nothing.
        "Cost to us in 30 days": "$0.0024",
    }


def test_its_links_lead_to_lists_of_that_person_alone(client, look, sign_in, alice, call):
    call(0)
    sign_in(superuser=True)
    nav = look(alice).split('class="person-links"')[1].split("</nav>")[0]
    links = dict(reversed(link) for link in re.findall(r'href="(.*?)">(.*?)</a>', nav))
    assert list(links) == ["Activity", "Log", "Ledger", "Usage", "Holds", "Top-ups", "Chats"]
    for name, url in links.items():
        answer = client.get(url)
        assert answer.status_code == 200, name
    assert "1 usage" in client.get(links["Usage"]).content.decode()


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        ("superuser", ["change_credit", "suspend_people", "end_sessions"]),
        ("Support", ["change_credit"]),
        ("Finance", ["change_credit"]),
        ("viewer", []),
    ],
)
def test_its_buttons_are_what_the_operator_may_do(look, sign_in, alice, who, expected):
    staff = sign_in(who, superuser=who == "superuser")
    staff.user_permissions.add(Permission.objects.get(codename="view_user"))
    html = look(alice)
    assert sorted(BUTTON.findall(html)) == sorted(expected)
    assert ("Balance" in html) is (who != "viewer")
    assert ("Cost to us" in html) is (who != "viewer")


def test_its_buttons_suit_the_person(look, sign_in, alice):
    staff = sign_in(superuser=True)
    suspend(alice, staff, "Spam")
    guest = User.objects.create(is_guest=True, password="!")
    leaving = User.objects.create_user("bob@example.org", deletion_due_at=timezone.now())
    buttons = [set(BUTTON.findall(look(person))) - {"change_credit"} for person in (alice, guest)]
    assert buttons == [{"restore_people"}, {"suspend_people"}]
    assert {"cancel_deletions", "hasten_deletions"} < set(BUTTON.findall(look(leaving)))


def test_an_action_begun_on_the_page_ends_there(client, look, sign_in, alice):
    staff = sign_in(superuser=True)
    begun = {"action": "suspend_people", "_selected_action": str(alice.id), "from_page": alice.id}
    form = client.post(PEOPLE, begun).content.decode()
    page = f"{PEOPLE}{alice.id}/change/"
    assert f'name="from_page" value="{alice.id}"' in form
    assert f'class="button cancel-link" href="{page}"' in form
    done = client.post(PEOPLE, begun | {"confirmed": "yes", "reason": "Spam"})
    alice.refresh_from_db()
    assert (done.status_code, done["Location"], alice.is_active) == (302, page, False)
    elsewhere = begun | {"from_page": "//evil.example", "action": "restore_people"}
    done = client.post(PEOPLE, elsewhere | {"confirmed": "yes", "reason": f"By {staff}"})
    assert done["Location"].startswith(PEOPLE)


def test_credit_is_given_from_the_page(client, sign_in, alice):
    sign_in("Support")
    begun = {"action": "change_credit", "_selected_action": str(alice.id), "from_page": alice.id}
    filled = begun | {"asked": "yes", "act": uuid.uuid4(), "amount": "2", "reason": "Sorry"}
    form = client.post(PEOPLE, filled).content.decode()
    assert f'name="from_page" value="{alice.id}"' in form
    done = client.post(PEOPLE, filled | {"confirmed": "yes"})
    assert done["Location"] == f"{PEOPLE}{alice.id}/change/"
    assert Purse.objects.get(person_id=alice.id).balance_micro_usd == 7_000_000


def test_an_operator_ends_the_sessions_of_a_person(client, sign_in, alice):
    theirs = Client()
    theirs.force_login(alice)
    assert theirs.get("/settings").status_code == 200
    staff = sign_in(superuser=True)
    chosen = {"action": "end_sessions", "_selected_action": str(alice.id)}
    client.post(PEOPLE, chosen | {"confirmed": "yes", "reason": "A lost laptop"})
    assert theirs.get("/settings").status_code == 302
    assert not UserSession.objects.filter(user=alice).exists()
    event = alice.security_events.get(kind=SecurityEvent.Kind.SESSION_REVOKED)
    assert (event.operator_id, event.note) == (staff.id, "A lost laptop")
    # Nothing is left to end, so nothing is recorded.
    client.post(PEOPLE, chosen | {"confirmed": "yes", "reason": "Again"})
    assert alice.security_events.filter(kind=SecurityEvent.Kind.SESSION_REVOKED).count() == 1
    alice.refresh_from_db()
    assert alice.is_active
