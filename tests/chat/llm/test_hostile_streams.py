"""Hostile providers: the cost of a response is bounded, whatever it contains."""

import asyncio
import contextlib
import gzip
import threading
import tracemalloc
from types import SimpleNamespace

import orjson
import psutil
import pytest

from chat.charging.answer_charge import AnswerCharge
from chat.charging.attempts import Attempt
from chat.generation import appender
from chat.generation.appender import PartAppender
from chat.llm.client import Delta, Finish, close_clients, stream_answer
from chat.llm.continuation import PrefillSeam
from chat.llm.endpoints import Endpoint, Model
from chat.llm.errors import ProviderError, classify, retry_after_s
from chat.llm.http.response_parser import ResponseParser
from chat.llm.stream import body as answer_stream
from chat.llm.stream import mark_places
from chat.llm.stream.body import MAX_DELTA_CHARS, stored_bytes
from chat.llm.stream.chunks import FEW_BYTES, ChunkReader
from chat.llm.stream.harmony import HarmonySplitter
from chat.llm.stream.sse import EventSplitter, TooLongError
from chat.llm.stream.think_tags import ThinkSplitter
from chat.transcript import Message, Pieces
from streams.log import Fence
from tests.chat.llm.prompts import prompt_of

PROMPT = prompt_of("Where does moss grow?")
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
MAX_SENT_BYTES = 12_000_000  # the buffers of two sockets, and the bytes read


def event(text="", **delta):
    choice = {"index": 0, "delta": {"content": text, **delta}, "finish_reason": None}
    return b"data: " + orjson.dumps({"choices": [choice]}) + b"\n\n"


