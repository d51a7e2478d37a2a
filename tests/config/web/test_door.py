"""Headers of all responses, reports, and configurations that `up` refuses."""

import re
import subprocess
import sys
from http import HTTPStatus
from pathlib import Path

import pytest
from django.core.management.base import SystemCheckError
from django.test import AsyncClient, Client

from config import checks
from config.asgi import application
from config.env import trusted_proxies
from config.web.security_headers import SecurityHeaders
from tests.config.web.raw_requests import respond, scope_of
from tests.stack import MANAGE, clean_environment

SECRET = "k3y-" + "abcdefghij0123456789" * 3
PRODUCTION = {
    "HOLDFAST_URL": "https://chat.example.org",
    "HOLDFAST_TRUST_PROXY": "True",
    "SECRET_KEY": SECRET,
}
EVERYWHERE = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


async def answered(path, method="GET", app=application, **headers):
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    status, sent, _ = await respond(scope_of(path, *pairs, method=method), app=app)
    sent = [(bytes(k).decode().lower(), bytes(v).decode()) for k, v in sent]
    assert len({name for name, _ in sent} - {"set-cookie"}) == len(
        [name for name, _ in sent if name != "set-cookie"]
    )
    return status, dict(sent)


# Headers


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/healthz", "GET", 200),
        ("/", "GET", 200),
        ("/nowhere", "GET", 404),
        ("/api/nowhere", "GET", 404),
        ("/api/chats", "GET", 401),
        ("/api/chats", "DELETE", 403),
        ("/admin/", "GET", 302),
        ("/account/login/", "GET", 200),
        ("/account/email/", "GET", 302),
        ("/settings", "GET", 302),
        ("/static/js/nowhere.js", "GET", 404),
    ],
)
async def test_every_answer_carries_them(redis_url, path, method, status):
    got, sent = await answered(path, method)
    assert got == status
    assert EVERYWHERE.items() <= sent.items()
    assert "camera=()" in sent["permissions-policy"]
    assert "microphone=(self)" in sent["permissions-policy"]
    assert "frame-ancestors 'none'" in sent["content-security-policy"]
    assert "default-src 'none'" in sent["content-security-policy"]
    assert "unsafe" not in sent["content-security-policy"]
    assert "no-store" in sent["cache-control"] and "public" not in sent["cache-control"]


async def test_responses_before_django_have_the_headers_too(settings):
    async def broken(scope, receive, send):
        await send({"type": "http.response.start", "status": 413})
        await send({"type": "http.response.body", "body": b""})

    settings.HTTPS, settings.SECURE_HSTS_SECONDS = True, 99
    status, sent = await answered("/", app=SecurityHeaders(broken))
    assert status == 413
    assert EVERYWHERE.items() <= sent.items()
    assert sent["strict-transport-security"] == "max-age=99"


@pytest.mark.parametrize("name", ["a.svg", "a.html", "a.js"])
async def test_static_files_carry_what_means_something_there(tmp_path, settings, name):
    (tmp_path / name).write_text("1;")
    settings.STATIC_ROOT, settings.HTTPS = tmp_path, True
    from config.asgi import _static

    async def nothing(scope, receive, send):
        raise AssertionError

    status, sent = await answered(f"/static/{name}", app=SecurityHeaders(_static(nothing)))
    assert status == 200
    assert sent["x-content-type-options"] == "nosniff" and "strict-transport-security" in sent
    assert (EVERYWHERE.items() <= sent.items()) == (name != "a.js")
    assert "access-control-allow-origin" not in sent


# Reports


def report(body, kind="application/csp-report", **more):
    return Client().post("/csp-reports", body, content_type=kind, **more)


OLD = (
    '{"csp-report": {"effective-directive": "script-src", "blocked-uri": '
    '"https://evil.example/steal?secret=1", "document-uri": "https://us/c/1?token=2"}}'
)
NEW = (
    '[{"type": "csp-violation", "body": {"effectiveDirective": "img-src", '
    '"blockedURL": "inline", "documentURL": "https://us/c/2"}}]'
)


@pytest.fixture
def logged(caplog):
    caplog.set_level("WARNING", logger="config.web.csp_reports")
    return lambda: [entry.getMessage() for entry in caplog.records]


def test_a_violation_is_logged_without_what_may_be_secret(logged):
    assert report(OLD).status_code == HTTPStatus.NO_CONTENT
    assert report(NEW, "application/reports+json").status_code == HTTPStatus.NO_CONTENT
    assert logged() == [
        "content security policy: script-src kept https://evil.example out of /c/1",
        "content security policy: img-src kept inline out of /c/2",
    ]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "no json",
        "[]",
        "3",
        '[{"body": 3}]',
        '{"csp-report": []}',
        '{"csp-report": {"blocked-uri": "http://[bad", "document-uri": {"a": 1}}}',
        "[" * 10_000,
        '{"csp-report": {"effective-directive": "' + "x" * 20_000 + '"}}',
    ],
)
def test_nonsense_is_swallowed(body):
    assert report(body).status_code == HTTPStatus.NO_CONTENT


def test_a_report_cannot_forge_or_flood_the_log(logged):
    forged = r'{"csp-report": {"effective-directive": "x\r\nERROR root: forged\u001b[31m"}}'
    report(forged)
    assert logged() == ["content security policy: x??ERROR?root:?forged??31m kept ? out of "]
    report("[" + ",".join([NEW[1:-1]] * 50) + "]")
    assert len(logged()) == 6


def test_reports_are_limited(redis_url, settings, logged):
    settings.LIMIT_CSP_REPORTS_PER_MINUTE_ADDRESS = 2
    assert [report(OLD).status_code for _ in range(3)] == [204, 204, 429]
    assert len(logged()) == 2


