"""A real HTTP server that speaks the OpenAI chat protocol, with a scripted model.

    python tests/fake_model.py --port 9009            (bench, by hand)
    with running_fake_model() as fake: fake.base_url  (tests; a thread with its own loop)

The answer is a pure function of the prompt, `text_of(prompt, tokens, mode)`, so any continuation of
any partial answer can be compared byte for byte. `prompt` is the whole last user message, script
included. If the messages end with an assistant message (prefill), or with an assistant message and
a user message that starts with CONTINUE_MARK (ask), it is the user message before these.

Scripts: `key=value&key=value`, after `?` in the model's name (`script/known?tokens=200&rate=50`)
and, overriding it, in double brackets at the start of the user message: `[[rate=0&tokens=9]] Hi`.

  tokens=40        length of the answer          rate=0          tokens a second; 0: unlimited
  mode=words       words | code | unicode | timestamps (`000007:123456789012345 `, 23 bytes: number
                   and time.monotonic_ns() of sending; a continuation continues the numbers) |
                   marked (`p01m002.0003 `: the mark in the prompt and a number, so that a byte of
                   another answer is recognised anywhere)
  text=TEXT        the answer, word by word
  per_chunk=1      tokens in one SSE chunk       split=N         write N bytes at a time, 1 ms apart
  burst_after=N    after N tokens the rest is sent at once, regardless of the rate
  trailer_ms=N     wait between the finish reason and the usage
  surplus=1        after the end of the body, in the same write, a second response nobody requested
  gzip=1           compressed body               finish=stop     finish_reason
  headers_ms=0     wait before the headers       first_ms=0      wait before the first token
  comment_ms=0     while waiting, `: OPENROUTER PROCESSING` at this interval
  together=N       wait before the headers until N requests are open at once
  reasoning=N      N tokens of thinking first (`reasoning_of(prompt, N)`)
  style=reasoning  its field: reasoning | reasoning_content | think (in the text) | details
                   (OpenRouter)
  echo=1           prefill: send the partial answer again first
  overlap=N        ask: repeat its last N characters
  prefill=refuse   400 to a last assistant message; prefill=tidy: 400 if it ends in white space
  no_usage=1  no_done=1  no_finish=1  cost=0.00123     usage_400=1 (400 to stream_options)
  limit_400=1      400 to max_tokens, as from Azure
  says=N           completion_tokens of the usage, regardless of what was sent
  byok=0.00123     cost 0, and the provider's charge to the operator's own key (OpenRouter)
  beside=1         reasoning not in completion_tokens, but in the total (xAI, Gemini)
  blind=TEXT       400 with this text to a request with a picture; deaf=TEXT: with sound
  audio_tokens=N   tokens of sound in the details of the usage
  context=N        400 context_length_exceeded when the prompt has more than N tokens (4 bytes each)
  images=N         N pictures (PNG) after the text, each in a chunk of its own
  image_bytes=N    the size of each picture file         image_ms=N      wait before each
  image_px=96x64   its width and height
  image_is=junk    not a picture; url: an address; twice: repeated in another chunk;
                   part: as a part of the content
  whole=1          the answer as one document, although it was asked to be streamed
  modalities_400=1  400 to `modalities`        voice_400=1  400 to the voice of a spoken answer
  audio=N          N ms of sound (`pcm_of(prompt, N)`) with the text, if the request asks for it;
                   a continuation speaks the rest
  audio_piece=4800  bytes of sound in a chunk    jitter_ms=N     each may come so much later
  audio_stamps=1   each piece begins with time.monotonic_ns() of sending, in 8 bytes
  audio_split=odd  chunks end in the middle of base64 groups and samples; junk: one is no base64;
                   padded: with odd numbers of bytes, each padded
Faults, for the first `times` requests of this model and prompt (default: all of them):
  status=429       HTTP error; with retry_after=2 | retry_date=2 (as a date) | html=1 | error_type=x
  redirect=URL     307                           empty=1         no text at all, then finish
  die_after=N      abort the connection          cut_after=N     end the stream without a finish
  stall_after=N    silence (stall_ms=N: only so long)
  malformed_after=N  broken JSON                 bad_utf8_after=N  an invalid byte in the text
  error_after=N    an error chunk inside the 200 (error_code=502)
  surrogates=1     emoji halves escaped in two chunks     lone=1  a half without its pair
  huge=N           one chunk with N bytes of text         html_200=1  a web page with status 200
  mislabelled=1    a web page that contains the whole answer as events
  leak=1           an error (status, redirect, error_after) quotes the key, in its headers as well

With `keys` (a dict, by FakeModel.accept_keys) only these are accepted, each with a state: good,
invalid, revoked, banned, quota (lists models, responds with 429 insufficient_quota), busy (429),
broken (500). /v1/models then needs a key as well; Anthropic's, below /anthropic/v1, in x-api-key.
GET /openrouter/v1/key describes a key.

The answer ends with "length" at max_tokens.

POST …/audio/transcriptions takes OpenAI's form and OpenRouter's JSON. The model's name has the
script, of which it reads:
  says=TEXT        the transcript; default: the format and the length of the sound, "wav 3200"
  usage=seconds    of=1.5 | tokens (of=12: sound, and 3 written) | none; cost=0.001
  status, times, retry_after, headers_ms as above; html_200=1
POST /v1/images/generations and /v1/images/edits (a form) answer the prompt with `images` pictures,
1 by default, all at once. A name with `images=` is listed by OpenRouter as making them.

POST …/audio/speech answers with a WAV: a tone whose length follows from the number of characters.
The model's name has the script:
  ms=N             for each character; default 20
  rate=N           samples a second; default 8000
  endless=1        a header that says the longest length, as of a provider that streams
  kind=mp3         something that is no WAV
  only=TEXT        the faults are for sentences with this text
  status, times, retry_after, headers_ms as above; html_200=1

Also: GET /v1/models; the same under /openrouter/v1 (context_length, pricing), /llama/v1 (llama.cpp:
n_ctx, /llama/tokenize, /llama/apply-template); POST /api/show (Ollama).
GET /_requests: {count, active, max_active, disconnects, requests: [{model, prompt, body,
path, headers, sent, finished, disconnected}]}; POST /_reset;
POST /_models {"models": [names]} replaces the list of models.
"""

