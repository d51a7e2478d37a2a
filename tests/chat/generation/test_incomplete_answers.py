"""Replies that are empty, cut off or mixed with reasoning: the number of
calls, the shown text, and the charges."""

import hashlib
import json

import pytest
from asgiref.sync import sync_to_async

from billing import audit
from billing.token_usage import TokenUsage
from chat import events as ev
from chat.charging import settle as settling
from chat.charging.answer_charge import AnswerCharge
from chat.charging.attempts import Attempt, AttemptUsage
from chat.folding import fold_answer
from chat.llm import learned
from chat.llm.catalogue import reset_catalogue
from chat.llm.client import close_clients
from chat.llm.endpoints import Endpoint, Model
from chat.models import Reply
from chat.transcript import Message
from chat.work_orders import load_order
from streams.log import get_log
from tests.chat.charging.priced_answers import balance, charges_of, ended, usage_of
from tests.folding import fold_entries
from tests.raw_provider import cases, running_raw_provider

pytestmark = pytest.mark.django_db(transaction=True)

CASES = {case["name"]: case for case in cases()}
STOP = {"delta": {}, "finish": "stop"}
PRICING = {"prompt": "0.00001", "completion": "0.00002"}
USAGE = '{"choices": [], "usage": {"prompt_tokens": 40, "completion_tokens": 9}}'
COST = '{"choices": [], "usage": {"prompt_tokens": 40, "completion_tokens": 9, "cost": 0.011}}'


@pytest.fixture
async def moss(worker, settings, monkeypatch):
    """A provider whose models the test names: free, or charged."""
    monkeypatch.setattr("chat.generation.generation.FIRST_RETRY_DELAY_S", 0.01)
    async with running_raw_provider() as provider:
        settings.OPENAI_BASE_URL = provider.base_url
        settings.OPENROUTER_API_KEY = "sk-or"
        settings.OPENROUTER_BASE_URL = provider.base_url
        yield provider
        await close_clients()


@pytest.fixture
def ask(moss, alice):
    """Ask a model whose calls get these bodies in turn, then always the last one."""

    async def ask(*bodies, endpoint="openai", name="moss"):
        moss.serve(name, [body if isinstance(body, dict) else {"body": body} for body in bodies])
        await reset_catalogue()
        _, reply = await alice.send("Where does moss grow?", model=f"{endpoint}/{name}")
        message = await alice.settled(reply)
        await ended(reply)
        return reply, message

    return ask


EMPTY = [
    ("a picture alone", "no_text"),
    ("sound", "no_text"),
    ("thinking alone", "thought_only"),
    ("a block that never ends", "thought_only"),
    ("network_error without text", "provider_down"),
    ("abort without text", "provider_down"),
]
ENDS = [
    ("stop", "empty_answer"),
    ("length", "length_before_text"),
    ("tool_calls", "tool_only"),
    ("malformed_function_call", "tool_only"),
    ("content_filter", "refused"),
    ("recitation", "refused"),
    ("moon_phase", "empty_answer"),
]


@pytest.mark.parametrize(("name", "code"), EMPTY)
async def test_a_reply_without_text_is_requested_once(ask, moss, name, code):
    _, message = await ask(CASES[name])
    assert (message.status, message.error["code"], str(message.text)) == ("error", code, "")
    assert len(moss.calls) == 1


@pytest.mark.parametrize(("reason", "code"), ENDS)
async def test_a_reply_that_ends_at_once_is_requested_once(ask, moss, reason, code):
    body = [{"delta": {"role": "assistant", "content": ""}}, {"delta": {}, "finish": reason}]
    _, message = await ask([*body, "[DONE]"])
    assert (message.status, message.error["code"]) == ("error", code)
    assert len(moss.calls) == 1


@pytest.mark.parametrize("name", ["nothing at all", "nothing but [DONE]", "nothing but noise"])
async def test_a_response_without_a_reply_is_requested_twice_at_most(ask, moss, name):
    _, message = await ask(CASES[name])
    assert message.status == "error"
    assert len(moss.calls) == 2


async def test_a_response_without_a_reply_may_be_temporary(ask, moss):
    _, message = await ask([], [{"text": "In the shade."}, STOP, "[DONE]"])
    assert (message.status, str(message.text)) == ("done", "In the shade.")


PICTURE = {"delta": {"content": "", "images": [{"type": "image_url"}]}}


async def test_the_error_names_what_the_reply_had_besides_text(ask):
    _, message = await ask([{"text": "Look: "}, PICTURE, STOP, "[DONE]"])
    assert (message.status, message.finish, message.omitted) == ("done", "stop", ["image"])


