"""The page of provider keys: requests to the provider, what is saved, and what is shown."""

import asyncio
import dataclasses
import re
import uuid
from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from accounts.models import ProviderKey, SecurityEvent, User
from accounts.provider_keys import probe
from accounts.provider_keys import recheck as key_upkeep
from accounts.provider_keys import store as provider_keys
from accounts.provider_keys.encryption import decryption_allowed
from accounts.provider_keys.probe import Verdict, judge, trimmed
from accounts.provider_keys.providers import PROVIDERS, shape_problem
from tests.fake_model import running_fake_model
from tests.stub_model import stub_model

pytestmark = pytest.mark.django_db(transaction=True)

Status = ProviderKey.Status
PAGE = "/settings/keys"
KEYS = {
    "openai": "sk-proj-AbCdEfGhIjKlMnOpQrStUvWx0001",
    "anthropic": "sk-ant-api03-AbCdEfGhIjKlMnOpQrSt0002",
    "google": "AIzaSyA1234567890abcdefghijklmnopq0003",
    "openrouter": "sk-or-v1-abcdef0123456789abcdef010004",
    "xai": "xai-AbCdEfGhIjKlMnOpQrStUvWxYz01230005",
    "custom": "any-secret-of-theirs-0006",
}
KEYS["google"] += "x" * (39 - len(KEYS["google"]))
PATHS = {"anthropic": "/anthropic/v1", "openrouter": "/openrouter/v1"}


@pytest.fixture
def fake(settings, monkeypatch):
    """All providers are this server, which accepts the keys of KEYS."""
    settings.ALLOW_PRIVATE_MODEL_URLS = True
    with running_fake_model() as running:
        for name, provider in list(PROVIDERS.items()):
            if name != "custom":
                url = running.root + PATHS.get(name, "/v1")
                monkeypatch.setitem(PROVIDERS, name, dataclasses.replace(provider, url=url))
        running.accept_keys(dict.fromkeys(KEYS.values(), "good"))
        yield running


@pytest.fixture
def me(alice, redis_url):
    """Alice, signed in a moment ago."""
    client = Client()
    response = client.post(
        "/account/login/", {"login": "alice@example.org", "password": "correct horse"}
    )
    assert response.status_code == 302
    client.force_login(alice)
    _prove(client)
    return client


def _prove(client):
    response = client.post("/account/reauthenticate/", {"password": "correct horse"})
    assert response.status_code == 302, response.content.decode()


def text_of(response):
    html = response.content.decode()
    main = re.search(r"<main.*?</main>", html, re.DOTALL)[0]
    notices = re.search(r'<div class="notices".*?</div>', html, re.DOTALL)
    return (notices[0] if notices else "") + main


def add(client, provider="openai", key=None, **fields):
    body = {"add": provider, "key": key or KEYS[provider]} | fields
    return client.post(PAGE, body, follow=True)


def custom(fake, **fields):
    return {"label": "Lab server", "base_url": fake.base_url} | fields


def events(*kinds):
    return list(
        SecurityEvent.objects.filter(kind__in=kinds).order_by("id").values_list("kind", "note")
    )


# Format of keys


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_key_of_each_provider_has_its_shape(provider):
    assert shape_problem(PROVIDERS[provider], KEYS[provider]) == ""


@pytest.mark.parametrize(
    ("provider", "key", "said"),
    [
        ("openai", "", "Enter the key"),
        ("openai", "sk-short", "begins with sk-"),
        ("openai", "sk-abc def ghi jkl mno pqr", "no spaces"),
        ("openai", "sk-ключ-ключ-ключ-ключ-ключ", "no special letters"),
        ("openai", "sk-" + "a" * 1_000, "too long"),
        ("openai", "short", "too short"),
        ("openai", KEYS["anthropic"], "looks like a key of Anthropic"),
        ("openai", KEYS["openrouter"], "looks like a key of OpenRouter"),
        ("anthropic", KEYS["openai"], "looks like a key of OpenAI"),
        ("google", KEYS["xai"], "looks like a key of xAI"),
        ("custom", "1234567", "too short"),
        ("custom", "with space inside", "no spaces"),
    ],
)
def test_another_shape_is_said_before_anything_is_asked(me, fake, provider, key, said):
    response = me.post(PAGE, {"add": provider, "key": key} | custom(fake))
    assert said in text_of(response)
    assert fake.state.connections == 0 and not ProviderKey.objects.exists()


