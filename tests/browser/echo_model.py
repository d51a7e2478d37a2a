"""A model that answers with a text from the user's message: the text after `SAY `, or n times the
text after `SAY*<n> `. Text before a `¶` is not repeated. After `THINK` instead of `SAY`, it thinks
the text, and answers in a few words.

It speaks the OpenAI chat protocol over real HTTP; tests/fake_model.py has more behaviours.
"""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CHUNK_CHARS = 9
MOST_CHUNKS = 6_000
# A chat with the longest messages fits.
CONTEXT_TOKENS = 8_000_000


class EchoHandler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        model = {"id": "echo", "object": "model", "context_length": CONTEXT_TOKENS}
        listed = {"object": "list", "data": [model]}
        self._begin("application/json")
        self.wfile.write(json.dumps(listed).encode())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked = [turn["content"] for turn in body["messages"] if turn["role"] == "user"][-1]
        order = re.search(r"(SAY|THINK)(?:\*(\d+))? (.*)", asked, re.DOTALL)
        answer = _answer(order[3], int(order[2] or 1)) if order else "Nothing to say."
        self._begin("text/event-stream")
        if order and order[1] == "THINK":
            self._write("reasoning_content", answer)
            answer = "Thought about it."
        self._write("content", answer)
        self._send({"delta": {}, "finish_reason": "stop"})
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, *_: object) -> None:
        pass

    def _begin(self, content_type: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.end_headers()

    def _write(self, field: str, text: str) -> None:
        size = max(CHUNK_CHARS, len(text) // MOST_CHUNKS)
        for start in range(0, len(text), size):
            self._send({"delta": {field: text[start : start + size]}})

    def _send(self, choice: dict[str, Any]) -> None:
        chunk = {"id": "1", "object": "chat.completion.chunk", "choices": [{"index": 0} | choice]}
        self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")


def _answer(text: str, times: int) -> str:
    head, mark, rest = text.partition("¶")
    return head + rest * times if mark else text * times


@contextmanager
def running_echo_model() -> Iterator[str]:
    """Yields the base URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), EchoHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        thread.join()
