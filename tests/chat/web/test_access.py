"""Access: every route and the WebSocket, tried as every role.

A route that is missing in TABLE (by its full name) and in GROUPS (by the beginning of its name)
fails the test: say who may use it. To add the routes of a library, add a group. A row has
the status of the response for each role. Its `method` is tried with a valid CSRF token, and each
method that changes something again without one.
"""

import dataclasses
import uuid
from http import HTTPStatus

import pytest

from chat.models import Chat
from chat.websocket.routing import websocket_urlpatterns
from tests.chat.conftest import MODEL
from tests.chat.web.roles import CHAT, FILE, PROJECT, PROMPT, REPLY, ROLES, SAVED_PROMPT, TOP_UP
from tests.chat.websocket.socket_client import Socket
from tests.url_conf import routes

pytestmark = pytest.mark.django_db(transaction=True)


@dataclasses.dataclass(frozen=True)
class Row:
    """Statuses: (nobody, guest, another user, suspended user, staff, owner of the chat)."""

    path: str
    statuses: tuple[int, int, int, int, int, int]
    method: str = "GET"
    body: dict | None = None
    csrf: bool = True  # Refused without a token, if the method changes something.


def own(path, method="GET", body=None, done=200):
    """A row for the owner only: visitors must sign in, and for others it does not exist."""
    return Row(f"/api/chats/{CHAT}{path}", (401, 404, 404, 401, 404, done), method, body)


