"""Prompts have the form that strict servers require, whatever happened in the chat."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chat.llm import learned
from chat.llm.catalogue import reset_catalogue
from chat.llm.client import Delta, close_clients, stream_answer
from chat.llm.continuation import CONTINUE
from chat.llm.endpoints import Endpoint, Model
from chat.llm.errors import ContextTooLong, ProviderError
from chat.llm.prompt import Prompt
from chat.llm.prompt_roles import NO_ANSWER, without_system
from chat.llm.tokens import TOKENS_PER_MESSAGE, estimate_tokens
from tests.chat.llm.prompts import prompt_from
from tests.stub_model import stub_model

ALTERNATE = "Conversation roles must alternate user/assistant/user/assistant/..."


def roles(messages):
    return [message["role"] for message in messages if message["role"] != "system"]


def is_strict(messages):
    assert all(message["content"].strip() for message in messages)
    count = len(roles(messages))
    return roles(messages) == (["user", "assistant"] * count)[:count]


def refuses_odd_roles(asked):
    """Refuses roles that do not alternate, like many chat templates, and content without text."""
    messages = asked["messages"]
    if any(
        not isinstance(message["content"], str) or not message["content"] for message in messages
    ):
        return 400, {"object": "error", "message": "content must be a string", "code": 400}
    if not is_strict(messages):
        return 400, {"object": "error", "message": ALTERNATE, "code": 400}
    return None


def model_of(url="http://127.0.0.1:9/v1", window=100_000, name="m", continuation="ask"):
    return Model(f"openai/{name}", "M", Endpoint("openai", url, "k", continuation), window)


async def build(*turns, window=100_000):
    return await prompt_from(turns, model_of(window=window))


def pairs_of(prompt):
    return [(message["role"], message["content"]) for message in prompt.messages]


def counted(prompt):
    return sum(estimate_tokens(m["content"]) + TOKENS_PER_MESSAGE for m in prompt.messages)


U, A = "user", "assistant"


async def test_unanswered_messages_are_joined_once_another_is_answered():
    prompt = await build((U, "one"), (U, "two"), (A, "2"), (U, "three"))
    assert pairs_of(prompt) == [(U, "one\n\ntwo"), (A, "2"), (U, "three")]
    assert (prompt.left_out, prompt.prompt_tokens) == (0, counted(prompt))


async def test_the_last_message_is_not_joined_to_an_unanswered_one():
    prompt = await build((U, "one"), (U, "two"), (U, "three"))
    assert pairs_of(prompt) == [(U, "one\n\ntwo"), (A, NO_ANSWER), (U, "three")]
    assert prompt.prompt_tokens == counted(prompt)


async def test_empty_messages_are_not_sent():
    prompt = await build(
        ("system", " "), (U, "one"), (A, ""), (A, "\n "), (U, "two"), (A, "2"), (U, "3")
    )
    assert pairs_of(prompt) == [(U, "one\n\ntwo"), (A, "2"), (U, "3")]


async def test_consecutive_answers_are_joined_and_none_comes_first():
    prompt = await build((A, "Welcome"), (U, "one"), (A, "1"), (A, "more"), (U, "two"))
    assert pairs_of(prompt) == [(U, "one"), (A, "1\n\nmore"), (U, "two")]
    assert prompt.left_out == 1


async def test_a_long_unanswered_message_is_left_out():
    prompt = await build((U, "x" * 9000), (U, "two"), window=1000)
    assert pairs_of(prompt) == [(U, "two")] and prompt.left_out == 1


turn = st.tuples(
    st.sampled_from([U, A]), st.sampled_from(["", " ", "a", "b" * 50, "ü" * 99, "c " * 700])
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.lists(turn, max_size=12),
    st.sampled_from([300, 900, 3000]),
    st.sampled_from(["", "Be brief."]),
)
async def test_roles_always_alternate(turns, window, instructions):
    turns = [("system", instructions), *turns, (U, "last")]
    prompt = await build(*turns, window=window)
    assert is_strict(prompt.messages)
    assert pairs_of(prompt)[-1] == (U, "last")
    # Exact except for rounding, and never less than the tokens sent.
    assert 0 <= prompt.prompt_tokens - counted(prompt) <= len(turns)
    # All messages that are not left out are sent, in order.
    worded = [text for role, text in turns[1:] if text.strip()][prompt.left_out :]
    sent = "\n\n".join(t for role, t in pairs_of(prompt) if role != "system" and t != NO_ANSWER)
    assert sent == "\n\n".join(worded)


def test_instructions_are_moved_into_the_first_message():
    asked = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    assert without_system(asked) == [{"role": "user", "content": "Be brief.\n\nHi"}]
    assert without_system(asked[1:]) == asked[1:]
    alone = [asked[0], {"role": "assistant", "content": "Hi"}]
    assert roles(without_system(alone)) == ["user", "assistant"]


# Requests


@pytest.fixture
async def server():
    with stub_model() as model:
        yield model
        await close_clients()


async def answer(model, prompt, partial=""):
    items = [item async for item in stream_answer(model, prompt, partial=partial)]
    return "".join(item.text for item in items if isinstance(item, Delta))


INSTRUCTED = Prompt(
    ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}), 0, 9
)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"error": {"message": "System role not supported", "type": "invalid_request_error"}}),
        (400, {"object": "error", "message": ALTERNATE, "code": 400}),
        (400, {"error": {"message": "Developer instruction is not enabled for models/g"}}),
        (422, {"detail": "Only user and assistant roles are supported!"}),
        (500, {"error": {"code": 500, "message": "Jinja Exception: System role not supported"}}),
        (400, {"error": {"message": "'messages[0].role' does not support 'system' with this."}}),
        (400, {}),
    ],
)
async def test_a_model_without_a_system_role_gets_instructions_as_user(server, status, body):
    server.refuses = lambda asked: (
        (status, body) if any(m["role"] == "system" for m in asked["messages"]) else None
    )
    model = model_of(server.base_url, name=f"no-system-{status}-{len(str(body))}")
    assert await answer(model, INSTRUCTED) == "Hello"
    assert [len(asked["messages"]) for asked in server.requests] == [2, 1]
    assert server.requests[1]["messages"] == [{"role": "user", "content": "Be brief.\n\nHi"}]
    assert await answer(model, INSTRUCTED) == "Hello"
    assert len(server.requests) == 3  # The server's refusal is remembered.


async def test_nothing_is_learned_if_the_other_form_is_refused_too(server):
    server.refuses = lambda asked: (400, {"error": {"message": "no"}})
    model = model_of(server.base_url, name="refuses-all")
    with pytest.raises(ProviderError) as caught:
        await answer(model, INSTRUCTED)
    assert caught.value.code == "bad_request" and len(server.requests) == 2
    server.refuses = lambda asked: None
    await answer(model, INSTRUCTED)
    assert server.requests[-1]["messages"][0]["role"] == "system"


async def test_concurrent_calls_all_learn(server):
    def refuses(asked):
        if any(m["role"] == "system" for m in asked["messages"]):
            return 400, {"error": {"message": "System role not supported"}}
        return (
            (400, {"error": {"message": "stream_options?"}}) if "stream_options" in asked else None
        )

    server.refuses = refuses
    model = model_of(server.base_url, name="both")
    answers = await asyncio.gather(*(answer(model, INSTRUCTED) for _ in range(4)))
    assert answers == ["Hello"] * 4


async def test_the_number_of_learned_facts_is_bounded(monkeypatch):
    monkeypatch.setattr(learned, "MAX_LEARNED", 3)
    known = learned.Learned()
    for number in range(9):
        known.add(("", "u", str(number)), True)
    assert [number for number in range(9) if ("", "u", str(number)) in known] == [6, 7, 8]


def test_what_was_learned_for_a_while_is_forgotten():
    key = ("", "http://host", "model")
    short, long = learned.Learned(seconds=0), learned.Learned(seconds=60)
    for known in (short, long):
        known.add(key, True)
    assert (key in short, short.get(key)) == (False, None)
    assert (key in long, long.get(key)) == (True, True)


@pytest.mark.parametrize("continuation", ["ask", "prefill"])
async def test_an_answer_can_be_continued_on_a_strict_server(server, continuation):
    server.refuses = refuses_odd_roles
    server.says = lambda asked: " and more"
    model = model_of(server.base_url, name="goes-on-" + continuation, continuation=continuation)
    turns = [(U, "one"), (U, "two"), (A, "2"), (U, "three")]
    prompt = await prompt_from(turns, model, partial="Some")
    assert await answer(model, prompt, partial="Some") == " and more"
    messages = server.requests[-1]["messages"]
    assert is_strict(messages)
    # The hold covers exactly what is sent.
    assert prompt.prompt_tokens == sum(
        estimate_tokens(m["content"]) + TOKENS_PER_MESSAGE for m in messages
    )
    assert (messages[-1]["content"] == CONTINUE) is (continuation == "ask")


async def test_a_last_message_that_does_not_fit_is_still_an_error():
    with pytest.raises(ContextTooLong):
        await build((U, "one"), (U, "x" * 9000), window=1000)


# In a chat


@pytest.fixture
async def strict(worker, settings):
    with stub_model() as model:
        model.lists({"data": [{"id": "m"}]})
        model.refuses = refuses_odd_roles
        settings.OPENAI_BASE_URL = model.base_url
        await reset_catalogue()
        yield model


async def test_a_chat_continues_after_a_reply_that_failed_without_text(strict, alice):
    def refuses(asked):
        if "FAIL" in asked["messages"][-1]["content"]:
            return 400, {"error": {"message": "no"}}
        return refuses_odd_roles(asked)

    strict.refuses = refuses
    _, failed = await alice.send("FAIL please", model="openai/m")
    assert (await alice.settled(failed)).status == "error"
    _, second = await alice.send("and now?", parent=failed, model="openai/m")
    assert (await alice.settled(second)).status == "done"
    _, third = await alice.send("and then?", parent=second, model="openai/m")
    assert (await alice.settled(third)).status == "done"
    assert [m["content"] for m in strict.requests[-1]["messages"]] == [
        "FAIL please\n\nand now?",
        "Hello",
        "and then?",
    ]


async def test_a_chat_continues_after_a_reply_stopped_without_text(strict, alice):
    begun = asyncio.Event()
    loop, ends = asyncio.get_running_loop(), []

    def says(asked):
        if "slow" in asked["messages"][-1]["content"] and not ends:
            loop.call_soon_threadsafe(begun.set)
            ends.append(asyncio.run_coroutine_threadsafe(asyncio.sleep(1), loop).result(10))
        return "Hello"

    strict.says = says
    _, stopped = await alice.send("slow", model="openai/m")
    async with asyncio.timeout(20):
        await begun.wait()
    await alice.post(f"/api/chats/{alice.chat}/replies/{stopped}/stop")
    assert (await alice.settled(stopped)).status == "stopped"
    _, second = await alice.send("and now?", parent=stopped, model="openai/m")
    assert (await alice.settled(second)).status == "done"