# Saving


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_good_key_is_saved_and_shown_by_its_end(me, alice, fake, provider):
    fields = custom(fake) if provider == "custom" else {}
    shown = text_of(add(me, provider, **fields))
    assert "works and is saved" in shown
    row = ProviderKey.objects.get()
    assert (row.owner, row.provider, row.status) == (alice, provider, Status.OK)
    assert KEYS[provider][-4:] in shown and KEYS[provider] not in shown
    assert KEYS[provider][:-4] not in shown
    assert [model["id"] for model in row.model_list][:1] == ["script/known"]
    assert events("key_added") == [("key_added", PROVIDERS[provider].label)]
    with decryption_allowed():
        assert provider_keys.reveal(row) == KEYS[provider]


def test_one_token_is_asked_of_a_model_that_chats(me, fake):
    fake.list_models("whisper-1", "text-embedding-3-small", "gpt-5", "gpt-4.1-nano")
    add(me)
    [request] = fake.requests
    assert request["model"] == "gpt-4.1-nano" and request["body"]["max_completion_tokens"] == 1


@pytest.mark.parametrize(
    ("state", "provider", "said"),
    [
        ("invalid", "openai", "OpenAI does not know this key"),
        ("invalid", "anthropic", "Anthropic does not know this key"),
        ("invalid", "openrouter", "OpenRouter does not know this key"),
        ("revoked", "xai", "was revoked or has expired"),
        ("banned", "google", "the account behind it is blocked"),
        ("invalid", "custom", "The provider does not know this key"),
    ],
)
@pytest.mark.parametrize("insist", [False, True])
def test_a_refused_key_is_never_saved(me, fake, state, provider, said, insist):
    fake.accept_keys({KEYS[provider]: state})
    fields = custom(fake) if provider == "custom" else {}
    if insist:
        fields["save_anyway"] = {"banned": "forbidden"}.get(state, state)
    shown = text_of(add(me, provider, **fields))
    assert said in shown and "save_anyway" not in shown
    assert KEYS[provider] not in shown
    assert not ProviderKey.objects.exists() and not events("key_added")


@pytest.mark.parametrize(
    ("state", "provider", "status", "said"),
    [
        ("quota", "openai", "out_of_quota", "has no credit left"),
        ("quota", "openrouter", "out_of_quota", "has no credit left"),
        ("busy", "openai", "busy", "limits how often"),
        ("broken", "openai", "unreachable", "cannot be reached"),
    ],
)
def test_a_key_that_may_work_later_is_saved_after_a_confirmation(
    me, fake, state, provider, status, said
):
    fake.accept_keys({KEYS[provider]: state})
    shown = text_of(add(me, provider))
    assert said in shown and f'value="{status}"' in shown and not ProviderKey.objects.exists()
    assert KEYS[provider] not in shown
    # Confirming a warning other than the one shown has no effect.
    add(me, provider, save_anyway="something_else")
    assert not ProviderKey.objects.exists()
    shown = text_of(add(me, provider, save_anyway=status))
    assert "is saved" in shown and said in shown
    assert ProviderKey.objects.get().status == status


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("{root}/nowhere/v1", "no OpenAI-compatible service"),
        ("http://127.0.0.1:9/v1", "cannot be reached"),
        ("https://{host}/v1", "cannot be reached"),
        ("http://169.254.169.254/latest", "not on the public internet"),
        ("http://me:pass@{host}/v1", "name and password"),
        ("http://{host}/v1?key=x", "what follows the path"),
        ("gopher://{host}/v1", "begin with https"),
    ],
)
def test_a_wrong_address_is_told_from_a_wrong_key(me, fake, url, said):
    url = url.format(root=fake.root, host=f"127.0.0.1:{fake.port}")
    fields = custom(fake, base_url=url)
    shown = text_of(add(me, "custom", **fields))
    assert said in shown
    assert "Lab server" in shown, "what was written is kept"
    assert KEYS["custom"] not in shown
    assert not ProviderKey.objects.exists()