ANYBODY = (200,) * 6
# A route with several methods has one row for each.
TABLE: dict[str, list[Row]] = {
    "healthz": [Row("/healthz", ANYBODY)],
    "readyz": [Row("/readyz", (503,) * 6)],  # No worker runs in this test.
    "csp-reports": [Row("/csp-reports", (204,) * 6, "POST", {}, csrf=False)],
    "accounts:security-events": [Row("/settings/activity", (302, 302, 200, 302, 200, 200))],
    "accounts:settings": [
        Row("/settings", (302, 200, 200, 302, 200, 200)),
        # An unknown panel: refused, except for roles that are redirected to sign in.
        Row("/settings", (302, 400, 400, 302, 400, 400), "POST", {}),
    ],
    "accounts:account": [Row("/settings/account", (302, 302, 200, 302, 200, 200))],
    "accounts:api-settings": [
        Row("/api/settings", (401, 200, 200, 401, 200, 200)),
        Row("/api/settings", (401, 200, 200, 401, 200, 200), "PATCH", {"send_key": "enter"}),
    ],
    "accounts:api-picture": [
        # Without a file: access is granted, but the request fails.
        Row("/api/settings/picture", (401, 400, 400, 401, 400, 400), "POST", {}),
        Row("/api/settings/picture", (401, 200, 200, 401, 200, 200), "DELETE"),
    ],
    "accounts:picture": [Row(f"/pictures/{'0' * 32}-64", (404, 404, 404, 404, 404, 200))],
    "accounts:keys": [
        Row("/settings/keys", (302, 302, 200, 302, 200, 200)),
        Row("/settings/keys?add=openai", (302,) * 6),  # To sign in, or to prove who they are.
        Row("/settings/keys", (302, 302, 404, 302, 404, 404), "POST", {}),
    ],
    "accounts:key": [  # Nobody has a key of this id.
        Row(f"/settings/keys/{CHAT}", (302, 302, 404, 302, 404, 404), "POST", {"remove": "1"})
    ],
    "accounts:prompts": [Row("/settings/prompts", (302, 200, 200, 302, 200, 200))],
    "accounts:prompt-new": [
        Row("/settings/prompts/new", (302, 200, 200, 302, 200, 200)),
        # The empty form is shown again.
        Row("/settings/prompts/new", (302, 200, 200, 302, 200, 200), "POST", {}),
    ],
    "accounts:prompt": [
        Row(f"/settings/prompts/{SAVED_PROMPT}", (302, 404, 404, 302, 404, 200)),
        Row(f"/settings/prompts/{SAVED_PROMPT}", (302, 404, 404, 302, 404, 200), "POST", {}),
    ],
    "accounts:prompt-delete": [
        Row(f"/settings/prompts/{SAVED_PROMPT}/delete", (302, 404, 404, 302, 404, 200)),
        Row(f"/settings/prompts/{SAVED_PROMPT}/delete", (302, 404, 404, 302, 404, 302), "POST", {}),
    ],
    "accounts:api-prompts": [Row("/api/prompts", (401, 200, 200, 401, 200, 200))],
    "accounts:api-push": [
        Row("/api/push", (401, 400, 400, 401, 400, 400), "POST", {}),
        Row("/api/push", (401, 204, 204, 401, 204, 204), "DELETE", {"endpoint": "https://a"}),
    ],
    "accounts:sessions": [
        Row("/settings/sessions", (302, 302, 200, 302, 200, 200)),
        # Nobody has a session with this id.
        Row("/settings/sessions", (302, 302, 404, 302, 404, 404), "POST", {"session": "999999"}),
    ],
    "accounts:data": [Row("/settings/data", (302, 200, 200, 302, 200, 200))],
    "accounts:export-status": [Row("/settings/data/status", (401, 200, 200, 401, 200, 200))],
    # Accounts are redirected to reauthenticate; guests cannot reauthenticate.
    "accounts:ask-for-export": [Row("/settings/data/export", (302,) * 6, "POST", {})],
    "accounts:remove-export": [Row("/settings/data/export/remove", (302,) * 6, "POST", {})],
    "accounts:download": [Row("/settings/data/download", (302,) * 6)],
    "accounts:delete": [
        Row("/settings/data/delete", (302, 200, 302, 302, 302, 302)),
        Row("/settings/data/delete", (302, 200, 302, 302, 302, 302), "POST", {}),
    ],
    # For people who requested deletion; all others are redirected.
    "accounts:keep": [
        Row("/settings/leaving", (302,) * 6),
        Row("/settings/leaving", (302,) * 6, "POST", {}),
    ],
    "billing:overview": [Row("/billing", (302, 200, 200, 302, 200, 200))],
    "billing:history-csv": [Row("/billing/history.csv", (302, 200, 200, 302, 200, 200))],
    "billing:usage": [Row("/billing/usage", (302, 200, 200, 302, 200, 200))],
    "billing:usage-csv": [Row("/billing/usage.csv", (302, 200, 200, 302, 200, 200))],
    # Without Stripe, nothing can be ordered and no webhook arrives.
    "billing:top-ups": [Row("/billing/top-ups", (302, 302, 404, 302, 404, 404), "POST", {})],
    "billing:top-up": [Row(f"/billing/top-ups/{TOP_UP}", (302, 404, 404, 302, 404, 200))],
    "billing:stripe-webhook": [Row("/billing/stripe-webhook", (404,) * 6, "POST", {}, csrf=False)],
    "chat:page": [Row("/", ANYBODY)],
    "chat:chat-page": [Row(f"/c/{CHAT}", (404, 404, 404, 404, 404, 200))],
    # These are the same for everybody, without personal data.
    "chat:shell": [Row("/shell", ANYBODY)],
    "chat:service-worker": [Row("/service-worker.js", ANYBODY)],
    "chat:manifest": [Row("/manifest.webmanifest", ANYBODY)],
    "chat:drafts": [
        Row("/api/drafts", (401, 200, 200, 401, 200, 200)),
        Row(
            "/api/drafts",
            (401, 404, 404, 401, 404, 200),
            "PUT",
            {"chat": str(CHAT), "text": "Half a thought", "age_ms": 0},
        ),
    ],
    "chat:models": [Row("/api/models", ANYBODY)],
    "chat:chats": [Row("/api/chats", (401, 200, 200, 401, 200, 200))],
    "chat:search": [Row("/api/search?q=secret", (401, 200, 200, 401, 200, 200))],
    "chat:pin": [own("/pin", "PUT"), own("/pin", "DELETE")],
    "chat:archive": [own("/archive", "PUT"), own("/archive", "DELETE")],
    "chat:restore": [own("/restore", "POST", {})],
    "chat:chat-project": [
        own("/project", "PUT", {"project": str(PROJECT)}),
        own("/project", "DELETE"),
    ],
    "chat:projects": [
        Row("/api/projects", (401, 200, 200, 401, 200, 200)),
        # Only its owner may use the id of a project that is there.
        Row(
            "/api/projects",
            (401, 404, 404, 401, 404, 201),
            "POST",
            {"id": str(PROJECT), "name": "Mine"},
        ),
    ],
    "chat:project": [
        Row(f"/api/projects/{PROJECT}", (401, 404, 404, 401, 404, 200)),
        Row(f"/api/projects/{PROJECT}", (401, 404, 404, 401, 404, 200), "PATCH", {"name": "Mine"}),
        Row(f"/api/projects/{PROJECT}", (401, 404, 404, 401, 404, 200), "DELETE"),
    ],
    "chat:files-page": [Row("/settings/files", (302, 200, 200, 302, 200, 200))],
    "chat:file-delete": [
        Row(f"/settings/files/{FILE}/delete", (302, 404, 404, 302, 404, 200)),
        Row(f"/settings/files/{FILE}/delete", (302, 404, 404, 302, 404, 302), "POST", {}),
    ],
    "chat:files": [
        # Only its owner may announce a file of this id again.
        Row(
            "/api/files",
            (401, 409, 409, 401, 409, 200),
            "POST",
            {"id": str(FILE), "name": "Secret", "bytes": 6, "sha256": "0" * 64},
        ),
    ],
    "chat:file": [
        Row(f"/api/files/{FILE}", (401, 404, 404, 401, 404, 200)),
        Row(f"/api/files/{FILE}", (401, 204, 204, 401, 204, 204), "DELETE"),
    ],
    "chat:file-part": [
        Row(f"/api/files/{FILE}/parts/0", (401, 404, 404, 401, 404, 200), "PUT", {})
    ],
    "chat:file-complete": [
        Row(f"/api/files/{FILE}/complete", (401, 404, 404, 401, 404, 202), "POST", {})
    ],
    # It has no WAV, and is no sound.
    "chat:file-wav-part": [
        Row(f"/api/files/{FILE}/wav/parts/0", (401, 404, 404, 401, 404, 400), "PUT", {})
    ],
    "chat:file-transcribe": [
        Row(f"/api/files/{FILE}/transcribe", (401, 404, 404, 401, 404, 415), "POST", {})
    ],
    # For sound that a model speaks alone: the owner's file is a picture.
    "chat:file-live": [Row(f"/files/{FILE}/live", (404,) * 6)],
    "chat:file-rendition": [
        Row(f"/files/{FILE}/wav", (404,) * 6),
        Row(f"/files/{FILE}/original", (404, 404, 404, 404, 404, 200)),
        Row(f"/files/{FILE}/model", (404,) * 6),
        Row(f"/files/{FILE}/thumb", (404,) * 6),
    ],
    "chat:frame": [Row("/preview/page", ANYBODY), Row("/preview/diagram", ANYBODY)],
    "chat:keep": [own("/keep", "POST", {})],
    "chat:leave": [own("/leave", "POST", {}, done=204)],
    "chat:read": [own("/read", "POST", {"until_ms": 1}, done=204)],
    "chat:chat": [
        own(""),
        own("", "PATCH", {"title": "Mine"}),
        own("", "DELETE", done=204),
    ],
    "chat:events": [own("/events")],
    "chat:export": [own("/export"), own("/export?format=json")],
    # The reply is not in this test's log: the owner has access, but the request fails.
    "chat:branch": [own("/branch", "POST", {"message": str(PROMPT)}, done=404)],
    "chat:messages": [
        # A suspended account counts as a visitor; this one has no visitor cookie either.
        Row(
            f"/api/chats/{CHAT}/messages",
            (401, 404, 404, 401, 404, 202),
            "POST",
            {"id": str(uuid.UUID(int=9)), "text": "Hello", "model": MODEL, "parent": None},
        )
    ],
    "chat:replies": [
        own(
            "/replies",
            "POST",
            {"id": str(uuid.UUID(int=8)), "parent": str(PROMPT), "model": MODEL},
            done=202,
        )
    ],
    "chat:stop": [own(f"/replies/{REPLY}/stop", "POST", {}, done=202)],
    "chat:rating": [
        own(f"/replies/{REPLY}/rating", "PUT", {"rating": "up"}),
        own(f"/replies/{REPLY}/rating", "DELETE"),
    ],
    # The log has no such answer, and nothing was read aloud.
    "chat:speech": [
        own(f"/messages/{REPLY}/speech"),
        own(f"/messages/{REPLY}/speech", "POST", {}, done=404),
    ],
    "chat:attempts": [own(f"/replies/{REPLY}/attempts", "POST", {}, done=202)],
}
PEOPLE = {"other", "staff", "owner"}
# Routes of libraries, by prefix of their names, with the roles that have access. Those without
# arguments are tried with GET. Other roles get a status of `others`. Routes that are `open` are for
# everybody (such as sign-in pages) and must only not fail.
GROUPS: dict[str, dict] = {
    # The admin: staff only; all others are redirected to its sign-in.
    "admin:": {
        "allowed": {"staff"},
        "others": {302},
        "open": {"admin:login", "admin:logout", "admin:jsi18n", "admin:password_change_done"},
        # These cannot be added by hand; the last one is only for fields that the admin has.
        "forbidden": {
            "admin:accounts_user_add",
            "admin:accounts_securityevent_add",
            "admin:chat_chat_add",
            "admin:chat_reply_add",
            "admin:streams_userlog_add",
            *(
                f"admin:billing_{model}_add"
                for model in ("purse", "ledgerentry", "hold", "usage", "topup", "auditrun")
            ),
            "admin:account_emailaddress_add",
            "admin:mfa_authenticator_add",
            "admin:socialaccount_socialaccount_add",
            "admin:autocomplete",
        },
        "led_on": {"admin:password_change"},  # To the site's own page.
    },
    "account_": {
        "allowed": PEOPLE,
        "others": {302},
        "open": {
            "account_login",
            "account_inactive",
            "account_signup",
            "account_signup_by_passkey",
            "account_logout",
            "account_email_verification_sent",
            "account_reset_password",
            "account_confirm_login_code",
            "account_reset_password_from_key_done",
            "account_reset_password_done",
            "account_request_login_code",
        },
        # Redirected to reauthenticate, or to the page for their devices.
        "led_on": {"account_reauthenticate", "account_set_password"},
    },
    "mfa_": {
        "allowed": PEOPLE,
        "others": {302},
        "open": {"mfa_authenticate", "mfa_login_webauthn", "mfa_signup_webauthn"},
        "led_on": {
            "mfa_reauthenticate",
            "mfa_activate_totp",
            "mfa_deactivate_totp",
            "mfa_view_recovery_codes",
            "mfa_generate_recovery_codes",
            "mfa_download_recovery_codes",
            "mfa_add_webauthn",
            "mfa_reauthenticate_webauthn",
        },
    },
    "socialaccount_": {
        "allowed": PEOPLE,
        "others": {302},
        "open": {
            "socialaccount_login_cancelled",
            "socialaccount_login_error",
            "socialaccount_signup",
        },
    },
    "usersessions_": {"allowed": PEOPLE, "others": {302}, "open": set()},
    # Sign-in through a provider, if one is configured, is open to everybody.
    "github_": {"open": {"github_login", "github_callback"}},
    "google_": {"open": {"google_login", "google_callback", "google_login_by_token"}},
    "openid_connect_": {"open": set()},
    # Old addresses of allauth, which redirect to the new ones.
    "None": {"open": {"None"}},
}
# Code 1000 stands for "stays open".
WEBSOCKETS = {"ws": (4401, 1000, 1000, 4401, 1000, 1000)}


