import asyncio
import json
import re
from http import HTTPStatus

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse

from streams.log import Event, Log

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice(django_user_model):
    return django_user_model.objects.create_user("alice@example.org", "x")


@pytest.fixture
def guest(django_user_model):
    user = django_user_model(is_guest=True, email=None)
    user.set_unusable_password()
    user.save()
    return user


@pytest.fixture
def operator(client, django_user_model):
    """Staff with only the permission to view logs."""
    user = django_user_model.objects.create_user("op@example.org", "x", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_userlog"))
    client.force_login(user)
    return user


def fill(user, events: list[Event]) -> list[str]:
    async def append() -> list[str]:
        async with Log() as log:
            return await log.append(user.stream, events)

    return asyncio.run(append())


def note(number: int, chat: str = "c1", type: str = "note") -> Event:
    return Event(f"e{number}", chat, type, json.dumps({"n": number, "text": "<b>hi</b>"}).encode())


def log_url(user) -> str:
    return reverse("admin:streams_userlog_change", args=[user.pk])


def entry_ids(response) -> list[str]:
    return re.findall(r'<tr id="([\d-]+)">', response.content.decode())


USERS_URL = "/admin/streams/userlog/"


@pytest.mark.parametrize("page", ["users", "log"])
@pytest.mark.parametrize("who", ["nobody", "a user", "staff without the permission"])
def test_only_staff_with_the_permission_may_look(client, django_user_model, alice, page, who):
    if who != "nobody":
        user = django_user_model.objects.create_user(
            "mallory@example.org", "x", is_staff=who.startswith("staff")
        )
        client.force_login(user)
    response = client.get(USERS_URL if page == "users" else log_url(alice))
    if who.startswith("staff"):
        assert response.status_code == HTTPStatus.FORBIDDEN
    else:
        assert response.status_code == HTTPStatus.FOUND
        assert response.url.startswith(reverse("admin:login"))


@pytest.mark.parametrize("may_look", [True, False])
@pytest.mark.parametrize("object_id", ["1", "x", "alice"])
def test_pages_that_django_adds_query_no_table(client, operator, alice, may_look, object_id):
    if not may_look:
        operator.user_permissions.clear()
    object_id = alice.pk if object_id == "alice" else object_id
    for name in ("history", "delete"):
        path = reverse(f"admin:streams_userlog_{name}", args=[object_id])
        for response in (client.get(path), client.post(path, {"post": "yes"})):
            is_missing = may_look and name == "history"
            assert response.status_code == (404 if is_missing else 403)


def test_nothing_can_be_added_changed_or_deleted(client, operator, alice, server):
    fill(alice, [note(1)])
    deleting = reverse("admin:streams_userlog_delete", args=[alice.pk])
    for path in (f"{USERS_URL}add/", deleting):
        assert client.get(path).status_code == HTTPStatus.FORBIDDEN
    assert "Add" not in client.get("/admin/").content.decode().split("User logs")[1][:300]
    codenames = set(
        Permission.objects.filter(content_type__app_label="streams").values_list(
            "codename", flat=True
        )
    )
    assert codenames == {"view_userlog"}


def test_users_are_found_by_email_and_id(client, operator, alice, guest):
    assert log_url(alice) not in client.get(USERS_URL).content.decode()
    queries = ["ALICE", "example.org", str(alice.pk), alice.pk.hex, alice.stream]
    for query in queries:
        assert log_url(alice) in client.get(USERS_URL, {"q": query}).content.decode()
    assert log_url(guest) in client.get(USERS_URL, {"q": str(guest.pk)}).content.decode()
    assert "No user matches" in client.get(USERS_URL, {"q": "zoe"}).content.decode()


def test_entries_are_shown_newest_first_and_escaped(client, operator, alice, server):
    appended = fill(alice, [note(1), note(2, "c2", "other")])
    response = client.get(log_url(alice))
    text = response.content.decode()
    assert entry_ids(response) == appended[::-1]
    assert "c2" in text
    assert "other" in text
    assert "<b>hi</b>" not in text
    assert "&lt;b&gt;hi" in text
    assert "<pre>" not in text


def test_a_selected_entry_is_shown_in_full(client, operator, alice, server):
    appended = fill(alice, [note(1), Event("e2", "c1", "odd", b"\xff not json")])
    text = client.get(log_url(alice), {"show": appended[0]}).content.decode()
    assert re.search(r"<pre>\{\n  &quot;n&quot;: 1,", text)
    text = client.get(log_url(alice), {"show": appended[1]}).content.decode()
    assert "<pre>\ufffd not json</pre>" in text


def test_paging_goes_both_ways_and_misses_nothing(client, operator, alice, server):
    appended = fill(alice, [note(n) for n in range(170)])

    def walk(rel: str, params: str) -> list[list[str]]:
        pages = []
        while True:
            response = client.get(log_url(alice) + params)
            pages.append(entry_ids(response))
            link = re.search(rf'<a href="([^"]+)" rel="{rel}"', response.content.decode())
            if not link:
                return pages
            params = link[1].replace("&amp;", "&")

    older = walk("next", "")
    assert [i for page in older for i in page] == appended[::-1]
    newer = walk("prev", "?after=0-0")
    assert [i for page in newer for i in page[::-1]] == appended
    assert [len(page) for page in older] == [50, 50, 50, 20]


def test_filters_by_chat_and_type(client, operator, alice, server):
    appended = fill(alice, [note(n, f"c{n % 2}", f"t{n % 3}") for n in range(120)])
    response = client.get(log_url(alice), {"chat": "c1", "type": "t2"})
    expected = [i for n, i in enumerate(appended) if n % 2 == 1 and n % 3 == 2]
    assert entry_ids(response) == expected[::-1]
    response = client.get(log_url(alice), {"chat": "c0"})
    assert entry_ids(response) == appended[::-1][1::2][:50]
    assert 'rel="next"' in response.content.decode()


def test_entries_are_found_by_their_text(client, operator, alice, server):
    ids = fill(alice, [note(1), note(12), note(3)])
    response = client.get(log_url(alice), {"text": '"n": 12'})
    assert entry_ids(response) == [ids[1]]
    assert entry_ids(client.get(log_url(alice), {"text": "nowhere"})) == []


def test_a_filter_that_hardly_matches_is_searched_in_steps(
    client, operator, alice, server, monkeypatch
):
    monkeypatch.setattr("streams.browse.MAX_SEARCHED", 500)
    appended = fill(alice, [note(0, "rare")])
    fill(alice, [note(n) for n in range(1, 900)])
    response = client.get(log_url(alice), {"chat": "rare"})
    assert entry_ids(response) == []
    assert "among the 500 looked at" in response.content.decode()
    link = re.search(r'<a href="([^"]+)" rel="next"', response.content.decode())[1]
    response = client.get(log_url(alice) + link.replace("&amp;", "&"))
    assert entry_ids(response) == appended


def test_long_entries_are_searched_by_their_bytes(client, operator, alice, server, monkeypatch):
    monkeypatch.setattr("streams.browse.MAX_SEARCHED_BYTES", 50_000)
    monkeypatch.setattr("streams.browse.STEP_BYTES", 20_000)
    appended = fill(alice, [note(0, "rare")])
    fill(alice, [Event(f"l{n}", "c1", "note", b'"%s"' % (b"x" * 10_000)) for n in range(22)])
    found, url = [], log_url(alice) + "?chat=rare"
    for _ in range(5):
        response = client.get(url)
        content = response.content.decode()
        found.append(re.findall(r"among the (\d+) looked at", content))
        if entry_ids(response):
            break
        url = log_url(alice) + re.search(r'<a href="([^"]+)" rel="next"', content)[1].replace(
            "&amp;", "&"
        )
    assert (entry_ids(response), found) == (appended, [["5"]] * 4 + [[]])


def test_unknown_users_and_invalid_cursors_are_404(client, operator, alice, server):
    assert "No entries" in client.get(log_url(alice)).content.decode()
    nobody = reverse("admin:streams_userlog_change", args=["0" * 32])
    assert client.get(nobody).status_code == HTTPStatus.NOT_FOUND
    for bad in ("not-a-user", "1"):
        url = reverse("admin:streams_userlog_change", args=[bad])
        assert client.get(url).status_code == HTTPStatus.NOT_FOUND
    for params in ({"after": "x"}, {"before": "1 1"}, {"chat": "a}b"}):
        assert client.get(log_url(alice), params).status_code == HTTPStatus.NOT_FOUND


def test_an_unavailable_redis_is_reported(client, operator, alice, settings):
    settings.REDIS_URL = "unix:///nowhere/redis.sock"
    assert "Redis does not answer" in client.get(log_url(alice)).content.decode()