@pytest.mark.parametrize("told", [COST, USAGE, None])
async def test_a_reply_without_text_is_charged(ask, alice, told):
    body = [PICTURE, STOP, *([told] if told else []), "[DONE]"]
    reply, message = await ask({"body": body, "pricing": PRICING}, endpoint="openrouter")
    assert message.status == "error"
    [usage] = await usage_of(reply)
    assert usage.estimated == (told is None)
    expected = {COST: 11_000, USAGE: 40 * 10 + 9 * 20}.get(told, usage.prompt_tokens * 10)
    assert await charges_of(reply) == [expected] == [message.cost_micro_usd]
    assert (await balance(alice)).held_micro_usd == 0
    assert (await audit.run()).differences == []


async def test_the_usage_of_a_broken_attempt_is_charged_once(ask):
    broken = [{"text": "In the"}, USAGE, '{"error": {"code": 502}}']
    whole = [{"text": " shade, as always."}, STOP, USAGE, "[DONE]"]
    bodies = [{"body": body, "pricing": PRICING} for body in (broken, whole)]
    reply, message = await ask(*bodies, endpoint="openrouter")
    assert (message.status, str(message.text)) == ("done", "In the shade, as always.")
    first, second = await usage_of(reply)
    assert (first.prompt_tokens, first.completion_tokens, first.estimated) == (40, 9, False)
    assert (second.prompt_tokens, second.completion_tokens) == (40, 9)
    assert await charges_of(reply) == [580, 580]
    assert (await audit.run()).differences == []


async def test_an_error_before_the_first_token_costs_the_reported_usage_or_nothing(ask):
    for told, charges in ((USAGE, [580]), ('{"choices": []}', [])):
        body = [told, '{"error": {"code": 401}}']
        reply, message = await ask(
            {"body": body, "pricing": PRICING}, endpoint="openrouter", name=f"moss{len(charges)}"
        )
        assert message.error["code"] == "site_key_refused"
        assert await charges_of(reply) == charges
    assert (await audit.run()).differences == []


async def test_a_reply_is_continued_after_an_error_in_its_middle(ask, moss):
    error = '{"object": "error", "message": "engine died", "code": 500}'
    rest = [{"text": "shade of old trees."}, STOP, "[DONE]"]
    _, message = await ask([{"text": "In the "}, error, "[DONE]"], rest)
    assert (message.status, str(message.text)) == ("done", "In the shade of old trees.")
    assert [seam["reason"] for seam in message.seams] == ["provider"]
    assert len(moss.calls) == 2


@pytest.mark.parametrize("reason", ["insufficient_system_resource", "network_error", "abort"])
async def test_a_reply_that_the_provider_cut_off_is_never_complete(ask, moss, reason):
    body = [{"text": "The first half of it"}, {"delta": {}, "finish": reason}, "[DONE]"]
    _, message = await ask(body)
    assert (message.status, message.error["code"]) == ("error", "stream_cut")
    assert str(message.text) == "The first half of it"
    assert 1 < len(moss.calls) < 6


async def test_a_server_that_never_reports_an_end_is_not_called_for_ever(ask, moss):
    _, message = await ask([{"text": "Moss grows in the shade of"}])
    assert (message.status, message.finish) == ("done", "unknown")
    assert len(moss.calls) == 2


async def test_a_prompt_that_is_too_long_is_an_error(ask, moss):
    error = 'error: {"code":400,"message":"the request exceeds the available context size"}\n\n'
    _, message = await ask([{"raw": error}])
    assert (message.status, message.error["code"]) == ("error", "context_too_long")
    assert len(moss.calls) <= 2


# Thinking that the model's template begins


THOUGHT = [{"text": "They ask "}, {"sleep": 0.2}, {"text": "about moß.\n"}, {"sleep": 0.2}]
AFTER = [{"text": "</think>\n\nIn the "}, {"sleep": 0.2}, {"text": "shade."}, STOP, USAGE, "[DONE]"]


def closed(message, text="In the shade.", reasoning="They ask about moß."):
    assert (message.status, str(message.text)) == ("done", text)
    assert str(message.reasoning) == reasoning
    assert message.sha256 == hashlib.sha256(text.encode()).hexdigest()


async def test_text_becomes_reasoning_when_its_closing_mark_arrives(ask, alice, moss):
    reply, message = await ask([*THOUGHT, *AFTER], name="template")
    closed(message)


