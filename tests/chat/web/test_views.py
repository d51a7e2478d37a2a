"""The page and the JSON API: responses, refusals and access."""

import asyncio
import json
import uuid
from http import HTTPStatus

import pytest
from django.test import AsyncClient

from accounts.models import Session, User
from chat import events as ev
from chat.models import Chat, Reply
from chat.web.views import EVENTS_PAGE, MAX_MESSAGE_CHARS
from config.asgi import django_application
from streams.log import get_log
from tests.chat.conftest import MODEL, Person
from tests.chat.websocket.socket_client import cookies_of
from tests.config.web.raw_requests import respond, scope_of
from tests.fake_model import text_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


def new_id():
    return str(uuid.uuid4())


def error_of(response):
    """(status, code) of a refusal, whose form is asserted."""
    body = response.json()
    assert set(body) == {"error"} and set(body["error"]) == {"code", "message"}, body
    assert body["error"]["message"].endswith(".")
    return response.status_code, body["error"]["code"]


async def rows():
    return (
        await User.objects.acount(),
        await Session.objects.acount(),
        await Chat.objects.acount(),
        await Reply.objects.acount(),
    )


async def row_settled(reply):
    """Wait until a reply's row has ended, which happens after its end in the log."""
    async with asyncio.timeout(20):
        while not (await Reply.objects.aget(id=reply)).is_final:
            await asyncio.sleep(0.02)


def send_body(**fields):
    return {"id": new_id(), "text": "[[tokens=2]] Hi", "model": MODEL, "parent": None} | fields


async def raw_post(person, path, data, content_type="application/json", **extra):
    return await person.client.generic("POST", path, data, content_type, **extra)


# The page


@pytest.mark.parametrize("method", ["get", "head"])
async def test_a_visit_stores_nothing_on_the_server(no_worker, method):
    visitor = AsyncClient()
    for _ in range(2):
        response = await getattr(visitor, method)("/")
        assert response.status_code == 200
    assert await rows() == (0, 0, 0, 0)
    assert "sessionid" not in visitor.cookies
    assert {"csrftoken", "hf_visitor"} <= set(visitor.cookies)
    assert visitor.cookies["hf_visitor"]["httponly"]


async def test_a_visitor_keeps_the_id_of_the_first_visit(no_worker, alice):
    first = alice.client.cookies["hf_visitor"].value
    response = await alice.visit()
    assert "hf_visitor" not in response.cookies
    assert alice.client.cookies["hf_visitor"].value == first


async def test_reading_the_api_as_a_visitor_stores_nothing(no_worker):
    visitor = AsyncClient()
    for path in ("/api/chats", "/api/models", f"/api/chats/{new_id()}/events", "/nowhere"):
        await visitor.get(path)
    assert await rows() == (0, 0, 0, 0)


async def test_the_page_of_a_chat_is_its_owners(no_worker, alice, bob):
    await alice.send("Hello")
    assert (await alice.client.get(f"/c/{alice.chat}")).status_code == 200
    await bob.send("Hello")
    for stranger in (bob.client, AsyncClient()):
        response = await stranger.get(f"/c/{alice.chat}")
        assert response.status_code == 404
        assert alice.user["id"].encode() not in response.content
    assert (await alice.client.get(f"/c/{new_id()}")).status_code == 404


async def test_the_page_is_not_cached(no_worker, alice):
    response = await alice.visit()
    assert "no-store" in response["Cache-Control"]
    assert "script-src 'self'" in response["Content-Security-Policy"]


async def test_the_page_of_an_inactive_person_has_no_personal_data(no_worker, alice):
    await alice.send("Secret plans")
    await User.objects.aupdate(is_active=False)
    response = await alice.visit()
    assert response.status_code == 200
    assert b"Secret plans" not in response.content
    assert error_of(await alice.client.get("/api/chats")) == (401, "sign_in")
    response = await alice.post(f"/api/chats/{alice.chat}/messages", **send_body())
    assert error_of(response) == (401, "sign_in")


