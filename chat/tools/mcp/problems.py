"""The codes of what goes wrong with an MCP server, and their sentences.

A code is stable: logs keep it, and pages choose what to offer by it.
"""

from django.utils.translation import gettext, gettext_noop

from chat.tools.errors import ToolServerError

SERVER_DOWN = "server_down"
NOT_ALLOWED = "address_not_allowed"
SIGN_IN_NEEDED = "sign_in_needed"
BUSY = "server_busy"
REDIRECTED = "redirected"
NOT_MCP = "not_mcp"
BAD_ANSWER = "bad_answer"
TOO_LARGE = "too_large"
CONNECTION_LOST = "connection_lost"
TIMEOUT = "timeout"
VERSION = "unsupported_version"
SERVER_ERROR = "server_error"
SERVER_FAILED = "server_failed"
OUTPUT_INVALID = "output_invalid"
INPUT_DECLINED = "input_declined"
TOO_MANY_TOOLS = "too_many_tools"
UNREADABLE = "secrets_unreadable"

SENTENCES = {
    SERVER_DOWN: gettext_noop("The server cannot be reached. Try again later."),
    NOT_ALLOWED: gettext_noop(
        "The address of the server is not on the public internet, so it is not used."
    ),
    SIGN_IN_NEEDED: gettext_noop(
        "The server does not accept the request without signing in. Check its headers."
    ),
    BUSY: gettext_noop("The server limits how often it answers. Try again later."),
    REDIRECTED: gettext_noop(
        "The server sent the request to another address. Enter the address where it is now."
    ),
    NOT_MCP: gettext_noop("There is no MCP server at this address. Check the address."),
    BAD_ANSWER: gettext_noop("The server gave an answer that cannot be read."),
    TOO_LARGE: gettext_noop("The answer of the server is larger than 10 MB and was not kept."),
    CONNECTION_LOST: gettext_noop(
        "The connection broke before the server answered. The call may have taken effect."
    ),
    TIMEOUT: gettext_noop("The server did not answer in time. The call may have taken effect."),
    VERSION: gettext_noop("The server speaks no version of MCP that is known here."),
    SERVER_FAILED: gettext_noop("The server failed while it handled the request."),
    SERVER_ERROR: gettext_noop("The server refused the call."),
    OUTPUT_INVALID: gettext_noop(
        "The tool ran, but its structured result is not what it said it would be."
    ),
    INPUT_DECLINED: gettext_noop("The server asked for more during the call. That was declined."),
    TOO_MANY_TOOLS: gettext_noop("The server lists more tools than can be used."),
    UNREADABLE: gettext_noop("What was stored for this server cannot be read. Enter it again."),
}


def sentence(code: str) -> str:
    return gettext(SENTENCES[code])


def problem(code: str) -> ToolServerError:
    return ToolServerError(code, sentence(code))