def group_of(name):
    return next((group for group in GROUPS if name.startswith(group)), None)


def test_every_route_has_a_row():
    names = {name for name, _, _ in routes()}
    unsaid = {name for name in names if name not in TABLE and group_of(name) is None}
    assert not unsaid, f"say in TABLE or GROUPS who may use {sorted(unsaid)}"
    assert set(TABLE) <= names, "rows of routes that are no more"
    assert {str(pattern.pattern) for pattern in websocket_urlpatterns} == set(WEBSOCKETS)


async def ask(client, row, *, token):
    headers = {}
    if token:
        client.cookies["csrftoken"] = "a" * 32
        headers["x-csrftoken"] = "a" * 32
    method = getattr(client, row.method.lower())
    if row.method == "GET":
        return await method(row.path)
    return await method(row.path, row.body, content_type="application/json", headers=headers)


CASES = [
    pytest.param(name, row, id=f"{name}-{row.method}")
    for name, rows in TABLE.items()
    for row in rows
]


@pytest.mark.parametrize(("name", "row"), CASES)
async def test_only_permitted_roles_have_access(people, name, row):
    """The owner comes last, because only the owner may change what the others try to reach."""
    for role, status in zip(ROLES, row.statuses, strict=True):
        answer = await ask(people[role], row, token=True)
        assert answer.status_code == status, (role, answer)
        if role != "owner" and answer.status_code != HTTPStatus.FOUND:
            is_long = answer.streaming
            parts = [part async for part in answer] if is_long else [answer.content]
            assert b"Secret" not in b"".join(parts), role


