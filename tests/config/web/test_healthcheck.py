"""The container's health check calls the address on which `up` listens."""

import http.server
import socket
import subprocess
import sys
import threading

import pytest

from tests.stack import BASE_DIR, clean_environment


class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(self.server.status if self.path == "/readyz" else 404)
        self.end_headers()
        self.wfile.write(b"why not")

    def log_message(self, *_):
        pass


@pytest.fixture(params=[("127.0.0.1", ""), ("127.0.0.1", "0.0.0.0"), ("127.0.0.2", "127.0.0.2")]
    + [("::1", "::"), ("::1", "::1")])  # fmt: skip
def server(request):
    address, host = request.param
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = type("Server", (http.server.HTTPServer,), {"address_family": family})
    try:
        made = kind((address, 0), Ready)
    except OSError:
        pytest.skip(f"this machine has no {address}")
    threading.Thread(target=made.serve_forever, daemon=True).start()
    made.host, made.status = host, 200
    yield made
    made.shutdown()
    made.server_close()


def check(host, port):
    return subprocess.run(
        [sys.executable, str(BASE_DIR / "config/web/healthcheck.py")],
        env=clean_environment(
            HOLDFAST_HOST=host, HOLDFAST_PORT=str(port), http_proxy="http://127.0.0.1:9"
        ),
        capture_output=True,
        text=True,
    )


def test_it_finds_it_where_it_listens(server):
    done = check(server.host, server.server_address[1])
    assert done.returncode == 0, done.stderr


def test_it_says_why_it_is_not_ready(server):
    server.status = 503
    done = check(server.host, server.server_address[1])
    assert (done.returncode, done.stderr) == (1, "why not\n")
