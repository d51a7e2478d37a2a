"""Requests with bodies in pieces: to the application in this process, and over a TCP connection."""

import socket
from urllib.parse import urlsplit

from asgiref.testing import ApplicationCommunicator

from config.asgi import application


def scope_of(path, *headers):
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "headers": [(b"host", b"localhost"), *headers],
    }


async def refused(path, pieces, *headers):
    wire = ApplicationCommunicator(application, scope_of(path, *headers))
    for piece in pieces:
        await wire.send_input({"type": "http.request", "body": piece, "more_body": True})
    await wire.send_input({"type": "http.request", "body": b"", "more_body": False})
    start, body = await wire.receive_output(10), b""
    while True:
        message = await wire.receive_output(10)
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    await wire.wait()
    return start["status"], dict(start["headers"]), body


class Wire:
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
