"""GitHub and Google, end to end against a server that implements their documented protocols."""

import contextlib
import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import jwt
import pytest
from allauth.socialaccount.models import SocialAccount
from allauth.socialaccount.providers.github.views import GitHubOAuth2Adapter
from allauth.socialaccount.providers.google.views import GoogleOAuth2Adapter
from django.contrib.auth import SESSION_KEY
from django.test import Client

from accounts.models import User

pytestmark = pytest.mark.django_db(transaction=True)
CLIENT = {"client_id": "the-client", "secret": "the-secret"}
EMAIL = "alice@example.org"


class Provider(BaseHTTPRequestHandler):
    """A code is valid once, with its redirect address and its PKCE challenge."""

    def do_GET(self):
        parts = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/authorize":
            code = secrets.token_urlsafe(12)
            self.server.codes[code] = asked
            back = urlencode({"code": code, "state": asked["state"]})
            self.answer(302, {}, Location=f"{asked['redirect_uri']}?{back}")
        elif self.headers.get("Authorization", "").partition(" ")[2] not in self.server.tokens:
            self.answer(401, {"message": "Bad credentials"})
        elif parts.path == "/user":
            self.answer(200, {"id": 42, "login": "alice", "name": "Alice", "email": None})
        elif parts.path == "/user/emails":
            verified = self.server.verified
            self.answer(200, [{"email": EMAIL, "primary": True, "verified": verified}])

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        sent = {name: values[0] for name, values in parse_qs(body).items()}
        asked = self.server.codes.pop(sent.get("code"), None)
        known = (sent.get("client_id"), sent.get("client_secret")) == tuple(CLIENT.values())
        if asked is None or not known or sent.get("redirect_uri") != asked["redirect_uri"]:
            return self.answer(400, {"error": "invalid_grant"})
        if "code_challenge" in asked and not _answers(sent.get("code_verifier", ""), asked):
            return self.answer(400, {"error": "invalid_grant"})
        token = secrets.token_urlsafe(12)
        self.server.tokens.add(token)
        given = {"access_token": token, "token_type": "bearer", "scope": asked["scope"]}
        if "openid" in asked["scope"] or self.server.google:
            given |= {"expires_in": 3_599, "id_token": self.id_token()}
        return self.answer(200, given)

    def id_token(self):
        now = int(time.time())
        claims = {"iss": "https://accounts.google.com", "aud": CLIENT["client_id"], "sub": "42"}
        claims |= {"email": EMAIL, "email_verified": self.server.verified, "name": "Alice"}
        claims |= {"iat": now, "exp": now + 600} | self.server.claims
        return jwt.encode(claims, "a-key-of-this-test-that-is-long-enough", algorithm="HS256")

    def answer(self, status, body, **headers):
        encoded = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)

    def log_message(self, *_):
        pass


def _answers(verifier, asked):
    import base64
    import hashlib

    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
    return asked["code_challenge_method"] == "S256" and (
        digest.rstrip(b"=").decode() == asked["code_challenge"]
    )


@contextlib.contextmanager
def running_provider():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    server.codes, server.tokens = {}, set()
    server.verified, server.google, server.claims = True, False, {}
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(params=["github", "google"])
def provider(request, settings, mailbox, monkeypatch):
    with running_provider() as server:
        base = f"http://127.0.0.1:{server.server_port}"
        server.google = request.param == "google"
        server.name = request.param
        adapter = GoogleOAuth2Adapter if server.google else GitHubOAuth2Adapter
        monkeypatch.setattr(adapter, "access_token_url", f"{base}/token")
        monkeypatch.setattr(adapter, "authorize_url", f"{base}/authorize")
        monkeypatch.setattr(GitHubOAuth2Adapter, "profile_url", f"{base}/user")
        monkeypatch.setattr(GitHubOAuth2Adapter, "emails_url", f"{base}/user/emails")
        # As config/settings.py has them.
        own = settings.SOCIALACCOUNT_PROVIDERS[request.param] | {"APPS": [CLIENT]}
        settings.SOCIALACCOUNT_PROVIDERS = {request.param: own}
        yield server


def come_back(client, provider, **fields):
    """Go to the provider and back; returns the URL at which the browser ends."""
    away = client.post(f"/account/{provider.name}/login/", fields)
    assert away.status_code == 302, away.content.decode()
    back = httpx2.get(away["Location"])
    assert back.status_code == 302
    parts = urlsplit(back.headers["Location"])
    assert parts.path == f"/account/{provider.name}/login/callback/"
    return f"{parts.path}?{parts.query}"


def is_in(client):
    return SESSION_KEY in client.session


def test_it_signs_up_and_in(provider, client):
    client.get(come_back(client, provider))
    assert is_in(client)
    user = User.objects.get()
    assert user.email == EMAIL
    assert SocialAccount.objects.get().provider == provider.name
    again = Client()
    assert again.get(come_back(again, provider, next="/settings"))["Location"] == "/settings"
    assert is_in(again) and User.objects.count() == 1


def test_a_code_is_good_once_and_only_in_the_browser_that_asked(provider, client):
    address = come_back(client, provider)
    thief = Client()
    thief.get(address)
    assert not is_in(thief)
    client.get(address)
    assert is_in(client)
    client.post("/account/logout/")
    client.get(address)
    assert not is_in(client)


def test_an_address_it_does_not_vouch_for_opens_no_account(provider, client):
    User.objects.create_user(EMAIL, "a-Long-passphrase-9")
    provider.verified = False
    client.get(come_back(client, provider))
    assert not is_in(client) and not SocialAccount.objects.exists()


def test_somebody_who_said_no_is_led_back(provider, client):
    address = come_back(client, provider)
    state = parse_qs(urlsplit(address).query)["state"][0]
    path, _, _ = address.partition("?")
    answer = client.get(path, {"error": "access_denied", "state": state}, follow=True)
    assert answer.status_code == 200 and not is_in(client)


# GitHub's token does not contain its audience.
@pytest.mark.parametrize("provider", ["google"], indirect=True)
@pytest.mark.parametrize(
    "claims",
    [{"aud": "another-client"}, {"iss": "https://evil.example"}, {"exp": 1_000}],
    ids=["another site's", "another issuer's", "old"],
)
def test_a_token_made_for_something_else_is_not_taken(provider, client, claims):
    provider.claims = claims
    client.get(come_back(client, provider))
    assert not is_in(client) and not User.objects.exists()
