"""Prompts of long chats: what reaches the model, and how many messages are reported left out."""

import pytest

from chat.llm.catalogue import reset_catalogue
from chat.models import Reply
from tests.fake_model import text_of

pytestmark = pytest.mark.django_db(transaction=True)

SMALL = "openai/script/small"


@pytest.fixture
async def small(worker, alice, fake_model, settings):
    """Alice, whose model refuses more than 300 tokens, which the catalogue does not know."""
    fake_model.list_models("script/known", "script/small?context=300")
    await reset_catalogue()
    alice.model = "openai/script/small?context=300"
    return alice


async def ask(person, text, parent):
    message, reply = await person.send(text, parent=parent, model=person.model)
    return message, reply, await person.settled(reply)


def sent(request):
    return [turn["content"] for turn in request["body"]["messages"] if turn["role"] != "system"]


async def test_nothing_is_left_out_of_a_short_conversation(worker, alice, fake_model):
    _, first = await alice.send("[[tokens=2]] One")
    await alice.settled(first)
    _, second = await alice.send("[[tokens=2]] Two", parent=first)
    assert (await alice.settled(second)).left_out == 0
    started = [e for e in await alice.entries() if e.type == "message.started"]
    assert b'"prompt_tokens"' in started[-1].data


async def test_the_number_of_messages_left_out_is_reported(small, fake_model):
    parent, questions = None, []
    for n in range(5):
        question = f"[[tokens=20]] {n} " + "word " * 45  # About 75 tokens, with the answer 100.
        questions.append(question)
        _, parent, message = await ask(small, question, parent)
        assert message.status == "done", message.error
        assert message.attempt <= 3  # Each refusal made the prompt shorter.
        assert str(message.text) == text_of(question, 20)
    assert message.left_out > 0
    assert message.left_out % 2 == 0  # Whole exchanges.
    contents = sent(fake_model.requests[-1])
    path = [str(m.text) for m in (await small.transcript()).path()]
    assert contents == path[message.left_out : -1]
    assert contents[-1] == questions[-1]


async def test_every_reader_receives_the_number_left_out(small):
    parent = None
    for n in range(5):
        _, parent, message = await ask(small, f"[[tokens=20]] {n} " + "word " * 45, parent)
    starts = [e for e in await small.entries() if e.type in ("message.started", "message.resumed")]
    assert f'"left_out":{message.left_out}'.encode() in starts[-1].data


async def test_a_message_that_cannot_fit_is_a_durable_error(small, fake_model):
    question = "[[tokens=2]] " + "word " * 900
    _, reply, message = await ask(small, question, None)
    assert (message.status, message.error["code"]) == ("error", "context_too_long")
    assert message.error["retryable"] is False
    assert (await Reply.objects.aget(id=reply)).model == small.model
    asked = len(fake_model.requests)
    assert asked <= 2  # one retry with a smaller prompt
    # The chat can continue with a shorter message, as a child or as another branch.
    _, _, short = await ask(small, "[[tokens=2]] Short", reply)
    assert short.status in ("done", "error")
    _, edited = await small.send("[[tokens=2]] Short", edit=True, model=small.model)
    assert (await small.settled(edited)).status == "done"


async def test_a_message_beyond_every_window_calls_no_model(worker, alice, fake_model):
    """It is too long by our own count, so it is refused before it costs anything."""
    before = len(fake_model.requests)
    _, reply = await alice.send("\u6f22" * 199_990)
    message = await alice.settled(reply)
    assert (message.status, message.error["code"]) == ("error", "context_too_long")
    assert len(fake_model.requests) == before
    assert message.error["text"].endswith(".")


async def test_only_the_messages_of_the_branch_are_sent(worker, alice, fake_model):
    _, first = await alice.send("[[tokens=2]] One")
    await alice.settled(first)
    _, other = await alice.send("[[tokens=2]] Other", edit=True)
    await alice.settled(other)
    _, below = await alice.send("[[tokens=2]] Below", parent=other)
    await alice.settled(below)
    assert sent(fake_model.requests[-1]) == [
        "[[tokens=2]] Other",
        text_of("[[tokens=2]] Other", 2),
        "[[tokens=2]] Below",
    ]


async def test_the_text_of_a_failed_reply_is_sent(worker, alice, fake_model, settings):
    settings.MAX_ATTEMPTS = 1
    _, failed = await alice.send("[[tokens=30&die_after=10]] One")
    partial = str((await alice.settled(failed)).text)
    assert partial
    _, reply = await alice.send("[[tokens=2]] Two", parent=failed)
    await alice.settled(reply)
    assert sent(fake_model.requests[-1])[1] == partial