def test_the_policy_says_where_to_report():
    policy = Client().get("/healthz")["Content-Security-Policy"]
    assert re.search(r"report-uri /csp-reports(;|$)", policy)


# Refused configurations


@pytest.fixture
def production(settings):
    settings.URL, settings.URL_HOST = "https://chat.example.org", "chat.example.org"
    settings.HTTPS, settings.DEBUG, settings.TRUST_PROXY = True, False, True
    settings.SECRET_KEY, settings.TRUSTED_PROXIES = SECRET, 1
    settings.ALLOWED_HOSTS = ["chat.example.org"]
    settings.CSRF_TRUSTED_ORIGINS = ["https://chat.example.org"]
    return settings


def test_a_good_setup_is_let_through(production):
    assert checks.check_door(None) == []
    checks.ensure_safe_door()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("DEBUG", True, "config.E001"),
        ("SECRET_KEY", "short", "config.E002"),
        ("SECRET_KEY", "ab" * 40, "config.E002"),
        ("TRUST_PROXY", False, "config.E003"),
        ("ALLOWED_HOSTS", ["*"], "config.E004"),
        ("CSRF_TRUSTED_ORIGINS", ["https://*"], "config.E005"),
        ("CSRF_TRUSTED_ORIGINS", ["http://chat.example.org"], "config.E005"),
        ("TRUSTED_PROXIES", 0, "config.E006"),
        ("TRUSTED_PROXIES", trusted_proxies("10.0.0.0/8,::/0"), "config.E006"),
    ],
)
def test_an_open_door_is_refused(production, name, value, expected):
    setattr(production, name, value)
    (message,) = checks.check_door(None)
    assert message.id == expected
    assert message.hint
    with pytest.raises(SystemCheckError, match=expected):
        checks.ensure_safe_door()


def test_http_is_warned_of_where_others_may_listen(production):
    production.URL, production.HTTPS = "http://chat.example.org", False
    (message,) = checks.check_door(None)
    assert message.id == "config.W002" and not message.is_serious()
    production.URL_HOST = "localhost"
    assert checks.check_door(None) == []


def test_debug_where_others_can_reach_it_is_warned_of(settings):
    settings.DEBUG, settings.HOST = True, "0.0.0.0"
    assert [message.id for message in checks.check_debug(None)] == ["config.W001"]


def manage(*arguments, tmp_path, **env):
    environment = clean_environment(HOLDFAST_DATA=str(tmp_path / "data"), **env)
    return subprocess.run(
        [sys.executable, MANAGE, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_check_deploy_is_clean_in_production(redis_url, tmp_path):
    done = manage(
        "check",
        "--deploy",
        "--fail-level=WARNING",
        tmp_path=tmp_path,
        REDIS_URL=redis_url,
        OPENAI_API_KEY="k",
        **PRODUCTION,
    )
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


@pytest.mark.parametrize("command", ["web", "work", "up"])
def test_no_process_starts_with_the_door_open(tmp_path, command):
    env = PRODUCTION | {"SECRET_KEY": "short", "HOLDFAST_PORT": "0"}
    done = manage(command, tmp_path=tmp_path, OPENAI_API_KEY="k", **env)
    assert done.returncode != 0
    assert "config.E002" in done.stderr


def test_every_secret_may_come_from_a_file():
    config = Path(MANAGE).parent / "config"
    source = "".join(path.read_text() for path in config.glob("settings*.py"))
    secrets = re.findall(r'env\.\w+\("(\w*(?:_KEY|SECRET|PASSWORD|_TOKEN)\w*)"', source)
    others = {"MODEL_FIRST_TOKEN_TIMEOUT_MS", "LIMIT_KEY_CHECKS_PER_HOUR_USER"}
    assert set(secrets) <= others | {"HOLDFAST_EMBEDDED_MODEL_KEY"}  # `up` passes it on.


# Hostile requests


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "cookie",
    [
        "sessionid=" + "x" * 7_000,
        "a=" * 3_000,
        "csrftoken=\x7f\xff; sessionid=%00",
        "hf_visitor=:::",
    ],
)
async def test_odd_cookies_are_nobody(redis_url, cookie):
    status, sent = await answered("/", cookie=cookie)
    assert status == 200
    assert len(sent.get("set-cookie", "")) < 1_000


@pytest.mark.django_db
@pytest.mark.parametrize("to", ["https://evil.example/", "//evil.example", "/\\evil.example"])
def test_signing_in_leads_to_our_own_pages_only(redis_url, django_user_model, to):
    django_user_model.objects.create_superuser("op@example.org", "correct horse")
    fields = {"username": "op@example.org", "password": "correct horse", "next": to}
    answer = Client().post("/admin/login/", fields)
    assert answer.status_code == HTTPStatus.FOUND
    assert "evil" not in answer["Location"]


@pytest.mark.django_db
def test_an_id_of_a_session_that_was_planted_is_replaced(redis_url, django_user_model):
    django_user_model.objects.create_superuser("op@example.org", "correct horse")
    client = Client()
    client.cookies["sessionid"] = planted = "a" * 32
    client.get("/admin/login/")
    fields = {"username": "op@example.org", "password": "correct horse"}
    client.post("/admin/login/", fields)
    assert client.cookies["sessionid"].value != planted


async def test_a_line_break_cannot_end_a_header(redis_url):
    answer = await AsyncClient().get("/nowhere%0d%0aSet-Cookie:%20a=b")
    assert answer.status_code == HTTPStatus.NOT_FOUND
    assert "a" not in answer.cookies
