"""Webhooks signed by another fake Stripe: localstripe from PyPI, in a process of its own."""

import json
import socket
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from contextlib import closing
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.stack import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "whsec_of_localstripe"


@pytest.fixture
def received():
    """A server that collects webhooks: ([(body, signature)], its URL)."""
    calls = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            calls.append((body, self.headers["Stripe-Signature"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield calls, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def localstripe(tmp_path):
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "localstripe", "--port", str(port), "--from-scratch"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
        try:
            wait_for(lambda: answers(port), 40)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait(20)


def answers(port):
    with closing(socket.socket()) as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def post(url, fields, *, as_json=False):
    body = json.dumps(fields) if as_json else urllib.parse.urlencode(fields)
    request = urllib.request.Request(url, body.encode())
    request.add_header("Authorization", "Bearer sk_test_12345")
    if as_json:
        request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=20) as response:
        return response.status


def test_only_webhooks_signed_by_localstripe_are_accepted(caller, localstripe, received, settings):
    settings.STRIPE_WEBHOOK_SECRETS = [SECRET]
    calls, url = received
    post(f"{localstripe}/_config/webhooks/here", {"url": url, "secret": SECRET}, as_json=True)
    post(f"{localstripe}/v1/customers", {"email": "alice@example.org"})
    wait_for(lambda: calls, 30)
    body, signature = calls[0]
    assert json.loads(body)["type"] == "customer.created"
    accepted = caller.post(body, signature)
    assert (accepted.status_code, accepted.json()) == (200, {"outcome": "unknown_type"})
    tampered = body.replace(b"alice@example.org", b"mallory@example.org")
    assert caller.post(tampered, signature).status_code == HTTPStatus.BAD_REQUEST
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_other"]
    assert caller.post(body, signature).status_code == HTTPStatus.BAD_REQUEST
