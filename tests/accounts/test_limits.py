"""The limits, on real Redis."""

import re
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http import HTTPStatus

import pytest
import redis
from django.test import Client

from accounts import limits
from accounts.errors import AddressFull, LimitReached, LimitUnknown, duration_text
from accounts.models import User
from config import settings as config_settings

LIMIT = "LIMIT_SENDS_PER_MINUTE_GUEST"


@pytest.fixture
def window(monkeypatch):
    """A window that is short enough for a test to wait for its end."""
    monkeypatch.setattr(limits, "window_ms", lambda limit: 400)


def taken(who="somebody", times=1):
    done = 0
    for _ in range(times):
        try:
            limits.take(LIMIT, who)
            done += 1
        except LimitReached:
            pass
    return done


def test_no_more_than_the_limit_within_any_window(redis_url, settings, window):
    settings.LIMIT_SENDS_PER_MINUTE_GUEST = 3
    assert taken(times=2) == 2
    time.sleep(0.25)
    assert taken(times=3) == 1  # the window slides: events that are 0.25 s old still count
    time.sleep(0.2)
    assert taken(times=5) == 2  # the first two have left it, the third has not
    time.sleep(0.45)
    assert taken(times=5) == 3


def test_a_clock_that_is_set_back_makes_nobody_wait_longer_than_a_window(
    redis_url, settings, window
):
    settings.LIMIT_SENDS_PER_MINUTE_GUEST = 3
    assert taken(times=3) == 3
    key = limits._key(LIMIT, "somebody")
    with redis.Redis.from_url(redis_url) as client:
        # Times as a clock leaves them that was an hour ahead until now.
        times = [int(at) + 3_600_000 for at in client.lrange(key, 0, -1)]
        client.delete(key)
        client.rpush(key, *times)
        client.pexpire(key, 3_600_400)
    assert taken(times=1) == 0  # They are still counted,
    time.sleep(0.45)
    assert taken(times=5) == 3  # and no longer than they would have been.


def test_a_refusal_says_when_to_come_back(redis_url, settings):
    settings.LIMIT_SENDS_PER_MINUTE_GUEST = 1
    limits.take(LIMIT, "somebody")
    with pytest.raises(LimitReached) as refused:
        limits.take(LIMIT, "somebody")
    assert 55 <= refused.value.retry_after_s <= 60
    assert refused.value.headers == {"Retry-After": str(refused.value.retry_after_s)}
    limits.take(LIMIT, "somebody else")


def test_many_at_once_take_no_more_than_the_limit(redis_url, settings):
    settings.LIMIT_SENDS_PER_MINUTE_GUEST = 10
    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(lambda _: taken(), range(100))) == 10


def test_memory_is_bounded_and_given_back(redis_url, settings, window):
    settings.LIMIT_SENDS_PER_MINUTE_GUEST = 5
    taken(times=50)
    with redis.Redis.from_url(redis_url) as client:
        (key,) = client.keys("*limit*")
        assert client.llen(key) == 5
        assert b"{limit:" in key and b"somebody" not in key
        settings.LIMIT_SENDS_PER_MINUTE_GUEST = 2
        time.sleep(0.45)
        assert not client.exists(key)


BYTES = "LIMIT_GUEST_BYTES_PER_DAY_ADDRESS"


def test_bytes_are_counted_to_the_byte_and_leave_the_window(redis_url, settings, window):
    settings.LIMIT_GUEST_BYTES_PER_DAY_ADDRESS = 1_000
    limits.take_guest_bytes("somewhere", 400)
    limits.take_guest_bytes("somewhere", 600)
    with pytest.raises(AddressFull) as refused:
        limits.take_guest_bytes("somewhere", 1)
    assert refused.value.headers == {"Retry-After": "1"}
    limits.take_guest_bytes("elsewhere", 1_000)
    time.sleep(0.45)
    limits.take_guest_bytes("somewhere", 1_000)  # Refused actions are not counted.
    with redis.Redis.from_url(redis_url) as client:
        assert client.hlen(limits._key(BYTES, "somewhere")) == 1
        time.sleep(0.45)
        assert not client.exists(limits._key(BYTES, "somewhere"))


def test_bytes_at_once_are_no_more_than_the_limit(redis_url, settings):
    settings.LIMIT_GUEST_BYTES_PER_DAY_ADDRESS = 1_000

    def takes(_):
        with suppress(AddressFull):
            limits.take_guest_bytes("somewhere", 90)
            return 90
        return 0

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(takes, range(100))) == 990