@pytest.mark.parametrize(
    ("name", "row"), [case for case in CASES if case.values[1].method != "GET"]
)
async def test_no_other_page_can_send_a_command(people, name, row):
    answer = await ask(people["owner"], row, token=False)
    if row.csrf:
        assert answer.status_code == HTTPStatus.FORBIDDEN
        if row.path.startswith("/api/"):
            assert answer.json()["error"]["code"] == "csrf"
        assert (await Chat.objects.aget(id=CHAT)).title == "Secret"
    else:
        assert answer.status_code == row.statuses[-1]


@pytest.mark.parametrize(
    "name", [name for name, rows in TABLE.items() if rows[0].path.startswith("/api/")]
)
async def test_an_unsupported_method_is_refused_with_json(people, name):
    rows = TABLE[name]
    for method in ("OPTIONS", "PUT", "GET", "POST"):
        if method not in {row.method for row in rows}:
            row = Row(rows[0].path, (405,) * 6, method)
            answer = await ask(people["owner"], row, token=True)
            assert answer.status_code == HTTPStatus.METHOD_NOT_ALLOWED
            assert answer.json()["error"]["code"] == "method_not_allowed"
            assert set(answer["Allow"].split(", ")) == {row.method for row in rows}


GROUP_ROUTES = [
    (name, path)
    for name, path, has_arguments in routes()
    if name not in TABLE and group_of(name) and not has_arguments
]


