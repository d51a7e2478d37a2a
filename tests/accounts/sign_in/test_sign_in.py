"""Signing up and in by mail and password: real forms, real mail, nothing revealed to strangers."""

import re
import time
from http import HTTPStatus

import pytest
import redis
import time_machine
from allauth.account.models import EmailAddress
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from accounts.models import User
from tests.accounts.mailbox import code_in, html_of, text_of
from tests.accounts.people import PASSWORD, Visitor

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


def signed_in_as(client):
    return client.session.get(SESSION_KEY)


def test_an_address_is_confirmed_by_a_code_before_it_opens_anything(visitor):
    visitor.email = "Alice@Example.org"
    visitor.sign_up()
    assert signed_in_as(visitor.client) is None
    assert visitor.confirm().status_code == HTTPStatus.FOUND
    user = User.objects.get(email="alice@example.org")
    assert signed_in_as(visitor.client) == str(user.id)
    assert EmailAddress.objects.get(user=user).verified


@pytest.mark.parametrize("is_signed_out", [True, False])
def test_no_notice_is_left_for_the_next_user_of_the_browser(visitor, is_signed_out):
    visitor.sign_up()
    visitor.confirm()
    assert "messages" not in visitor.client.cookies
    visitor.client.get("/")  # The chat shows no notices.
    if is_signed_out:
        visitor.client.post("/account/logout/")
    else:  # The session was ended elsewhere, or has expired.
        user = User.objects.get(email="alice@example.org")
        for session in UserSession.objects.filter(user=user):
            session.end()
    page = visitor.client.get("/account/login/").content.decode()
    assert visitor.email not in page
    assert ("You are signed out." in page) is is_signed_out


def test_the_mail_is_text_and_html(visitor):
    visitor.sign_up()
    mail = visitor.mailbox.to(visitor.email)
    code = code_in(mail)
    assert "Holdfast" in text_of(mail)
    assert re.search(rf"<p[^>]*>{code}</p>", html_of(mail))
    assert mail["From"] == "Holdfast <no-reply@localhost>"


def test_a_wrong_code_opens_nothing_and_runs_out(visitor):
    visitor.sign_up()
    right = code_in(visitor.mailbox.to(visitor.email))
    wrong = "000000" if right != "000000" else "111111"
    for _ in range(3):
        visitor.post("/account/confirm-email/", code=wrong)
    visitor.post("/account/confirm-email/", code=right)
    assert signed_in_as(visitor.client) is None


def test_password_and_code_both_sign_in(visitor):
    visitor.sign_up()
    visitor.confirm()
    visitor.post("/account/logout/")
    assert signed_in_as(visitor.client) is None
    visitor.sign_in()
    assert signed_in_as(visitor.client)
    visitor.post("/account/logout/")
    visitor.post("/account/login/code/", email=visitor.email)
    code = code_in(visitor.mailbox.to(visitor.email))
    visitor.post("/account/login/code/confirm/", code=code)
    assert signed_in_as(visitor.client)


def test_a_password_is_not_needed(visitor):
    visitor.sign_up(password="")
    visitor.confirm()
    assert not User.objects.get().has_usable_password()
    assert signed_in_as(visitor.client)


@pytest.mark.parametrize(
    "password", ["short", "password1234", "1234567890123", "alice@example.org"]
)
def test_weak_passwords_are_refused(visitor, password):
    response = visitor.post("/account/signup/", email=visitor.email, password1=password)
    assert response.status_code == HTTPStatus.OK
    assert b"form-error" in response.content
    assert not User.objects.exists()


def test_a_forgotten_password_is_set_anew_and_all_sessions_end(visitor):
    visitor.sign_up()
    visitor.confirm()
    other = Visitor(Client(), visitor.mailbox)
    other.post("/account/password/reset/", email=visitor.email)
    mail = visitor.mailbox.to(visitor.email)
    [link] = re.findall(r"http://testserver(/account/password/reset/key/\S+)", text_of(mail))
    response = other.client.get(link, follow=True)
    fresh = "another-Long-passphrase-7"
    done = other.client.post(
        response.request["PATH_INFO"], {"password1": fresh, "password2": fresh}
    )
    assert done.status_code == HTTPStatus.FOUND, done.content.decode()
    assert visitor.client.get(reverse("accounts:sessions")).status_code == HTTPStatus.FOUND
    other.sign_in(password=fresh)
    assert signed_in_as(other.client)


# Nothing is revealed to strangers


