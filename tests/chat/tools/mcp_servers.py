"""Servers for the tests of the MCP client: the library's own in a process, and raw ones."""

import asyncio
import json
import socket
import subprocess
import sys
import time
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

from accounts.provider_keys.address_filter import resolve
from chat.tools.mcp.server_config import ServerConfig

SDK_SERVER = Path(__file__).with_name("sdk_server.py")
ROOT = Path(__file__).parents[3]
START_S = 60
# One object: configurations compare by it, and a connection belongs to one of them.
RESOLVE = partial(resolve, private=True)
TOOLS = [{"name": "act", "inputSchema": {"type": "object"}}]


def config_of(url, **fields):
    """A server at a private address that the operator has allowed."""
    fields.setdefault("resolve", RESOLVE)
    return ServerConfig(id="test", name="Test", url=url, **fields)


def program_config(log):
    command = (sys.executable, str(SDK_SERVER), "stdio", "0", str(log))
    return ServerConfig(id="test", name="Test", transport="stdio", command=command)


@contextmanager
def sdk_server(transport, log, port=0):
    """The library's server; yields its address and its process."""
    log.touch()
    if not port:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
    command = [sys.executable, str(SDK_SERVER), transport, str(port), str(log)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        ends = time.monotonic() + START_S
        while time.monotonic() < ends:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.05)
        path = "/sse" if transport == "sse" else "/mcp"
        yield f"http://127.0.0.1:{port}{path}", process
    finally:
        process.kill()
        process.wait()


def executions(log):
    return [json.loads(line) for line in log.read_text().splitlines()]


class RawServer:
    """Speaks HTTP and JSON-RPC by hand. `answers` has a function for each method, from the message
    to bytes: a whole response, or b"" to close the connection without one."""

    def __init__(self, revision="2025-11-25"):
        self.revision = revision
        self.requests = []  # (method of HTTP, target, headers, message)
        self.url = ""
        self.answers = {}

    def said(self, method):
        return [message for _, _, _, message in self.requests if message.get("method") == method]

    async def serve(self, reader, writer):
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                first, *lines = head.strip().split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in lines)
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                message = json.loads(body) if body else {}
                verb, target, _ = first.split(" ")
                self.requests.append((verb, target, headers, message))
                answer = self.respond(verb, message)
                if asyncio.iscoroutine(answer):
                    answer = await answer
                if not answer:
                    return
                writer.write(answer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    def respond(self, verb, message):
        method = message.get("method", "")
        if verb != "POST":
            return http(405)
        if method in self.answers:
            return self.answers[method](message)
        if method == "server/discover":
            return http(400)
        if method == "initialize":
            result = {
                "protocolVersion": self.revision,
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "raw", "version": "1"},
            }
            return reply(message, result, {"Mcp-Session-Id": "s1"})
        if method == "tools/list":
            return reply(message, {"tools": TOOLS})
        if "id" not in message:
            return http(202)
        return reply(message, {"content": [{"type": "text", "text": "done"}]})


@asynccontextmanager
async def raw_server(**answers):
    raw = RawServer()
    raw.answers = {name.replace("__", "/"): answer for name, answer in answers.items()}
    server = await asyncio.start_server(raw.serve, "127.0.0.1", 0, limit=20_000_000)
    raw.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp"
    try:
        yield raw
    finally:
        server.close()


def http(status, body=b"", kind="text/plain", headers=()):
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in dict(headers).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def reply(message, result, headers=()):
    body = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode()
    return http(200, body, "application/json", headers)


def refuse(message, code, text):
    error = {"code": code, "message": text}
    body = json.dumps({"jsonrpc": "2.0", "id": message["id"], "error": error}).encode()
    return http(200, body, "application/json")
