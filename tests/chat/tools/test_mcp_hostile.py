"""Servers that break the protocol, lie, or want too much. Each ends in a code and a sentence."""

import asyncio
import json
import time
from dataclasses import replace
from functools import partial

import pytest

from accounts.provider_keys.address_filter import resolve
from chat.tools.errors import ToolServerError
from chat.tools.mcp import client, connections, http
from chat.tools.mcp.client import McpServer
from chat.tools.mcp.output_check import is_as_declared
from tests.chat.tools.mcp_servers import config_of, raw_server, refuse, reply
from tests.chat.tools.mcp_servers import http as response

KEY = "9a8b7c6d-0000-5000-8000-000000000001"
EVENTS = "text/event-stream"


async def ignore(*_):
    pass


async def called(raw, **fields):
    server = McpServer(config_of(raw.url, **fields))
    [tool] = await server.tools()
    return await server.call(tool, {}, KEY, ignore)


def page(message, status=200):
    return response(status, b"<html>Welcome</html>", "text/html")


def huge(message):
    return reply(message, {"content": [{"type": "text", "text": "x" * 11_000_000}]})


def huge_event(message):
    return response(200, b"data: " + b"x" * 11_000_000 + b"\n\n", EVENTS)


def zipped(message):
    return response(200, b"\x1f\x8b", "application/json", {"Content-Encoding": "gzip"})


CALLS = {
    "a page": (page, "error", "not_mcp"),
    "a page at 500": (partial(page, status=500), "error", "server_failed"),
    "a proxy's 504": (partial(page, status=504), "unknown", "connection_lost"),
    "a redirect": (
        lambda m: response(307, headers={"Location": "http://127.0.0.1:1/"}),
        "error",
        "redirected",
    ),
    "sign in": (lambda m: response(401), "error", "sign_in_needed"),
    "too often": (lambda m: response(429), "error", "server_busy"),
    "11 MB": (huge, "error", "too_large"),
    "an event of 11 MB": (huge_event, "error", "too_large"),
    "compressed": (zipped, "error", "bad_answer"),
    "no JSON": (lambda m: response(200, b"{", "application/json"), "error", "bad_answer"),
    "no result": (lambda m: reply(m, {"content": 5}), "error", "bad_answer"),
    "an error": (lambda m: refuse(m, -32602, "no such thing"), "error", "server_error"),
    "an error of its own": (lambda m: refuse(m, -32000, "broken"), "error", "server_error"),
    "nothing": (lambda m: b"", "unknown", "connection_lost"),
    "a stream without an answer": (
        lambda m: response(200, b": hello\n\n", EVENTS),
        "unknown",
        "connection_lost",
    ),
}


@pytest.mark.parametrize("name", CALLS)
async def test_a_call_ends_with_a_code(name):
    answer, status, code = CALLS[name]
    async with raw_server(tools__call=answer) as raw:
        result = await asyncio.wait_for(called(raw), 20)
        assert (result.status, result.code) == (status, code) and result.sentence
        # Nothing was sent again.
        assert len(raw.said("tools/call")) == 1
        # The session still works for other calls.
        raw.answers.clear()
        assert (await called(raw)).content == [{"type": "text", "text": "done"}]


@pytest.mark.parametrize("dies", ["a new connection", "a connection that was used"])
async def test_a_call_whose_connection_dies_before_the_first_byte_is_sent_once(dies):
    async with raw_server(tools__call=lambda m: b"") as raw:
        server = McpServer(config_of(raw.url))
        [tool] = await server.tools()
        if dies == "a connection that was used":
            await asyncio.sleep(0.2)  # Only after a while is a connection used again.
        result = await server.call(tool, {}, KEY, ignore)
        assert result.status == "unknown" and len(raw.said("tools/call")) == 1


