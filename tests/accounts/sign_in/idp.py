"""A real OpenID provider that requires PKCE: nanoidp, in its own process."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.stack import wait_for

SETTINGS = """\
config_version: 1
server: {{host: "127.0.0.1", port: {port}}}
oauth:
  issuer: "http://127.0.0.1:{port}"
  audience: "holdfast"
  require_pkce: true
  clients:
    - {{client_id: "demo-client", client_secret: "demo-secret"}}
"""
USERS = """\
config_version: 1
users:
  testuser: {password: "test123", email: "test@example.org"}
"""


@contextlib.contextmanager
def running_idp() -> Iterator[str]:
    """Yields the issuer's URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="hf-idp-") as folder:
        Path(folder, "settings.yaml").write_text(SETTINGS.format(port=port))
        Path(folder, "users.yaml").write_text(USERS)
        command = [sys.executable, "-m", "nanoidp", "--config", folder, "--port", str(port)]
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(os.environ),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
        )
        try:
            issuer = f"http://127.0.0.1:{port}"
            wait_for(lambda: _answers(f"{issuer}/.well-known/openid-configuration"), 30)
            yield issuer
        finally:
            process.terminate()
            process.wait(10)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return response.status == 200
    except OSError:
        return False