# POST messages


async def test_a_send_is_accepted(no_worker, alice):
    body = send_body()
    response = await alice.post(f"/api/chats/{alice.chat}/messages", **body)
    assert response.status_code == HTTPStatus.ACCEPTED
    accepted = response.json()
    assert accepted["chat"] == alice.chat and accepted["message"] == body["id"]
    assert accepted["user"]["is_guest"] is True
    alice.user = accepted["user"]
    assert [entry.type for entry in await alice.entries()] == [
        "chat.created",
        "message.created",
        "message.created",
    ]
    again = await alice.post(f"/api/chats/{alice.chat}/messages", **body)
    assert (again.status_code, again.json()) == (202, accepted)
    assert len(await alice.entries()) == 3


@pytest.mark.parametrize(
    "changed",
    [
        {"text": "[[tokens=2]] Bye"},
        {"model": "openai/script/think?style=think&reasoning=8"},
        {"edit": True},
    ],
)
async def test_the_same_id_with_other_content_is_refused(no_worker, alice, changed):
    body = send_body()
    await alice.post(f"/api/chats/{alice.chat}/messages", **body)
    response = await alice.post(f"/api/chats/{alice.chat}/messages", **body | changed)
    assert error_of(response) == (409, "id_reused")
    other = await alice.post(f"/api/chats/{new_id()}/messages", **body)
    assert error_of(other) == (409, "id_reused")


async def test_the_id_of_an_answer_cannot_name_a_message(no_worker, alice):
    _, reply = await alice.send("One")
    path = f"/api/chats/{alice.chat}"
    response = await alice.post(path + "/messages", **send_body(id=reply, parent=reply))
    assert error_of(response) == (409, "id_reused")


async def test_the_id_of_a_message_cannot_name_an_answer(no_worker, alice):
    message, _ = await alice.send("One")
    body = {"id": message, "parent": message, "model": MODEL}
    response = await alice.post(f"/api/chats/{alice.chat}/replies", **body)
    assert error_of(response) == (409, "id_reused")


async def test_a_chat_and_its_first_message_may_have_the_same_id(worker, alice):
    _, reply = await alice.send("[[tokens=3]] Twins", id=alice.chat)
    message = await alice.settled(reply)
    assert str(message.text) == text_of("[[tokens=3]] Twins", 3)
    assert (await alice.transcript()).title == "[[tokens=3]] Twins"


async def test_another_persons_message_id_is_refused_without_details(no_worker, alice, bob):
    body = send_body(text="Alice's own words")
    await alice.post(f"/api/chats/{alice.chat}/messages", **body)
    response = await bob.post(f"/api/chats/{bob.chat}/messages", **body)
    assert error_of(response) == (409, "id_reused")
    assert b"Alice" not in response.content


async def test_two_first_sends_at_once_make_one_guest_and_one_message(no_worker, alice):
    body = send_body()
    visitor = alice.client.cookies["hf_visitor"].value
    tabs = [AsyncClient(), AsyncClient()]
    for tab in tabs:
        tab.cookies["hf_visitor"] = visitor
    path = f"/api/chats/{alice.chat}/messages"
    answers = await asyncio.gather(
        *(tab.post(path, body, content_type="application/json") for tab in tabs)
    )
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json() == answers[1].json()
    assert await User.objects.acount() == 1
    assert await Reply.objects.acount() == 1
    for tab in tabs:  # Both are signed in as that guest.
        listed = (await tab.get("/api/chats")).json()["chats"]
        assert [chat["id"] for chat in listed] == [alice.chat]


async def test_two_different_first_sends_at_once_make_one_guest(no_worker, alice):
    paths = [f"/api/chats/{new_id()}/messages" for _ in range(2)]
    tabs = [AsyncClient(), AsyncClient()]
    for tab in tabs:
        tab.cookies["hf_visitor"] = alice.client.cookies["hf_visitor"].value
    answers = await asyncio.gather(
        *(
            tab.post(path, send_body(), content_type="application/json")
            for tab, path in zip(tabs, paths, strict=True)
        )
    )
    assert [answer.status_code for answer in answers] == [202, 202]
    assert await User.objects.acount() == 1


