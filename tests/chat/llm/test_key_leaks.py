"""A stored key leaks nowhere: not into responses, frames, log lines, events, rows or Redis.

Random keys are saved on the page and used by a worker. The fake provider fails in every way it can,
and quotes the key in its errors, headers and redirects. Then all output and all stored data are
searched for the key, in every encoding it could have.
"""

import base64
import json
import logging
import re
import uuid
from urllib.parse import quote

import pytest
import redis
from asgiref.sync import sync_to_async
from django.db import connection
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from accounts.models import ProviderKey, User
from tests.chat.conftest import Person
from tests.chat.websocket.socket_client import Socket
from tests.fake_model import running_fake_model

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]

PAGE = "/settings/keys"
# Every character that a header may contain, because each provider chooses its own alphabet.
KEYS = st.text(st.sampled_from([chr(n) for n in range(33, 127)]), min_size=24, max_size=60)
KEYS = KEYS.filter(lambda key: len(set(key)) > 9)  # "0000…" would be found by chance.
FAILURES = (
    *(f"status={status}" for status in (400, 401, 402, 403, 404, 408, 413, 429, 500, 503)),
    "status=401&html=1",
    "status=429&retry_after=1",
    "error_after=0",
    "error_after=2",
    "error_after=2&error_code=401",
    "redirect=https://elsewhere.example.org/",
    "malformed_after=1",
    "cut_after=1",
    "die_after=1",
    "bad_utf8_after=1",
    "html_200=1",
    "empty=1",
    "context=1",
    "usage_400=1",
    "tokens=3",
)


