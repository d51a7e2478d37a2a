"""A session with an MCP server, and how its protocol revision is found.

This module loads the `mcp` library, which takes half a second and 45 MB: import it through
chat/tools/mcp/connections.py only.
"""

import logging
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import httpx2
import mcp_types
from mcp.client._transport import ReadStream, WriteStream
from mcp.client.session import ClientRequestContext, ClientSession
from mcp.client.sse import sse_client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp.shared.message import SessionMessage
from pydantic import ValidationError

from chat.tools.errors import ToolServerError
from chat.tools.mcp import problems
from chat.tools.mcp.http import MAX_BODY_BYTES, Exchange, McpHttpClient, current_exchange
from chat.tools.mcp.server_config import ServerConfig

CLIENT = mcp_types.Implementation(name="holdfast", title="Holdfast", version="1")
START_S = 30.0
PARENT_DEATH = Path(__file__).parents[3] / "config" / "supervise" / "parent_death.py"
# An older transport is tried after these: 2024-11-05 servers have no POST at their address.
NO_STREAMABLE_HTTP = (400, 404, 405)
# What the answer to the first request says about the server, so that no other one is tried.
FINAL = frozenset(
    {
        problems.SERVER_DOWN,
        problems.NOT_ALLOWED,
        problems.SIGN_IN_NEEDED,
        problems.BUSY,
        problems.REDIRECTED,
        problems.TOO_LARGE,
    }
)

