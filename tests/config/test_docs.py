"""docs/protocol.md agrees with the code: routes, events with their fields, all codes."""

import dataclasses
import re
from pathlib import Path

import pytest
from django.urls import URLPattern, get_resolver

from accounts.errors import AccountsError
from billing.errors import BillingError
from chat import errors
from chat.events import EVENT_TYPES
from chat.generation import errors as answer_errors
from chat.llm import errors as model_errors
from chat.web.error_pages import csrf_failure, not_found, server_error
from chat.websocket import consumer as consumers
from chat.websocket import log_socket, paced_socket, routing, session_socket
from chat.websocket.commands import parse_command

PROTOCOL = (Path(__file__).resolve().parent.parent.parent / "docs" / "protocol.md").read_text()
SOCKETS = consumers, log_socket, paced_socket, session_socket
# Close codes of the network, Daphne and the browser.
CLOSE_CODES_OF_OTHERS = {1000, 1001, 1005, 1006, 1012}


def section(title: str) -> str:
    found = re.search(rf"^## {title}$(.*?)(?=^## |\Z)", PROTOCOL, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def table(text: str, first_header: str) -> list[list[str]]:
    """The rows of the table whose first column has this header."""
    lines = text.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith(f"| {first_header} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return rows


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


# Routes


def routes() -> set[str]:
    """The paths that a client may use, with <…> for variable parts."""
    found = set()
    for pattern in get_resolver().url_patterns:
        if isinstance(pattern, URLPattern):
            found.add(f"/{pattern.pattern}")
        elif pattern.namespace in ("chat", "accounts"):
            found |= {f"/{inner.pattern}" for inner in pattern.url_patterns}
    found |= {f"/{pattern.pattern}" for pattern in routing.http_urlpatterns}
    # The settings pages are for people.
    found = {route for route in found if not route.startswith("/settings")}
    return {re.sub(r"<\w+:(\w+?)(_id)?>", r"<\1>", route) for route in found}


def test_every_route_is_documented_and_every_documented_route_exists():
    documented = set()
    for request, *_ in table(section("HTTP"), "request"):
        [text] = named(request)
        documented.add(text.split(" ", 1)[1].split("?")[0])
    pages = {"/", "/c/<chat>", "/shell"}
    # A header or the page names them, and they follow standards.
    for_browsers = {"/csp-reports", "/service-worker.js", "/manifest.webmanifest"}
    assert documented == routes() - pages - for_browsers
    assert "`GET /`" in section("HTTP")


# Events


def test_every_event_is_documented_with_its_fields():
    documented = {}
    for kind, fields, *_ in table(section("Events"), "type"):
        allowed = set(re.findall(r": `(\w+)` or `(\w+)`", fields)[0]) if ": `" in fields else set()
        documented[named(kind)[0]] = {name for name in named(fields) if name not in allowed}
    assert documented == {
        kind: {field.name for field in dataclasses.fields(event)}
        for kind, event in EVENT_TYPES.items()
    }


def test_the_fold_of_every_event_is_documented():
    fold = section("The fold")
    for kind in EVENT_TYPES:
        subject, verb = kind.split(".")
        assert f"`{kind}`" in fold or f"`{verb}`" in fold, kind


# Codes


def codes_of(first_header: str, which: int = 0) -> set[str]:
    parts = re.split(r"\n(?=\| code \|)", section("Codes"))
    rows = table(parts[1 + which], first_header)
    return {code for row in rows for code in (named(row[0]) or re.findall(r"\d{4}", row[0]))}


def test_every_close_code_is_documented():
    ours = {
        value for name, value in vars(session_socket).items() if name.startswith("CLOSE_")
    } | CLOSE_CODES_OF_OTHERS
    assert {int(code) for code in codes_of("code", 0)} == ours


def every(kind: type) -> list[type]:
    return [found for sub in kind.__subclasses__() for found in (sub, *every(sub))]


def test_every_refusal_is_documented_with_its_status(rf):
    kinds = [*every(errors.ChatError), *every(AccountsError), *every(BillingError)]
    ours = {(kind.code, int(kind.status)) for kind in kinds}
    for view in (lambda r: not_found(r, Exception()), csrf_failure, server_error):
        response = view(rf.get("/api/x"))
        code = re.search(rb'"code": "(\w+)"', response.content)
        ours.add((code[1].decode(), response.status_code))
    documented = set()
    for row in table(re.split(r"\n(?=\| code \|)", section("Codes"))[2], "code"):
        [status] = re.findall(r"\((\d+)\)", row[0])
        documented |= {(code, int(status)) for code in named(row[0])}
    assert documented == ours


def test_every_error_of_an_answer_is_documented():
    assert codes_of("code", 2) == {*model_errors.SENTENCES, *answer_errors.SENTENCES}


@pytest.mark.parametrize("code", sorted({*model_errors.SENTENCES, *answer_errors.SENTENCES}))
def test_every_error_of_an_answer_is_a_sentence_that_says_what_to_do(code):
    sentence = model_errors.SENTENCES.get(code) or answer_errors.SENTENCES[code]
    assert sentence.endswith(".") and len(sentence) < 200
    # The text says what happened and what people can do.
    assert ". " in sentence or ";" in sentence


# Messages of the WebSocket


def test_every_command_of_the_socket_is_documented():
    to_server, to_client = re.split("Server to client:", section("WebSocket"))
    documented = set(re.findall(r'"type": "(\w+)"', to_server))
    understood = {
        kind
        for kind in (*documented, "subscribe", "hello", "close")
        if parse_command(
            '{"type": "%s", "chat": "%s", "after": "0-0", "bytes": 1}'  # noqa: UP031
            % (kind, "0198c5a0-0000-7000-8000-000000000001")
        )
    }
    assert understood == documented == {"watch", "follow", "unfollow", "ack", "ping", "pong"}
    source = "".join(Path(part.__file__).read_text() for part in SOCKETS)
    sent = set(re.findall(r'"type": "(\w+)"', source))
    assert sent == set(re.findall(r'"type": "(\w+)"', to_client)) - {"ping", "pong"} | {
        kind for kind in ("ping", "pong") if f'"type": "{kind}"' in source
    }


def test_the_limits_are_those_of_the_document():
    from chat.web import views

    assert f"{views.MAX_MESSAGE_CHARS:,}" in PROTOCOL
    assert f"up to {views.EVENTS_PAGE}" in PROTOCOL
    assert f"{paced_socket.WINDOW_BYTES:,}" in PROTOCOL
    assert f"{consumers.SILENT_AFTER_MS // 1000} s" in PROTOCOL
