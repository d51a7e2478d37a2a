"""A server of the S3 protocol (moto) in a process of its own, and buckets on it."""

import contextlib
import http.client
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator

from tests.stack import clean_environment, wait_for

REGION = "eu-central-1"
KEY_ID, SECRET_KEY = "test-key", "test/secret+key"


@contextlib.contextmanager
def running_bucket_server() -> Iterator[str]:
    """Yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "--port", str(port)]
    process = subprocess.Popen(
        command, env=clean_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: _answers(port), 60)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait(20)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError):
        return request(f"http://127.0.0.1:{port}", "GET", "/") > 0
    return False


def request(server: str, method: str, path: str) -> int:
    """Sends a request without a signature, which moto accepts; returns the status."""
    host = server.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=10)
    try:
        connection.request(method, path)
        return connection.getresponse().status
    finally:
        connection.close()


def new_bucket(server: str) -> str:
    name = f"bucket-{uuid.uuid4().hex}"
    assert request(server, "PUT", f"/{name}") == 200
    return name


def bucket_environment(server: str, bucket: str, folder: str = "holdfast") -> dict[str, str]:
    """The variables of a process that uses the bucket."""
    return {
        "HOLDFAST_STORAGE_URL": f"s3://{bucket}/{folder}?region={REGION}&endpoint={server}",
        "HOLDFAST_STORAGE_KEY_ID": KEY_ID,
        "HOLDFAST_STORAGE_SECRET_KEY": SECRET_KEY,
    }
