"""Signing in with an OpenID provider that enforces the protocol strictly."""

import json
from urllib.parse import urlsplit

import httpx2
import pytest
from allauth.socialaccount.models import SocialAccount
from django.contrib.auth import SESSION_KEY
from django.test import Client

from accounts.models import User
from tests.accounts.mailbox import code_in
from tests.accounts.sign_in.idp import running_idp

pytestmark = pytest.mark.django_db(transaction=True)
LOGIN = "/account/oidc/oidc/login/"


@pytest.fixture(scope="module")
def issuer():
    with running_idp() as running:
        yield running


@pytest.fixture
def provider(issuer, settings, mailbox):
    app = {
        "provider_id": "oidc",
        "name": "Acme",
        "client_id": "demo-client",
        "secret": "demo-secret",
        "settings": {"server_url": issuer, "token_auth_method": "client_secret_basic"},
    }
    settings.SOCIALACCOUNT_PROVIDERS = {
        "openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": [app]}
    }
    return mailbox


def come_back(client, **fields):
    """Sign in at the provider; returns the URL that it redirects the browser to."""
    away = client.post(LOGIN, fields)
    assert away.status_code == 302, away.content.decode()
    with httpx2.Client() as browser:
        browser.get(away["Location"])
        form = {"username": "testuser", "password": "test123"}
        back = browser.post(away["Location"], data=form)
    assert back.status_code == 302, back.text
    parts = urlsplit(back.headers["Location"])
    return f"{parts.path}?{parts.query}"


def confirm(client, mailbox):
    if SESSION_KEY not in client.session:  # The provider did not vouch for the address.
        client.post("/account/confirm-email/", {"code": code_in(mailbox.to("test@example.org"))})


def test_it_signs_up_and_in(provider, client):
    client.get(come_back(client))
    confirm(client, provider)
    user = User.objects.get(email="test@example.org")
    assert client.session[SESSION_KEY] == str(user.id)
    other = Client()
    other.get(come_back(other))
    assert other.session[SESSION_KEY] == str(user.id)


def test_a_code_is_good_once(provider, client):
    back = come_back(client)
    client.get(back)
    confirm(client, provider)
    client.post("/account/logout/")
    client.get(back)
    assert SESSION_KEY not in client.session
    # A state of its own does not help: the provider refuses the code.
    other = Client()
    fresh = come_back(other)
    used, mine = dict_of(back), dict_of(fresh)
    other.get(f"{LOGIN}callback/", mine | {"code": used["code"]})
    assert SESSION_KEY not in other.session


def test_a_wrong_pkce_verifier_opens_nothing(provider, client):
    back = come_back(client)
    session = client.session
    states = json.dumps(session["socialaccount_states"])
    verifier = session["socialaccount_states"][dict_of(back)["state"]][0]["pkce_code_verifier"]
    session["socialaccount_states"] = json.loads(states.replace(verifier, "x" * len(verifier)))
    session.save()
    client.get(back)
    assert SESSION_KEY not in client.session
    assert not SocialAccount.objects.exists()


def test_an_answer_to_somebody_else_is_not_taken(provider, client):
    back = come_back(client)
    victim = Client()
    victim.get(back)
    assert SESSION_KEY not in victim.session
    assert not SocialAccount.objects.exists()


def test_an_unconfirmed_address_takes_over_no_account(provider, client):
    alice = User.objects.create_user("test@example.org", "correct horse")
    client.get(come_back(client))
    assert SESSION_KEY not in client.session
    assert not SocialAccount.objects.filter(user=alice).exists()


@pytest.mark.parametrize("next_url", ["https://evil.example/", "//evil.example"])
def test_it_leads_to_no_other_site(provider, client, next_url):
    back = come_back(client, next=next_url)
    response = client.get(back, follow=True)
    assert all("evil" not in url for url, _ in response.redirect_chain)


def dict_of(address):
    return dict(pair.split("=", 1) for pair in urlsplit(address).query.split("&"))
