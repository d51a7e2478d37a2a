"""An HTTP server that speaks the OpenAI chat protocol and answers with a test's function.

    with stub_model(lambda request: "Hello") as model: model.base_url

`says(request)` gets the request's JSON and returns the text of the answer, or a dict: the `delta`
of its only chunk. `refuses(request)` may return (status, body) instead. `listing` is the response
of /models: (status, content type, bytes); without it that is a 404. tests/fake_model.py can do
more; its answers are a function of the prompt.
"""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Request = dict[str, Any]


class StubModel:
    def __init__(self, says: Callable[[Request], str | dict[str, Any]]) -> None:
        self.says = says
        self.refuses: Callable[[Request], tuple[int, Any] | None] = lambda request: None
        self.listing: tuple[int, str, bytes] | None = None
        self.listing_takes_s = 0.0
        self.requests: list[Request] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []  # of GET requests
        self.base_url = ""

    def lists(self, document: object) -> None:
        self.listing = (200, "application/json", json.dumps(document).encode())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model: StubModel

    def do_GET(self) -> None:
        self.model.headers.append(dict(self.headers))
        self.model.paths.append(self.path)
        if not self.path.partition("?")[0].endswith("/models") or self.model.listing is None:
            return self._reply(404, "application/json", b'{"detail":"Not Found"}')
        time.sleep(self.model.listing_takes_s)
        return self._reply(*self.model.listing)

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.model.requests.append(request)
        self.model.headers.append(dict(self.headers))
        if not self.path.endswith("/chat/completions"):
            return self._reply(404, "application/json", b'{"detail":"Not Found"}')
        if refusal := self.model.refuses(request):
            return self._reply(refusal[0], "application/json", json.dumps(refusal[1]).encode())
        answer = self.model.says(request)
        delta = {"content": answer} if isinstance(answer, str) else answer
        chunks = [
            {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        ]
        events = [json.dumps(chunk) for chunk in chunks] + ["[DONE]"]
        body = "".join(f"data: {event}\n\n" for event in events).encode()
        return self._reply(200, "text/event-stream", body)

    def _reply(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@contextlib.contextmanager
def stub_model(
    says: Callable[[Request], str | dict[str, Any]] = lambda request: "Hello",
) -> Iterator[StubModel]:
    model = StubModel(says)
    handler = type("Handler", (_Handler,), {"model": model})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    model.base_url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield model
    finally:
        server.shutdown()
        server.server_close()
