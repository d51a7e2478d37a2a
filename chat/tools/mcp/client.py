"""A server of tools that is reached over MCP (chat/tools/calls.py: ToolServer).

Importing this module does not load the `mcp` library; the first connection does.
"""

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from chat.tools.calls import Progress, Tool, ToolResult
from chat.tools.errors import ToolServerError
from chat.tools.mcp import problems
from chat.tools.mcp.connections import Connection, connected, drop
from chat.tools.mcp.http import Exchange, current_exchange
from chat.tools.mcp.listing import read_tools
from chat.tools.mcp.results import to_failure, to_refusal, to_result
from chat.tools.mcp.server_config import ServerConfig

if TYPE_CHECKING:
    from mcp_types import RequestParamsMeta

    from chat.tools.mcp.session import Session

CALL_S = 60.0
LIST_S = 30.0
# A list is read again after this time, so that a changed tool is noticed.
LIST_FRESH_S = 30.0
# How often a call is repeated because its result asks for more: a server could ask for ever.
MAX_ROUNDS = 8
ROUND_PAUSE_S = 0.05
KEY_META = "holdfast/idempotency-key"


class McpServer:
    """One server. Objects are cheap; the connections behind them are shared.

    `refused` has the tools of the last list that are not used, with the code of each reason.
    """

    def __init__(self, config: ServerConfig) -> None:
        self.id, self.name = config.id, config.name
        self.refused: dict[str, str] = {}
        self._config = config

    async def tools(self) -> list[Tool]:
        """The usable tools, at most LIST_FRESH_S old. Raises ToolServerError."""
        exchange = Exchange()
        token = current_exchange.set(exchange)
        try:
            return await self._tools(exchange, may_repeat=True)
        finally:
            current_exchange.reset(token)

    async def _tools(self, exchange: Exchange, *, may_repeat: bool) -> list[Tool]:
        async with connected(self._config) as (connection, session):
            now = asyncio.get_running_loop().time()
            if now - connection.tools_at < LIST_FRESH_S:
                return connection.tools
            try:
                async with asyncio.timeout(LIST_S):
                    tools, self.refused = await read_tools(session, self.id)
            except ToolServerError:
                raise
            except TimeoutError as error:
                raise problems.problem(problems.SERVER_DOWN) from error
            except Exception as error:
                drop(self._config, connection)
                if not (may_repeat and _session_is_gone(exchange)):
                    code = exchange.code or problems.BAD_ANSWER
                    raise problems.problem(code) from error
            else:
                connection.tools, connection.tools_at = tools, now
                return tools
        return await self._tools(exchange, may_repeat=False)

    async def call(
        self, tool: Tool, arguments: dict[str, Any], key: str, progress: Progress
    ) -> ToolResult:
        """Runs a tool. Never raises for what a server does. Cancelling the task tells the server.

        A request is repeated only if the server says that it no longer knows the session, which
        means that nothing ran.
        """
        exchange = Exchange(key=key)
        token = current_exchange.set(exchange)
        try:
            result = await self._call(tool, arguments, exchange, progress)
            if result is None:
                exchange.status, exchange.code, exchange.sent = 0, "", False
                result = await self._call(tool, arguments, exchange, progress)
            return result or to_failure(problems.NOT_MCP, exchange)
        finally:
            current_exchange.reset(token)

    async def _call(
        self, tool: Tool, arguments: dict[str, Any], exchange: Exchange, progress: Progress
    ) -> ToolResult | None:
        """None if the session is gone."""
        try:
            async with connected(self._config) as (connection, session):
                return await self._call_in(connection, session, tool, arguments, exchange, progress)
        except ToolServerError as error:
            return ToolResult("error", code=error.code, sentence=error.sentence)

    async def _call_in(
        self,
        connection: Connection,
        session: "Session",
        tool: Tool,
        arguments: dict[str, Any],
        exchange: Exchange,
        progress: Progress,
    ) -> ToolResult | None:
        from mcp.shared.exceptions import MCPError
        from mcp_types import CONNECTION_CLOSED, PARSE_ERROR, REQUEST_TIMEOUT

        if "x-mcp-header" in str(tool.schema) and tool.name not in session.listed:
            await self._tools(exchange, may_repeat=False)  # The session learns the headers.
        declined_before = session.declined
        try:
            async with asyncio.timeout(None) as limit:
                exchange.on_failure = partial(limit.reschedule, 0)
                answer = await self._answer(session, tool, arguments, exchange.key, progress)
        except TimeoutError:
            drop(self._config, connection)
            return to_failure(exchange.code, exchange)
        except MCPError as error:
            if error.code == REQUEST_TIMEOUT:
                code = problems.TIMEOUT
                return ToolResult("timeout", code=code, sentence=problems.sentence(code))
            # Servers use the library's code of a closed connection for errors of their own.
            is_closed = (error.code, error.message) == (CONNECTION_CLOSED, "Connection closed")
            if is_closed or exchange.code:
                return self._broken(connection, exchange)
            if error.code == PARSE_ERROR or exchange.status == 202:
                return to_failure(problems.BAD_ANSWER, exchange)
            return to_refusal(error)
        except Exception:  # noqa: BLE001  The library raises many kinds for what it cannot read.
            return to_failure(exchange.code or problems.BAD_ANSWER, exchange)
        if answer is None:
            code = problems.INPUT_DECLINED
            return ToolResult("error", code=code, sentence=problems.sentence(code))
        return await to_result(tool, answer, declined=session.declined > declined_before)

    def _broken(self, connection: Connection, exchange: Exchange) -> ToolResult | None:
        if _session_is_gone(exchange):
            drop(self._config, connection)
            return None
        if not exchange.code:  # The program or the stream ended.
            drop(self._config, connection)
            exchange.sent = True
        return to_failure(exchange.code or problems.CONNECTION_LOST, exchange)

    async def _answer(
        self,
        session: "Session",
        tool: Tool,
        arguments: dict[str, Any],
        key: str,
        on_progress: Progress,
    ) -> Any:
        """The library's CallToolResult; None if the server asks for what cannot be declined."""
        from mcp_types import InputRequiredResult

        async def report(progress: float, total: float | None, message: str | None) -> None:
            await on_progress(progress, total, message or "")

        ends = asyncio.get_running_loop().time() + CALL_S
        responses: dict[str, Any] | None = None
        state: str | None = None
        meta = cast("RequestParamsMeta", {KEY_META: key})
        for _ in range(MAX_ROUNDS):
            answer = await session.call_tool(
                tool.name,
                arguments,
                read_timeout_seconds=max(ends - asyncio.get_running_loop().time(), 0.01),
                progress_callback=report,
                input_responses=responses,
                request_state=state,
                meta=meta,
                allow_input_required=True,
            )
            if not isinstance(answer, InputRequiredResult):
                return answer
            state, responses = answer.request_state, None
            if answer.input_requests:
                responses = await session.decline_all(answer.input_requests)
                if responses is None:
                    return None
            await asyncio.sleep(ROUND_PAUSE_S)
        return None


def _session_is_gone(exchange: Exchange) -> bool:
    return exchange.status == 404
