"""Models of people's own keys: visibility, access, and the key that a call uses."""

import asyncio
import uuid
from contextlib import aclosing

import pytest
from asgiref.sync import sync_to_async

from accounts.models import ProviderKey, User
from accounts.provider_keys import address_filter as public_addresses
from accounts.provider_keys import store as provider_keys
from accounts.provider_keys.encryption import DecryptionRefusedError, decryption_allowed
from accounts.provider_keys.probe import Verdict
from accounts.provider_keys.providers import PROVIDERS
from chat.llm import client as providers
from chat.llm import user_models
from chat.llm.catalogue import UnknownModelError, get_catalogue
from chat.llm.client import stream_answer
from chat.llm.endpoints import Endpoint, Model
from chat.llm.errors import SENTENCES, ProviderError
from chat.llm.user_models import find_for, find_for_call, models_for
from chat.models import Chat
from tests.chat.conftest import MODEL, Person, close_loop
from tests.chat.llm.prompts import prompt_of
from tests.chat.page_requests import new_message
from tests.fake_model import running_fake_model, text_of

pytestmark = pytest.mark.django_db(transaction=True)

KEY, OTHER = "sk-own-AbCdEfGhIjKlMnOpQrSt0001", "sk-own-AbCdEfGhIjKlMnOpQrSt0002"
HIGH_PORT = 8443
NAMES = ("script/known", "script/known?tokens=4", "text-embedding-3-small")
LISTED = [{"id": name} for name in NAMES]


@pytest.fixture
def own(settings):
    """The server of people's own keys."""
    settings.ALLOW_PRIVATE_MODEL_URLS = True
    with running_fake_model() as running:
        running.accept_keys({KEY: "good", OTHER: "good"})
        yield running


async def person_with_account(email):
    person = Person()
    person.account = await sync_to_async(User.objects.create_user)(email, "x")
    await person.client.aforce_login(person.account)
    return person


@pytest.fixture
async def alice(holdfast):
    return await person_with_account("alice@example.org")


@pytest.fixture
async def bob(holdfast):
    return await person_with_account("bob@example.org")


async def save(person, server, key=KEY, label="Lab", replaces=None, provider="custom"):
    verdict = Verdict(ProviderKey.Status.OK, LISTED)
    url = server if isinstance(server, str) else server.base_url
    fields = {"label": label, "base_url": url} if provider == "custom" else {}
    return await sync_to_async(provider_keys.save)(
        person.account, provider, key, verdict, replaces=replaces, **fields
    )


def id_of(row, name="script/known"):
    return f"{provider_keys.endpoint_name(row)}/{name}"


def keys_used(server):
    return [r["headers"]["authorization"].removeprefix("Bearer ") for r in server.requests]


# Visibility


async def test_own_models_are_listed_for_their_owner_only(alice, bob, own, no_worker):
    row = await save(alice, own)
    mine = (await alice.client.get("/api/models")).json()
    model, _ = [model for model in mine["models"] if model["own_key"]]
    assert model["id"] == id_of(row) and model["endpoint"] == "Lab"
    assert mine["default"] == MODEL
    guest = Person()
    await guest.visit()
    for other in (bob, guest):
        listed = (await other.client.get("/api/models")).json()["models"]
        assert listed and not any(model["own_key"] for model in listed)
        assert "Lab" not in (await other.client.get("/")).content.decode()
    assert "Lab" in (await alice.client.get("/")).content.decode()


async def test_an_own_model_is_the_default_of_a_site_without_models(
    alice, own, no_worker, settings
):
    settings.OPENAI_API_KEY, settings.OPENAI_BASE_URL = "", "https://api.openai.com/v1"
    settings.OLLAMA_HOST = "off"
    row = await save(alice, own)
    assert await models_for(alice.account) == (
        await sync_to_async(user_models._listed)(alice.account),
        id_of(row),
    )
    assert await models_for(None) == ([], None)