async def test_a_send_without_any_cookie_is_refused(no_worker):
    nobody = AsyncClient()
    response = await nobody.post(
        f"/api/chats/{new_id()}/messages", send_body(), content_type="application/json"
    )
    assert error_of(response) == (401, "sign_in")
    assert await rows() == (0, 0, 0, 0)


async def test_a_refused_first_send_makes_no_guest(no_worker, alice, bob):
    await alice.send("Hello")
    before = await rows()
    response = await bob.post(f"/api/chats/{alice.chat}/messages", **send_body())
    assert error_of(response) == (404, "chat_not_found")
    response = await bob.post(f"/api/chats/{new_id()}/messages", **send_body(parent=new_id()))
    assert error_of(response) == (404, "message_not_found")
    response = await bob.post(f"/api/chats/{new_id()}/messages", **send_body(model="openai/none"))
    assert error_of(response) == (422, "model_unknown")
    assert await rows() == before
    assert "sessionid" not in bob.client.cookies


BAD_FIELDS = [
    {"id": None},
    {"id": 7},
    {"id": ""},
    {"id": "x" * 36},
    {"id": "0198C5A0-0000-7000-8000-00000000000A"},
    {"id": "0198c5a000007000800000000000000a----"},
    {"id": ["0198c5a0-0000-7000-8000-00000000000a"]},
    {"text": None},
    {"text": ""},
    {"text": " \n\t\u00a0\u2003 "},
    {"text": 5},
    {"text": ["Hi"]},
    {"text": {"a": 1}},
    {"text": "a\x00b"},
    {"model": None},
    {"model": ""},
    {"model": 1},
    {"model": "m" * 201},
    {"parent": 0},
    {"parent": ""},
    {"parent": "root"},
    {"parent": {"id": 1}},
    {"edit": "yes"},
    {"edit": 1},
    {"edit": None},
]


@pytest.mark.parametrize("field", BAD_FIELDS, ids=lambda field: json.dumps(field)[:40])
async def test_a_field_of_the_wrong_kind_is_refused_by_name(no_worker, alice, field):
    response = await alice.post(f"/api/chats/{alice.chat}/messages", **send_body(**field))
    assert error_of(response) == (400, "bad_request")
    [name] = field
    assert name in response.json()["error"]["message"]
    assert await rows() == (0, 0, 0, 0)


@pytest.mark.parametrize("name", ["id", "text", "model"])
async def test_a_missing_field_is_refused_by_name(no_worker, alice, name):
    body = send_body()
    del body[name]
    response = await alice.post(f"/api/chats/{alice.chat}/messages", **body)
    assert error_of(response) == (400, "bad_request")
    assert name in response.json()["error"]["message"]


BAD_BODIES = {
    "nothing": b"",
    "no json": b"{",
    "a list": b"[]",
    "a text": b'"id"',
    "null": b"null",
    "not utf-8": b'{"text": "\xff\xfe"}',
    "a surrogate in utf-8": b'{"text": "\xed\xa0\x80"}',
    "a lone surrogate": b'{"text": "\\ud800", "id": "0198c5a0-0000-7000-8000-00000000000a"}',
    "swapped surrogates": b'{"text": "\\udc00\\ud800"}',
    "too deep": b'{"text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "not a number": b'{"text": NaN}',
    "infinite": b'{"text": 1e999}',
}


@pytest.mark.parametrize("data", BAD_BODIES.values(), ids=BAD_BODIES.keys())
async def test_a_body_must_be_a_json_object(no_worker, alice, data):
    response = await raw_post(alice, f"/api/chats/{alice.chat}/messages", data)
    assert error_of(response) == (400, "bad_request")


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"]
)
async def test_only_json_is_read(no_worker, alice, kind):
    data = json.dumps(send_body()).encode()
    response = await raw_post(alice, f"/api/chats/{alice.chat}/messages", data, kind)
    assert error_of(response) == (400, "bad_request")