def test_without_the_operator_private_addresses_are_refused(me, fake, settings):
    settings.ALLOW_PRIVATE_MODEL_URLS = False
    for url in (fake.base_url, "https://127.0.0.1/v1", "https://10.1.2.3/v1", "https://[::1]/v1"):
        shown = text_of(add(me, "custom", **custom(fake, base_url=url)))
        assert "public internet" in shown or "https://" in shown
    assert fake.state.connections == 0 and not ProviderKey.objects.exists()


def test_a_key_in_another_field_is_not_sent_back(me, fake):
    for field in ("label", "base_url"):
        value = f"https://llm.example.org/{KEYS['custom']}/v1"
        shown = text_of(add(me, "custom", **custom(fake, **{field: value})))
        assert "must not hold the key" in shown and KEYS["custom"] not in shown
    # The form's URL does not contain it after a reauthentication, either.
    stranger = Client()
    stranger.force_login(User.objects.get())
    body = {"add": "custom", "key": KEYS["custom"], "label": f"x {KEYS['custom']}"}
    assert KEYS["custom"] not in stranger.post(PAGE, body)["Location"]


def test_there_is_one_of_each_and_several_of_any_address(me, fake, monkeypatch):
    monkeypatch.setattr(provider_keys, "MAX_CUSTOM", 2)
    add(me)
    assert "You have a key of this provider already" in text_of(add(me))
    for label in ("One", "Two"):
        assert "is saved" in text_of(add(me, "custom", **custom(fake, label=label)))
    assert "You have a key" in text_of(add(me, "custom", **custom(fake, label="Three")))
    assert ProviderKey.objects.count() == 3


def test_a_label_is_text_and_nothing_else(me, fake):
    shown = text_of(add(me, "custom", **custom(fake, label="<b>x</b>\u202e\u0007 y")))
    assert ProviderKey.objects.get().label == "<b>x</b> y"
    assert "<b>x</b>" not in shown and "&lt;b&gt;x&lt;/b&gt; y" in shown


# Replacing, removing, checking again


def test_a_key_is_replaced_in_its_row(me, fake):
    add(me)
    old = ProviderKey.objects.get()
    new = "sk-proj-a-new-one-aaaaaaaaaaaaaaa9999"
    fake.accept_keys({new: "good"})
    assert "Replace your OpenAI key" in me.get(f"{PAGE}?replace={old.id}").content.decode()
    me.post(PAGE, {"replace": str(old.id), "key": new})
    row = ProviderKey.objects.get()
    assert row.id == old.id and row.last_four == "9999"
    with decryption_allowed():
        assert provider_keys.reveal(row) == new
    assert events("key_added", "key_removed") == [
        ("key_added", "OpenAI"), ("key_removed", "OpenAI"), ("key_added", "OpenAI"),
    ]  # fmt: skip


def test_an_address_is_not_changed_without_the_key(me, fake):
    add(me, "custom", **custom(fake))
    row = ProviderKey.objects.get()
    body = {"replace": str(row.id), "label": "x", "base_url": "https://evil.example.org/v1"}
    assert "Enter the key" in me.post(PAGE, body | {"key": ""}).content.decode()
    assert ProviderKey.objects.get().base_url == fake.base_url


def test_a_key_is_removed(me, fake):
    add(me)
    row = ProviderKey.objects.get()
    shown = text_of(me.post(f"{PAGE}/{row.id}", {"remove": "1"}, follow=True))
    assert "is removed" in shown and "No keys yet" in shown
    assert not ProviderKey.objects.exists()
    assert events("key_removed") == [("key_removed", "OpenAI")]


def test_a_worker_checks_again(me, fake):
    add(me)
    row = ProviderKey.objects.get()
    fake.accept_keys({KEYS["openai"]: "revoked"})
    shown = text_of(me.post(f"{PAGE}/{row.id}", {"check": "1"}, follow=True))
    assert "Being checked" in shown
    assert ProviderKey.objects.get().status == Status.OK, "the page itself cannot"
    check_again()
    row.refresh_from_db()
    assert (row.status, row.check_wanted) == (Status.REVOKED, "")
    assert "was revoked" in text_of(me.get(PAGE))