def test_bytes_of_a_clock_that_was_ahead_leave_with_those_of_now(redis_url, settings, window):
    settings.LIMIT_GUEST_BYTES_PER_DAY_ADDRESS = 1_000
    with redis.Redis.from_url(redis_url) as client:
        client.hset(limits._key(BYTES, "somewhere"), str(2**50), 900)
        with pytest.raises(AddressFull):
            limits.take_guest_bytes("somewhere", 101)
    time.sleep(0.45)
    limits.take_guest_bytes("somewhere", 1_000)


def test_a_lowered_limit_holds_at_once(redis_url, settings):
    settings.LIMIT_SENDS_PER_MINUTE_GUEST = 5
    taken(times=4)
    settings.LIMIT_SENDS_PER_MINUTE_GUEST = 2
    assert taken() == 0


def test_zero_is_no_limit(redis_url, settings):
    settings.LIMIT_SENDS_PER_MINUTE_GUEST = 0
    assert taken(times=50) == 50


def test_while_redis_is_away_nobody_is_locked_out_and_nothing_that_costs_is_done(settings):
    names = [name for name in dir(config_settings) if re.match(r"LIMIT_\w+_PER_", name)]
    assert len(names) >= 10 and set(names) > limits.UNLIMITED_WITHOUT_REDIS
    settings.REDIS_URL = "unix:///nowhere/redis.sock"
    for name in names:
        setattr(settings, name, 1)
    for name in limits.UNLIMITED_WITHOUT_REDIS:
        limits.take(name, "somebody")
        limits.take(name, "somebody")
    for name in set(names) - limits.UNLIMITED_WITHOUT_REDIS:
        with pytest.raises(LimitUnknown) as refused:
            limits.take(name, "somebody")
        assert refused.value.status == HTTPStatus.SERVICE_UNAVAILABLE
        assert refused.value.headers == {"Retry-After": "5"}


def test_a_full_redis_counts_nothing_that_costs(redis_url, settings):
    settings.LIMIT_SENDS_PER_MINUTE_GUEST = settings.LIMIT_SIGN_INS_PER_HOUR_NAME = 1
    with redis.Redis.from_url(redis_url) as client:
        client.config_set("maxmemory", 1)
        try:
            with pytest.raises(LimitUnknown):
                limits.take(LIMIT, "somebody")
            limits.take("LIMIT_SIGN_INS_PER_HOUR_NAME", "somebody")
        finally:
            client.config_set("maxmemory", 0)


def test_every_limit_says_its_window_or_its_unit():
    names = [name for name in dir(config_settings) if name.startswith("LIMIT_")]
    in_time = [name for name in names if "_BYTES" not in name]
    assert len(in_time) >= 10
    assert all(limits.window_ms(name) for name in in_time)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(1, "1 second"), (60, "60 seconds"), (61, "2 minutes"), (3_601, "2 hours")],
)
def test_times_are_said_in_words(seconds, said):
    assert duration_text(seconds) == said


# Signing in to the admin


def try_to_sign_in(client, name="alice@example.org", **extra):
    return client.post("/admin/login/", {"username": name, "password": "wrong"}, **extra)


def test_guessing_passwords_at_the_admin_ends(redis_url, settings, db):
    settings.LIMIT_SIGN_INS_PER_MINUTE_ADDRESS = 3
    client = Client()
    for _ in range(3):
        assert try_to_sign_in(client).status_code == HTTPStatus.OK
    refused = try_to_sign_in(client)
    assert refused.status_code == HTTPStatus.TOO_MANY_REQUESTS
    assert 0 < int(refused["Retry-After"]) <= 60
    assert b"too often" in refused.content
    # Claiming another address changes nothing while no proxy is trusted.
    spoofed = try_to_sign_in(client, headers={"x-forwarded-for": "198.51.100.1"})
    assert spoofed.status_code == HTTPStatus.TOO_MANY_REQUESTS


def test_one_account_is_protected_from_many_addresses(redis_url, settings, db):
    settings.LIMIT_SIGN_INS_PER_HOUR_NAME = 2
    settings.TRUST_PROXY = True
    statuses = [
        try_to_sign_in(
            Client(), name, headers={"x-forwarded-for": f"198.51.100.{number}"}
        ).status_code
        for number, name in enumerate(["alice@example.org"] * 2 + ["ALICE@example.org ", "bob@x"])
    ]
    assert statuses == [200, 200, 429, 200]


def test_the_kinds_of_people_have_limits_of_their_own(redis_url, settings):
    settings.LIMIT_SENDS_PER_MINUTE_GUEST, settings.LIMIT_SENDS_PER_MINUTE_ACCOUNT = 1, 2
    guest, account = User(id=uuid.uuid4(), is_guest=True), User(id=uuid.uuid4())
    limits.take_send(guest, "a")
    with pytest.raises(LimitReached):
        limits.take_send(guest, "a")
    limits.take_send(account, "a")
    limits.take_send(account, "a")
    with pytest.raises(LimitReached):
        limits.take_send(account, "a")