async def test_unknown_fields_are_ignored(no_worker, alice):
    body = send_body(colour="green", attachments=[1, {"a": None}])
    response = await alice.post(f"/api/chats/{alice.chat}/messages", **body)
    assert response.status_code == 202


async def test_the_longest_message_is_accepted_and_a_longer_one_refused(no_worker, alice):
    # Escaped in JSON, and four bytes each in UTF-8: the largest possible body.
    longest = "\U0001f600" * MAX_MESSAGE_CHARS
    path = f"/api/chats/{alice.chat}/messages"
    response = await alice.post(path, **send_body(text=longest + "!"))
    assert error_of(response) == (413, "message_too_long")
    response = await raw_post(alice, path, json.dumps(send_body(text="x" * 2_500_001)).encode())
    assert error_of(response) == (413, "message_too_long")
    response = await raw_post(
        alice, path, json.dumps(send_body(text=longest), ensure_ascii=False).encode()
    )
    assert response.status_code == 202
    alice.user = response.json()["user"]
    asked = [message for message in (await alice.transcript()).path() if message.role == "user"]
    assert str(asked[0].text) == longest


async def test_the_size_of_a_body_is_measured(no_worker, alice):
    """A chunked request declares no length."""
    data = json.dumps(send_body(text="x" * 2_100_000)).encode()
    path = f"/api/chats/{alice.chat}/messages"
    for said in ("", "10", "many"):
        headers = [(b"content-length", said.encode())] if said else []
        response = await _asgi_post(alice, path, data, headers)
        assert response[0] == 413, response


async def _asgi_post(person, path, data, headers):
    """Call the application directly: Django's client always sends the true length."""
    scope = scope_of(
        path,
        (b"content-type", b"application/json"),
        (b"cookie", cookies_of(person).encode()),
        (b"x-csrftoken", person.client.cookies["csrftoken"].value.encode()),
        *headers,
    )
    status, _, body = await respond(scope, [data], app=django_application)
    return status, body


# POST replies


async def test_a_regeneration_is_accepted_and_repeatable(no_worker, alice):
    message, _ = await alice.send("One")
    body = {"id": new_id(), "parent": message, "model": MODEL}
    path = f"/api/chats/{alice.chat}/replies"
    first = await alice.post(path, **body)
    again = await alice.post(path, **body)
    expected = {"chat": alice.chat, "message": message, "reply": body["id"]}
    assert (first.status_code, first.json()) == (202, expected)
    assert (again.status_code, again.json()) == (202, expected)
    assert (await alice.transcript()).children[message][1:] == [body["id"]]
    other, _ = await alice.send("Two")
    changed = await alice.post(path, **body | {"parent": other})
    assert error_of(changed) == (409, "id_reused")


async def test_a_regeneration_of_an_unknown_message_is_refused(no_worker, alice):
    message, reply = await alice.send("One")
    path = f"/api/chats/{alice.chat}/replies"
    good = {"id": new_id(), "parent": message, "model": MODEL}
    for field, expected in (
        ({"parent": new_id()}, (404, "message_not_found")),
        ({"parent": reply}, (404, "message_not_found")),
        ({"parent": None}, (400, "bad_request")),
        ({"id": None}, (400, "bad_request")),
        ({"model": "openai/none"}, (422, "model_unknown")),
        ({"model": None}, (400, "bad_request")),
    ):
        assert error_of(await alice.post(path, **good | field)) == expected
    elsewhere = f"/api/chats/{new_id()}/replies"
    assert error_of(await alice.post(elsewhere, **good)) == (404, "chat_not_found")


# POST stop, POST attempts


