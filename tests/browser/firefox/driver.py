"""Firefox, driven by WebDriver BiDi, which it speaks itself: no driver has to be installed.

https://w3c.github.io/webdriver-bidi/ has the commands.
"""

import base64
import itertools
import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

NAMES = ("firefox", "firefox-esr")
START_WITHIN_S = 60
WAIT_S = 60.0
KEYS = {"Enter": "\ue007", "Escape": "\ue00c", "Control": "\ue009", "Shift": "\ue008"}


def find_firefox() -> str | None:
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """A tab. `problems` has the errors of its console."""

    def __init__(self, socket: ClientConnection) -> None:
        self.problems: list[str] = []
        self._socket, self._ids = socket, itertools.count()
        self.call("session.new", capabilities={})
        self.call("session.subscribe", events=["log.entryAdded"])
        self._context = self.call("browsingContext.create", type="tab")["context"]

    def call(self, method: str, **params: Any) -> Any:
        number = next(self._ids)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=WAIT_S))
            if message.get("method") == "log.entryAdded" and message["params"]["level"] == "error":
                self.problems.append(message["params"]["text"])
            if message.get("id") != number:
                continue
            assert message["type"] == "success", message
            return message["result"]

    def goto(self, url: str) -> None:
        self.call("browsingContext.navigate", context=self._context, url=url, wait="complete")

    def reload(self) -> None:
        self.call("browsingContext.reload", context=self._context, wait="complete")

    def resize(self, width: int, height: int) -> None:
        size = {"width": width, "height": height}
        self.call("browsingContext.setViewport", context=self._context, viewport=size)

    def evaluate(self, expression: str) -> Any:
        """The value of a JSON expression of JavaScript; promises are awaited."""
        result = self.call(
            "script.evaluate",
            expression=f"(async () => JSON.stringify(await ({expression}) ?? null))()",
            target={"context": self._context},
            awaitPromise=True,
        )
        assert result["type"] == "success", result
        return json.loads(result["result"]["value"])

    def wait_for(self, expression: str, within_s: float = WAIT_S) -> Any:
        """The value of `expression` as soon as it is true."""
        until = time.monotonic() + within_s
        while not (value := self.evaluate(expression)):
            assert time.monotonic() < until, f"it did not happen: {expression}\n{self.text()}"
            time.sleep(0.05)
        return value

    def text(self) -> str:
        return str(self.evaluate("document.body.innerText"))

    def press(self, *keys: str) -> None:
        """Presses keys together, such as "Control" and "k"."""
        values = [KEYS.get(key, key) for key in keys]
        down = [{"type": "keyDown", "value": value} for value in values]
        up = [{"type": "keyUp", "value": value} for value in reversed(values)]
        self._act("key", down + up)

    def type(self, text: str) -> None:
        """Types a text. Line breaks are typed so that they do not send it."""
        for number, line in enumerate(text.split("\n")):
            if number:
                self.press("Shift", "Enter")
            steps = [(kind, character) for character in line for kind in ("keyDown", "keyUp")]
            self._act("key", [{"type": kind, "value": value} for kind, value in steps])

    def click(self, selector: str) -> None:
        """Clicks into the middle of the element, once it is there."""
        box = (
            f"(() => {{ const box = document.querySelector({json.dumps(selector)})"
            "?.getBoundingClientRect();"
            " return box?.width && [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        x, y = (round(value) for value in self.wait_for(box))
        move = {"type": "pointerMove", "x": x, "y": y}
        button = [{"type": kind, "button": 0} for kind in ("pointerDown", "pointerUp")]
        self._act("pointer", [move, *button])

    def screenshot(self, path: Path) -> None:
        shot = self.call("browsingContext.captureScreenshot", context=self._context)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _act(self, kind: str, steps: list[dict[str, Any]]) -> None:
        source = {"type": kind, "id": kind, "actions": steps}
        self.call("input.performActions", context=self._context, actions=[source])


@contextmanager
def running_firefox(command: str) -> Iterator[Page]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = ["--headless", "--no-remote", "--profile", profile]
        process = subprocess.Popen(
            [command, *options, f"--remote-debugging-port={port}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"HOME": profile, "PATH": "/usr/bin:/bin", "MOZ_REMOTE_ALLOW_SYSTEM_ACCESS": "0"},
        )
        try:
            with _connected(f"ws://127.0.0.1:{port}/session") as found:
                yield Page(found)
        finally:
            process.terminate()
            process.wait(30)


def _connected(url: str) -> ClientConnection:
    until = time.monotonic() + START_WITHIN_S
    while True:
        try:
            return connect(url, max_size=None, compression=None)
        except (OSError, WebSocketException):
            if time.monotonic() > until:
                raise
            time.sleep(0.2)