@pytest.mark.parametrize(("name", "path"), GROUP_ROUTES)
async def test_library_routes_are_for_their_group(people, name, path):
    said = GROUPS[group_of(name)]
    for role in ROLES:
        status = (await people[role].get(path)).status_code
        if name in said["open"]:
            assert status < 500 and status != 403, (role, status)
        elif role not in said["allowed"]:
            assert status in said["others"], (role, status)
        elif name in said.get("forbidden", ()):
            assert status == HTTPStatus.FORBIDDEN, (role, status)
        elif name in said.get("led_on", ()):
            assert status in (200, 302, 404), (role, status)
        else:
            assert status in (200, 405) or (status == 302 and name == "admin:index"), (role, status)


@pytest.mark.parametrize("role", ROLES)
async def test_the_socket_is_for_permitted_roles(people, role):
    cookies = "; ".join(f"{name}={m.value}" for name, m in people[role].cookies.items())
    expected = WEBSOCKETS["ws"][ROLES.index(role)]
    async with Socket(cookies=cookies) as socket:
        if expected != 1000:
            assert await socket.until_closed() == expected
        else:
            welcome = await socket.until_type("welcome")
            session = await people[role].asession()
            user = await session.aget("_auth_user_id")
            assert welcome["user"]["id"] == user
            await socket.say(type="follow", chat=str(CHAT), after=None)
            if role == "owner":
                await socket.until_type("live", chat=str(CHAT))
            else:
                await socket.until_type("error", code="chat_not_found")