async def test_stopping_may_be_repeated(no_worker, alice):
    _, reply = await alice.send("One")
    path = f"/api/chats/{alice.chat}/replies/{reply}/stop"
    for _ in range(3):
        response = await alice.post(path)
        assert (response.status_code, response.json()) == (202, {"reply": reply})
    assert (await Reply.objects.aget()).stop_requested_at is not None


async def test_stopping_or_continuing_an_unknown_answer_is_refused(no_worker, alice):
    await alice.send("One")
    mine, verbs = f"/api/chats/{alice.chat}/replies/{new_id()}", ("stop", "attempts")
    elsewhere = f"/api/chats/{new_id()}/replies/{new_id()}"
    for verb in verbs:
        assert error_of(await alice.post(f"{mine}/{verb}")) == (404, "message_not_found")
        assert error_of(await alice.post(f"{elsewhere}/{verb}")) == (404, "chat_not_found")


async def test_a_complete_answer_is_not_continued(worker, alice):
    _, reply = await alice.send("[[tokens=2]] One")
    await alice.settled(reply)
    path = f"/api/chats/{alice.chat}/replies/{reply}/attempts"
    assert error_of(await alice.post(path)) == (409, "not_possible_now")


# PATCH and DELETE chat


async def patch(person, chat, body):
    return await person.client.patch(
        f"/api/chats/{chat}", json.dumps(body), content_type="application/json"
    )


async def test_a_chat_is_renamed(no_worker, alice):
    await alice.send("One")
    response = await patch(alice, alice.chat, {"title": "  Kelp \n forests "})
    assert (response.status_code, response.json()["title"]) == (200, "Kelp forests")
    assert (await alice.transcript()).title == "Kelp forests"
    [listed] = (await alice.client.get("/api/chats")).json()["chats"]
    assert listed["title"] == "Kelp forests"


@pytest.mark.parametrize(
    "title", [None, "", "   ", "\n\t", 5, [], "a\x00b", "x" * 201], ids=lambda t: repr(t)[:12]
)
async def test_an_invalid_title_is_refused(no_worker, alice, title):
    await alice.send("One")
    assert error_of(await patch(alice, alice.chat, {"title": title})) == (400, "bad_request")
    assert (await alice.transcript()).title == "One"


async def test_deleting_may_be_repeated_and_has_one_event(no_worker, alice):
    await alice.send("One")
    for _ in range(2):
        response = await alice.client.delete(f"/api/chats/{alice.chat}")
        assert (response.status_code, response.content) == (204, b"")
    types = [entry.type for entry in await alice.entries()]
    assert types.count("chat.deleted") == 1
    assert (await Reply.objects.aget()).stop_requested_at is not None


async def test_a_deleted_chat_is_gone_everywhere(no_worker, alice):
    message, reply = await alice.send("One")
    await alice.client.delete(f"/api/chats/{alice.chat}")
    for method, path, body in every_request(alice.chat, message, reply):
        if method == "DELETE":
            continue
        response = await request(alice.client, method, path, body)
        assert error_of(response) == (404, "chat_not_found"), path
    assert (await alice.client.get(f"/c/{alice.chat}")).status_code == 404
    assert (await alice.client.get("/api/chats")).json()["chats"] == []


# POST branch


async def test_a_branch_is_chosen(no_worker, alice):
    first, _ = await alice.send("One")
    second, _ = await alice.send("Other", edit=True)
    path = f"/api/chats/{alice.chat}/branch"
    response = await alice.post(path, message=first)
    assert (response.status_code, response.json()["message"]) == (200, first)
    assert (await alice.transcript()).path()[0].id == first
    for message, expected in (
        (new_id(), (404, "message_not_found")),
        (None, (400, "bad_request")),
        ("root", (400, "bad_request")),
    ):
        assert error_of(await alice.post(path, message=message)) == expected
    assert second in (await alice.transcript()).messages


# GET events


