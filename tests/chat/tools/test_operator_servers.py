"""The operator's file of MCP servers."""

import json
import sys

import pytest
from django.core.exceptions import ImproperlyConfigured

from chat.tools.mcp.servers import servers_of
from config.env_tools import tool_servers
from tests.chat.tools.mcp_servers import SDK_SERVER, executions, sdk_server

PERSON = "7e1d3f52-0000-4000-8000-000000000001"


def write(tmp_path, content):
    path = tmp_path / "servers.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


async def ignore(*_):
    pass


async def test_servers_of_the_file_are_called(tmp_path, settings):
    log, program_log = tmp_path / "log", tmp_path / "program"
    program_log.touch()
    with sdk_server("http", log) as (url, _):
        command = [sys.executable, str(SDK_SERVER), "stdio", "0", str(program_log)]
        listed = {
            "web": {"name": "Web", "url": f"{url}?key=a", "headers": {"X-Mine": "yes"}},
            "program": {"command": command, "environment": {"COLOUR": "blue"}},
        }
        settings.TOOL_SERVERS = tool_servers(write(tmp_path, {"servers": listed}))
        web, program = await servers_of(PERSON)
        assert [(s.id, s.name) for s in (web, program)] == [("web", "Web"), ("program", "program")]
        for server in (web, program):
            tools = {tool.name: tool for tool in await server.tools()}
            added = await server.call(tools["add"], {"a": 1, "b": 1}, "key", ignore)
            assert added.structured == {"total": 2}
        assert executions(log)[0]["headers"]["x-mine"] == "yes" and executions(program_log)
        result = await program.call(tools["environment"], {}, "key", ignore)
        assert "COLOUR" in json.loads(result.content[0]["text"])["names"]


@pytest.mark.parametrize(
    "content",
    [
        "{",
        [],
        {"servers": []},
        {"servers": {"a": {}}},
        {"servers": {"a": {"url": "https://a.example", "command": ["a"]}}},
        {"servers": {"a": {"url": "ftp://a.example"}}},
        {"servers": {"a": {"url": 5}}},
        {"servers": {"a": {"url": "https://a.example", "transport": "stdio"}}},
        {"servers": {"a": {"url": "https://a.example", "headers": {"A": 1}}}},
        {"servers": {"a": {"command": "rm -rf"}}},
        {"servers": {"a": {"command": []}}},
        {"servers": {"a": {"command": ["a"], "env": {}}}},
        {"servers": {str(n): {"command": ["a"]} for n in range(51)}},
    ],
)
def test_a_wrong_file_stops_the_start(tmp_path, content):
    with pytest.raises(ImproperlyConfigured, match="HOLDFAST_TOOL_SERVERS"):
        tool_servers(write(tmp_path, content))


def test_a_missing_file_stops_the_start_and_none_is_fine(tmp_path):
    with pytest.raises(ImproperlyConfigured):
        tool_servers(str(tmp_path / "none.json"))
    assert tool_servers("") == {}