def test_signing_up_looks_the_same_whether_the_address_is_known(visitor):
    visitor.sign_up()
    visitor.confirm()
    known, unknown = Visitor(Client(), visitor.mailbox), Visitor(Client(), visitor.mailbox)
    unknown.email = "nobody@example.org"
    forget_limits()
    first, second = known.sign_up(), unknown.sign_up()
    assert (first.status_code, first["Location"]) == (second.status_code, second["Location"])
    pages = [one.client.get(first["Location"]) for one in (known, unknown)]
    texts = [
        _bare(page.content.decode(), one.email)
        for page, one in zip(pages, (known, unknown), strict=True)
    ]
    assert texts[0].splitlines() == texts[1].splitlines()
    assert "an account with this address already" in text_of(visitor.mailbox.to(visitor.email))


def test_signing_up_takes_as_long_whether_the_address_is_known(visitor, monkeypatch):
    """Most of the time is spent on hashing the password."""
    visitor.sign_up()
    visitor.confirm()
    hashed = []
    monkeypatch.setattr(
        MD5PasswordHasher, "encode", lambda _, password, salt: hashed.append(password) or "x$y$z"
    )
    counts = []
    for email in (visitor.email, "nobody@example.org"):
        forget_limits()
        Visitor(Client(), visitor.mailbox, email).sign_up()
        counts.append(len(hashed))
        hashed.clear()
    assert counts[0] == counts[1] == 1


def test_a_link_in_a_mail_leads_to_this_site_whatever_host_was_asked(visitor, settings):
    settings.URL, settings.URL_HOST = "https://chat.example.org", "chat.example.org"
    visitor.sign_up()
    visitor.confirm()
    visitor.post("/account/logout/")
    fields = {"email": visitor.email}
    visitor.client.post("/account/password/reset/", fields, headers={"host": "localhost:6666"})
    text = text_of(visitor.mailbox.to(visitor.email))
    assert "https://chat.example.org/account/password/reset/key/" in text
    assert "localhost" not in text


@pytest.mark.parametrize(
    ("path", "field"),
    [("/account/login/code/", "email"), ("/account/password/reset/", "email")],
)
def test_asking_for_a_code_or_a_reset_looks_the_same(visitor, path, field):
    visitor.sign_up()
    visitor.confirm()
    answers = []
    for email in (visitor.email, "nobody@example.org"):
        client = Client()
        response = client.post(path, {field: email}, follow=True)
        answers.append(
            (
                response.status_code,
                response.request["PATH_INFO"],
                _bare(response.content.decode(), email),
            )
        )
    assert answers[0] == answers[1]


def test_a_wrong_password_says_the_same_as_an_unknown_address(visitor):
    visitor.sign_up()
    visitor.confirm()
    answers = []
    for email in (visitor.email, "nobody@example.org"):
        response = Client().post("/account/login/", {"login": email, "password": "wrong"})
        answers.append(_bare(response.content.decode(), email))
    assert answers[0] == answers[1]


def forget_limits():
    """Forget the limits, as if the minute were over in which an address gets at most one mail."""
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        for key in client.scan_iter("hf-cache*"):
            client.delete(key)


def test_the_cache_cannot_empty_the_log():
    with pytest.raises(NotImplementedError):
        cache.clear()


def _bare(html, email):
    html = re.sub(r'name="csrfmiddlewaretoken" value="[^"]*"', "", html)
    return html.replace(email, "EMAIL")


# Attacks


@pytest.mark.parametrize(
    "next_url", ["https://evil.example/", "//evil.example", "javascript:alert(1)"]
)
def test_signing_in_never_leads_to_another_site(visitor, next_url):
    visitor.sign_up()
    visitor.confirm()
    visitor.post("/account/logout/", next=next_url)
    response = visitor.sign_in(next=next_url)
    assert response["Location"] == "/"
    assert visitor.post("/account/logout/", next=next_url)["Location"] == "/"


def test_signing_in_leads_back_to_the_chat(visitor):
    visitor.sign_up()
    visitor.confirm()
    visitor.post("/account/logout/")
    path = "/c/3f0c8f5e-0000-4000-8000-000000000000"
    assert visitor.sign_in(next=path)["Location"] == path


def test_a_session_known_before_signing_in_is_worth_nothing(visitor):
    visitor.sign_up()
    visitor.confirm()
    visitor.post("/account/logout/")
    visitor.client.get("/account/login/")
    planted = visitor.client.session
    planted["planted"] = True
    planted.save()
    visitor.client.cookies["sessionid"] = planted.session_key
    visitor.sign_in()
    assert signed_in_as(visitor.client)
    assert visitor.client.session.session_key != planted.session_key
    thief = Client()
    thief.cookies["sessionid"] = planted.session_key
    assert signed_in_as(thief) is None