@async_to_sync
async def check_again():
    with decryption_allowed():
        await asyncio.gather(key_upkeep.run(), key_upkeep.run())


def test_two_workers_ask_once(me, fake):
    add(me)
    fake.reset()
    me.post(f"{PAGE}/{ProviderKey.objects.get().id}", {"check": "1"})
    check_again()
    check_again()
    assert len(fake.requests) == 1


def test_a_key_claimed_by_a_dead_worker_is_checked_by_another(me, fake):
    add(me)
    row = ProviderKey.objects.get()
    provider_keys.want_check(row, ProviderKey.Check.FULL)
    assert [claimed.id for claimed in key_upkeep._claim()] == [row.id]
    assert key_upkeep._claim() == []
    past = timezone.now() - timedelta(seconds=1)
    ProviderKey.objects.update(check_claimed_until=past)
    assert [claimed.id for claimed in key_upkeep._claim()] == [row.id]


def test_a_verdict_on_a_key_that_was_replaced_is_dropped(me, alice, fake):
    add(me)
    row = ProviderKey.objects.get()
    ok = Verdict(Status.OK, [{"id": "new"}])
    provider_keys.save(alice, "openai", KEYS["openai"] + "2", ok, replaces=row)
    stale = ProviderKey.objects.get()
    stale.nonce = b"the nonce it had"
    provider_keys.note_verdict(stale, Verdict(Status.REVOKED))
    assert ProviderKey.objects.get().status == Status.OK


def test_a_key_that_cannot_be_read_says_so(me, fake):
    add(me)
    ProviderKey.objects.update(nonce=b"x" * 12, check_wanted="full")
    check_again()
    assert ProviderKey.objects.get().status == Status.UNREADABLE
    assert "Enter it again" in text_of(me.get(PAGE))


def test_checks_are_limited(me, fake, settings):
    settings.LIMIT_KEY_CHECKS_PER_HOUR_USER = 2
    fake.accept_keys({})
    for _ in range(2):
        assert "does not know this key" in text_of(add(me))
    asked = fake.state.connections
    response = add(me)
    assert response.status_code == 429 and "too often" in text_of(response)
    assert fake.state.connections == asked


# Access


def test_the_form_needs_a_recent_reauthentication(alice, fake, redis_url):
    client = Client()
    client.force_login(alice)
    assert client.get(PAGE).status_code == 200
    form = client.get(f"{PAGE}?add=openai")
    assert form.status_code == 302 and "/account/reauthenticate/" in form["Location"]
    response = client.post(PAGE, {"add": "openai", "key": KEYS["openai"]})
    assert response.status_code == 302 and response["Location"] == f"{PAGE}?add=openai"
    assert fake.state.connections == 0 and not ProviderKey.objects.exists()
    assert KEYS["openai"] not in str([s.get_decoded() for s in Session.objects.all()])
    _prove(client)
    assert client.get(f"{PAGE}?add=openai").status_code == 200
    add(client)
    assert ProviderKey.objects.exists()


def test_other_fields_are_kept_during_a_reauthentication(alice, fake, redis_url):
    client = Client()
    client.force_login(alice)
    body = {"add": "custom", "key": KEYS["custom"]} | custom(fake)
    to = client.post(PAGE, body)["Location"]
    assert KEYS["custom"] not in to
    _prove(client)
    shown = client.get(to).content.decode()
    assert "Lab server" in shown and fake.base_url in shown


def test_removing_needs_a_recent_reauthentication_too(me, alice, fake):
    add(me)
    row = ProviderKey.objects.get()
    stranger = Client()
    stranger.force_login(alice)
    response = stranger.post(f"{PAGE}/{row.id}", {"remove": "1"})
    assert response.status_code == 302 and "reauthenticate" in response["Location"]
    assert ProviderKey.objects.exists()