async def test_keys_of_known_providers_have_their_names(alice, own, no_worker):
    row = await save(alice, own, provider="anthropic")
    model, _ = [m for m in (await models_for(alice.account))[0] if m.own_key]
    assert model.id == "my-anthropic/script/known" == id_of(row)
    assert model.to_dict()["endpoint"] == "Your Anthropic key"
    assert model.endpoint.base_url == "https://api.anthropic.com/v1"


# Access


@pytest.mark.parametrize(
    "wrong", ["{theirs}", "my-openai/gpt-4o", "my-/x", "my-x", "my-0123456789ab/x"]
)
async def test_the_id_of_another_persons_key_is_unknown(alice, bob, own, no_worker, wrong):
    row = await save(bob, own)
    wrong = wrong.format(theirs=id_of(row))
    with pytest.raises(UnknownModelError):
        await find_for(alice.account, wrong)
    body = new_message(model=wrong)
    refused = await alice.post(f"/api/chats/{alice.chat}/messages", **body)
    assert refused.status_code == 422 and refused.json()["error"]["code"] == "model_unknown"
    assert not await Chat.objects.aexists()
    guest = Person()
    await guest.visit()
    assert (await guest.post(f"/api/chats/{guest.chat}/messages", **body)).status_code == 422
    with decryption_allowed(), pytest.raises(ProviderError) as error:
        await find_for_call(alice.account.id, wrong, get_catalogue())
    assert error.value.code == "key_missing"


async def test_a_model_missing_in_the_keys_list_is_unknown(alice, own, no_worker):
    row = await save(alice, own)
    for name in ("nothing", "text-embedding-3-small", ""):
        with pytest.raises(UnknownModelError):
            await find_for(alice.account, id_of(row, name))


async def test_web_processes_list_models_without_the_key(alice, own, no_worker):
    row = await save(alice, own)
    model = await find_for(alice.account, id_of(row))
    assert model.endpoint.api_key == ""
    assert KEY not in repr(model)
    with pytest.raises(DecryptionRefusedError):
        await sync_to_async(provider_keys.reveal)(row)
    with pytest.raises(ProviderError) as error:
        await find_for_call(alice.account.id, id_of(row), get_catalogue())
    assert error.value.code == "key_unreadable"


async def test_the_workers_endpoint_does_not_show_the_key(alice, own, no_worker):
    row = await save(alice, own)
    with decryption_allowed():
        model = await find_for_call(alice.account.id, id_of(row), get_catalogue())
    assert model.endpoint.api_key == KEY
    assert KEY not in f"{model!r} {model.endpoint!r} {model.endpoint!s}"
    assert model.own_key and model.endpoint.guarded


# Answers


async def test_a_reply_is_made_with_the_owners_key(alice, own, worker, holdfast):
    row = await save(alice, own)
    _, reply = await alice.send("[[tokens=9]] Hello", model=id_of(row))
    message = await alice.settled(reply)
    assert message.status == "done"
    assert str(message.text) == text_of("[[tokens=9]] Hello", 9)
    assert message.model == id_of(row)
    assert keys_used(own) == [KEY] and holdfast.requests == []


async def test_two_people_with_one_address_each_use_their_own_key(alice, bob, own, worker):
    mine, theirs = await save(alice, own, KEY), await save(bob, own, OTHER)
    sent = []
    for _ in range(3):
        for person, row in ((alice, mine), (bob, theirs)):
            person.chat = str(uuid.uuid4())
            _, reply = await person.send("[[tokens=3]] Hello", model=id_of(row))
            sent.append((person, person.chat, reply))
    for person, chat, reply in sent:
        assert (await person.settled(reply, chat)).status == "done"
    assert sorted(keys_used(own)) == [KEY] * 3 + [OTHER] * 3
    assert len(connections_by_key()) == 2


def connections_by_key():
    return [e for clients in providers._clients.values() for e in clients if e.owner]


async def test_a_replaced_key_is_never_used_again(alice, own, worker):
    row = await save(alice, own, KEY)
    _, first = await alice.send("[[tokens=3]] One", model=id_of(row))
    await alice.settled(first)
    await save(alice, own, OTHER, replaces=row)
    _, second = await alice.send("[[tokens=3]] Two", model=id_of(row), parent=first)
    assert (await alice.settled(second)).status == "done"
    assert keys_used(own) == [KEY, OTHER]