def test_a_command_without_its_token_is_refused(visitor):
    strict = Client(enforce_csrf_checks=True)
    for path in ("/account/login/", "/account/logout/", "/account/signup/", "/settings/sessions"):
        assert strict.post(path).status_code in (HTTPStatus.FORBIDDEN, HTTPStatus.FOUND)
    assert (
        strict.post("/account/login/", {"login": "a@b.c", "password": PASSWORD}).status_code == 403
    )


@pytest.mark.parametrize(
    "name",
    [
        "account_email",
        "account_change_password",
        "mfa_index",
        "socialaccount_connections",
        "accounts:sessions",
        "accounts:settings",
        "accounts:security-events",
        "mfa_activate_totp",
        "mfa_add_webauthn",
        "account_reauthenticate",
    ],
)
def test_every_page_is_in_the_products_look(visitor, name):
    visitor.sign_up()
    visitor.confirm()
    response = visitor.client.get(reverse(name), follow=True)
    assert response.status_code == HTTPStatus.OK
    html = response.content.decode()
    assert "css/site.css" in html and "style=" not in html and "<style" not in html
    assert re.findall(r"<script(?![^>]*(?:src=|application/json))", html) == []


def test_sensitive_actions_need_a_reauthentication(visitor, settings):
    visitor.sign_up()
    visitor.confirm()
    settings.ACCOUNT_REAUTHENTICATION_TIMEOUT = 0
    response = visitor.client.get(reverse("mfa_activate_totp"))
    assert response.status_code == HTTPStatus.FOUND
    assert "reauthenticate" in response["Location"]


def test_who_has_just_signed_in_with_the_password_is_not_asked_again(visitor):
    visitor.sign_up()
    visitor.confirm()
    visitor.post("/account/logout/")
    forget_limits()
    with time_machine.travel(time.time(), tick=False) as clock:
        visitor.sign_in()
        activate = reverse("mfa_activate_totp")
        assert visitor.client.get(activate).status_code == HTTPStatus.OK
        assert visitor.client.get(reverse("accounts:delete")).status_code == HTTPStatus.OK
        clock.shift(301)
        assert "reauthenticate" in visitor.client.get(activate)["Location"]


@pytest.mark.parametrize(
    ("host", "is_secure", "offered"),
    [
        ("localhost:8000", False, True),
        ("testserver", True, True),
        ("testserver", False, False),
        ("127.0.0.1:8000", True, False),
        ("[::1]:8000", False, False),
    ],
)
def test_passkeys_are_offered_where_they_work(visitor, settings, host, is_secure, offered):
    settings.ALLOWED_HOSTS = ["*"]
    for name in ("account_login", "account_signup"):
        page = visitor.client.get(reverse(name), HTTP_HOST=host, secure=is_secure)
        assert (b"with a passkey" in page.content) is offered
    visitor.sign_up()
    visitor.confirm()
    page = visitor.client.get(reverse("mfa_index"), HTTP_HOST=host, secure=is_secure)
    assert (reverse("mfa_add_webauthn").encode() in page.content) is offered
    assert (b"They do not work at this address" in page.content) is not offered


def test_providers_are_shown_only_when_configured(visitor, settings):
    assert b"Continue with" not in visitor.client.get("/account/login/").content
    providers = dict(settings.SOCIALACCOUNT_PROVIDERS)
    providers["github"] = {"APPS": [{"client_id": "x", "secret": "y"}]}
    settings.SOCIALACCOUNT_PROVIDERS = providers
    assert b"Continue with GitHub" in visitor.client.get("/account/login/").content


# Signed up by somebody else


def test_a_password_set_before_the_address_was_proved_opens_nothing_later(visitor):
    """A stranger signs up with somebody else's address, and waits until its owner signs in."""
    visitor.sign_up(password="the-Strangers-choice-1")
    forget_limits()
    owner = Visitor(Client(), visitor.mailbox)
    owner.post("/account/login/code/", email=owner.email)
    owner.post("/account/login/code/confirm/", code=code_in(owner.mailbox.to(owner.email)))
    assert signed_in_as(owner.client)
    stranger = Visitor(Client(), visitor.mailbox)
    stranger.sign_in(password="the-Strangers-choice-1")
    assert signed_in_as(stranger.client) is None
    # The stranger cannot continue the sign-up, either.
    visitor.client.get("/account/confirm-email/")
    assert signed_in_as(visitor.client) is None