async def test_a_session_that_is_gone_is_opened_again():
    async with raw_server() as raw:
        assert (await called(raw)).status == "ok"
        raw.answers["tools/call"] = lambda m: raw.answers.clear() or response(404)
        assert (await called(raw)).status == "ok"
        assert len(raw.said("initialize")) == 2 and len(raw.said("tools/call")) == 3


async def test_a_slow_answer_times_out(monkeypatch):
    monkeypatch.setattr(client, "CALL_S", 0.3)

    async def hang(message):
        await asyncio.sleep(20)

    async with raw_server(tools__call=hang) as raw:
        result = await asyncio.wait_for(called(raw), 10)
        assert (result.status, result.code) == ("timeout", "timeout")


async def test_a_stream_that_is_resumed_for_ever_ends(monkeypatch):
    """Each stream ends without an answer and asks to be read on at once."""
    monkeypatch.setattr(http, "MAX_RESUMPTIONS", 5)
    event = b"id: 1\nretry: 1\ndata: \n\n"
    async with raw_server(tools__call=lambda m: response(200, event, EVENTS)) as raw:
        respond = raw.respond
        raw.respond = lambda verb, m: (
            response(200, event, EVENTS) if verb == "GET" else respond(verb, m)
        )
        result = await asyncio.wait_for(called(raw), 30)
        assert result.code == "connection_lost"
        assert sum("last-event-id" in headers for _, _, headers, _ in raw.requests) <= 10


def nested(depth):
    schema = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


async def test_bad_tools_are_left_out_and_named():
    def tool(name, **fields):
        return {"name": name, "inputSchema": {"type": "object"}} | fields

    tools = [
        tool("good"),
        tool("twice"),
        tool("twice", description="another"),
        tool("deep", inputSchema=nested(60)),
        tool("long", inputSchema={"type": "object", "description": "x" * 200_000}),
        tool("zero\u0000width"),
        tool("x" * 300),
    ]
    async with raw_server(tools__list=lambda m: reply(m, {"tools": tools})) as raw:
        server = McpServer(config_of(raw.url))
        assert [tool.name for tool in await server.tools()] == ["good"]
        assert server.refused["twice"] == "duplicate_name"
        assert server.refused["deep"] == "schema_too_deep"
        assert server.refused["long"] == "schema_too_large"
        assert server.refused["zero\0width"] == "bad_name"
        assert len(server.refused) == 5


@pytest.mark.parametrize("cursor", ["the same", "new ones"])
async def test_a_list_without_end_is_given_up(cursor):
    count = iter(range(100_000))

    def endless(message):
        following = "c" if cursor == "the same" else f"c{next(count)}"
        tools = [{"name": f"t{next(count)}", "inputSchema": {"type": "object"}}]
        return reply(message, {"tools": tools, "nextCursor": following})

    async with raw_server(tools__list=endless) as raw:
        with pytest.raises(ToolServerError) as refused:
            await McpServer(config_of(raw.url)).tools()
        assert refused.value.code == "too_many_tools" and len(raw.said("tools/list")) <= 100


async def test_output_that_breaks_its_schema_is_kept():
    output = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    tool = {"name": "act", "inputSchema": {"type": "object"}, "outputSchema": output}
    result = {"content": [{"type": "text", "text": "seven"}], "structuredContent": {"n": "seven"}}
    async with raw_server(
        tools__list=lambda m: reply(m, {"tools": [tool]}), tools__call=lambda m: reply(m, result)
    ) as raw:
        got = await called(raw)
        assert (got.status, got.code, got.structured) == ("ok", "output_invalid", {"n": "seven"})
        assert got.content[0]["text"] == "seven"
        raw.answers["tools/call"] = lambda m: reply(m, result | {"structuredContent": {"n": 7}})
        assert (await called(raw)).code == ""