import argparse
import array
import asyncio
import base64
import contextlib
import datetime
import email.utils
import functools
import hashlib
import math
import random
import re
import signal
import socket
import ssl
import struct
import threading
import time
import zlib
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import parse_qsl

import orjson

CONTINUE_MARK = "Continue exactly where"
MODELS = [
    "script/known",
    "script/think?style=think&reasoning=8",
    "text-embedding-3-small",
    "whisper-1",
]
CONTEXT_TOKENS = 8192
# USD per token: $10 for a million tokens in, $20 for a million out.
PRICING = {"prompt": "0.00001", "completion": "0.00002", "request": "0", "image": "0"}
IMAGE_TOKENS = 1290  # of each picture
BURST_CHUNKS = 64  # per write when there is no rate

WORDS = [
    "river",
    "stone",
    "lamp",
    "quiet",
    "ember",
    "paper",
    "signal",
    "winter",
    "harbour",
    "thread",
    "copper",
    "garden",
    "window",
    "anchor",
    "letter",
    "mirror",
    "forest",
    "bridge",
    "candle",
    "shadow",
    "meadow",
    "engine",
    "silver",
    "kettle",
    "ladder",
    "ocean",
    "pocket",
    "rocket",
    "saddle",
    "temple",
    "umbrella",
    "valley",
    "whistle",
    "yellow",
    "zephyr",
    "apple",
    "basket",
    "cactus",
    "dragon",
    "easel",
    "falcon",
    "guitar",
    "helmet",
]
CODE = [
    "```python\n",
    "def f(x):\n",
    "    return x\n",
    "```\n",
    "\n\n",
    "- item\n",
    "`a`",
    "  ",
    "<b>",
    "| a |",
]
UNICODE = [
    "é",
    "👩‍💻",
    "漢字",
    "🇩🇰",
    "e\u0301",
    "👍🏽",
    "ß",
    "\u200b",
    "한글",
    "😀",
    "العربية",
    " ",
]

MARK = re.compile(r"p\d{2}m\d{3}")

Part = bytes | float | None  # bytes to send, seconds to wait, or None: abort the connection


def tokens_of(prompt: str, tokens: int = 40, mode: str = "words") -> list[str]:
    """The answer to `prompt`, token by token; a shorter answer is a prefix of a longer one."""
    if mode == "marked":
        return marked_tokens(prompt, tokens)
    dice = random.Random(hashlib.sha256(prompt.encode()).digest())
    extra = {"code": CODE, "unicode": UNICODE}.get(mode, ())
    out: list[str] = []
    recent: deque[str] = deque(maxlen=8)  # no word again soon, so that no overlap is accidental
    for n in range(tokens):
        word = dice.choice([word for word in WORDS if word not in recent])
        recent.append(word)
        if extra and dice.random() < 0.5:
            out.append(dice.choice(extra))
        else:
            out.append(
                word.capitalize() if n == 0 else f" {word}" + (f" {n}." if n % 9 == 8 else "")
            )
    return out


def marked_tokens(prompt: str, tokens: int) -> list[str]:
    match = MARK.search(prompt)
    mark = match[0] if match else "unmarked"
    return [f"{mark}.{number:04d} " for number in range(tokens)]


def text_of(prompt: str, tokens: int = 40, mode: str = "words") -> str:
    return "".join(tokens_of(prompt, tokens, mode))


def reasoning_of(prompt: str, tokens: int) -> str:
    return text_of("thinking about " + prompt, tokens)


def picture_of(prompt: str, number: int = 0, size: int = 0, px: str = "96x64") -> bytes:
    """A PNG of one colour, of this width and height; padded to about `size` bytes."""
    width, height = map(int, px.split("x"))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    color = hashlib.sha256(f"{prompt}{number}".encode()).digest()[:3]
    rows = (b"\0" + color * width) * height
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    noise = random.Random(number).randbytes(max(size - 300, 0))
    padding = chunk(b"paDd", noise) if size else b""
    body = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + padding + body


