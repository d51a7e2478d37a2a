"""Recognises and makes speech: a process of its own, without Django.

Each request is a line of JSON (`task`, `bytes`, `limit_s`) and its bytes; so is each answer
(`bytes`, and `rate` of speech, or `error`). It ends when its input closes, when a request takes
longer than its limit, and after some seconds without a request. The arguments: the folder of the
program, and these seconds.
"""

import json
import os
import queue
import signal
import sys
import threading
from typing import IO, Any

Request = tuple[dict[str, Any], bytes]


def read_requests(source: IO[bytes], requests: "queue.SimpleQueue[Request]") -> None:
    """Runs in a thread, which sees the end of the worker while the models work."""
    while True:
        try:
            header = json.loads(source.readline())
            body = source.read(header["bytes"])
        except (ValueError, KeyError):
            os._exit(0)
        requests.put((header, body))


def answer(task: str, body: bytes) -> tuple[dict[str, Any], bytes]:
    from chat.files.local_speech.child.sounds import SoundError

    try:
        if task == "recognise":
            from chat.files.local_speech.child.recogniser import recognise

            return {}, recognise(body).encode()
        from chat.files.local_speech.child.voice import RATE, speak

        return {"rate": RATE}, speak(json.loads(body))
    except SoundError:
        return {"error": "sound"}, b""
    except Exception as error:  # noqa: BLE001  The worker logs the name, and tries again.
        return {"error": type(error).__name__}, b""


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    idle_s = int(sys.argv[2])
    # Libraries may print; only answers may reach the worker.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
    threading.Thread(target=read_requests, args=(sys.stdin.buffer, requests), daemon=True).start()
    while True:
        signal.alarm(idle_s)
        header, body = requests.get()
        signal.alarm(header["limit_s"])
        facts, content = answer(header["task"], body)
        answers.write(json.dumps(facts | {"bytes": len(content)}).encode() + b"\n" + content)
        answers.flush()
