"""allauth's own limits count by the trusted client address, and respond like all limits."""

from http import HTTPStatus

import pytest
import redis
from django.core.cache import cache
from django.test import Client

from config.env import allauth_rates
from tests.accounts.people import PASSWORD

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def shared_cache(redis_url):
    assert "redis" in type(cache._connections[cache._alias]).__module__


def try_to_sign_in(forwarded, number=0):
    # A different name each time, because attempts are counted by client address.
    fields = {"login": f"nobody{number}@example.org", "password": "wrong"}
    return Client().post("/account/login/", fields, headers={"x-forwarded-for": forwarded})


def test_claiming_another_address_does_not_help_guessing(alice):
    statuses = [try_to_sign_in(f"198.51.100.{n}", n).status_code for n in range(12)]
    assert statuses[0] == HTTPStatus.OK
    # Beyond the limit of failed sign-ins allauth shows an error in the form; beyond the limit of
    # all sign-ins it responds with 429.
    last = try_to_sign_in("198.51.100.99", 99)
    assert last.status_code == HTTPStatus.TOO_MANY_REQUESTS or b"Too many" in last.content


def test_behind_a_proxy_each_client_is_counted_alone(alice, settings):
    settings.TRUST_PROXY = True
    for number in range(12):
        answer = try_to_sign_in(f"198.51.100.{number}", number)
        assert answer.status_code == HTTPStatus.OK and b"Too many" not in answer.content


def test_a_limit_of_0_is_none():
    assert allauth_rates((10, "m/ip"), (0, "h/key")) == "10/m/ip"
    assert allauth_rates((0, "m/ip")) is None


def test_failed_tries_for_one_account_are_counted_wherever_they_come_from(alice, settings):
    settings.TRUST_PROXY = True
    failed = allauth_rates((10, "m/ip"), (3, "h/key"))
    settings.ACCOUNT_RATE_LIMITS = {"login_failed": failed}
    fields = {"login": "alice@example.org", "password": "wrong"}
    for number in range(4):
        headers = {"x-forwarded-for": f"198.51.{number}.1"}
        answer = Client().post("/account/login/", fields, headers=headers)
    assert b"Too many" in answer.content or answer.status_code == HTTPStatus.TOO_MANY_REQUESTS


def test_past_a_limit_it_is_429_with_when_to_come_back(alice, settings):
    settings.ACCOUNT_RATE_LIMITS = {"reset_password": "1/m/ip"}
    client = Client()
    fields = {"email": "nobody@example.org"}
    assert client.post("/account/password/reset/", fields).status_code == HTTPStatus.FOUND
    refused = client.post("/account/password/reset/", fields)
    assert refused.status_code == HTTPStatus.TOO_MANY_REQUESTS
    assert refused["Retry-After"] == "60"
    assert b"too often" in refused.content


def test_one_address_makes_only_so_many_accounts_a_day(settings, mailbox):
    """Each account may get free credit."""
    assert settings.ACCOUNT_RATE_LIMITS["signup"] == "20/m/ip,100/d/ip"
    settings.ACCOUNT_RATE_LIMITS = {"signup": allauth_rates((0, "m/ip"), (2, "d/ip"))}
    statuses = []
    for number in range(3):
        fields = {"email": f"somebody{number}@example.org", "password1": PASSWORD}
        statuses.append(Client().post("/account/signup/", fields).status_code)
    assert statuses == [HTTPStatus.FOUND, HTTPStatus.FOUND, HTTPStatus.TOO_MANY_REQUESTS]


def test_signing_in_works_while_redis_is_full(alice, redis_url):
    alice.emailaddress_set.create(email=alice.email, verified=True, primary=True)
    client = Client()
    with redis.Redis.from_url(redis_url) as full:
        full.config_set("maxmemory", 1)
        try:
            assert client.get("/account/login/").status_code == HTTPStatus.OK
            wrong = try_to_sign_in("198.51.100.1")
            assert wrong.status_code == HTTPStatus.OK
            fields = {"login": "alice@example.org", "password": "correct horse"}
            signed_in = client.post("/account/login/", fields)
            page = client.get("/settings/account")
        finally:
            full.config_set("maxmemory", 0)
    assert signed_in.status_code == HTTPStatus.FOUND
    assert page.status_code == HTTPStatus.OK