def test_checking_output_takes_bounded_work():
    assert is_as_declared({"type": "object", "required": ["a"]}, {"a": 1})
    assert not is_as_declared({"type": "object", "required": ["a"]}, {})
    assert not is_as_declared({"type": 7}, {})
    doubling = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)}
    hostile = [
        ({"$defs": {**doubling, "d40": {}}, "$ref": "#/$defs/d0"}, {}),
        ({"$ref": "#"}, {}),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "pattern": "(a+)+$"}, "a" * 40),
        ({"patternProperties": {"(a+)+$": {}}, "additionalProperties": False}, {"a" * 40 + "!": 1}),
        ({"uniqueItems": True}, [[n] for n in range(20_000)]),
        ({"items": {"anyOf": [{"type": "string"}] * 50}}, list(range(10_000))),
        ({"$ref": "http://127.0.0.1:1/x.json"}, {}),
    ]
    started = time.process_time()
    for schema, value in hostile:
        is_as_declared(schema, value)
    assert time.process_time() - started < 20


ADDRESSES = ["http://127.0.0.1:{port}/mcp", "http://localhost:{port}/mcp", "http://[::1]:{port}/"]


@pytest.mark.parametrize("address", ADDRESSES)
async def test_private_addresses_are_never_reached_unless_listed(address):
    async with raw_server() as raw:
        port = raw.url.split(":")[2].split("/")[0]
        config = config_of(address.format(port=port), resolve=partial(resolve, private=False))
        with pytest.raises(ToolServerError) as refused:
            await McpServer(config).tools()
        assert refused.value.code == "address_not_allowed" and raw.requests == []


async def test_the_query_is_sent_and_never_logged(caplog):
    caplog.set_level(0)
    async with raw_server() as raw:
        assert (await called(raw, query="api_key=s3cret")).status == "ok"
        assert {target for _, target, _, _ in raw.requests} == {"/mcp?api_key=s3cret"}
    assert "s3cret" not in caplog.text and "s3cret" not in repr(config_of("x", query="s3cret"))


async def test_what_a_server_asks_for_is_declined_and_said():
    """It asks in the stream of the answer, though we never offered to answer."""
    answered = asyncio.Event()

    def asking(message):
        ask = {"jsonrpc": "2.0", "id": 9, "method": "elicitation/create"}
        ask["params"] = {
            "message": "Your password?",
            "requestedSchema": {"type": "object", "properties": {}},
        }
        done = {"jsonrpc": "2.0", "id": message["id"], "result": {"content": []}}
        body = b"".join(b"data: " + json.dumps(part).encode() + b"\n\n" for part in (ask, done))
        return response(200, body, EVENTS)

    async with raw_server(tools__call=asking) as raw:
        result = await called(raw)
        assert (result.status, result.code) in (("ok", "input_declined"), ("ok", ""))
        [opening] = raw.said("initialize")
        assert opening["params"]["capabilities"] == {}
        async with asyncio.timeout(10):
            while not (answers := [m for *_, m in raw.requests if m.get("id") == 9]):
                await asyncio.sleep(0.02)
        assert answers[0]["result"] == {"action": "decline"}
        answered.set()


@pytest.mark.parametrize(
    "other", [{"owner": "bob"}, {"headers": (("A", "2"),)}, {"query": "key=2"}, {"id": "second"}]
)
async def test_sessions_are_shared_by_equal_configurations_only(other):
    async with raw_server() as raw:
        mine = {"owner": "alice", "headers": (("A", "1"),), "query": "key=1"}
        await called(raw, **mine)
        await called(raw, **mine)
        assert len(raw.said("initialize")) == 1
        server = McpServer(replace(config_of(raw.url, **mine), **other))
        await server.tools()
        assert len(raw.said("initialize")) == 2


async def test_connections_rest_and_are_closed(monkeypatch):
    monkeypatch.setattr(connections, "IDLE_S", 0.2)
    async with raw_server() as raw:
        await called(raw)
        assert connections.count() == 1
        async with asyncio.timeout(10):
            while connections.count() or not any(verb == "DELETE" for verb, *_ in raw.requests):
                await asyncio.sleep(0.02)