# The library logs what servers send, with a traceback for each message that it cannot read.
for _name in ("mcp", "client"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


Streams = tuple[ReadStream[SessionMessage | Exception], WriteStream[SessionMessage]]


class Session(ClientSession):
    """Declines what a server asks for, and leaves checking results to the caller: the library
    raises after the tool ran, and the result would be lost.

    `listed` has the names in the pages of tools as they came; the library drops some later.
    `declined` counts the requests of the server.
    """

    def __init__(self, streams: Streams) -> None:
        super().__init__(*streams, client_info=CLIENT)
        self.listed: list[str] = []
        self.declined = 0

    async def send_request(self, request: Any, result_type: Any, *args: Any, **kwargs: Any) -> Any:
        result = await super().send_request(request, result_type, *args, **kwargs)
        if isinstance(result, mcp_types.ListToolsResult):
            self.listed.extend(tool.name for tool in result.tools)
        return result

    async def validate_tool_result(self, name: str, result: mcp_types.CallToolResult) -> None:
        """Does nothing: chat/tools/mcp/output_check.py."""

    async def dispatch_input_request(
        self, ctx: ClientRequestContext, request: mcp_types.InputRequest
    ) -> mcp_types.InputResponse | mcp_types.ErrorData:
        self.declined += 1
        if isinstance(request, mcp_types.ElicitRequest):
            return mcp_types.ElicitResult(action="decline")
        return await super().dispatch_input_request(ctx, request)

    async def decline_all(self, requests: dict[str, Any]) -> dict[str, Any] | None:
        """The answers to what a result asks for; None if the protocol has no form of declining."""
        context = ClientRequestContext(session=self, request_id=0)
        answers = {}
        for name, request in requests.items():
            answers[name] = await self.dispatch_input_request(context, request)
        refused = any(isinstance(answer, mcp_types.ErrorData) for answer in answers.values())
        return None if refused else answers


@asynccontextmanager
async def open_session(config: ServerConfig) -> AsyncIterator[Session]:
    """A session whose revision is settled. Raises ToolServerError."""
    if config.transport == "stdio":
        # A server could fill the operator's log with its lines.
        with open(os.devnull, "w") as no_log:  # noqa: ASYNC230
            program = stdio_client(_program(config), errlog=no_log)
            async with program as streams, _negotiated(streams, Exchange()) as session:
                yield session
        return
    if config.transport != "sse":
        exchange = Exchange()
        current_exchange.set(exchange)
        try:
            async with _over_http(config, exchange) as session:
                yield session
                return
        except (BaseExceptionGroup, _NoStreamableHttp) as error:
            if not _contains(error, _NoStreamableHttp):
                raise
            if config.transport == "http":
                raise problems.problem(problems.NOT_MCP) from None
    async with _over_sse(config) as session:
        yield session


class _NoStreamableHttp(Exception):
    pass


def _contains(error: BaseException, kind: type[BaseException]) -> bool:
    """Whether it is of this kind. Task groups wrap the errors of what runs in them."""
    if isinstance(error, BaseExceptionGroup):
        return any(_contains(inner, kind) for inner in error.exceptions)
    return isinstance(error, kind)


@asynccontextmanager
async def _over_http(config: ServerConfig, exchange: Exchange) -> AsyncIterator[Session]:
    async with McpHttpClient(config) as client:
        streams = streamable_http_client(
            config.url, http_client=client, max_sse_event_size=MAX_BODY_BYTES
        )
        async with streams as pair, _negotiated(pair, exchange) as session:
            yield session


@asynccontextmanager
async def _over_sse(config: ServerConfig) -> AsyncIterator[Session]:
    exchange = Exchange()
    current_exchange.set(exchange)

    def make_client(
        headers: dict[str, str] | None = None,
        timeout: httpx2.Timeout | None = None,
        auth: httpx2.Auth | None = None,
    ) -> McpHttpClient:
        return McpHttpClient(config, is_sse=True)

    streams = sse_client(config.url, httpx_client_factory=make_client)
    async with streams as pair, _negotiated(pair, exchange, is_modern=False) as session:
        yield session


@asynccontextmanager
async def _negotiated(
    streams: Streams, exchange: Exchange, *, is_modern: bool = True
) -> AsyncIterator[Session]:
    async with Session(streams) as session:
        await _negotiate(session, exchange, is_modern)
        yield session


async def _negotiate(session: Session, exchange: Exchange, is_modern: bool) -> None:
    """Agrees on the newest revision that both sides know. Raises ToolServerError."""
    try:
        if not (is_modern and await _discover(session, exchange)):
            await session.initialize()
    except (MCPError, RuntimeError, ValidationError) as error:
        if exchange.status in NO_STREAMABLE_HTTP and exchange.code not in FINAL:
            raise _NoStreamableHttp from error
        code = exchange.code or (
            problems.VERSION if isinstance(error, RuntimeError) else problems.BAD_ANSWER
        )
        raise problems.problem(code) from error


async def _discover(session: Session, exchange: Exchange) -> bool:
    """Whether the server speaks a revision without a handshake."""
    try:
        await session.discover()
    except (MCPError, RuntimeError, ValidationError) as error:
        if exchange.code in FINAL:
            raise
        if _is_only_unknown(error):
            raise
        exchange.code = ""
        return False
    return True


def _is_only_unknown(error: Exception) -> bool:
    """Whether the server named its revisions, and no handshake could agree on any."""
    if not isinstance(error, MCPError):
        return False
    if error.code != mcp_types.UNSUPPORTED_PROTOCOL_VERSION:
        return False
    data = cast(Any, error.data)
    supported = data.get("supported") if isinstance(data, dict) else None
    if not isinstance(supported, list):
        return False
    from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

    return not any(version in HANDSHAKE_PROTOCOL_VERSIONS for version in supported)


def _program(config: ServerConfig) -> StdioServerParameters:
    """The program dies with this process, and gets none of its variables but the common ones."""
    watched = [str(PARENT_DEATH), str(os.getpid()), "9", *config.command]
    return StdioServerParameters(command=sys.executable, args=watched, env=dict(config.environment))


def problem_of(error: BaseException, exchange: Exchange) -> ToolServerError:
    """The error of a session that could not be opened, or that broke."""
    if isinstance(error, ToolServerError):
        return error
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            if isinstance(inner, ToolServerError | BaseExceptionGroup):
                return problem_of(inner, exchange)
    return problems.problem(exchange.code or problems.SERVER_DOWN)