async def test_events_are_paged(worker, alice):
    _, reply = await alice.send("[[tokens=5]] One")
    await alice.settled(reply)
    await alice.kept()
    path = f"/api/chats/{alice.chat}/events"
    whole = (await alice.client.get(path)).json()
    assert whole["more"] is False
    assert whole["entries"] == [
        [entry.id, json.loads(entry.data)] for entry in await alice.entries()
    ]
    pages, after = [], "0-0"
    while True:
        page = (await alice.client.get(path, {"after": after, "limit": "2"})).json()
        assert len(page["entries"]) <= 2
        pages += page["entries"]
        if not page["more"]:
            break
        after = page["entries"][-1][0]
    assert pages == whole["entries"]


async def test_a_page_of_events_is_bounded_in_bytes_too(no_worker, alice):
    await alice.send("One")
    made = [
        ev.log_event(alice.chat, ev.MessageDelta(message="m", text=size * "x"), f"made:{number}")
        for number, size in enumerate([400_000] * 5 + [1_500_000, 1])
    ]
    await get_log().append(alice.stream, made)
    expected = [entry.id for entry in await alice.entries()]
    counts, seen, more = [], [], True
    while more:
        query = {"after": seen[-1]} if seen else {}
        response = await alice.client.get(f"/api/chats/{alice.chat}/events", query)
        page, more = response.json()["entries"], response.json()["more"]
        assert len(page) == 1 or len(response.content) < 1_100_000
        counts.append(len(page))
        seen += [entry_id for entry_id, _ in page]
    assert seen == expected
    assert counts[:4] == [len(expected) - 5, 2, 1, 1] and max(counts[4:]) <= 1


@pytest.mark.parametrize("limit, more", [(2, True), (3, False), (4, False)])
async def test_more_is_exact(no_worker, alice, limit, more):
    await alice.send("One")
    assert len(await alice.entries()) == 3
    path = f"/api/chats/{alice.chat}/events"
    assert (await alice.client.get(path, {"limit": str(limit)})).json()["more"] is more


@pytest.mark.parametrize(
    "query",
    [
        {"after": ""},
        {"after": "0"},
        {"after": "-"},
        {"after": "a-b"},
        {"after": "1-1-1"},
        {"after": "\u0663-0"},
        {"after": "1-0\n"},
        {"after": "9" * 16 + "-0"},
        {"after": "0-" + "9" * 20},
        {"limit": ""},
        {"limit": "0"},
        {"limit": "-1"},
        {"limit": str(EVENTS_PAGE + 1)},
        {"limit": "1.5"},
        {"limit": "\u0663"},
        {"limit": "9" * 5_000},
        {"limit": "1e3"},
    ],
    ids=lambda query: repr(query)[:30],
)
async def test_a_bad_page_of_events_is_refused(no_worker, alice, query):
    await alice.send("One")
    response = await alice.client.get(f"/api/chats/{alice.chat}/events", query)
    assert error_of(response) == (400, "bad_request")


async def test_a_cursor_from_the_far_future_gives_nothing(no_worker, alice):
    await alice.send("One")
    query = {"after": "9" * 15 + "-" + "9" * 15}
    response = await alice.client.get(f"/api/chats/{alice.chat}/events", query)
    assert response.json() == {"entries": [], "more": False}


# Lists


async def test_the_list_has_the_own_chats_newest_first(worker, alice, bob):
    _, reply = await alice.send("[[tokens=2]] First")
    await alice.settled(reply)
    await row_settled(reply)
    second = new_id()
    await alice.send("[[tokens=400&rate=50]] Second", chat=second)
    await bob.send("[[tokens=2]] Bob's")
    listed = (await alice.client.get("/api/chats")).json()
    assert [chat["id"] for chat in listed["chats"]] == [second, alice.chat]
    assert [chat["answering"] for chat in listed["chats"]] == [True, False]
    assert set(listed["chats"][0]) == {
        *("id", "title", "model", "updated_ms", "answering"),
        *("pinned_ms", "archived_ms", "deleted_ms", "ended_ms", "read_ms"),
    }
    assert listed["cursor"] <= await get_log().tail(alice.stream)
    await alice.client.delete(f"/api/chats/{second}")


