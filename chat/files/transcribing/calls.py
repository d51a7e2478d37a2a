"""The requests to have one piece of sound written down, and what comes back."""

import asyncio
import base64
import json
from collections.abc import Collection
from contextlib import aclosing
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson
from django.conf import settings

from billing.token_usage import TokenUsage
from chat.charging import pricing
from chat.files.local_speech.calls import recognise
from chat.files.transcribing import prices
from chat.files.transcribing.means import Means
from chat.llm.client import Body, Finish, post_once, stream_answer
from chat.llm.errors import ProviderError
from chat.llm.prompt import Prompt
from chat.llm.stream.body import Delta
from chat.llm.tokens import MAX_REPORTED_TOKENS, micro_usd, read_usage

PATH = "/audio/transcriptions"
INSTRUCTION = (
    "Write down word for word what is said in this recording, in the language in which it is said. "
    "Reply with these words only. If nothing is said, reply with nothing."
)
# The formats that requests name, by our types.
FORMATS = {
    "audio/wav": "wav",
    "audio/mpeg": "mp3",
    "audio/mp4": "m4a",
    "audio/ogg": "ogg",
    "audio/webm": "webm",
    "audio/flac": "flac",
}
CHAT_FORMATS = ("wav", "mp3")
LOCAL_FORMATS = ("wav",)
MAX_TEXT_CHARS = 40_000  # Nobody says that much in ten minutes.
# Holds of calls without a reply are released after five minutes (chat/charging/reconcile.py).
MAX_CALL_S = 240.0
MAX_VALUES = 300_000  # commas and opening brackets


@dataclass(frozen=True, slots=True)
class Sound:
    """What is sent: at most about 25 MB, with its type and its length."""

    data: bytes
    type: str
    seconds: float

    @property
    def format(self) -> str:
        return FORMATS[self.type]


@dataclass(frozen=True, slots=True)
class Written:
    text: str
    usage: TokenUsage | None


def formats_of(means: Means) -> Collection[str]:
    """The names of the formats that can be sent."""
    return {"chat": CHAT_FORMATS, "local": LOCAL_FORMATS}.get(means.form, FORMATS.values())


async def write_down(means: Means, sound: Sound) -> Written:
    """Call the model. Raises ProviderError."""
    if means.form == "local":
        return Written(_cleaned(await recognise(sound.data, sound.seconds)), None)
    if means.form == "chat":
        try:
            async with asyncio.timeout(MAX_CALL_S):
                return await _by_chat(means, sound)
        except TimeoutError as error:
            raise ProviderError("provider_timeout") from error
    make = _multipart if means.form == "multipart" else _json
    body = await asyncio.to_thread(make, means, sound)
    limit_s = min(settings.MODEL_FIRST_TOKEN_TIMEOUT_MS / 1_000 + sound.seconds, MAX_CALL_S)
    answer = _read(await post_once(means.model.endpoint, PATH, body, limit_s))
    return Written(_cleaned(answer["text"]), read_sound_usage(answer.get("usage")))


def _read(data: bytes) -> dict[str, Any]:
    """The response, whose numbers are exact. Raises ProviderError."""
    if data.count(b",") + data.count(b"{") + data.count(b"[") > MAX_VALUES:
        raise ProviderError("bad_stream")
    try:
        answer = json.loads(data, parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError):
        raise ProviderError("bad_stream") from None
    if not isinstance(answer, dict) or not isinstance(answer.get("text"), str):
        raise ProviderError("bad_stream")
    return answer


def _multipart(means: Means, sound: Sound) -> Body:
    """OpenAI's request."""
    fields = {"model": means.model.provider_name, "response_format": "json"}
    file = f"sound.{sound.format}", sound.data, sound.type
    return Body(fields=fields, files={"file": file})


def _json(means: Means, sound: Sound) -> Body:
    """OpenRouter's request."""
    data = base64.b64encode(sound.data).decode()
    audio = {"data": data, "format": sound.format}
    return Body(orjson.dumps({"model": means.model.provider_name, "input_audio": audio}))


async def _by_chat(means: Means, sound: Sound) -> Written:
    if sound.format not in CHAT_FORMATS:
        raise ProviderError("bad_request")
    data = (await asyncio.to_thread(base64.b64encode, sound.data)).decode()
    parts = [
        {"type": "text", "text": INSTRUCTION},
        {"type": "input_audio", "input_audio": {"data": data, "format": sound.format}},
    ]
    prompt = Prompt(({"role": "user", "content": parts},), 0, 0)
    written, usage = Delta(), None
    most = None if pricing.free_reason(means.model) else prices.most_answer_tokens(sound.seconds)
    async with aclosing(stream_answer(means.model, prompt, max_tokens=most)) as stream:
        async for item in stream:
            if isinstance(item, Finish):
                usage = item.usage
            else:
                written = item.after(written)
    is_counted_here = usage is None or usage.estimated  # The client knows of no sound.
    return Written(_cleaned(written.text), None if is_counted_here else usage)


def _cleaned(text: str) -> str:
    return text.replace("\0", "").strip()[:MAX_TEXT_CHARS]


def read_sound_usage(usage: Any) -> TokenUsage | None:
    """The usage that a transcription reports: tokens, or seconds, and OpenRouter's cost."""
    if not isinstance(usage, dict):
        return None
    details = usage.get("input_token_details")
    renamed = {
        "prompt_tokens": usage.get("input_tokens"),
        "completion_tokens": usage.get("output_tokens"),
        "prompt_tokens_details": details if isinstance(details, dict) else None,
        "total_tokens": usage.get("total_tokens"),
        "cost": usage.get("cost"),
    }
    read = read_usage({name: value for name, value in renamed.items() if value is not None})
    seconds = usage.get("seconds")
    ms = None
    if isinstance(seconds, int | Decimal) and not isinstance(seconds, bool):
        ms = round(seconds * 1_000) if 0 <= seconds <= MAX_REPORTED_TOKENS / 1_000 else None
    if read is None:
        cost = micro_usd(usage.get("cost"))
        read = TokenUsage(0, 0, cost_micro_usd=cost) if ms or cost is not None else None
    return read.with_sound(ms) if read is not None and ms else read
