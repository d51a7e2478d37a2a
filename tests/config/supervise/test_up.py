"""`manage.py up` with real processes: it starts, keeps running, reloads, stops, or reports why it
cannot."""

import contextlib
import http.client
import json
import re
import signal
import socket
import subprocess
import threading
import time
from http import HTTPStatus
from urllib.parse import urlsplit
from urllib.request import urlopen

import httpx2
import psutil
import pytest

from tests.stack import Stack, wait_for

CSRF_FIELD = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


def get(stack, path):
    parts = urlsplit(stack.url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def gone(pids):
    return not any(psutil.pid_exists(pid) for pid in pids)


@pytest.fixture(scope="module")
def own_stack(fake_model):
    created = Stack(model_url=fake_model.base_url)
    yield created
    created.close()


@pytest.fixture
def up(own_stack):
    """A running stack that the tests of this file share. They may kill, reload and stop it."""
    return own_stack.ensure_ready()


def test_it_is_ready_when_it_prints_its_address(stack):
    assert get(stack, "/healthz") == (HTTPStatus.OK, {"status": "alive"})
    reasons = {"redis": "", "database": "", "worker": ""}
    assert get(stack, "/readyz") == (HTTPStatus.OK, {"status": "ready", "reasons": reasons})


def test_it_runs_what_it_should(stack):
    assert set(stack.processes()) == {"redis", "web", "worker-1", "worker-2"}


def test_the_doctor_finds_it_well(stack):
    done = stack.manage("doctor", "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["healthy"]) == (0, True), done.stdout
    texts = {finding["part"]: finding["text"] for finding in report["findings"]}
    assert stack.url in texts["data"]
    assert "journal wal, synchronous full" in texts["database"]
    assert texts["workers"].startswith("2 alive")
    redis = [finding for finding in report["findings"] if finding["part"] == "redis"]
    assert "appendonly yes, appendfsync always, maxmemory-policy noeviction" in redis[0]["text"]


def test_the_first_administrator_is_made_while_it_runs(up):
    """By the command that `up` and the doctor name, from the environment."""
    command = f"HOLDFAST_DATA={up.data} python3 manage.py createsuperuser"
    assert f"To make an administrator, run: {command}" in up.output
    assert finding(up, "admin") == {
        "part": "admin",
        "level": "warning",
        "text": "nobody can open /admin/ yet",
        "hint": f"Make an administrator: {command}",
    }
    up.env |= {"DJANGO_SUPERUSER_EMAIL": "op@example.org", "DJANGO_SUPERUSER_PASSWORD": "x"}
    up.manage("createsuperuser", "--noinput", check=True)
    assert finding(up, "admin")["level"] == "ok"
    with httpx2.Client(base_url=up.url, follow_redirects=True) as browser:
        token = CSRF_FIELD.search(browser.get("/admin/login/").text)[1]
        fields = {"csrfmiddlewaretoken": token, "username": "op@example.org", "password": "x"}
        page = browser.post("/admin/login/", data=fields | {"next": "/admin/"})
    assert page.status_code == HTTPStatus.OK and "Log out" in page.text


def finding(stack, part):
    findings = json.loads(stack.manage("doctor", "--json").stdout)["findings"]
    return next(finding for finding in findings if finding["part"] == part)


def test_a_second_start_on_the_same_data_says_who_is_there(stack):
    done = stack.manage("up", "--port", "0")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"holdfast: Holdfast is already running on {stack.data} (process "
        f"{stack.up.pid}, {stack.url}). Stop it first, or choose another folder with --data."
    ]


def test_hanging_up_while_it_prepares_does_not_end_it(make_stack, fake_model, tmp_path):
    stack = make_stack(data=tmp_path / "data", model_url=fake_model.base_url, workers=1)
    stack.launch()
    wait_for((tmp_path / "data").exists, 60)
    while not stack.find("Holdfast: data in"):
        stack.up.send_signal(signal.SIGHUP)
        time.sleep(0.05)
        assert stack.up.poll() is None, stack.output
    wait_for(lambda: stack.find("Holdfast is ready"), 60)


def test_it_starts_again_what_dies(up):
    for name in ("worker-1", "redis", "web"):
        up.wait_replaced(name, up.kill(name), timeout_s=20)
    wait_for(up.is_ready, 60)
    assert "worker-1 | ended unexpectedly (signal SIGKILL); starting it again now" in up.output


def test_it_waits_longer_each_time_for_what_keeps_dying(up):
    for expected in ("now", "in 0.25 s", "in 0.5 s"):
        up.wait_replaced("worker-2", up.kill("worker-2"), timeout_s=5)
        again = f"worker-2 \\| ended unexpectedly .*; starting it again {re.escape(expected)}"
        wait_for(lambda pattern=again: up.find(pattern))


def test_a_reload_refuses_nobody(up):
    before = up.processes()
    answers, over = [], threading.Event()

    def ask():
        while not over.is_set():
            answers.append(get(up, "/healthz")[0])

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        up.up.send_signal(signal.SIGHUP)
        replaced = ("web", "worker-1", "worker-2")
        wait_for(lambda: sum("replaced by process" in line for line in up.lines) == 3, 120)
    finally:
        over.set()
        asking.join()
    assert set(answers) == {HTTPStatus.OK}
    assert all(up.processes()[name] != before[name] for name in replaced)
    assert up.processes()["redis"] == before["redis"]
    assert gone([before[name] for name in replaced])


def test_a_copy_of_its_data_runs_beside_it(up, make_stack, fake_model, tmp_path):
    before = up.processes()
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-a", str(up.data), str(copy)], check=True)
    beside = make_stack(data=copy, model_url=fake_model.base_url, workers=1).start()
    assert get(up, "/readyz")[0] == get(beside, "/readyz")[0] == HTTPStatus.OK
    assert up.processes() == before and not gone(list(before.values()))
    assert not set(beside.processes().values()) & set(before.values())
    assert beside.stop() == 0
    assert get(up, "/readyz")[0] == HTTPStatus.OK


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything_in_order_and_data_and_key_outlive_it(up, number):
    pids, url = list(up.processes().values()), up.url
    key = (up.data / "secret-key").read_text()
    assert up.stop(number) == 0
    assert gone(pids)
    assert not (up.data / "run.json").exists()
    assert up.lines[-2:] == ["Stopping.", "Stopped."]
    up.start()
    assert (up.url, (up.data / "secret-key").read_text()) == (url, key)
    assert (up.data / "secret-key").stat().st_mode & 0o777 == 0o600


def test_nothing_is_left_when_it_is_killed(up):
    pids = list(up.processes().values())
    up.up.kill()
    up.wait()
    wait_for(lambda: gone(pids), 15)
    up.start()
    assert get(up, "/readyz")[0] == HTTPStatus.OK


def test_a_second_signal_kills_what_does_not_stop(up):
    pids = list(up.processes().values())
    up.freeze("worker-1")
    up.up.send_signal(signal.SIGINT)
    wait_for(lambda: "Stopping." in up.output)
    assert up.stop(signal.SIGINT) == 0
    assert gone(pids)
    assert "Killing the remaining processes." in up.output


def refusal(make_stack, tmp_path, **options):
    """The output and exit status of a start that must fail."""
    stack = make_stack(data=tmp_path / "data", **options)
    stack.launch()
    status = stack.wait()
    return status, stack.output


def test_a_port_that_is_taken(make_stack, tmp_path, fake_model):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        stack = make_stack(data=tmp_path / "data", model_url=fake_model.base_url)
        stack.port = port
        stack.launch()
        assert stack.wait() == 1
    assert stack.lines == [
        f"holdfast: Port {port} is taken: stop what uses it, or choose another one "
        "with --port (0 picks a free one)."
    ]


REFUSED = {
    "a newer data folder": (
        {"OPENAI_API_KEY": "k"},
        {"format": "99"},
        "was written by a newer Holdfast (format 99",
    ),
    "a data folder of a newer Redis": (
        {"OPENAI_API_KEY": "k"},
        {"redis/redis-version": "99.0.0"},
        "was written by Redis 99.0.0",
    ),
    "a malformed DATABASE_URL": (
        {"DATABASE_URL": "nonsense", "OPENAI_API_KEY": "k"},
        {},
        "DATABASE_URL",
    ),
    "an unreachable database": (
        {"DATABASE_URL": "postgres://u:secret@127.0.0.1:9/x", "OPENAI_API_KEY": "k"},
        {},
        "The database of DATABASE_URL does not answer",
    ),
    "a malformed REDIS_URL": (
        {"REDIS_URL": "nonsense", "OPENAI_API_KEY": "k"},
        {},
        "REDIS_URL is not the URL of a Redis",
    ),
    "an unreachable Redis": (
        {"REDIS_URL": "redis://:secret@127.0.0.1:9/0", "OPENAI_API_KEY": "k"},
        {},
        "Redis does not answer",
    ),
    "a wrong number": ({"HOLDFAST_WORKERS": "many"}, {}, "HOLDFAST_WORKERS"),
    "a wrong address": ({"HOLDFAST_URL": "chat.example.org"}, {}, "HOLDFAST_URL must look like"),
    "a key that no header carries": (
        {"OPENAI_API_KEY": "sk-abc\u2026def"},
        {},
        "OPENAI_API_KEY has a character that no key has (U+2026, horizontal ellipsis) at place 7",
    ),
    "a model's address with a space": (
        {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "https://llm.example.org /v1"},
        {},
        "OPENAI_BASE_URL must be an address",
    ),
    "no usable model": ({"HOLDFAST_EMBEDDED_MODEL": "False", "OLLAMA_HOST": "off"}, {}, "model"),
    "two secrets": ({"SECRET_KEY": "a", "SECRET_KEY_FILE": "/b"}, {}, "Both SECRET_KEY and"),
}


@pytest.mark.parametrize(("env", "files", "expected"), REFUSED.values(), ids=REFUSED.keys())
def test_it_refuses_in_one_line(make_stack, tmp_path, env, files, expected):
    for name, text in files.items():
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    status, output = refusal(make_stack, tmp_path, env=env)
    assert status == 1
    assert expected in output
    assert len(output.splitlines()) == 1, output
    assert "secret@" not in output


def test_a_folder_that_cannot_be_used(make_stack, tmp_path):
    (tmp_path / "data").write_text("a file where the folder should be")
    status, output = refusal(make_stack, tmp_path, env={"OPENAI_API_KEY": "k"})
    assert status == 1
    assert "data folder" in output
    assert len(output.splitlines()) == 1, output


def test_a_given_redis_that_would_forget(make_stack, tmp_path, given_redis):
    env = {"REDIS_URL": given_redis(append="no"), "OPENAI_API_KEY": "k"}
    status, output = refusal(make_stack, tmp_path, env=env)
    assert status == 1
    assert "would forget what it has acknowledged" in output
    assert len(output.splitlines()) == 1, output


def test_with_a_given_redis_none_is_started(make_stack, tmp_path, given_redis, fake_model):
    env = {"REDIS_URL": given_redis(append="yes")}
    stack = make_stack(model_url=fake_model.base_url, env=env, workers=1).start()
    assert set(stack.processes()) == {"web", "worker-1"}
    assert get(stack, "/readyz")[0] == HTTPStatus.OK
    assert not (stack.data / "redis").exists()


@pytest.fixture
def given_redis(tmp_path):
    """Starts an operator's own Redis and returns its URL."""
    from streams.server.embedded import find_redis_server

    started = []

    def start(append):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        folder = tmp_path / "given"
        folder.mkdir()
        options = ["--port", str(port), "--dir", str(folder), "--appendonly", append]
        options += ["--appendfsync", "always", "--save", "", "--bind", "127.0.0.1"]
        command = [str(find_redis_server().path), *options]
        started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        wait_for(lambda: _listens(port))
        return f"redis://127.0.0.1:{port}/0"

    yield start
    for process in started:
        process.terminate()
        process.wait(10)


def _listens(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def test_pages_have_the_security_headers(stack):
    with urlopen(stack.url + "/admin/login/") as answer:
        headers = answer.headers
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "'unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