async def test_the_models_are_listed_for_anybody(no_worker):
    listed = (await AsyncClient().get("/api/models")).json()
    assert listed["default"] in [model["id"] for model in listed["models"]]
    assert all(
        {"id", "name", "endpoint", "context_tokens"} <= set(model) for model in listed["models"]
    )
    assert MODEL in [model["id"] for model in listed["models"]]


# Access by strangers


def every_request(chat, message, reply):
    """Each request that names a chat, in a form that its owner could send."""
    path = f"/api/chats/{chat}"
    return [
        ("POST", f"{path}/messages", send_body()),
        ("POST", f"{path}/replies", {"id": new_id(), "parent": message, "model": MODEL}),
        ("POST", f"{path}/replies/{reply}/stop", {}),
        ("POST", f"{path}/replies/{reply}/attempts", {}),
        ("POST", f"{path}/branch", {"message": message}),
        ("PATCH", path, {"title": "Mine now"}),
        ("GET", f"{path}/events", None),
        ("DELETE", path, None),
    ]


async def request(client, method, path, body):
    data = b"" if body is None else json.dumps(body)
    return await client.generic(method, path, data, "application/json")


async def test_another_persons_chat_does_not_exist(no_worker, alice, bob):
    message, reply = await alice.send("Alice's secret")
    await bob.send("Hello")
    before = [entry.id for entry in await alice.entries()]
    nowhere = new_id()
    requests = zip(
        every_request(alice.chat, message, reply),
        every_request(nowhere, new_id(), new_id()),
        strict=True,
    )
    for (method, path, body), (_, unknown_path, unknown_body) in requests:
        if path.endswith("/messages"):
            unknown_body |= {"parent": new_id()}  # An unknown chat would be created.
        response = await request(bob.client, method, path, body)
        assert error_of(response) == (404, "chat_not_found"), path
        assert b"secret" not in response.content
        if not path.endswith("/messages"):  # The response does not reveal that it exists, either.
            unknown = await request(bob.client, method, unknown_path, unknown_body)
            assert unknown.content == response.content, path
    assert [entry.id for entry in await alice.entries()] == before
    row = await Reply.objects.aget(id=reply)
    assert (row.state, row.stop_requested_at) == ("queued", None)


async def test_another_persons_answer_is_not_reachable_through_an_own_chat(no_worker, alice, bob):
    message, reply = await alice.send("Alice's")
    await bob.send("Bob's")
    for method, path, body in every_request(bob.chat, message, reply):
        if "replies" in path or "branch" in path:
            response = await request(bob.client, method, path, body)
            assert error_of(response) == (404, "message_not_found"), path
    for parent in (message, reply):
        response = await bob.post(f"/api/chats/{bob.chat}/messages", **send_body(parent=parent))
        assert error_of(response) == (404, "message_not_found")


async def test_a_visitor_must_sign_in(no_worker, alice):
    message, reply = await alice.send("Alice's")
    for method, path, body in every_request(alice.chat, message, reply):
        response = await request(AsyncClient(), method, path, body)
        assert error_of(response) == (401, "sign_in"), path
    assert error_of(await AsyncClient().get("/api/chats")) == (401, "sign_in")


# CSRF


async def test_a_request_without_the_csrf_token_is_refused(no_worker, alice):
    message, reply = await alice.send("One")
    before = [entry.id for entry in await alice.entries()]
    strict = AsyncClient(enforce_csrf_checks=True)
    strict.cookies = alice.client.cookies
    for method, path, body in every_request(alice.chat, message, reply):
        if method == "GET":
            continue
        response = await request(strict, method, path, body)
        assert error_of(response) == (403, "csrf"), path
    assert [entry.id for entry in await alice.entries()] == before
    assert (await Reply.objects.aget()).stop_requested_at is None


