"""Requests with bodies in pieces: to the application in this process, and over a TCP connection."""

import socket
from urllib.parse import urlsplit

from asgiref.testing import ApplicationCommunicator

from config.asgi import application


def scope_of(path, *headers, method="POST", host=b"localhost", **fields):
    """The ASGI scope of a request; a `host` of None sends no such header."""
    return {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "headers": [*([] if host is None else [(b"host", host)]), *headers],
    } | fields


async def respond(scope, pieces=(), app=application):
    """(status, headers as sent, body) of the response to a request with this body."""
    wire = ApplicationCommunicator(app, scope)
    for piece in pieces:
        await wire.send_input({"type": "http.request", "body": piece, "more_body": True})
    await wire.send_input({"type": "http.request", "body": b"", "more_body": False})
    start, body, more = await wire.receive_output(10), b"", True
    while more:
        message = await wire.receive_output(10)
        body += message.get("body", b"")
        more = message.get("more_body")
    await wire.wait()
    return start["status"], start["headers"], body


class Wire:
    """A TCP connection over which a request is sent piece by piece."""

    def __init__(self, stack):
        parts = urlsplit(stack.url)
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout=30)
        self.host = parts.netloc

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def head(self, path, *lines):
        head = [f"POST {path} HTTP/1.1", f"Host: {self.host}", "Content-Type: text/plain", *lines]
        self.socket.sendall("\r\n".join(head).encode() + b"\r\n\r\n")

    def chunk(self, data):
        self.socket.sendall(b"%x\r\n%s\r\n" % (len(data), data))

    def answer(self):
        """Everything until one complete response has arrived."""
        got = b""
        while b"\r\n\r\n" not in got:
            piece = self.socket.recv(65_536)
            assert piece, got
            got += piece
        head, _, body = got.partition(b"\r\n\r\n")
        lengths = [li for li in head.lower().split(b"\r\n") if li.startswith(b"content-length:")]
        while len(body) < int(lengths[0].split(b":")[1]):
            body += self.socket.recv(65_536)
        return int(head.split()[1]), head, body