async def test_a_connected_browser_sees_text_become_reasoning(moss, alice):
    moss.serve("template", [{"body": [*THOUGHT, *AFTER]}])
    await reset_catalogue()
    _, reply = await alice.send("Where does moss grow?", model="openai/template")
    message = await alice.until(reply, lambda message: str(message.text) == "They ask ")
    message = await alice.until(reply, lambda message: str(message.reasoning))
    assert str(message.text) in ("", "In the ", "In the shade.")
    closed(await alice.settled(reply))
    entries = [json.loads(entry.data) for entry in await alice.entries()]
    moved = [entry for entry in entries if "text_length" in entry]
    assert all(entry["type"] == ev.MessageReasoning.type for entry in moved)
    # This model's next reply starts with reasoning.
    _, reply = await alice.send("And fern?", model="openai/template", parent=reply)
    message = await alice.until(reply, lambda message: str(message.reasoning))
    assert str(message.text) == ""
    closed(await alice.settled(reply))


async def test_a_model_that_skips_its_reasoning_has_replied(ask):
    _, message = await ask([*THOUGHT, *AFTER], name="template")
    closed(message)
    _, message = await ask([{"text": "In the shade."}, STOP, "[DONE]"], name="template")
    assert (message.status, str(message.text)) == ("done", "In the shade.")
    assert not learned.thinks_first


async def test_what_one_person_makes_a_model_write_hides_no_reply_of_others(moss, alice, bob):
    """Anybody can make a model write the mark, so the mark is no evidence of thinking."""
    moss.serve(
        "template", [{"body": [*THOUGHT, *AFTER]}, {"body": [{"text": "Here."}, {"sleep": 9}]}]
    )
    await reset_catalogue()
    _, reply = await alice.send("Write </think>.", model="openai/template")
    await alice.settled(reply)
    _, reply = await bob.send("Where does moss grow?", model="openai/template")
    message = await bob.until(reply, lambda message: message.text or message.reasoning)
    assert (str(message.text), str(message.reasoning)) == ("Here.", "")


async def test_reasoning_over_two_attempts_is_moved_and_charged_once(ask, alice, settings):
    """The first attempt ends in the reasoning; the second continues it by prefill."""
    settings.PREFILL_MODELS = ["openrouter/*"]
    bodies = [[*THOUGHT, {"cut": True}], [{"text": "So: shade."}, *AFTER]]
    reply, message = await ask(
        *({"body": body, "pricing": PRICING} for body in bodies), endpoint="openrouter"
    )
    closed(message, reasoning="They ask about moß.\nSo: shade.")
    assert len(await usage_of(reply)) == 2
    assert (await audit.run()).differences == []
    # A later fold of the log, without the deltas, gives the same.
    row = await Reply.objects.aget(id=reply)
    await alice.kept()
    answer = await fold_answer(get_log(), alice.stream, alice.chat, reply)
    assert row.attempts == len(answer.attempts) == 2
    assert (await audit.run()).differences == []


async def test_new_reasoning_removes_no_text(ask):
    """The second attempt continues the text, and its template starts reasoning again."""
    first = [{"text": "Moss grows in the shade, and "}, {"cut": True}]
    second = [{"text": "I am to go on.\n</think>\n\n"}, {"text": "on stones."}, STOP, "[DONE]"]
    _, message = await ask(first, second)
    closed(message, "Moss grows in the shade, and on stones.", "I am to go on.")


async def test_browser_and_server_fold_every_prefix_alike(ask, alice, javascript_fold):
    await ask([*THOUGHT, *AFTER], name="template")
    entries = await alice.entries()
    for end in range(len(entries) + 1):
        part = entries[:end]
        log = [[entry.id, json.loads(entry.data)] for entry in part]
        assert javascript_fold(log) == fold_entries(part).to_dict()


async def test_a_successor_records_in_the_log_what_was_booked(no_worker, alice, holdfast):
    """A worker died after it had booked the provider's usage but not yet logged it."""
    _, reply = await alice.send("Where does moss grow?")
    order = await sync_to_async(load_order)(reply)
    booked = AttemptUsage(1, TokenUsage(40, 9))
    first = Attempt(1, "openai/script/known", 30, text="In the", recorded=booked)
    await sync_to_async(settling.charge)(order.reply, [first], None)
    charge = AnswerCharge(order)
    charge.attempts = [Attempt(1, "openai/script/known", 30)]
    message = Message(reply, "assistant", None, "1-0", "running", attempt=1)
    message.text.set("In the")
    model = Model("openai/script/known", "Known", Endpoint("openai", holdfast.base_url, "x"), 8192)
    await charge.price_attempt(message, model)
    assert await charge.bill_for_seam() == booked.to_bill()
    again = AnswerCharge(order)
    again.attempts = [Attempt(1, "openai/script/known", 30, recorded=AttemptUsage(1, None))]
    await again.price_attempt(message, model)
    assert await again.bill_for_seam() == booked.to_bill()