@pytest.mark.parametrize("act", ["remove", "check"])
def test_keys_of_others_are_not_there(me, fake, act):
    bob = User.objects.create_user("bob@example.org", "x")
    row = provider_keys.save(bob, "openai", KEYS["openai"], Verdict(Status.OK, []))
    assert "No keys yet" in text_of(me.get(PAGE))
    for path in (f"{PAGE}?replace={row.id}", f"{PAGE}?replace={uuid.uuid4()}", f"{PAGE}?add=x"):
        assert me.get(path).status_code == 404
    assert me.post(f"{PAGE}/{row.id}", {act: "1"}).status_code == 404
    body = {"replace": str(row.id), "key": KEYS["openai"]}
    assert me.post(PAGE, body).status_code == 404
    row.refresh_from_db()
    assert row.check_wanted == ""


def test_a_guest_has_no_keys(guest, client, fake):
    client.force_login(guest)
    for response in (
        client.get(PAGE),
        client.get(f"{PAGE}?add=openai"),
        client.post(PAGE, {"add": "openai", "key": KEYS["openai"]}),
        client.post(f"{PAGE}/{uuid.uuid4()}", {"remove": "1"}),
    ):
        assert response.status_code == 302 and "/account/login/" in response["Location"]
    assert not ProviderKey.objects.exists()


def test_keys_are_deleted_with_the_account(me, alice, fake):
    add(me)
    alice.delete()
    assert not ProviderKey.objects.exists()


# Verdicts


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (200, "", "ok"),
        (401, '{"error":{"code":"invalid_api_key"}}', "invalid"),
        (401, "", "invalid"),
        (401, "The OpenAI account associated with this API key has been deactivated.", "forbidden"),
        (401, "This API key has expired.", "revoked"),
        (403, "API key sk-x was revoked by its owner", "revoked"),
        (403, "Your API key was reported as leaked. Please use another API key.", "revoked"),
        (403, "Country not supported", "forbidden"),
        (400, "This organization has been disabled.", "forbidden"),
        (400, '[{"error":{"message":"API key not valid. Please pass it."}}]', "invalid"),
        (400, "Incorrect API key provided: xa***yz", "invalid"),
        (400, "Your credit balance is too low to access the Anthropic API.", "out_of_quota"),
        (402, "", "out_of_quota"),
        (429, '{"error":{"type":"insufficient_quota"}}', "out_of_quota"),
        (429, "You exceeded your current quota, please check your plan", "out_of_quota"),
        (429, "Rate limit reached", "busy"),
        (500, "revoked invalid_api_key insufficient_quota", "unreachable"),
        (529, "overloaded", "unreachable"),
        (404, "", "wrong_url"),
        (405, "", "wrong_url"),
        (302, "", "wrong_url"),
        (400, "What is this?", "wrong_url"),
    ],
)  # fmt: skip
def test_verdicts_come_from_status_and_text(status, body, verdict):
    assert judge(status, body.encode()) == verdict


def test_every_verdict_has_a_sentence_that_says_what_is():
    for status in Status:
        said = probe.sentence(status, "openai")
        assert said.endswith(".") or status == Status.OK
        assert "{" not in said


def test_only_known_fields_of_a_list_are_kept():
    key = KEYS["openai"]
    entries = [
        {"id": "a", "created": 1, "secret": "x", "name": "A\x00", "context_length": "many"},
        {"id": "b", "created": 2, "top_provider": {"context_length": 9, "x": 1}, "name": "Bee"},
        {"id": key}, {"id": "c", "name": f"it is {key}"}, {"id": "d" * 500}, {"id": 5}, 5, None,
        {"id": "f", "architecture": {"output_modalities": ["image"]}},
        {"id": "g", "capabilities": {"vision": False, "audio": True, "x": True}},
    ]  # fmt: skip
    assert trimmed({"data": entries}, key, "openai") == [
        {"id": "b", "created": 2, "name": "Bee", "top_provider": {"context_length": 9}},
        {"id": "a", "created": 1},
        {"id": "f", "architecture": {"output_modalities": []}},
        {"id": "g", "capabilities": {"vision": False, "audio": True}},
    ]
    assert trimmed({"data": [{"id": "models/gemini-x"}]}, key, "google") == [{"id": "gemini-x"}]
    for wrong in (None, {}, {"data": 5}, "x", {"error": []}):
        assert trimmed(wrong, key, "openai") is None


