"""The cost of a page for a person with the largest number of keys and the longest lists."""

import json
import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import ProviderKey, User
from accounts.provider_keys import store as provider_keys
from accounts.provider_keys.probe import Verdict
from chat.llm import user_model_lists as own_model_lists
from chat.llm.endpoints import Endpoint
from chat.llm.user_model_lists import ModelListCache
from chat.web.views import MAX_INLINED_MODELS

pytestmark = pytest.mark.django_db(transaction=True)
KEYS, MODELS = 5, 100


def saved(owner, label, count=MODELS):
    verdict = Verdict(ProviderKey.Status.OK, [{"id": f"lab/m{n}"} for n in range(count)])
    url = f"https://{label.lower()}.example/v1"
    return provider_keys.save(owner, "custom", "sk-" + "x" * 30, verdict, label=label, base_url=url)


@pytest.fixture
def rows(redis_url):
    owner = User.objects.create_user("alice@example.org", "x")
    return [saved(owner, f"Lab{n}") for n in range(KEYS)]


@pytest.fixture
def client(rows):
    client = Client()
    client.force_login(rows[0].owner)
    return client


def config_of(page):
    match = re.search(rb'<script[^>]*type="application/json"[^>]*>(.*?)</script>', page, re.S)
    return json.loads(match[1])


def test_a_page_has_the_first_models_and_the_chosen_one(client, rows):
    last = f"{provider_keys.endpoint_name(rows[-1])}/lab/m{MODELS - 1}"
    client.patch("/api/settings", {"default_model": last}, "application/json")
    config = config_of(client.get("/").content)
    assert config["models_more"] and len(config["models"]) == MAX_INLINED_MODELS + 1
    assert config["models"][-1]["id"] == last
    assert len(client.get("/api/models").json()["models"]) >= KEYS * MODELS


def test_lists_are_parsed_once(client, rows):
    client.get("/")
    with CaptureQueriesContext(
        connection,
    ) as queries:
        client.get("/")
        client.get("/api/models")
    assert queries and not [q for q in queries if 'model_list"' in q["sql"]]
    provider_keys.note_verdict(rows[0], Verdict(ProviderKey.Status.OK, [{"id": "lab/new"}]))
    names = [model["id"] for model in client.get("/api/models").json()["models"]]
    assert f"{provider_keys.endpoint_name(rows[0])}/lab/new" in names


def test_an_unchanged_list_is_not_sent_again(client, rows):
    first = client.get("/api/models")
    again = client.get("/api/models", headers={"If-None-Match": first["ETag"]})
    assert again.status_code == 304 and not again.content
    assert "no-cache" in first["Cache-Control"] and "private" in first["Cache-Control"]
    provider_keys.remove(rows[0])
    changed = client.get("/api/models", headers={"If-None-Match": first["ETag"]})
    assert changed.status_code == 200


def test_the_cache_keeps_the_most_recently_used_lists(rows):
    lists = ModelListCache(max_models=2 * MODELS)
    endpoint = Endpoint("own", "https://lab.example/v1", "")
    first = lists.get(rows[0], endpoint)
    lists.get(rows[1], endpoint)
    assert lists.get(rows[0], endpoint) is first
    lists.get(rows[2], endpoint)
    assert lists.get(rows[0], endpoint) is first
    assert sum(map(len, lists._kept.values())) == 2 * MODELS
    assert own_model_lists.MAX_KEPT_MODELS < 50_000
