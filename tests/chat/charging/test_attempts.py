"""The attempts at a reply whose text turns out to be reasoning, as they are folded from the log."""

import threading

import pytest

from chat import events as ev
from chat.charging import attempts as attempts_module
from chat.charging.attempts import AttemptFold, AttemptUsage
from chat.folding import fold_answer
from chat.llm.tokens import estimated_usage
from streams.log import Entry

REPLY = "0198c5a0-0000-7000-8000-00000000000a"
MODEL = "openai/script/known"
FIRST = "They ask about moss. "
SECOND = "So: shade."


def taken_over(first=FIRST, second=SECOND, bill=None):
    """A reply of two attempts, all of whose text then turns out to be reasoning."""
    return [
        ev.MessageCreated(message=REPLY, role="assistant", parent=None, model=MODEL),
        ev.MessageStarted(message=REPLY, attempt=1, model=MODEL, prompt_tokens=30),
        ev.MessageDelta(message=REPLY, text=first),
        ev.MessageResumed(
            message=REPLY,
            attempt=2,
            reason="lost",
            means="prefill",
            length=len(first),
            model=MODEL,
            reasoning_length=0,
            prompt_tokens=40,
            bill=bill,
        ),
        ev.MessageDelta(message=REPLY, text=second),
        ev.MessageReasoning(message=REPLY, text=first + second, text_length=0),
        ev.MessageDelta(message=REPLY, text="In the shade."),
    ]


def folded(events):
    fold = AttemptFold(REPLY)
    for event in events:
        fold.feed(event)
    return fold


def counted(text):
    return estimated_usage(30, text, "").bounded()


class OfEvents:
    """A log that has only these events."""

    def __init__(self, events):
        self.entries = [
            Entry(f"{n}-0", "c", event.type, event.encode()) for n, event in enumerate(events)
        ]

    async def slices(self, *_):
        yield self.entries


def test_an_attempt_is_charged_for_what_it_wrote_before_that_became_reasoning():
    first, second = folded(taken_over()).attempts()
    assert (first.text, first.reasoning) == (FIRST, "")
    assert first.recorded == AttemptUsage(1, counted(FIRST))
    assert second.recorded is None
    assert (second.text, second.reasoning) == ("In the shade.", SECOND)


def test_a_recorded_usage_counts_and_a_later_one_does_not():
    bill = AttemptUsage(1, counted("reported")).to_bill()
    [first, _] = folded(taken_over(bill=bill)).attempts()
    assert first.usage == counted("reported")
    other = AttemptUsage(1, counted("other")).to_bill()
    end = ev.MessageError(
        message=REPLY, code="x", text="", retryable=False, length=0, sha256="", bill=other
    )
    [first, _] = folded([*taken_over(), end]).attempts()
    assert first.usage == counted(FIRST)


@pytest.mark.parametrize(("length", "is_in_thread"), [(1, False), (50_000, True)])
async def test_the_tokens_of_long_attempts_are_counted_in_a_thread(
    monkeypatch, length, is_in_thread
):
    threads = []

    def noted(*texts):
        threads.append(threading.current_thread())
        return estimated_usage(*texts)

    monkeypatch.setattr(attempts_module, "estimated_usage", noted)
    log = OfEvents(taken_over(FIRST * length, SECOND))
    answer = await fold_answer(log, "u:1", "c", REPLY)
    assert answer.attempts[0].usage == counted(FIRST * length)
    assert threads
    assert all((thread is not threading.main_thread()) == is_in_thread for thread in threads)