# Services without a list of models


@pytest.fixture
def unlisted(fake):
    """A service that offers one model but has no list."""

    def refuses(asked):
        if asked["model"] == "sonar-pro":
            return None
        return 404, {"error": {"message": "no such model", "code": "model_not_found"}}

    with stub_model() as model:
        model.refuses = refuses
        yield model


@pytest.mark.parametrize(
    "listing", [None, (200, "text/html", b"<p>"), (200, "a/b", b'{"data":[]}')]
)
def test_a_service_without_a_list_is_used_by_names_entered_by_hand(me, unlisted, listing):
    unlisted.listing = listing
    fields = custom(unlisted)
    shown = text_of(add(me, "custom", **fields))
    assert "gives no list of its models" in shown and "no OpenAI-compatible" not in shown
    assert not ProviderKey.objects.exists()
    shown = text_of(add(me, "custom", **fields, models="sonar-por"))
    assert "does not know the model “sonar-por”" in shown and not ProviderKey.objects.exists()
    shown = text_of(add(me, "custom", **fields, models="sonar-pro, sonar,sonar-pro"))
    assert "works and is saved" in shown
    row = ProviderKey.objects.get()
    assert [entry["id"] for entry in row.model_list] == ["sonar-pro", "sonar"]
    assert 'value="sonar-pro, sonar"' in me.get(f"{PAGE}?replace={row.id}").content.decode()


def test_names_entered_by_hand_outlive_every_check(me, unlisted):
    add(me, "custom", **custom(unlisted, models="sonar-pro"))
    row = ProviderKey.objects.get()
    for wanted in (ProviderKey.Check.LIST, ProviderKey.Check.FULL):
        provider_keys.want_check(row, wanted)
        check_again()
        row.refresh_from_db()
        assert (row.status, row.check_wanted) == (Status.OK, "")
        assert [entry["id"] for entry in row.model_list] == ["sonar-pro"]
    unlisted.lists({"data": [{"id": "a"}, {"id": "sonar-pro", "context_length": 9000}]})
    provider_keys.want_check(row, ProviderKey.Check.LIST)
    check_again()
    row.refresh_from_db()
    assert [entry["id"] for entry in row.model_list] == ["sonar-pro", "a"]
    assert row.model_list[0]["context_length"] == 9000
    # A key that was refused has no list.
    unlisted.listing = None
    ProviderKey.objects.update(status=Status.INVALID)
    provider_keys.want_check(row, ProviderKey.Check.LIST)
    check_again()
    row.refresh_from_db()
    assert row.status == Status.INVALID


def test_a_refused_key_is_told_where_there_is_no_list(me, unlisted):
    unlisted.refuses = lambda asked: (401, {"error": {"message": "bad key"}})
    for models in ("", "sonar-pro"):
        shown = text_of(add(me, "custom", **custom(unlisted, models=models)))
        assert "does not know this key" in shown and not ProviderKey.objects.exists()


@pytest.mark.parametrize("models", ["a" * 201, ",".join(map(str, range(51))), "a\u202eb"])
def test_invalid_model_names_are_refused(me, fake, models):
    shown = text_of(add(me, "custom", **custom(fake, models=models)))
    assert "name of a model" in shown or "too many" in shown
    assert not ProviderKey.objects.exists() and fake.state.connections == 0


@pytest.mark.parametrize(
    "key",
    [
        "sk-proj-abc…defghijklmnopq",
        "sk-proj-abcdefghi\njklmnopqrst",
        "sk-proj-abc\u200bdefghijklmnop",
        "sk-proj-abcdefgh\u00a0ijklmnopq",
        "sk-proj-abcdefghij\x00klmnopq",
        "\uff53\uff4b-proj-abcdefghijklmnop",
    ],
)
@pytest.mark.parametrize("provider", ["openai", "custom"])
def test_a_key_that_no_header_carries_is_refused_before_it_is_sent(me, fake, provider, key):
    shown = text_of(add(me, provider, key, **(custom(fake) if provider == "custom" else {})))
    assert "no special letters" in shown or "Null characters" in shown
    assert fake.state.connections == 0 and not ProviderKey.objects.exists()
