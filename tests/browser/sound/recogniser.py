"""A provider that writes down speech: it speaks OpenAI's protocol and hears with pocketsphinx."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from typing import Any

from tests.browser.echo_model import EchoHandler
from tests.browser.sound.recorder import words_in
from tests.fake_model import transcription_fields

WAIT_S = 20


class Recogniser(ThreadingHTTPServer):
    """`refuses`: how many of the next requests are refused. Without `is_open` they wait."""

    refuses = 0

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.is_open = threading.Event()
        self.is_open.set()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(EchoHandler):
    server: Recogniser

    def do_POST(self) -> None:
        if not self.path.endswith("/audio/transcriptions"):
            return super().do_POST()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.is_open.wait(WAIT_S)
        fields = transcription_fields({"content-type": self.headers["Content-Type"]}, body)
        if self.server.refuses:
            self.server.refuses -= 1
            return self._reply(400, {"error": {"message": "secret detail"}})
        return self._reply(200, {"text": " ".join(words_in(fields["data"]))})

    def _reply(self, status: int, answer: dict[str, Any]) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def running_recogniser() -> Iterator[Recogniser]:
    with Recogniser() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
