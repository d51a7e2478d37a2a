"""Attacks on signing in: open redirects, session fixation, framed pages."""

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.signals import user_logged_in
from django.test import Client
from django.urls import get_resolver

from accounts.models import User
from tests.accounts.people import PASSWORD, Visitor
from tests.url_conf import routes

pytestmark = pytest.mark.django_db(transaction=True)

ASTRAY = [
    "https://evil.example/",
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "https:evil.example",
    "https:/evil.example",
    "http:///evil.example",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,x",
    " //evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "\x00//evil.example",
    "%2f%2fevil.example",
    "https://localhost@evil.example",
    "https://testserver.evil.example",
    "https://evil.example\\@testserver",
]


def leads_here(location):
    """Whether a browser, on a page of ours, would stay on this site."""
    from urllib.parse import urljoin, urlsplit

    as_browsers_do = location.replace("\\", "/").translate({9: None, 10: None, 13: None}).strip()
    parts = urlsplit(urljoin("http://testserver/account/login/", as_browsers_do))
    return parts.scheme == "http" and parts.netloc == "testserver"


@pytest.mark.parametrize("astray", ASTRAY)
def test_no_way_in_or_out_leads_to_another_site(visitor, astray):
    answers = [visitor.sign_up(next=astray), visitor.confirm()]
    assert SESSION_KEY in visitor.client.session
    answers.append(visitor.post("/account/reauthenticate/", password=PASSWORD, next=astray))
    answers.append(visitor.client.get("/account/login/", {"next": astray}))
    answers.append(visitor.client.get("/account/signup/", {"next": astray}))
    answers.append(visitor.post("/account/logout/", next=astray))
    answers.append(visitor.sign_in(next=astray))
    visitor.client.get("/account/logout/", {"next": astray})
    answers.append(visitor.client.post("/account/logout/?" + "next=" + astray.strip()))
    for answer in answers:
        assert answer.status_code == 302, answer.content[:300]
        assert leads_here(answer["Location"]), answer["Location"]


def planted(client):
    """A session id that an attacker knows, set in this browser."""
    session = client.session
    session["planted"] = True
    session.save()
    client.cookies["sessionid"] = session.session_key
    return session.session_key


def worth_nothing(key):
    thief = Client()
    thief.cookies["sessionid"] = key
    return thief.get("/settings").status_code == 302 and SESSION_KEY not in thief.session


def test_a_planted_session_is_worth_nothing_after_any_way_in(visitor):
    key = planted(visitor.client)
    visitor.sign_up()
    visitor.confirm()
    assert SESSION_KEY in visitor.client.session and worth_nothing(key)
    before = visitor.client.session.session_key
    visitor.post("/account/reauthenticate/", password=PASSWORD)
    visitor.post("/account/logout/")
    assert worth_nothing(before) and worth_nothing(key)
    key = planted(visitor.client)
    visitor.sign_in()
    assert SESSION_KEY in visitor.client.session and worth_nothing(key)


def test_a_session_of_somebody_else_is_not_continued(visitor):
    visitor.sign_up()
    visitor.confirm()
    key = visitor.client.session.session_key
    bob = Visitor(visitor.client, visitor.mailbox, "bob@example.org")
    User.objects.create_user("bob@example.org", PASSWORD)
    visitor.post("/account/logout/")
    bob.sign_up()
    assert worth_nothing(key)


PAGES = [(name, path) for name, path, has_arguments in routes(get_resolver()) if not has_arguments]


@pytest.mark.parametrize("who", ["nobody", "account", "operator"])
def test_no_page_can_be_framed(client, redis_url, who):
    if who != "nobody":
        made = User.objects.create_superuser if who == "operator" else User.objects.create_user
        client.force_login(made("alice@example.org", PASSWORD))
    client.raise_request_exception = False
    assert len(PAGES) > 60
    for name, path in PAGES:
        answer = client.get(path)
        assert answer.get("X-Frame-Options") == "DENY", name
        assert "frame-ancestors 'none'" in answer["Content-Security-Policy"], name
        assert answer["X-Content-Type-Options"] == "nosniff", name
        if "logout" in name:  # It signs out, so a visitor sees the remaining pages.
            assert client.get("/settings").status_code in (200, 302)
    assert client.get("/nowhere")["X-Frame-Options"] == "DENY"
    assert client.post("/account/login/", {"login": ""})["X-Frame-Options"] == "DENY"


def test_signing_in_with_two_browsers_at_once_keeps_both_sessions(visitor):
    """The second signs in while the session of the first is listed, but not yet stored."""
    visitor.sign_up()
    visitor.confirm()
    visitor.post("/account/logout/")
    other = Visitor(Client(), visitor.mailbox)
    begun = []

    def meanwhile(**_):
        if not begun:
            begun.append(True)
            other.sign_in()

    user_logged_in.connect(meanwhile)
    try:
        visitor.sign_in()
    finally:
        user_logged_in.disconnect(meanwhile)
    keys = {browser.client.session.session_key for browser in (visitor, other)}
    assert begun and len(keys) == 2
    assert set(UserSession.objects.values_list("session_key", flat=True)) == keys
    for browser in (visitor, other):  # Sockets are found by this name.
        row = UserSession.objects.get(session_key=browser.client.session.session_key)
        assert row.data["sid"] == browser.client.session["sid"]
    html = visitor.client.get("/settings/sessions").content.decode()
    assert html.count('class="panel"') == 2
    assert all(b.client.get("/settings").status_code == 200 for b in (visitor, other))