class Endless:
    """A provider that sends a head, and then the same piece until it is cut off."""

    def __init__(self, head, piece=b"", most=400_000_000):
        self.head, self.piece, self.most = head, piece, most
        self.sent = self.calls = 0

    async def answer(self, reader, writer):
        self.calls += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(self.head)
            while self.piece and self.sent < self.most:
                writer.write(self.piece)
                await writer.drain()
                self.sent += len(self.piece)
        writer.close()

    async def ask(self, partial="", thought=""):
        """(received delta, finish reason or error)"""
        server = await asyncio.start_server(self.answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        endpoint = Endpoint("openai", f"http://127.0.0.1:{port}/v1", "none")
        model = Model(f"openai/endless-{port}", "endless", endpoint, 8192)
        got = Delta()
        async with server:
            try:
                async for item in stream_answer(model, PROMPT, partial=partial, thought=thought):
                    if isinstance(item, Finish):
                        return got, item.reason
                    got = item.after(got)
            except ProviderError as error:
                return got, (error.code, error.permanent)
            finally:
                await close_clients()
        return got, None


def piece_of(size, text):
    return text * (size // len(text))


def packed_head():
    body = gzip.compress(bytes(300_000_000), 6)
    return b"HTTP/1.1 429 No\r\nContent-Encoding: gzip\r\n\r\n" + body


REFUSALS = {
    "500": (b"HTTP/1.1 500 No\r\n\r\n", b"x" * 65_536, "provider_down"),
    "400": (
        b"HTTP/1.1 400 No\r\nContent-Length: 999999999999\r\n\r\n",
        b"{" * 65_536,
        "bad_request",
    ),
    "redirect": (b"HTTP/1.1 302 No\r\nLocation: /v1\r\n\r\n", b" " * 65_536, "bad_stream"),
    "packed": (packed_head, b"", "rate_limited"),
    "wrongly packed": (
        b"HTTP/1.1 401 No\r\nContent-Encoding: gzip\r\n\r\n",
        b"x" * 65_536,
        "provider_auth",
    ),
    "a slow alphabet": (
        b"HTTP/1.1 404 No\r\nContent-Type: text/plain; charset=punycode\r\n\r\n",
        b"a-" + b"9" * 65_534,
        "model_not_found",
    ),
    "deep": (b"HTTP/1.1 403 No\r\n\r\n", b'{"error":' + b"[" * 65_000, "provider_auth"),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_an_endless_error_body_is_cut_off(name):
    head, piece, code = REFUSALS[name]
    provider = Endless(head() if callable(head) else head, piece)
    before = psutil.Process().memory_info().rss
    got, (seen, _) = await provider.ask()
    assert (got, seen) == (Delta(), code)
    assert provider.sent < MAX_SENT_BYTES * provider.calls
    assert psutil.Process().memory_info().rss - before < 60_000_000


async def test_a_head_of_too_many_headers_is_refused():
    finish = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    for count, end in ((200, "stop"), (300, ("provider_down", False))):
        head = OK + b"X-A: b\r\n" * count + b"\r\n"
        assert (await Endless(head + event("Hello") + finish).ask())[1] == end


@pytest.mark.parametrize(
    "piece",
    [b"X-A: b\r\n" * 8_000, b"X-A: b\r\n " * 8_000, b"x" * 65_536, b"HTTP/1.1 100 \r\n\r\n" * 9],
)
async def test_an_endless_head_is_cut_off(piece):
    provider = Endless(OK, piece)
    assert (await provider.ask())[1] == ("provider_down", False)
    assert provider.sent < MAX_SENT_BYTES


@pytest.mark.parametrize(
    "piece", [b"1;" + b"x" * 5_000 + b"\r\n \r\n", b"0\r\n" + b"X-A: b\r\n" * 9_000]
)
async def test_endless_chunk_metadata_is_cut_off(piece):
    provider = Endless(OK + b"Transfer-Encoding: chunked\r\n\r\n", piece)
    _, seen = await provider.ask()
    assert seen[0] in ("stream_cut", "empty_answer") and provider.sent < MAX_SENT_BYTES


BODIES_WITHOUT_TEXT = {
    "comments": (b"", b": still here\n\n" * 1_000),
    "pings": (b"", b"event: ping\ndata: {}\n\n" * 1_000),
    "lines": (event("a"), b"ignored\n" * 1_000),
    "space after thinking": (event("<think>a</think>"), event(" " * 1_000)),
}


@pytest.mark.parametrize("name", BODIES_WITHOUT_TEXT)
async def test_a_body_without_text_is_cut_off(name, monkeypatch):
    monkeypatch.setattr(answer_stream, "MAX_BYTES_WITHOUT_TEXT", 300_000)
    start, piece = BODIES_WITHOUT_TEXT[name]
    provider = Endless(OK + b"\r\n" + start, piece)
    got, seen = await provider.ask()
    assert seen == ("bad_stream", True) and len(got.text) <= 1
    assert provider.sent < MAX_SENT_BYTES and provider.calls == 1


ENDLESS_ANSWERS = {
    "space": (b"", " " * 1_000),
    "lines": (b"", "\n" * 1_000),
    "control characters": (b"", "\x01" * 1_000),
    "words": (b"", "word " * 200),
    "thinking": (event("<think>"), "word " * 200),
    "space in thinking": (event("<think>a"), " " * 1_000),
    "a harmony header": (event("<|start|>assistant"), " so" * 300),
    "space in harmony": (event("<|channel|>analysis<|message|>a"), "\t" * 1_000),
}


@pytest.mark.parametrize("name", ENDLESS_ANSWERS)
async def test_the_stored_size_of_an_answer_is_bounded(name, settings):
    settings.MAX_ANSWER_BYTES = 200_000
    start, text = ENDLESS_ANSWERS[name]
    provider = Endless(OK + b"\r\n" + start, event(text))
    got, seen = await provider.ask()
    assert seen == "length"
    stored = stored_bytes(got.text) + stored_bytes(got.reasoning)
    assert 200_000 <= stored < 200_000 + 6 * MAX_DELTA_CHARS
    assert provider.sent < MAX_SENT_BYTES


async def test_a_full_answer_is_not_continued(settings):
    settings.MAX_ANSWER_BYTES = 200
    provider = Endless(OK + b"\r\n", event("more"))
    assert await provider.ask(partial="\n" * 50, thought="\x01" * 17) == (Delta(), "length")
    assert provider.calls == 0
    _, seen = await provider.ask(partial="word\n" * 10, thought="so" * 17)
    assert seen == "length" and provider.calls == 1


async def test_other_tasks_run_while_a_large_body_is_read(settings, monkeypatch):
    """A compressed body can return a megabyte in one read."""
    settings.MAX_ANSWER_BYTES = 5_000_000
    feed, sizes = EventSplitter.feed, []

    def noting(splitter, piece):
        sizes.append(len(piece))
        return feed(splitter, piece)

    monkeypatch.setattr(EventSplitter, "feed", noting)
    body = gzip.compress(event("a" * 1_000_000) + event("b") * 100_000, 6)
    head = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    (got, _), turns = await count_turns_during(Endless(head + body).ask())
    assert len(got.text) == 1_100_000
    assert turns > (1_000_000 + len(event("b")) * 100_000) // answer_stream.PIECE_BYTES
    assert max(sizes) <= answer_stream.PIECE_BYTES


# Single parts


def held_chars(splitter):
    """The number of characters that are held back."""
    parts = [value for name, value in vars(splitter).items() if name != "_given"]
    inner = sum(held_chars(part) for part in parts if isinstance(part, HarmonySplitter))
    return inner + sum(len(part) for part in parts if isinstance(part, str))


STARTS = ["", "<think>", "<think>a", "<think>a</think>", "a", "<|start|>assistant", "analysisA"]
STARTS += ["<|channel|>analysis<|message|>a", "<|channel|>final<|message|>", "<|channel|>final"]


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("text", [" ", "\n", " x"])
@pytest.mark.parametrize("begins", ["", "</think>"])
def test_the_text_held_back_is_bounded(start, text, begins):
    splitter = ThinkSplitter(begins=begins)
    splitter.feed(start)
    for _ in range(3_000):
        splitter.feed(text * 2)
    assert held_chars(splitter) < 4_000


@pytest.mark.parametrize(
    "marked", ["</think>x ", "a</think>.\n", "\n\n<think>x</think>", "`</think>` "]
)
@pytest.mark.parametrize("start", ["", "a <think> ", "<think>a</think>b "])
def test_a_mark_does_not_rescan_the_text(monkeypatch, marked, start):
    read = []

    class Counting:
        @staticmethod
        def finditer(text):
            read.append(len(text))
            return fence.finditer(text)

    fence = mark_places._FENCE
    monkeypatch.setattr(mark_places, "_FENCE", Counting)
    counts = []
    for size in (60_000, 120_000):
        read.clear()
        splitter = ThinkSplitter()
        splitter.feed(start)
        for _ in range(size // 1_000):
            splitter.feed("so it goes\n" * 100)
        for _ in range(100):
            splitter.feed(marked)
        counts.append(sum(read))
    assert counts[1] < 3 * 120_000 and counts[1] - counts[0] < 2 * 60_000


class Counted(str):
    """Counts the characters that were compared or copied."""

    examined = 0

    def startswith(self, prefix, *places):
        Counted.examined += len(prefix)
        return super().startswith(prefix, *places)

    def __getitem__(self, place):
        part = super().__getitem__(place)
        Counted.examined += len(part)
        return Counted(part)


@pytest.mark.parametrize("chars", [1, 500])
def test_each_character_of_an_echo_is_compared_once(chars):
    counts = []
    for size in (2_000, 4_000):
        Counted.examined = 0
        partial = "ab" * (size // 2) + " " * size
        seam = PrefillSeam(partial, None)
        seam._echo, seam._space._space = Counted(seam._echo), Counted(seam._space._space)
        given = [seam.feed(partial[at : at + chars]) for at in range(0, len(partial), chars)]
        assert "".join(given) == "" and seam.feed("c") == "c" and seam.echoed
        counts.append(Counted.examined)
    assert counts[1] < 5 * 8_000 and counts[1] < 3 * counts[0]


def test_a_text_of_single_letters_takes_little_memory():
    text = Pieces()
    tracemalloc.start()
    try:
        for at in range(60_000):
            text.add(f"{at % 7}é")
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(str(text)) == 120_000 and taken < 500_000


def test_empty_data_lines_count_towards_the_event_size():
    splitter = EventSplitter(10_000)
    with pytest.raises(TooLongError):
        for _ in range(20):
            splitter.feed(b"data:\n" * 1_000)


@pytest.mark.parametrize(
    "event",
    [
        b'{"choices":[{"delta":{"content":' + b"[" * 900 + b'"a"' + b"]" * 900 + b"}}]}",
        b'{"choices":[{"delta":{"reasoning":' + b'{"text":' * 900 + b"1" + b"}" * 900 + b"}}]}",
        b'{"choices":[{"delta":{"content":"\xff"}}],"x":' + b"[" * 90_000 + b"}",
        b"[" + b"{}," * 150_000 + b"{}]",
        b'{"choices":[{"delta":{"content":"a"}}],"x":[' + b"0," * 150_000 + b"0]}",
        b'{"error":{"message":' + b"[" * 1_000 + b"]" * 1_000 + b"}}",
    ],
    ids=["text", "thinking", "broken", "much", "much beside a text", "error"],
)
def test_an_event_with_too_much_structure_is_refused(event):
    with pytest.raises(ProviderError) as failed:
        ChunkReader().feed([event])
    assert failed.value.code in ("bad_stream", "provider_down")


def test_only_the_start_of_a_long_error_is_searched():
    text = "exceeded your " * 5_000
    assert classify(None, {"error": {"message": text}}).code == "provider_down"
    assert classify(429, {"error": {"message": text}}).code == "rate_limited"
    for value in ("9" * 60_000, "x" * 60_000, "Mon, 01 Jan 0001 00:00:00 +0000", "nan", "1e999"):
        assert retry_after_s({"retry-after": value}) in (None, 0.0, float("inf"))


def test_a_head_of_continued_lines_is_joined():
    parser = ResponseParser("POST")
    head = b"HTTP/1.1 200 OK\r\nX-A: b\r\n" + b" c\r\n" * 15_000 + b"\r\n"
    parser.feed(head)
    assert parser.has_head and len(dict(parser.headers)[b"X-A"]) == 30_001


async def count_turns_during(doing):
    """(result, how often other tasks ran meanwhile)"""
    turns = 0

    async def count():
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count())
    try:
        return await doing, turns
    finally:
        counting.cancel()


async def test_other_tasks_run_between_tiny_events():
    tiny, count = b'data:{"choices":[]}\n\n', 20_000
    body = tiny * count + event("a") + b"data: [DONE]\n\n"
    (got, _), turns = await count_turns_during(Endless(OK + b"\r\n" + body).ask())
    assert got.text == "a"
    assert (
        turns >= count // answer_stream.EVENTS_AT_ONCE > 2 * len(body) // answer_stream.PIECE_BYTES
    )


async def test_a_long_event_is_read_in_a_thread(monkeypatch):
    threads = []

    class Noting(ChunkReader):
        def feed(self, events):
            threads.append((max(map(len, events), default=0), threading.current_thread()))
            super().feed(events)

    monkeypatch.setattr(answer_stream, "ChunkReader", Noting)
    long = "so it goes " * 90_000
    got, _ = await Endless(OK + b"\r\n" + event("a") + event(long) + b"data: [DONE]\n\n").ask()
    assert got.text == "a" + long[: len(got.text) - 1] and len(got.text) > 900_000
    assert max(threads, key=lambda one: one[0])[0] > 900_000
    for size, thread in threads:
        assert (thread is threading.main_thread()) == (size <= FEW_BYTES)


async def test_an_answer_without_usage_is_counted_in_a_thread():
    message = Message("m", "assistant", None, "1-0", "streaming")
    message.text.add("so it goes " * 90_000)
    charge = AnswerCharge(None)
    charge.attempts = [Attempt(1, "m", 7)]
    closed, turns = await count_turns_during(charge.close(message, None))
    assert closed["completion_tokens"] > 200_000 and turns > 0
    message.attempt = 1
    usage, turns = await count_turns_during(charge.total_usage(message, None))
    assert usage.completion_tokens == closed["completion_tokens"] and turns > 0


async def test_surrogate_halves_are_joined_and_lone_ones_replaced():
    reader = ChunkReader()
    for text in ("a\\ud83d", "\\ude00b\\ude00", "\\ud83d\\ud83d\\ude00c"):
        reader.feed([b'{"choices":[{"delta":{"content":"%s"}}]}' % text.encode()])
    assert reader.take() == [("", "a\U0001f600b\ufffd\ufffd\U0001f600c")]


class Recorder:
    """A log that yields to the event loop at each append."""

    def __init__(self):
        self.appends = []

    async def append(self, stream, events, fence):
        await asyncio.sleep(0)
        self.appends.append(events)


@pytest.mark.parametrize("kind", ["text", "reasoning"])
async def test_the_size_of_an_append_is_bounded(kind):
    log = Recorder()
    order = SimpleNamespace(reply_id="r", stream="s", chat_id="c")
    parts = PartAppender(log, order, Fence(name="r", token=1), on_failure=lambda: None)
    sent = [chr(1 + at % 9) * size for at in range(90) for size in (1, 700, MAX_DELTA_CHARS)]
    for text in sent:
        await parts.push(Delta(**{kind: text}))
    await parts.flush()
    events = [one for append in log.appends for one in append]
    assert "".join(orjson.loads(one.data)["text"] for one in events) == "".join(sent)
    # A control character is stored as six bytes.
    assert max(len(one.data) for one in events) < 6 * appender.MAX_EVENT_CHARS + 500
    most = 6 * (appender.MAX_BATCH_CHARS + MAX_DELTA_CHARS) + 5_000
    assert max(sum(len(one.data) for one in append) for append in log.appends) < most
    assert len({one.id for one in events}) == len(events)