async def test_a_request_with_the_csrf_cookie_in_the_header_is_accepted(no_worker):
    client = AsyncClient(enforce_csrf_checks=True)
    await client.get("/")
    path, body = f"/api/chats/{new_id()}/messages", json.dumps(send_body())
    for token, status in (("wrong" * 6 + "ab", 403), (client.cookies["csrftoken"].value, 202)):
        response = await client.generic(
            "POST", path, body, "application/json", headers={"X-CSRFToken": token}
        )
        assert response.status_code == status
    # Signing in changes the token; the response had the new one.
    token = client.cookies["csrftoken"].value
    response = await client.generic(
        "PATCH",
        path.removesuffix("/messages"),
        json.dumps({"title": "Next"}),
        "application/json",
        headers={"X-CSRFToken": token},
    )
    assert response.status_code == 200


# Methods and addresses


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/chats"),
        ("POST", "/api/models"),
        ("PUT", "/api/chats/{chat}"),
        ("POST", "/api/chats/{chat}/events"),
        ("GET", "/api/chats/{chat}/messages"),
        ("PUT", "/api/chats/{chat}/messages"),
        ("GET", "/api/chats/{chat}/replies"),
        ("GET", "/api/chats/{chat}/branch"),
        ("GET", "/api/chats/{chat}/replies/{chat}/stop"),
        ("DELETE", "/api/chats/{chat}/replies/{chat}/attempts"),
        ("POST", "/"),
    ],
)
async def test_an_unsupported_method_is_refused(no_worker, alice, method, path):
    response = await request(alice.client, method, path.format(chat=alice.chat), {})
    assert response.status_code == HTTPStatus.METHOD_NOT_ALLOWED
    assert method not in response["Allow"]
    assert await rows() == (0, 0, 0, 0)


@pytest.mark.parametrize(
    "path",
    [
        "/api/",
        "/api/nothing",
        "/api/chats/",
        "/api/models/",
        "/api/chats/123",
        "/api/chats/123/messages",
        "/api/chats/0198C5A0-0000-7000-8000-00000000000A/events",
        "/api/chats/0198c5a0-0000-7000-8000-00000000000a/",
        "/api/chats/0198c5a0-0000-7000-8000-00000000000a/messages/",
        "/api/chats/%00/events",
        "/api/chats/..%2f..%2fadmin",
    ],
)
async def test_an_unknown_api_address_is_json(no_worker, alice, path):
    for method in ("GET", "POST"):
        response = await request(alice.client, method, path, {})
        assert error_of(response) == (404, "not_found")


async def test_an_unknown_address_outside_the_api_is_a_page(no_worker, alice):
    response = await alice.client.get("/nowhere")
    assert response.status_code == 404
    assert response["Content-Type"].startswith("text/html")


# The log is unavailable


async def test_a_send_is_refused_while_the_log_is_unavailable_and_may_be_repeated(
    no_worker, alice, settings, redis_server
):
    from streams.log import close_log
    from streams.queue import close_queues

    url, body = settings.REDIS_URL, send_body()
    path = f"/api/chats/{alice.chat}/messages"
    settings.REDIS_URL, settings.STREAMS_APPEND_TIMEOUT_MS = "unix:///nowhere/redis.sock", 100
    response = await alice.post(path, **body)
    assert error_of(response) == (503, "log_unavailable")
    await close_log()
    await close_queues()
    settings.REDIS_URL, settings.STREAMS_APPEND_TIMEOUT_MS = url, 5_000
    response = await alice.post(path, **body)
    assert response.status_code == 202
    alice.user = response.json()["user"]
    assert len((await alice.transcript()).messages) == 2
    assert await Reply.objects.acount() == 1


async def test_two_browsers_are_two_guests(no_worker):
    """Two browsers are two guests."""
    one, two = Person(), Person()
    for person in (one, two):
        await person.visit()
        await person.send("Hello")
    assert one.user["id"] != two.user["id"]
