"""Answers as event streams, in bytes."""

import orjson

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n"
SSE, END = b"text/event-stream", b"0\r\n\r\n"


def event(text, finish=None):
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return b"data: %b\n\n" % orjson.dumps({"choices": [choice]})


def answer_of(mark):
    return event(f"{mark} one ") + event(f"{mark} two ") + event("", "stop")


DONE = b"data: [DONE]\n\n"