def forms_of(key):
    """The key as it is, and in URLs, JSON, HTML, base64 and hexadecimal."""
    raw = key.encode()
    plain = {
        key,
        quote(key),
        quote(key, safe=""),
        json.dumps(key)[1:-1],
        repr(key)[1:-1],
        key.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;"),
        raw.hex(),
    }
    # The base64 form depends on the offset.
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + raw)
        inner = whole[4 if before else 0 : len(whole) // 4 * 4 - 4].decode()
        plain |= {inner, inner.replace("+", "-").replace("/", "_")}
    return {form.lower() for form in plain}


class LogCapture(logging.Handler):
    """Collects every record of every logger, both formatted and as `repr`."""

    def __init__(self):
        super().__init__(0)
        self.records = []

    def emit(self, record):
        self.records.append(self.format(record) + repr(record.__dict__))


@pytest.fixture
def log_capture():
    log_capture, levels = LogCapture(), {}
    names = [None, *logging.root.manager.loggerDict]
    for name in names:
        logger = logging.getLogger(name)
        levels[name] = (logger.level, logger.disabled)
        logger.setLevel(logging.DEBUG)
        if name is None or not logger.propagate:
            logger.addHandler(log_capture)
    yield log_capture
    for name in names:
        logger = logging.getLogger(name)
        logger.level, logger.disabled = levels[name]
        logger.removeHandler(log_capture)


@pytest.fixture
def own(settings):
    settings.ALLOW_PRIVATE_MODEL_URLS = True
    settings.BACKGROUND_CALLS = True
    settings.MAX_ATTEMPTS = 2
    with running_fake_model() as running:
        yield running


def everything_in_redis(url):
    with redis.Redis.from_url(url) as client:
        for name in client.scan_iter():
            yield name
            match client.type(name):
                case b"string":
                    yield client.get(name)
                case b"hash":
                    yield repr(client.hgetall(name)).encode()
                case b"stream":
                    for _, fields in client.xrange(name):
                        yield from fields.values()
                case b"zset":
                    yield repr(client.zrange(name, 0, -1)).encode()
                case b"set":
                    yield repr(client.smembers(name)).encode()
                case b"list":
                    yield repr(client.lrange(name, 0, -1)).encode()


def everything_in_the_database():
    """All rows of all tables, with ciphertext as bytes."""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            for row in cursor.fetchall():
                yield repr([bytes(v) if isinstance(v, memoryview) else v for v in row]).encode()


def assert_nowhere(key, collected):
    forms = forms_of(key)
    for place, content in collected:
        text = (content if isinstance(content, str) else content.decode("latin-1")).lower()
        for form in forms:
            assert form not in text, (place, form)


@settings(
    max_examples=3,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],  # Shrinking would take too long.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(key=KEYS)
async def test_a_stored_key_appears_nowhere(worker, own, log_capture, redis_url, key):
    own.accept_keys({key: "good"})
    log_capture.records.clear()
    person = Person()
    account = await sync_to_async(User.objects.create_user)(f"{uuid.uuid4()}@example.org", "pw")
    await person.client.aforce_login(account)
    collected = []

    async def ask(method, path, body=None, **more):
        response = await getattr(person.client, method)(path, body, **more)
        collected.append((path, response.content))
        collected.append((path, repr(response.headers) + repr(response.cookies)))
        return response

    await ask("post", "/account/reauthenticate/", {"password": "pw"})
    entered = {"add": "custom", "key": key, "label": "Lab", "base_url": own.base_url}
    for state in ("invalid", "revoked", "banned", "quota", "busy", "broken"):
        own.accept_keys({key: state})
        await ask("post", PAGE, entered)
    await ask("post", PAGE, entered | {"label": ""})
    await ask("post", PAGE, entered | {"base_url": "http://169.254.169.254/"})
    own.accept_keys({key: "good"})
    await ask("post", PAGE, entered)
    row = await ProviderKey.objects.aget(owner=account)
    cookies = "; ".join(f"{name}={m.value}" for name, m in person.client.cookies.items())
    async with Socket(cookies=cookies) as socket:
        replies = []
        for failure in FAILURES:
            chat = str(uuid.uuid4())
            text = f"[[{failure}&leak=1]] Hello"
            model = f"my-{row.id.hex[:12]}/script/known"
            _, reply = await person.send(text, chat=chat, model=model)
            replies.append((chat, reply))
        for chat, reply in replies:
            await person.settled(reply, chat)
            await ask("get", f"/api/chats/{chat}/events")
            await socket.say(type="follow", chat=chat, after=None)
            await socket.until_type("live", chat=chat)
            collected.append(("socket", json.dumps(socket.entries)))
    for state in ("invalid", "revoked"):
        own.accept_keys({key: state})
        await ask("post", f"{PAGE}/{row.id}", {"check": "1"})
    for path in (PAGE, f"{PAGE}?replace={row.id}", "/", "/api/models", "/settings/activity"):
        await ask("get", path)
    await ask("post", f"{PAGE}/{row.id}", {"remove": "1"})
    collected += [
        ("redis", value) for value in await sync_to_async(list)(everything_in_redis(redis_url))
    ]
    rows = await sync_to_async(list)(everything_in_the_database())
    collected += [("database", stored) for stored in rows]
    collected += [("log", line) for line in log_capture.records]
    assert len(own.requests) > len(FAILURES), "the provider was asked"
    assert re.search(r"secret detail", repr([r["prompt"] for r in own.requests])) is None
    assert log_capture.records and rows
    assert_nowhere(key, collected)


def test_the_search_finds_a_hidden_key():
    key = "sk-\"<&>-%2F'+/=abcdefghijkl"
    for hidden in (
        key,
        f"https://x/?k={quote(key, safe='')}",
        json.dumps({"e": f"key {key}"}),
        base64.b64encode(f"Bearer {key} and more".encode()).decode(),
        base64.urlsafe_b64encode(f"xx{key} and more".encode()).decode(),
        key.encode().hex(),
    ):
        with pytest.raises(AssertionError):
            assert_nowhere(key, [("here", hidden)])
    assert_nowhere(key, [("here", "sk-abcdefgh")])
