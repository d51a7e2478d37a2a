"""The MCP client with the library's own server, over each transport."""

import asyncio
import json
import os
import subprocess
import sys

import pytest

from chat.tools.mcp import connections
from chat.tools.mcp.client import KEY_META, McpServer
from tests.chat.tools.mcp_servers import (
    ROOT,
    config_of,
    executions,
    program_config,
    raw_server,
    sdk_server,
)

TRANSPORTS = ["http", "json", "sse", "stdio"]
KEY = "9a8b7c6d-0000-5000-8000-000000000001"


@pytest.fixture(params=TRANSPORTS)
def reached(request, tmp_path):
    """A server that is reached over each transport, and where it notes what it executes."""
    log = tmp_path / "log"
    if request.param == "stdio":
        log.touch()
        yield McpServer(program_config(log)), log
        return
    with sdk_server(request.param, log) as (url, _):
        yield McpServer(config_of(url, headers=(("X-Mine", "yes"),))), log


class Reports:
    def __init__(self):
        self.all = []

    async def __call__(self, progress, total, message):
        self.all.append((progress, total, message))


async def test_tools_are_listed_and_called(reached):
    server, log = reached
    tools = {tool.name: tool for tool in await server.tools()}
    assert tools["add"].description == "Adds two numbers." and tools["add"].server == "test"
    assert set(tools["add"].schema["properties"]) == {"a", "b"} and tools["add"].output_schema
    added = await server.call(tools["add"], {"a": 2, "b": 3}, KEY, Reports())
    # The text that repeats the structured result is left out.
    assert (added.status, added.structured, added.content) == ("ok", {"total": 5}, [])
    [execution] = executions(log)
    assert execution["meta"][KEY_META] == KEY
    if headers := execution["headers"]:  # A program has none.
        assert (headers["idempotency-key"], headers["x-mine"]) == (KEY, "yes")
    failed = await server.call(tools["fail"], {}, KEY, Reports())
    assert (failed.status, failed.code) == ("error", "") and failed.content
    parts = await server.call(tools["picture"], {}, KEY, Reports())
    assert [part["type"] for part in parts.content] == ["text", "image", "resource_link"]
    assert parts.content[1]["mimeType"] == "image/png"


async def test_progress_is_reported(reached):
    server, _ = reached
    [tool] = [tool for tool in await server.tools() if tool.name == "steps"]
    reports = Reports()
    assert (await server.call(tool, {}, KEY, reports)).status == "ok"
    # Answers that are one JSON document have no place for progress.
    assert reports.all in ([], [(n, 3, f"step {n}") for n in (1, 2, 3)])


async def test_calls_at_once_share_a_connection(reached):
    server, log = reached
    tools = {tool.name: tool for tool in await server.tools()}
    calls = [server.call(tools["add"], {"a": n, "b": 0}, KEY, Reports()) for n in range(8)]
    results = await asyncio.gather(*calls)
    assert [result.structured["total"] for result in results] == list(range(8))
    assert len(executions(log)) == 8 and connections.count() == 1


async def test_cancelling_ends_the_call_at_the_server(reached, tmp_path):
    server, log = reached
    [tool] = [tool for tool in await server.tools() if tool.name == "wait"]
    call = asyncio.create_task(server.call(tool, {"seconds": 30}, KEY, Reports()))
    await until(lambda: executions(log))
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(call, 5)
    if "json" not in str(server._config.url) and server._config.transport == "stdio":
        await until(lambda: {"tool": "cancelled"} in executions(log))
    [again] = [tool for tool in await server.tools() if tool.name == "add"]
    assert (await server.call(again, {"a": 1, "b": 1}, KEY, Reports())).status == "ok"


async def test_a_cancelled_call_is_announced_on_earlier_revisions():
    """The server of a revision before 2026 learns it from a notification."""

    async def hang(message):
        await asyncio.sleep(30)

    async with raw_server(tools__call=hang) as raw:
        server = McpServer(config_of(raw.url))
        [tool] = await server.tools()
        call = asyncio.create_task(server.call(tool, {}, KEY, Reports()))
        await until(lambda: raw.said("tools/call"))
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(call, 5)
        await until(lambda: raw.said("notifications/cancelled"))
        [notice] = raw.said("notifications/cancelled")
        assert notice["params"]["requestId"] == raw.said("tools/call")[0]["id"]


async def test_a_server_that_dies_leaves_the_outcome_unknown(tmp_path):
    log = tmp_path / "log"
    with sdk_server("http", log) as (url, process):
        server = McpServer(config_of(url))
        tools = {tool.name: tool for tool in await server.tools()}
        call = asyncio.create_task(server.call(tools["wait"], {"seconds": 30}, KEY, Reports()))
        await until(lambda: executions(log))
        process.kill()
        process.wait()
        result = await asyncio.wait_for(call, 10)
        assert (result.status, result.code) == ("unknown", "connection_lost")
        gone = await server.call(tools["add"], {"a": 1, "b": 1}, KEY, Reports())
        assert gone.code == "server_down" and gone.status == "error"
    port = int(url.split(":")[2].split("/")[0])
    with sdk_server("http", log, port):  # It is back: the next call reaches it.
        result = await server.call(tools["add"], {"a": 1, "b": 1}, KEY, Reports())
        assert result.structured == {"total": 2}


async def test_a_program_gets_no_secrets_and_dies_with_its_worker(tmp_path, monkeypatch):
    monkeypatch.setenv("HOLDFAST_SECRET_KEY", "secret")
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    server = McpServer(program_config(tmp_path / "log"))
    [tool] = [tool for tool in await server.tools() if tool.name == "environment"]
    result = await server.call(tool, {}, KEY, Reports())
    names = set(json.loads(result.content[0]["text"])["names"])
    assert names <= {"HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER", "LC_CTYPE"}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it ends with its input")
async def test_a_program_is_killed_when_its_worker_is(tmp_path):
    script = (
        "import asyncio, json, os, signal\n"
        "from django.conf import settings\n"
        "settings.configure(USE_I18N=False)\n"
        "from pathlib import Path\n"
        "from chat.tools.mcp.client import McpServer\n"
        "from tests.chat.tools.mcp_servers import program_config\n"
        "async def ignore(*_): pass\n"
        "async def main():\n"
        f"    server = McpServer(program_config(Path({str(tmp_path / 'log')!r})))\n"
        "    tools = {tool.name: tool for tool in await server.tools()}\n"
        "    result = await server.call(tools['environment'], {}, 'k', ignore)\n"
        "    print(json.loads(result.content[0]['text'])['pid'], flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True
    )
    pid = int(done.stdout)
    await until(lambda: not is_running(pid))


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    "module", ["config.asgi", "chat.generation.worker", "chat.tools.mcp.client"]
)
def test_the_library_is_loaded_by_the_first_connection_only(module):
    script = (
        "import sys, django; django.setup()\n"
        f"import {module}\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('mcp', 'mcp_types')])\n"
    )
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.stdout.strip().splitlines()[-1:] == ["[]"], done.stderr


async def until(condition, limit_s=20):
    async with asyncio.timeout(limit_s):
        while not condition():
            await asyncio.sleep(0.02)