async def test_a_removed_key_is_never_used_again(alice, own, worker):
    row = await save(alice, own, KEY)
    _, first = await alice.send("[[tokens=3&die_after=1&times=1]] One", model=id_of(row))
    await alice.settled(first)
    used = len(own.requests)
    await sync_to_async(provider_keys.remove)(row)
    response = await alice.post(
        f"/api/chats/{alice.chat}/replies",
        id=str(uuid.uuid4()),
        parent=(await alice.message(first)).parent,
        model=id_of(row),
    )
    assert response.status_code == 422
    assert len(own.requests) == used


async def test_a_reply_whose_key_is_removed_meanwhile_ends_with_an_error(alice, own, no_worker):
    from chat.generation.worker import Worker

    row = await save(alice, own, KEY)
    _, reply = await alice.send("[[tokens=3]] One", model=id_of(row))
    await sync_to_async(provider_keys.remove)(row)
    running = Worker()
    task = asyncio.create_task(running.run())
    message = await alice.settled(reply)
    running.leave()
    await task
    assert message.error["code"] == "key_missing" and own.requests == []


async def test_titles_are_made_with_the_persons_key(alice, own, worker, settings, holdfast):
    settings.BACKGROUND_CALLS = True
    row = await save(alice, own)
    _, reply = await alice.send("Hello", model=id_of(row, "script/known?tokens=4"))
    await alice.settled(reply)
    async with asyncio.timeout(20):
        while (await Chat.objects.aget(id=alice.chat)).title_by != Chat.TitleBy.MODEL:
            await asyncio.sleep(0.02)
    assert keys_used(own) == [KEY, KEY] and holdfast.requests == []


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("invalid", "provider_auth"),
        ("revoked", "provider_auth"),
        ("banned", "provider_auth"),
        ("quota", "provider_credit"),
    ],
)
async def test_the_providers_verdict_on_the_key_is_shown(alice, own, worker, state, code):
    row = await save(alice, own)
    own.accept_keys({KEY: state})
    _, reply = await alice.send("Hello", model=id_of(row))
    message = await alice.settled(reply)
    assert message.error == {"code": code, "text": SENTENCES[code], "retryable": True}


async def test_a_key_that_cannot_be_decrypted_ends_with_an_error(alice, own, worker):
    row = await save(alice, own)
    await ProviderKey.objects.aupdate(nonce=b"x" * 12)
    _, reply = await alice.send("Hello", model=id_of(row))
    assert (await alice.settled(reply)).error["code"] == "key_unreadable"


@pytest.mark.usefixtures("frequent_sweeps")
async def test_a_worker_refreshes_a_stale_list(alice, own, worker):
    row = await save(alice, own)
    own.list_models("newer", "another")
    await ProviderKey.objects.aupdate(
        model_list_read_at="2020-01-01T00:00Z", checked_at="2020-01-01T00:00Z"
    )
    async with asyncio.timeout(20):
        while id_of(row, "newer") not in [m.id for m in (await models_for(alice.account))[0]]:
            await asyncio.sleep(0.05)
    assert own.requests == [], "no token was asked for"
    row = await ProviderKey.objects.aget()
    assert row.check_wanted == "" and row.status == "ok"


# Addresses of calls


def prompt():
    return prompt_of("[[tokens=2]] Hi")


def guarded(url, owner="a" * 32, key=KEY):
    endpoint = Endpoint("my-x", url, key, owner=owner, own_provider="custom", guarded=True)
    return Model("my-x/script/known", "Known", endpoint, 8_192)


async def written(model):
    async with aclosing(stream_answer(model, prompt())) as stream:
        return "".join([item.text async for item in stream if hasattr(item, "text")])


@pytest.fixture
async def pool(db):
    yield
    await close_loop()