def data_url_of(picture: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(picture).decode()


def rest_of(tokens: list[str], partial: str) -> list[str]:
    """The tokens after `partial`; the first may be cut. All tokens if it is no prefix."""
    if not "".join(tokens).startswith(partial):
        return tokens
    left = len(partial)
    for n, token in enumerate(tokens):
        if left < len(token):
            return [token[left:], *tokens[n + 1 :]]
        left -= len(token)
    return []


@dataclass
class Question:
    """One chat request: its script, its prompt, and the partial answer to continue."""

    body: dict[str, Any]
    script: dict[str, str]
    prompt: str
    partial: str
    asked: bool

    @classmethod
    def read(cls, body: dict[str, Any]) -> "Question":
        messages = [(m["role"], plain(m["content"])) for m in body["messages"]]
        partial, asked = "", False
        if messages[-1][0] == "assistant":
            partial, messages = messages[-1][1], messages[:-1]
        elif (
            len(messages) > 2
            and messages[-2][0] == "assistant"
            and messages[-1][1].startswith(CONTINUE_MARK)
        ):
            partial, messages, asked = messages[-2][1], messages[:-2], True
        prompt = next((text for role, text in reversed(messages) if role == "user"), "")
        script = dict(parse_qsl(body["model"].partition("?")[2]))
        if match := re.search(r"^\[\[(.*?)\]\]", prompt, re.MULTILINE):
            script |= dict(parse_qsl(match[1]))
        return cls(body, script, prompt, partial, asked)

    def number(self, key: str, default: float = 0) -> float:
        return float(self.script.get(key, default))

    def count(self, key: str, default: int = 0) -> int:
        return int(self.script.get(key, default))

    @property
    def tokens(self) -> Iterator[str]:
        if "text" in self.script:
            return re.findall(r"\S+\s*", self.script["text"])
        total, mode = self.count("tokens", 40), self.script.get("mode", "words")
        if mode == "timestamps":
            done = len(re.findall(r"\d{6}:\d{15}(?!\d)", self.partial))
            return (f"{n:06d}:{time.monotonic_ns():015d} " for n in range(done, total))
        rest = rest_of(tokens_of(self.prompt, total, mode), self.partial)
        if self.asked and (overlap := self.count("overlap")):
            rest = [self.partial[-overlap:], *rest]
        elif self.partial and not self.asked and self.count("echo"):
            rest = [*re.findall(r"(?s).{1,7}", self.partial), *rest]
        return iter(rest)

    @property
    def max_tokens(self) -> int | None:
        """Returns how many tokens the answer may have, reasoning included."""
        return self.body.get("max_tokens") or self.body.get("max_completion_tokens")

    @property
    def prompt_tokens(self) -> int:
        return sum(len(plain(m["content"]).encode()) // 4 + 4 for m in self.body["messages"])


def plain(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content or ())


def transcription_fields(headers: dict[str, str], body: bytes) -> dict[str, Any]:
    """The model, the format and the bytes of a request to write sound down."""
    kind = headers["content-type"]
    if kind == "application/json":
        decoded = orjson.loads(body)
        audio = decoded["input_audio"]
        data = base64.b64decode(audio["data"], validate=True)
        return {"model": decoded["model"], "format": audio["format"], "data": data}
    fields: dict[str, Any] = {}
    mark = b"--" + kind.partition("boundary=")[2].encode()
    for part in body.split(mark)[1:-1]:
        head, _, data = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        names = dict(re.findall(r'(\w+)="([^"]*)"', head.decode()))
        content = data.removesuffix(b"\r\n")
        if "filename" in names:
            fields |= {"format": names["filename"].rpartition(".")[2], "data": content}
        else:
            fields[names["name"]] = content.decode()
    return fields


def spoken_wav(characters: int, script: dict[str, str]) -> bytes:
    rate = int(script.get("rate", 8_000))
    frames = rate * characters * int(script.get("ms", 20)) // 1_000
    period = [round(8_000 * math.sin(2 * math.pi * n / 20)) for n in range(20)]
    data = (struct.pack("<20h", *period) * (frames // 20 + 1))[: frames * 2]
    size = 0xFFFFFFFF if "endless" in script else len(data)
    form = struct.pack("<IHHIIHH", 16, 1, 1, rate, rate * 2, 2, 16)
    whole = min(36 + size, 0xFFFFFFFF).to_bytes(4, "little")
    return b"RIFF" + whole + b"WAVEfmt " + form + b"data" + size.to_bytes(4, "little") + data


def pcm_of(prompt: str, ms: int) -> bytes:
    """The sound of an answer: 24 kHz, 16 bits, a tone whose pitch and strength say where it is."""
    pitch = 200 + zlib.crc32(prompt.encode()) % 400
    samples = (
        round((2_000 + n % 9_973) * math.sin(2 * math.pi * pitch * n / 24_000))
        for n in range(ms * 24)
    )
    return array.array("h", samples).tobytes()


def outputs_of(name: str) -> list[str]:
    made = (("image", "images="), ("audio", "audio="))
    return ["text", *(kind for kind, script in made if script in name)]


def spoken_tokens(ms: int) -> int:
    return -(-ms * 20 // 1_000)


class SoundEncoder:
    """The base64 of sound, split as providers do it, or worse."""

    def __init__(self, split: str) -> None:
        self.split, self.held, self.count = split, b"", 0

    def encode(self, piece: bytes) -> Iterator[str]:
        self.count += 1
        if self.split == "odd":
            self.held += piece
            whole = len(self.held) // 3 * 3
            text = base64.b64encode(self.held[:whole]).decode()
            self.held = self.held[whole:]
            at = len(text) // 3 // 2 * 2 + 1
            yield from (text[:at], text[at : at + 2], text[at + 2 :])
        elif self.split == "padded":
            at = len(piece) // 2 // 2 * 2 + 1
            yield from (base64.b64encode(part).decode() for part in (piece[:at], piece[at:]))
        else:
            yield base64.b64encode(piece).decode()
        if self.split == "junk" and self.count == 1:
            yield "no base64 at all!"

    def rest(self) -> Iterator[str]:
        if self.held:
            yield base64.b64encode(self.held).decode()


class Answer:
    """The SSE stream that answers a question, with its waits and faults."""

    def __init__(
        self, question: Question, faulty: bool, record: dict[str, Any], leaked: str = ""
    ) -> None:
        self.q, self.record, self.leaked = question, record, leaked
        self.faults = question.script if faulty else {}
        self.is_cut = False
        self.head = orjson.dumps(
            {
                "id": "chatcmpl-fake",
                "object": "chat.completion.chunk",
                "created": 1,
                "model": question.body["model"],
            }
        )[:-1]

    def parts(self) -> Iterator[Part]:
        q = self.q
        yield from self.silence(q.number("first_ms"))
        yield self.chunk({"role": "assistant", "content": ""})
        if self.faults.get("empty") != "1":
            if q.count("reasoning") and not q.partial:
                yield from self.thinking()
            yield from self.oddities()
            speaks = q.count("audio") and "audio" in q.body.get("modalities", ())
            if (yield from self.speech() if speaks else self.text()):
                return
            yield from self.images()
        yield from self.ending()

    def text(self) -> Iterator[Part]:
        group, size, interval = [], self.q.count("per_chunk", 1), self.interval
        thought = self.q.count("reasoning") if not self.q.partial else 0
        for n, token in enumerate(self.q.tokens):
            if (yield from self.fault(n)):
                return True
            if self.q.max_tokens is not None and n + thought >= self.q.max_tokens:
                self.is_cut = True
                break
            group.append(token)
            self.record["sent"] = n + 1
            if len(group) >= size:
                yield self.chunk({"content": "".join(group)})
                group.clear()
                if interval and n < self.q.count("burst_after", 1_000_000):
                    yield interval * size
        if group:
            yield self.chunk({"content": "".join(group)})
        return (yield from self.fault(self.record["sent"]))

    def speech(self) -> Iterator[Part]:
        """The text as a transcript, each token with the sound of its share of the time."""
        q, total = self.q, self.q.count("tokens", 40)
        tokens = list(q.tokens)
        done, late, dice = total - len(tokens), 0.0, random.Random(q.prompt)
        pcm = pcm_of(q.prompt, q.count("audio"))
        encoder = SoundEncoder(q.script.get("audio_split", ""))
        for n, token in enumerate(tokens):
            if (yield from self.fault(n)):
                return True
            yield self.chunk({"audio": {"id": "audio_1", "transcript": token}})
            self.record["sent"] = n + 1
            share = [len(pcm) // 2 * (done + n + more) // total * 2 for more in (0, 1)]
            size = q.count("audio_piece", 4_800)
            for at in range(share[0], share[1], size):
                piece = pcm[at : min(at + size, share[1])]
                before, late = late, dice.uniform(0, q.number("jitter_ms")) / 1000
                yield self.interval * len(piece) / max(share[1] - share[0], 1) + late - before
                self.record.setdefault("spoke_at", time.time())
                if q.count("audio_stamps"):
                    piece = struct.pack("<q", time.monotonic_ns()) + piece[8:]
                for data in encoder.encode(piece):
                    yield self.chunk({"audio": {"data": data}})
                self.record["spoken"] = self.record.get("spoken", 0) + len(piece)
        for data in encoder.rest():
            yield self.chunk({"audio": {"data": data}})
        yield self.chunk({"audio": {"expires_at": 1}})
        return (yield from self.fault(self.record["sent"]))

    def fault(self, sent: int) -> Iterator[Part]:
        """The fault due after `sent` tokens, if any; true if it ends the stream."""
        for kind in ("die", "cut", "stall", "malformed", "bad_utf8", "error"):
            if kind + "_after" not in self.faults or int(self.faults[kind + "_after"]) != sent:
                continue
            if kind == "die":
                yield None
            elif kind == "stall":
                yield from self.silence(self.q.number("stall_ms", 3_600_000))
                continue
            elif kind == "malformed":
                yield b'data: {"choices":[{"delta":{"content":"bro\n\n'
            elif kind == "bad_utf8":
                yield self.chunk({"content": "caf@"}).replace(b"@", b"\xc3")
                continue
            elif kind == "error":
                code = self.q.count("error_code", 502)
                yield (
                    b"data: "
                    + orjson.dumps({"error": {"code": code, "message": self.detail}})
                    + b"\n\n"
                )
            return True
        return False

    @property
    def detail(self) -> str:
        return f"secret detail {self.leaked}".strip()

    def silence(self, ms: float) -> Iterator[Part]:
        every = self.q.number("comment_ms")
        while every and ms > every:
            yield b": OPENROUTER PROCESSING\n\n"
            yield every / 1000
            ms -= every
        if ms:
            yield ms / 1000

    def thinking(self) -> Iterator[Part]:
        style, interval = self.q.script.get("style", "reasoning"), self.interval
        tokens = tokens_of("thinking about " + self.q.prompt, self.q.count("reasoning"))
        if style == "think":
            tokens = ["<th", "ink>\n", *tokens, "\n</thi", "nk>\n\n"]
        for token in tokens:
            if style == "details":
                delta: dict[str, Any] = {
                    "content": "",
                    "reasoning": token,
                    "reasoning_details": [{"type": "reasoning.text", "text": token}],
                }
            else:
                delta = {"content" if style == "think" else style: token}
            yield self.chunk(delta)
            if interval:
                yield interval

    def images(self) -> Iterator[Part]:
        kind = self.q.script.get("image_is", "")
        for number, url in enumerate(self.image_urls()):
            yield from self.silence(self.q.number("image_ms"))
            part = {"type": "image_url", "image_url": {"url": url}}
            delta = {"content": [part]} if kind == "part" else {"content": "", "images": [part]}
            yield self.chunk({"role": "assistant"} | delta)
            self.record["images"] = number + 1
            if kind == "twice":
                yield self.chunk({"images": [part]})
        yield from self.silence(self.q.number("image_ms"))

    def image_urls(self) -> Iterator[str]:
        kind, size = self.q.script.get("image_is", ""), self.q.count("image_bytes")
        for number in range(self.q.count("images")):
            px = self.q.script.get("image_px", "96x64")
            picture = picture_of(self.q.prompt, number, size, px)
            if kind == "junk":
                picture = b"no picture at all" * 99
            url = "https://pictures.example/1.png" if kind == "url" else data_url_of(picture)
            yield url

    def oddities(self) -> Iterator[Part]:
        if self.faults.get("surrogates") == "1":
            yield self.chunk({"content": "a@"}).replace(b"@", b"\\ud83d")
            yield self.chunk({"content": "@b"}).replace(b"@", b"\\ude00")
        if self.faults.get("lone") == "1":
            yield self.chunk({"content": "a@"}).replace(b"@", b"\\ud83d")
            yield self.chunk({"content": "b"})
        if "huge" in self.faults:
            yield self.chunk({"content": "x" * int(self.faults["huge"])})

    def ending(self) -> Iterator[Part]:
        script = self.q.script
        if script.get("no_finish") != "1":
            yield self.chunk({}, "length" if self.is_cut else script.get("finish", "stop"))
        if trailer_ms := self.q.number("trailer_ms"):
            yield trailer_ms / 1000
        if self.q.body.get("stream_options") and script.get("no_usage") != "1":
            yield (
                b"data: "
                + self.head
                + b',"choices":[],"usage":'
                + orjson.dumps(self.usage())
                + b"}\n\n"
            )
        if script.get("no_done") != "1":
            yield b"data: [DONE]\n\n"

    def usage(self) -> dict[str, Any]:
        sent, thought = self.record["sent"], self.q.count("reasoning")
        usage: dict[str, Any] = {
            "prompt_tokens": self.q.prompt_tokens,
            "completion_tokens": sent + thought,
            "total_tokens": self.q.prompt_tokens + sent + thought,
            "completion_tokens_details": {"reasoning_tokens": thought},
        }
        if images := self.record.get("images", 0):
            drawn = images * IMAGE_TOKENS
            usage["completion_tokens"] += drawn
            usage["total_tokens"] += drawn
            usage["completion_tokens_details"]["image_tokens"] = drawn
        if spoken := self.record.get("spoken", 0):
            tokens = spoken_tokens(spoken // 48)
            usage["completion_tokens"] += tokens
            usage["total_tokens"] += tokens
            usage["completion_tokens_details"]["audio_tokens"] = tokens
        if "says" in self.q.script:
            usage["completion_tokens"] = orjson.Fragment(self.q.script["says"])
        if "audio_tokens" in self.q.script:
            usage["prompt_tokens_details"] = {"audio_tokens": self.q.count("audio_tokens")}
        if "cost" in self.q.script:
            usage["cost"] = orjson.Fragment(self.q.script["cost"])
        if "byok" in self.q.script:
            upstream = {"upstream_inference_cost": orjson.Fragment(self.q.script["byok"])}
            usage |= {"cost": 0, "is_byok": True, "cost_details": upstream}
        if self.q.script.get("beside") == "1":
            usage["completion_tokens"] = sent
        return usage

    @property
    def interval(self) -> float:
        rate = self.q.number("rate")
        return 1 / rate if rate else 0

    def chunk(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        return b'data: %b,"choices":[{"index":0,"delta":%b,"finish_reason":%b}]}\n\n' % (
            self.head,
            orjson.dumps(delta),
            orjson.dumps(finish),
        )

    def at_once(self) -> bytes:
        return b"".join(part for part in self.parts() if isinstance(part, bytes))

    def whole(self) -> dict[str, Any]:
        """The same answer for a request without `stream`."""
        tokens = list(self.q.tokens)
        self.record["sent"] = len(tokens)
        message: dict[str, Any] = {"role": "assistant", "content": "".join(tokens)}
        if urls := list(self.image_urls()):
            self.record["images"] = len(urls)
            message["images"] = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
        choice = {
            "index": 0,
            "message": message,
            "finish_reason": self.q.script.get("finish", "stop"),
        }
        model = self.q.body["model"]
        return {"id": "chatcmpl-fake", "object": "chat.completion", "created": 1, "model": model,
                "choices": [choice], "usage": self.usage()}  # fmt: skip


class Pump:
    """Sends an answer's parts on time over one connection, several per write when behind."""

    def __init__(self, http: "Connection", answer: Answer) -> None:
        self.http, self.q, self.record = http, answer.q, answer.record
        self.loop = asyncio.get_running_loop()
        parts = answer.parts()
        self.parts = self.split(parts, self.q.count("split")) if "split" in self.q.script else parts
        self.zip = zlib.compressobj(wbits=31) if self.q.count("gzip") else None
        self.due = self.loop.time()
        self.paused = False
        self.timer: asyncio.Handle | None = None

    @staticmethod
    def split(parts: Iterator[Part], size: int) -> Iterator[Part]:
        whole = b"".join(part for part in parts if isinstance(part, bytes))
        for at in range(0, len(whole), size):
            yield whole[at : at + size]
            yield 0.001

    def start(self) -> None:
        extra = "Content-Encoding: gzip\r\n" if self.zip else ""
        self.http.head(200, f"Content-Type: text/event-stream\r\n{extra}Transfer-Encoding: chunked")
        self.tick()

    def tick(self) -> None:
        out: list[bytes] = []
        now = self.loop.time()
        for part in self.parts:
            if isinstance(part, bytes):
                out.append(part)
                if len(out) >= BURST_CHUNKS:
                    break
            elif part is None:
                self.send(out)
                self.http.abort()
                return
            else:
                self.due = max(self.due, now - 1) + part  # catches up on at most a second
                if self.due > now:
                    break
        else:
            self.send(out, last=True)
            return
        self.send(out)
        if self.paused:
            self.timer = None
        elif self.due > now:
            self.timer = self.loop.call_at(self.due, self.tick)
        else:
            self.timer = self.loop.call_soon(self.tick)

    def send(self, out: list[bytes], last: bool = False) -> None:
        if self.zip:
            data = self.zip.compress(b"".join(out))
            data += self.zip.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)
            out = [data] if data else []
        frames = b"".join([b"%x\r\n%b\r\n" % (len(data), data) for data in out])
        self.http.write(frames + b"0\r\n\r\n" + self.surplus() if last else frames)
        if last:
            self.http.finish()

    def surplus(self) -> bytes:
        """A second response on the same connection, which a client could mistake for the next."""
        if not self.q.count("surplus"):
            return b""
        body = Answer(self.q, False, dict(self.record)).at_once()
        return (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )

    def hurry(self) -> None:
        """Sends the rest of the answer without waits."""
        self.parts = iter([part for part in self.parts if isinstance(part, bytes)])
        self.due = self.loop.time()
        self.cancel()
        self.timer = self.loop.call_soon(self.tick)

    def resume(self) -> None:
        self.paused = False
        if self.timer is None:
            self.timer = self.loop.call_soon(self.tick)

    def cancel(self) -> None:
        if self.timer:
            self.timer.cancel()


@dataclass
class State:
    """The server's models, keys and prices, and the requests that it has received."""

    models: list[str] = field(default_factory=lambda: list(MODELS))
    keys: dict[str, str] | None = None
    # The prices in OpenRouter's list, by model; PRICING for others. None leaves them out.
    pricing: dict[str, dict[str, str] | None] = field(default_factory=dict)
    # What Ollama says of each model.
    capabilities: list[str] | None = None
    requests: list[dict[str, Any]] = field(default_factory=list)
    seen: Counter[tuple[str, str]] = field(default_factory=Counter)
    active: int = 0
    max_active: int = 0
    disconnects: int = 0
    connections: int = 0
    open: "set[Connection]" = field(default_factory=set)

    def report(self) -> dict[str, Any]:
        return {"count": len(self.requests), "active": self.active, "max_active": self.max_active,
                "disconnects": self.disconnects, "requests": self.requests}  # fmt: skip

    def reset(self) -> None:
        self.requests.clear()
        self.seen.clear()
        self.max_active, self.disconnects = self.active, 0


class Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, one request at a time."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.buffer = bytearray()
        self.pump: Pump | None = None
        self.record: dict[str, Any] | None = None
        self.timer: asyncio.Handle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.state.connections += 1
        self.state.open.add(self)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while self.record is None and (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            lines = bytes(self.buffer[:end]).decode("latin-1").split("\r\n")
            headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines[1:])}
            size = end + 4 + int(headers.get("content-length", 0))
            if len(self.buffer) < size:
                return
            body = bytes(self.buffer[end + 4 : size])
            del self.buffer[:size]
            method, path, _ = lines[0].split(" ", 2)
            self.route(method, path.partition("?")[0], headers, body)

    def route(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        state = self.state
        self.key = self.key_in(path, headers)
        if self.about_keys(path):
            return
        if path.endswith("/chat/completions"):
            self.chat(path, headers, orjson.loads(body))
        elif path.endswith("/audio/transcriptions"):
            self.transcribe(path, headers, body)
        elif path.endswith(("/images/generations", "/images/edits")):
            self.draw(path, headers, body)
        elif path.endswith("/audio/speech"):
            self.speak(path, headers, orjson.loads(body))
        elif path.endswith("/models") and method == "GET":
            self.reply(
                200, {"object": "list", "data": [self.model(path, name) for name in state.models]}
            )
        elif path.endswith(("/tokenize", "/apply-template", "/api/show")):
            self.describe(path, body)
        else:
            self.control(path, body)

    def control(self, path: str, body: bytes) -> None:
        state = self.state
        if path == "/_requests":
            self.reply(200, state.report())
        elif path == "/_reset":
            state.reset()
            self.reply(200, {})
        elif path == "/_models":
            state.models = orjson.loads(body)["models"]
            self.reply(200, {})
        else:
            self.reply(404, {"error": {"message": "no such page"}})

    def describe(self, path: str, body: bytes) -> None:
        """Answers llama.cpp's and Ollama's own requests."""
        if path.endswith("/tokenize"):
            self.reply(
                200, {"tokens": list(range(len(orjson.loads(body)["content"].encode()) // 4))}
            )
        elif path.endswith("/apply-template"):
            messages = [
                f"<{m['role']}>{plain(m['content'])}\n" for m in orjson.loads(body)["messages"]
            ]
            self.reply(200, {"prompt": "".join(messages)})
        else:
            shown = {"model_info": {"llama.context_length": 32768}, "parameters": "num_ctx 8192"}
            able = self.state.capabilities
            self.reply(200, shown | ({"capabilities": able} if able is not None else {}))

    def about_keys(self, path: str) -> bool:
        """Responds if the key or the address decides the response; returns whether it did."""
        if path.startswith("/nowhere/"):
            self.reply(404, {"error": {"message": "no such page"}})
        elif refused := self.refused_key(path):
            self.reply(*refused)
        elif path.endswith("/openrouter/v1/key"):
            spent = (self.state.keys or {}).get(self.key) == "quota"
            self.reply(200, {"data": {"label": "sk-or", "limit_remaining": 0 if spent else 5}})
        else:
            return False
        return True

    @staticmethod
    def key_in(path: str, headers: dict[str, str]) -> str:
        if path == "/anthropic/v1/models":
            return headers.get("x-api-key", "") if "anthropic-version" in headers else ""
        return headers.get("authorization", "").removeprefix("Bearer ")

    def refused_key(self, path: str) -> tuple[int, Any] | None:
        if self.state.keys is None or not path.endswith(
            ("/chat/completions", "/audio/transcriptions", "/audio/speech", "/models", "/key")
        ):
            return None
        if path == "/openrouter/v1/models":  # OpenRouter's list needs no key.
            return None
        state = self.state.keys.get(self.key, "invalid")
        if state == "good" or (state == "quota" and not path.endswith("/chat/completions")):
            return None
        status, code, message = {
            "invalid": (401, "invalid_api_key", f"Incorrect API key provided: {self.key}."),
            "revoked": (401, "invalid_api_key", f"The API key {self.key} has been revoked."),
            "banned": (403, "account_deactivated", "This account has been deactivated."),
            "quota": (429, "insufficient_quota", "You exceeded your current quota."),
            "busy": (429, "rate_limit_exceeded", "Slow down."),
            "broken": (500, "server_error", "Our fault."),
        }[state]
        return status, {"error": {"message": message, "type": code, "code": code}}

    def model(self, path: str, name: str) -> dict[str, Any]:
        entry: dict[str, Any] = {"id": name, "object": "model", "created": 1, "owned_by": "fake"}
        if path.startswith("/llama"):
            entry |= {
                "owned_by": "llamacpp",
                "meta": {"n_ctx": CONTEXT_TOKENS, "n_ctx_train": CONTEXT_TOKENS},
            }
        elif path.startswith("/openrouter"):
            entry |= {
                "name": "Fake: " + name,
                "context_length": 200_000,
                "architecture": {"output_modalities": outputs_of(name)},
                "top_provider": {"context_length": CONTEXT_TOKENS, "max_completion_tokens": 4096},
            }
            if (pricing := self.state.pricing.get(name, PRICING)) is not None:
                entry["pricing"] = pricing
        return entry

    def chat(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> None:
        q, state = Question.read(body), self.state
        key = (body["model"], q.prompt)
        state.seen[key] += 1
        faulty = state.seen[key] <= q.count("times", 1_000_000)
        self.record = {
            "model": body["model"],
            "prompt": q.prompt,
            "body": body,
            "path": path,
            "headers": headers,
            "sent": 0,
            "finished": False,
            "disconnected": False,
        }
        state.requests.append(self.record)
        state.active += 1
        state.max_active = max(state.max_active, state.active)
        answer = Answer(q, faulty, self.record, self.key if q.count("leak") else "")
        wait = q.number("headers_ms") / 1000
        self.timer = asyncio.get_running_loop().call_later(wait, self.begin, q, answer, path)

    def transcribe(self, path: str, headers: dict[str, str], body: bytes) -> None:
        state, fields = self.state, transcription_fields(headers, body)
        script = dict(parse_qsl(fields["model"].partition("?")[2]))
        key = (fields["model"], hashlib.sha256(fields["data"]).hexdigest())
        state.seen[key] += 1
        self.record = {
            "model": fields["model"],
            "prompt": "",
            "body": {name: value for name, value in fields.items() if name != "data"},
            "bytes": len(fields["data"]),
            "path": path,
            "headers": headers,
            "sent": 0,
            "finished": False,
            "disconnected": False,
        }
        state.requests.append(self.record)
        state.active += 1
        wait = float(script.get("headers_ms", 0)) / 1000
        is_faulty = state.seen[key] <= int(script.get("times", 1_000_000))
        respond = functools.partial(self.transcript, script, fields, is_faulty=is_faulty)
        self.timer = asyncio.get_running_loop().call_later(wait, respond)

    def transcript(
        self, script: dict[str, str], fields: dict[str, Any], *, is_faulty: bool
    ) -> None:
        if is_faulty and "status" in script:
            retry = f"Retry-After: {script['retry_after']}" if "retry_after" in script else ""
            error = {"message": "secret detail", "type": "fake_error", "code": None}
            return self.reply(int(script["status"]), {"error": error}, retry)
        if is_faulty and "html_200" in script:
            return self.reply(200, "<html><body>Welcome to the hotel wifi</body></html>")
        usage: dict[str, Any] = {}
        amount = float(script.get("of", 1))
        if script.get("usage") == "tokens":
            usage = {"type": "tokens", "input_tokens": int(amount), "output_tokens": 3}
            usage["input_token_details"] = {"audio_tokens": int(amount), "text_tokens": 0}
        elif script.get("usage") == "seconds":
            usage = {"type": "duration", "seconds": amount}
        if "cost" in script:
            usage["cost"] = orjson.Fragment(script["cost"])
        answer: dict[str, Any] = {
            "text": script.get("says", f"{fields['format']} {len(fields['data'])}")
        }
        return self.reply(200, answer | ({"usage": usage} if usage else {}))

    def draw(self, path: str, headers: dict[str, str], body: bytes) -> None:
        """Answers OpenAI's requests for pictures."""
        fields = self.form(headers, body) if path.endswith("/edits") else orjson.loads(body)
        message = {"role": "user", "content": fields["prompt"]}
        self.chat(path, headers, fields | {"messages": [message]})

    @staticmethod
    def form(headers: dict[str, str], body: bytes) -> dict[str, Any]:
        """The fields of a form; `files` are those with a file, in base64."""
        boundary = b"--" + headers["content-type"].partition("boundary=")[2].encode()
        fields: dict[str, Any] = {"files": []}
        for part in body.split(b"\r\n" + boundary)[1:-1]:
            head, _, data = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
            name = re.search(rb' name="(.*?)"', head)
            assert name is not None
            if b"filename=" in head:
                fields["files"].append([name[1].decode(), base64.b64encode(data).decode()])
            else:
                fields[name[1].decode()] = data.decode()
        return fields

    def drawn(self, q: Question, answer: Answer) -> dict[str, Any]:
        count, size = q.count("images", 1), q.count("image_bytes")
        pictures = [picture_of(q.prompt, number, size) for number in range(count)]
        if q.script.get("image_is") == "junk":
            pictures = [b"no picture at all" * 99] * count
        answer.record["images"] = count
        details = {"text_tokens": 50, "image_tokens": 0}
        usage = {"input_tokens": 50, "output_tokens": 1056 * count, "input_tokens_details": details}
        data = [{"b64_json": base64.b64encode(picture).decode()} for picture in pictures]
        return {"created": 1, "data": data, "usage": usage}

    def speak(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> None:
        state, words = self.state, body["input"]
        script = dict(parse_qsl(body["model"].partition("?")[2]))
        state.seen[body["model"], words] += 1
        self.record = {
            "model": body["model"],
            "prompt": words,
            "body": body,
            "path": path,
            "headers": headers,
            "sent": 0,
            "finished": False,
            "disconnected": False,
        }
        state.requests.append(self.record)
        state.active += 1
        is_faulty = state.seen[body["model"], words] <= int(script.get("times", 1_000_000))
        is_faulty = is_faulty and script.get("only", "") in words
        wait = float(script.get("headers_ms", 0)) / 1000 if is_faulty else 0.0
        respond = functools.partial(self.spoken, script, words, is_faulty=is_faulty)
        self.timer = asyncio.get_running_loop().call_later(wait, respond)

    def spoken(self, script: dict[str, str], words: str, *, is_faulty: bool) -> None:
        if is_faulty and "status" in script:
            retry = f"Retry-After: {script['retry_after']}" if "retry_after" in script else ""
            error = {"message": "secret detail", "type": "fake_error", "code": None}
            return self.reply(int(script["status"]), {"error": error}, retry)
        if is_faulty and "html_200" in script:
            return self.reply(200, "<html><body>Welcome to the hotel wifi</body></html>")
        is_mp3 = script.get("kind") == "mp3"
        sound = b"ID3\x04" + bytes(999) if is_mp3 else spoken_wav(len(words), script)
        return self.reply(200, sound)

    def begin(self, q: Question, answer: Answer, path: str) -> None:
        if self.state.max_active >= q.count("together"):
            self.answer(q, answer, path)
        else:
            loop = asyncio.get_running_loop()
            self.timer = loop.call_later(0.01, self.begin, q, answer, path)

    def answer(self, q: Question, answer: Answer, path: str) -> None:
        faults = answer.faults
        if refusal := self.refusal(q):
            self.reply(
                400,
                {"error": {"message": "secret detail", "type": "invalid_request_error"} | refusal},
            )
        elif "status" in faults:
            self.fail(q, int(faults["status"]), answer)
        elif "redirect" in faults:
            self.reply(307, {}, f"Location: {faults['redirect']}{answer.leaked}")
        elif "html_200" in faults:
            self.reply(200, "<html><body>Welcome to the hotel wifi</body></html>")
        elif "/images/" in path:
            self.reply(200, self.drawn(q, answer))
        elif "mislabelled" in faults:
            self.reply(200, "<!doctype html>\n" + answer.at_once().decode())
        elif q.body.get("stream") and not q.count("whole"):
            self.pump = Pump(self, answer)
            self.pump.start()
        else:
            self.reply(200, answer.whole())

    def refusal(self, q: Question) -> dict[str, Any] | None:
        prefill = q.script.get("prefill")
        ends_in_space = q.partial != q.partial.rstrip() and not q.asked
        if q.count("usage_400") and "stream_options" in q.body:
            return {"param": "stream_options", "code": "unknown_parameter"}
        if q.count("modalities_400") and "modalities" in q.body:
            return {"param": "modalities", "message": "Unrecognized request argument: modalities"}
        if q.count("voice_400") and "audio" in q.body:
            return {"param": "audio.voice", "message": "Invalid value: 'alloy'."}
        if q.count("limit_400") and "max_tokens" in q.body:
            message = "'max_tokens' is not supported. Use 'max_completion_tokens' instead."
            return {"param": "max_tokens", "code": "unsupported_parameter", "message": message}
        if (
            q.partial
            and not q.asked
            and (prefill == "refuse" or (prefill == "tidy" and ends_in_space))
        ):
            return {"param": "messages"}
        if "blind" in q.script and b'"image_url"' in orjson.dumps(q.body["messages"]):
            return {"message": q.script["blind"]}
        if "deaf" in q.script and b'"input_audio"' in orjson.dumps(q.body["messages"]):
            return {"message": q.script["deaf"]}
        if "context" in q.script and q.prompt_tokens > q.count("context"):
            return {"code": "context_length_exceeded", "param": "messages"}
        return None

    def fail(self, q: Question, status: int, answer: Answer) -> None:
        extra = ""
        if "retry_after" in q.script:
            extra = f"Retry-After: {q.script['retry_after']}"
        elif "retry_date" in q.script:
            when = datetime.datetime.now(datetime.UTC) + datetime.timedelta(
                seconds=q.number("retry_date")
            )
            extra = f"Retry-After: {email.utils.format_datetime(when, usegmt=True)}"
        if answer.leaked:
            quoted = f"X-Request-Id: {answer.leaked}\r\nWWW-Authenticate: Bearer {answer.leaked}"
            extra = f"{extra}\r\n{quoted}".strip()
        if q.count("html"):
            self.reply(status, f"<html><body>{answer.detail}</body></html>", extra)
        else:
            error = {
                "message": answer.detail,
                "type": q.script.get("error_type", "fake_error"),
                "code": None,
            }
            self.reply(status, {"error": error}, extra)

    def reply(self, status: int, body: Any, extra: str = "") -> None:
        kind, data = "application/json", b""
        if isinstance(body, str):
            kind, data = "text/html", body.encode()
        elif isinstance(body, bytes):
            kind, data = "audio/wav", body
        else:
            data = orjson.dumps(body)
        self.head(
            status,
            f"Content-Type: {kind}\r\nContent-Length: {len(data)}"
            + (f"\r\n{extra}" if extra else ""),
        )
        self.write(data)
        self.finish()

    def head(self, status: int, headers: str) -> None:
        self.write(f"HTTP/1.1 {status} X\r\n{headers}\r\n\r\n".encode())

    def write(self, data: bytes) -> None:
        if data and not self.transport.is_closing():
            self.transport.write(data)

    def finish(self) -> None:
        if self.record is not None:
            self.record["finished"] = True
            self.state.active -= 1
        self.record = self.pump = None
        if self.buffer:
            asyncio.get_running_loop().call_soon(self.data_received, b"")

    def abort(self) -> None:
        if self.record is not None:
            self.record["finished"] = True
            self.state.active -= 1
        self.record = self.pump = None
        asyncio.get_running_loop().call_later(
            0.01, self.transport.abort
        )  # let the last bytes leave

    def pause_writing(self) -> None:
        if self.pump:
            self.pump.paused = True

    def resume_writing(self) -> None:
        if self.pump:
            self.pump.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        self.state.open.discard(self)
        if self.timer:
            self.timer.cancel()
        if self.pump:
            self.pump.cancel()
        if self.record is not None:
            self.record["disconnected"] = True
            self.state.disconnects += 1
            self.state.active -= 1
            self.record = None


class FakeModel:
    """A running server, as a test uses it: its addresses, its requests, and controls."""

    def __init__(self, state: State, port: int, loop: asyncio.AbstractEventLoop) -> None:
        self.state, self.port, self._loop = state, port, loop
        self.root = f"http://127.0.0.1:{port}"
        self.base_url = self.root + "/v1"
        self.openrouter_url = self.root + "/openrouter/v1"

    def report(self) -> dict[str, Any]:
        async def copy() -> dict[str, Any]:
            return orjson.loads(orjson.dumps(self.state.report()))

        return asyncio.run_coroutine_threadsafe(copy(), self._loop).result(5)

    @property
    def requests(self) -> list[dict[str, Any]]:
        return self.report()["requests"]

    def reset(self) -> None:
        self._loop.call_soon_threadsafe(self.state.reset)

    def hurry(self, prompt: str) -> None:
        """Sends the rest of this answer at once, as can happen while a person stops it."""

        def hurry_it() -> None:
            for connection in list(self.state.open):
                if connection.pump and connection.pump.q.prompt == prompt:
                    connection.pump.hurry()

        self._loop.call_soon_threadsafe(hurry_it)

    def cut(self, share: float, dice: random.Random) -> None:
        """Aborts some of the connections, idle ones included."""

        def cut_some() -> None:
            for connection in list(self.state.open):
                if dice.random() < share:
                    connection.transport.abort()

        self._loop.call_soon_threadsafe(cut_some)

    def accept_keys(self, states: dict[str, str]) -> None:
        self.state.keys = states

    def list_models(self, *names: str) -> None:
        self.state.models = list(names)

    def price(self, name: str, pricing: dict[str, str] | None) -> None:
        """Sets the prices of this model in OpenRouter's list."""
        self.state.pricing[name] = pricing


def new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


@contextlib.contextmanager
def running_fake_model(port: int = 0, tls: ssl.SSLContext | None = None) -> Iterator[FakeModel]:
    """Serves in a thread of this process until the block ends."""
    loop, state = new_loop(), State()
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)

    def serve() -> None:
        asyncio.set_event_loop(loop)
        server = loop.run_until_complete(
            loop.create_server(lambda: Connection(state), sock=listener, ssl=tls)
        )
        loop.run_forever()
        server.close()
        for connection in list(state.open):
            connection.transport.abort()
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()

    thread = threading.Thread(target=serve, name="fake-model", daemon=True)
    thread.start()
    try:
        yield FakeModel(state, listener.getsockname()[1], loop)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        listener.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="A scripted model for tests and the bench.")
    parser.add_argument("--port", type=int, default=9009)
    parser.add_argument("--models", nargs="*", help="names to list in /v1/models")
    options = parser.parse_args()
    loop, state = new_loop(), State(models=options.models or list(MODELS))
    listener = socket.create_server(("127.0.0.1", options.port), backlog=1024)
    loop.run_until_complete(loop.create_server(lambda: Connection(state), sock=listener))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, loop.stop)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", flush=True)  # noqa: T201
    loop.run_forever()


if __name__ == "__main__":
    main()