@pytest.mark.parametrize("url", [
    "https://127.0.0.1/v1", "http://127.0.0.1:{port}/v1", "https://10.0.0.1/v1", "https://[::1]/v1",
    "https://169.254.169.254/v1", "https://[::ffff:127.0.0.1]/v1", "https://localhost/v1",
    "https://2130706433/v1", "https://0x7f.1/v1", "https://127.1/v1",
])  # fmt: skip
async def test_a_worker_never_calls_a_private_address(own, pool, settings, url):
    settings.ALLOW_PRIVATE_MODEL_URLS = False
    with pytest.raises(ProviderError) as error:
        await written(guarded(url.format(port=own.port)))
    assert error.value.code == "address_refused"
    assert own.state.connections == 0


async def test_dns_rebinding_does_not_reach_a_private_address(own, pool, settings, monkeypatch):
    """A second lookup would return a private address, but there is none: the connection goes to the
    address that was checked."""
    asked = []

    def resolver(host, port, *args, **kwargs):
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "10.255.255.1"
        return [(2, 1, 6, "", (address, port))]

    monkeypatch.setattr(
        providers, "resolve", lambda host, port: public_addresses.resolve(host, port, resolver)
    )
    model = guarded(f"http://rebind.example.org:{own.port}/v1")
    assert await written(model) == text_of("[[tokens=2]] Hi", 2)
    assert own.requests[0]["headers"]["host"] == f"rebind.example.org:{own.port}"
    assert await written(model), "over the existing connection"
    assert asked == ["rebind.example.org"] and own.state.connections == 1
    settings.ALLOW_PRIVATE_MODEL_URLS = False
    asked.clear()
    with pytest.raises(ProviderError) as error:
        await written(guarded(f"https://rebind.example.org:{HIGH_PORT}/v1"))
    assert error.value.code == "address_refused"
    assert asked == ["rebind.example.org"] and own.state.connections == 1


async def test_a_redirect_is_not_followed(own, holdfast, pool):
    to = f"{holdfast.base_url}/chat/completions"
    model = guarded(own.base_url)
    asked = prompt_of(f"[[redirect={to}]] Hi")
    with pytest.raises(ProviderError) as error:
        async with aclosing(stream_answer(model, asked)) as stream:
            [item async for item in stream]
    assert error.value.code == "bad_stream"
    assert holdfast.state.connections == 0


async def test_proxies_in_the_environment_are_not_used(own, pool, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-the-operator")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-of-the-operator")
    assert await written(guarded(own.base_url)) == text_of("[[tokens=2]] Hi", 2)
    assert "of-the-operator" not in str(own.requests[0]["headers"])


async def test_the_client_pool_is_bounded_and_separated_by_owner(own, pool, monkeypatch):
    monkeypatch.setattr(providers, "MAX_IDLE_CLIENTS", 3)
    for n in range(8):
        key = KEY if n % 2 else OTHER
        assert await written(guarded(own.base_url, owner=f"{n:032x}", key=key))
    kept = connections_by_key()
    assert len(kept) == 3 and len({endpoint.owner for endpoint in kept}) == 3
    monkeypatch.setattr(providers, "CLIENT_IDLE_S", 0.0)
    await providers.drop_idle_clients()
    assert connections_by_key() == []


async def test_a_client_in_use_is_not_closed(own, pool, monkeypatch):
    monkeypatch.setattr(providers, "MAX_IDLE_CLIENTS", 0)
    model = guarded(own.base_url)
    slow = prompt_of("[[tokens=12&rate=20]] Hi")
    async with aclosing(stream_answer(model, slow)) as stream:
        text = (await anext(stream)).text
        assert await written(guarded(own.base_url, owner="b" * 32))
        await providers.drop_idle_clients()
        assert [endpoint.owner for endpoint in connections_by_key()] == ["a" * 32]
        text += "".join([item.text async for item in stream if hasattr(item, "text")])
    assert text == text_of("[[tokens=12&rate=20]] Hi", 12)
    assert connections_by_key() == []


def test_every_known_provider_has_a_fixed_address():
    for provider in PROVIDERS.values():
        assert provider.name == "custom" or provider.url.startswith("https://")
