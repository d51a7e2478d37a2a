"""Sends: each has its effect once, despite crashes between two steps and concurrent workers."""

import asyncio
import contextlib
import uuid
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.db import DatabaseError, connection
from django.utils import timezone

from chat import events as ev
from chat import work_orders
from chat.charging.attempts import Attempt, AttemptUsage
from chat.charging.settle import settle
from chat.generation.generation import Generation, Outcome
from chat.generation.histories import Histories
from chat.llm.catalogue import get_catalogue
from chat.models import Chat, Reply
from chat.sending import outbox, sends, stops
from chat.sending.send import Send
from chat.sending.sends import start_title
from streams.log import get_log
from streams.queue import get_queue
from tests.chat.conftest import MODEL
from tests.chat.workers import settled_row, working
from tests.fake_model import text_of

# One attempt, which cost nothing.
TRIED = [Attempt(1, MODEL, 0, recorded=AttemptUsage(1, None))]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


@pytest.fixture(autouse=True)
def impatient(monkeypatch, settings):
    """The sweep finds abandoned sends at once."""
    monkeypatch.setattr(work_orders, "ABANDONED_AFTER_S", 0)
    monkeypatch.setattr("chat.generation.worker.SWEEP_EVERY_S", 0.1)
    settings.WORK_LEASE_MS, settings.WORK_RENEW_MS, settings.WORK_POLL_MS = 300, 80, 40


@pytest.fixture
async def owner(no_worker, alice):
    """Alice, with an answered chat, and no worker running."""
    async with working():
        _, alice.first = await alice.send("[[tokens=2]] first")
        await settled_row(alice.first)
    return alice


def send_of(person, text, **fields):
    given = {"chat": person.chat, "parent": None, "edit": False, "id": str(uuid.uuid4())} | fields
    ids = {
        name: uuid.UUID(given[name]) if given[name] else None for name in ("id", "chat", "parent")
    }
    return Send(text=text, model=MODEL, edit=given["edit"], **ids)


async def place(person, send):
    return await sync_to_async(sends.place_send)(await person.row(), send)


def asked_for(fake, text):
    return [request for request in fake.requests if request["prompt"] == text]


def post(person, reply, verb):
    return person.post(f"/api/chats/{person.chat}/replies/{reply}/{verb}")


# A crash between two steps


async def placed(_reply, _stream):
    pass


async def appended(reply, stream):
    await outbox.append_outbox(reply, stream)


async def queued(reply, stream):
    await appended(reply, stream)
    await outbox.enqueue(reply.id)


async def delivered(reply, stream):
    await outbox.deliver(reply, stream)


async def claimed(reply, stream):
    await delivered(reply, stream)
    assert len(await get_queue(outbox.ANSWERS_QUEUE).claim("dead", 10)) == 1


async def generation_of(reply, stream):
    await delivered(reply, stream)
    [job] = await get_queue(outbox.ANSWERS_QUEUE).claim("dead", 10)
    order = await sync_to_async(work_orders.load_order)(str(reply.id))
    histories = Histories(0)
    generation = Generation(job, order, get_log(), histories, get_catalogue(), lease_lapsed=False)
    return job, order, generation


async def fenced(reply, stream):
    _, _, generation = await generation_of(reply, stream)
    await generation.reply_log.take_over()


async def answered(reply, stream):
    job, order, generation = await generation_of(reply, stream)
    assert await generation.run() is Outcome.DONE
    return job, order


async def compacted(reply, stream):
    job, order = await answered(reply, stream)
    await get_log().compact(stream, order.chat_id, order.reply_id)
    return job, order


async def job_done(reply, stream):
    job, order = await compacted(reply, stream)
    assert await get_queue(outbox.ANSWERS_QUEUE).done(job)
    return job, order


async def row_settled(reply, stream):
    _, order = await job_done(reply, stream)
    await sync_to_async(settle)(order, Reply.State.DONE, TRIED)


STEPS = [
    placed,
    appended,
    queued,
    delivered,
    claimed,
    fenced,
    answered,
    compacted,
    job_done,
    row_settled,
]


@pytest.mark.parametrize("steps", STEPS, ids=lambda step: f"after_it_was_{step.__name__}")
async def test_a_crash_between_two_steps_ends_in_one_answer(owner, holdfast, steps):
    question = "[[tokens=9]] Only once"
    reply = await place(owner, send_of(owner, question, parent=owner.first))
    await steps(reply, owner.stream)
    # Another send waits for it and must be released once.
    _, next_reply = await owner.send("[[tokens=3]] And then", parent=owner.first)
    async with working():
        row = await settled_row(reply.id)
        await settled_row(next_reply)
        async with asyncio.timeout(5):
            while await get_queue(outbox.ANSWERS_QUEUE).size():
                await asyncio.sleep(0.02)
    assert (row.state, row.outbox) == ("done", None)
    assert len(asked_for(holdfast, question)) == 1
    assert len(asked_for(holdfast, "[[tokens=3]] And then")) == 1
    transcript = await owner.transcript()
    assert [str(m.text) for m in transcript.path()] == [
        "[[tokens=2]] first",
        text_of("[[tokens=2]] first", 2),
        question,
        text_of(question, 9),
        "[[tokens=3]] And then",
        text_of("[[tokens=3]] And then", 3),
    ]
    assert len(transcript.messages) == 6
    types = [entry.type for entry in await owner.entries() if not entry.part]
    assert types.count("message.completed") == 3


async def test_a_crash_at_the_very_first_send_loses_neither_chat_nor_message(owner):
    chat = str(uuid.uuid4())
    reply = await place(owner, send_of(owner, "[[tokens=2]] lone", chat=chat))
    async with working():
        await settled_row(reply.id)
    [listed] = [
        c for c in (await owner.client.get("/api/chats")).json()["chats"] if c["id"] == chat
    ]
    assert listed["title"] == "[[tokens=2]] lone"
    transcript = await owner.transcript(chat)
    assert (transcript.title, len(transcript.path())) == ("[[tokens=2]] lone", 2)


async def test_a_send_that_overtakes_the_one_before_it_is_not_lost(owner):
    """The first request has only reached the database when the second one is handled."""
    first = await place(owner, send_of(owner, "[[tokens=2]] slow", parent=owner.first))
    message, reply = await owner.send("[[tokens=2]] quick", parent=owner.first)
    async with working():
        await settled_row(first.id)
        await settled_row(reply)
    texts = [str(m.text) for m in (await owner.transcript()).path() if m.role == "user"]
    assert texts == ["[[tokens=2]] first", "[[tokens=2]] slow", "[[tokens=2]] quick"]
    assert message in (await owner.transcript()).messages


async def test_a_chain_of_undelivered_sends_is_told_in_order(owner):
    replies = [
        await place(owner, send_of(owner, f"[[tokens=1]] {n}", parent=owner.first))
        for n in range(4)
    ]
    await outbox.deliver(replies[-1], owner.stream)
    assert len((await owner.transcript()).path()) == 2 + 8
    async with working():
        for reply in replies:
            await settled_row(reply.id)
    transcript = await owner.transcript()
    assert [m.status for m in transcript.path()] == ["done"] * 10


async def test_a_regeneration_that_overtakes_its_message_is_not_lost(owner):
    first = await place(owner, send_of(owner, "[[tokens=2]] slow", parent=owner.first))
    other = str(uuid.uuid4())
    response = await owner.post(
        f"/api/chats/{owner.chat}/replies", id=other, parent=str(first.prompt_id), model=MODEL
    )
    assert response.status_code == 202
    async with working():
        await settled_row(first.id)
        await settled_row(other)
    children = (await owner.transcript()).children[str(first.prompt_id)]
    assert set(children) == {str(first.id), other}


async def test_an_answer_that_the_log_does_not_know_is_given_up(owner, holdfast):
    """The log was erased, or restored from an older copy: the worker must not retry forever."""
    reply = await place(owner, send_of(owner, "[[tokens=2]] gone", parent=owner.first))
    await outbox.deliver(reply, owner.stream)
    await get_log().erase(owner.stream)
    async with working():
        assert (await settled_row(reply.id)).state == "failed"
    assert asked_for(holdfast, "[[tokens=2]] gone") == []


# The parent of a send


async def test_a_parent_that_is_not_there_is_refused(owner, bob):
    await bob.send("Bob's")
    other = str(uuid.uuid4())
    _, elsewhere = await owner.send("[[tokens=1]] other chat", chat=other)
    bobs = await Reply.objects.aget(chat_id=bob.chat)
    user = await owner.row()
    before = await Reply.objects.acount()
    asked = str((await Reply.objects.aget(id=owner.first)).prompt_id)
    for parent in (str(uuid.uuid4()), elsewhere, str(bobs.id), asked):
        for edit in (False, True):
            order = send_of(owner, "x", parent=parent, edit=edit)
            with pytest.raises(sends.MessageNotFound):
                await sync_to_async(sends.place_send)(user, order)
    with pytest.raises(sends.MessageNotFound):
        await place(owner, send_of(owner, "x", chat=str(uuid.uuid4()), parent=owner.first))
    assert await Reply.objects.acount() == before
    assert await Chat.objects.filter(owner=user).acount() == 2


async def test_a_stale_tab_continues_however_far_behind_it_is(owner):
    user = await owner.row()

    def many():
        for n in range(70):
            sends.place_send(user, send_of(owner, str(n), parent=owner.first))
        return sends.place_send(user, send_of(owner, "late", parent=owner.first))

    late = await sync_to_async(many)()
    line = []
    while late is not None:
        line.append(late.id)
        late = await Reply.objects.filter(id=late.parent_id).afirst()
    assert len(line) == 72


async def test_a_send_below_a_branch_that_is_not_shown_brings_it_back(owner):
    """One tab chose another branch while the other tab was sending below the first one."""
    _, low = await owner.send("[[tokens=1]] below the first", parent=owner.first)
    asked = (await owner.transcript()).messages[owner.first].parent
    other = str(uuid.uuid4())
    await owner.post(f"/api/chats/{owner.chat}/replies", id=other, parent=asked, model=MODEL)
    assert [m.id for m in (await owner.transcript()).path()][-1] == other
    message, reply = await owner.send("[[tokens=1]] from the other tab", parent=low)
    shown = [m.id for m in (await owner.transcript()).path()]
    assert shown[-2:] == [message, reply]
    assert owner.first in shown and other not in shown
    assert str((await Chat.objects.aget(id=owner.chat)).tip_id) == reply


async def test_the_tip_is_always_the_end_of_what_is_shown(owner):
    """Sends, edits, regenerations and choices at random: the next send goes below the shown tip."""
    import random

    chance = random.Random(7)
    for step in range(40):
        path = (await owner.transcript()).path()
        tip = (await Chat.objects.aget(id=owner.chat)).tip_id
        assert path[-1].id == str(tip), step
        everything = list((await owner.transcript()).messages.values())
        replies = [m for m in everything if m.role == "assistant"]
        asked = [m for m in everything if m.role == "user"]
        match chance.randrange(4):
            case 0:
                await owner.send(f"{step}", parent=chance.choice(replies).id)
            case 1:
                await owner.send(f"{step}", parent=chance.choice(asked).parent, edit=True)
            case 2:
                response = await owner.post(
                    f"/api/chats/{owner.chat}/replies",
                    id=str(uuid.uuid4()),
                    parent=chance.choice(asked).id,
                    model=MODEL,
                )
                assert response.status_code == 202
            case 3:
                chosen = chance.choice(path).parent
                siblings = (await owner.transcript()).children[chosen or ""]
                await owner.post(f"/api/chats/{owner.chat}/branch", message=chance.choice(siblings))


# Sends that wait


async def test_waiting_answers_are_freed_one_by_one_and_once(owner, holdfast):
    questions = [f"[[tokens=6&rate=100]] {n}" for n in range(4)]
    replies = [(await owner.send(text, parent=owner.first))[1] for text in questions]
    states = [(await Reply.objects.aget(id=reply)).state for reply in replies]
    assert states == ["queued", "waiting", "waiting", "waiting"]
    async with working("-a"), working("-b"):
        for reply in replies:
            await settled_row(reply)
    assert [r["prompt"] for r in holdfast.requests[1:]] == questions
    assert holdfast.report()["max_active"] == 1


async def test_two_workers_that_settle_the_same_end_free_once(owner):
    _, first = await owner.send("[[tokens=1]] a", parent=owner.first)
    _, second = await owner.send("[[tokens=1]] b", parent=first)
    order = await sync_to_async(work_orders.load_order)(first)
    assert await sync_to_async(settle)(order, Reply.State.DONE, TRIED) == [second]
    assert await sync_to_async(settle)(order, Reply.State.FAILED, TRIED) == []
    row = await Reply.objects.aget(id=first)
    assert (row.state, row.attempts) == ("done", 1)


async def test_deleting_a_chat_ends_what_runs_and_what_waits(owner, holdfast):
    _, running = await owner.send("[[tokens=900&rate=50]] a", parent=owner.first)
    _, waiting = await owner.send("[[tokens=900&rate=50]] b", parent=running)
    async with working():
        await owner.until(running, lambda message: bool(message.text))
        await owner.client.delete(f"/api/chats/{owner.chat}")
        assert (await settled_row(running)).state == "stopped"
        assert (await settled_row(waiting)).state == "stopped"
    assert asked_for(holdfast, "[[tokens=900&rate=50]] b") == []


async def test_stopping_what_waits_never_asks_the_model(owner, holdfast):
    _, running = await owner.send("[[tokens=30&rate=100]] a", parent=owner.first)
    _, waiting = await owner.send("[[tokens=900&rate=50]] b", parent=running)
    await post(owner, waiting, "stop")
    async with working():
        assert (await settled_row(waiting)).state == "stopped"
        assert (await settled_row(running)).state == "done"
    assert asked_for(holdfast, "[[tokens=900&rate=50]] b") == []


@pytest.fixture
async def line(owner):
    """Three replies: one that a worker writes until the test ends it, and two that wait."""
    _, running = await owner.send("[[tokens=900&rate=20]] a", parent=owner.first)
    _, second = await owner.send("[[tokens=3]] b", parent=running)
    _, third = await owner.send("[[tokens=3]] c", parent=second)
    return running, second, third


async def test_a_waiting_send_is_cancelled_at_once_and_the_next_one_moves_up(owner, line, holdfast):
    running, second, third = line
    async with working("-a"), working("-b"):
        await owner.until(running, lambda message: bool(message.text))
        assert (await post(owner, second, "stop")).status_code == 202
        assert (await settled_row(second)).state == "stopped"
        message = await owner.message(second)
        assert (message.status, message.finish, str(message.text)) == ("stopped", "stopped", "")
        states = [(await Reply.objects.aget(id=reply)).state for reply in (running, third)]
        assert states == ["queued", "waiting"]
        assert (await owner.message(running)).status == "running"
        # It is below a cancelled send and waits for the reply before that one.
        _, fourth = await owner.send("[[tokens=3]] d", parent=second, edit=True)
        assert (await Reply.objects.aget(id=fourth)).state == "waiting"
        assert len(asked_for(holdfast, "[[tokens=3]] c")) == 0
        await post(owner, running, "stop")
        assert (await settled_row(third)).state == (await settled_row(fourth)).state == "done"
    assert asked_for(holdfast, "[[tokens=3]] b") == []


async def test_cancelling_waiting_sends_from_the_end_keeps_the_order(owner, line):
    """A send below two cancelled ones waits for the reply before both."""
    running, second, third = line
    async with working():
        await owner.until(running, lambda message: bool(message.text))
        for cancelled in (third, second):
            await post(owner, cancelled, "stop")
            await settled_row(cancelled)
        _, fourth = await owner.send("[[tokens=3]] d", parent=third)
        assert (await Reply.objects.aget(id=fourth)).state == "waiting"
        await post(owner, running, "stop")
        assert (await settled_row(fourth)).state == "done"


async def test_a_cancelled_reply_continues_only_after_the_one_before_it(owner, line, holdfast):
    running, second, _ = line
    async with working():
        await owner.until(running, lambda message: bool(message.text))
        await post(owner, second, "stop")
        await owner.settled(second)
        refused = await post(owner, second, "attempts")
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "not_possible_now")
        assert (await Reply.objects.aget(id=second)).state == "stopped"
        await post(owner, running, "stop")
        await settled_row(running)
        assert (await post(owner, second, "attempts")).status_code == 202
        assert (await settled_row(second)).state == "done"
    assert len(asked_for(holdfast, "[[tokens=3]] b")) == 1


async def test_a_job_that_comes_too_early_does_not_make_it_begin(owner, line):
    _, second, _ = line
    assert await sync_to_async(work_orders.load_order)(second) is None


async def test_a_crash_after_a_cancel_was_noted_loses_nothing(owner, line):
    running, second, third = line
    user = await owner.row()
    chat = uuid.UUID(owner.chat)
    await sync_to_async(stops.request_stop)(user, chat, uuid.UUID(second))
    await sync_to_async(stops.request_stop)(user, chat, uuid.UUID(third))
    async with working():
        assert (await settled_row(second)).state == (await settled_row(third)).state == "stopped"
        assert (await owner.message(running)).status in ("queued", "running")
        await post(owner, running, "stop")
        await settled_row(running)


# Stop, continue, regenerate


async def test_stops_at_once_from_everywhere_end_it_once(owner):
    _, reply = await owner.send("[[tokens=900&rate=100]] a", parent=owner.first)
    async with working():
        await owner.until(reply, lambda message: bool(message.text))
        answers = await asyncio.gather(*(post(owner, reply, "stop") for _ in range(5)))
        assert {answer.status_code for answer in answers} == {202}
        assert (await settled_row(reply)).state == "stopped"
        assert (await post(owner, reply, "stop")).status_code == 202
    types = [entry.type for entry in await owner.entries()]
    assert types.count("message.completed") == 2


@pytest.mark.parametrize("after_s", [0.0, 0.01, 0.03, 0.06, 0.1])
async def test_a_stop_that_meets_the_end_gives_one_end(owner, after_s):
    question = "[[tokens=10&rate=100]] a"
    _, reply = await owner.send(question, parent=owner.first)
    async with working():
        await owner.until(reply, lambda message: message.status == "running")
        await asyncio.sleep(after_s)
        await post(owner, reply, "stop")
        row = await settled_row(reply)
    message = await owner.message(reply)
    assert (row.state, message.status) in {("done", "done"), ("stopped", "stopped")}
    assert text_of(question, 10).startswith(str(message.text))
    ends = [e for e in await owner.entries() if e.type == "message.completed"]
    assert len(ends) == 2


async def test_continuing_twice_at_once_is_one_attempt(owner, holdfast):
    question = "[[tokens=60&rate=20]] a"
    _, reply = await owner.send(question, parent=owner.first)
    async with working():
        await owner.until(reply, lambda message: bool(message.text))
        await post(owner, reply, "stop")
        await settled_row(reply)
        answers = await asyncio.gather(*(post(owner, reply, "attempts") for _ in range(5)))
        assert {answer.status_code for answer in answers} == {202}
        assert (await settled_row(reply)).state == "done"
    message = await owner.message(reply)
    assert str(message.text) == text_of(question, 60)
    assert [seam["reason"] for seam in message.seams] == ["user"]
    assert len(asked_for(holdfast, question)) == 2


async def test_continuing_while_it_runs_changes_nothing(owner, holdfast):
    question = "[[tokens=30&rate=15]] a"
    _, reply = await owner.send(question, parent=owner.first)
    async with working():
        await owner.until(reply, lambda message: bool(message.text))
        assert (await post(owner, reply, "attempts")).status_code == 202
        assert (await settled_row(reply)).state == "done"
    assert (await owner.message(reply)).seams == []
    assert len(asked_for(holdfast, question)) == 1


async def stopped_in_the_log_alone(owner, question):
    """The worker has written the end to the log, so pages show it, but not settled the row."""
    reply = await place(owner, send_of(owner, question, parent=owner.first))
    job, order, generation = await generation_of(reply, owner.stream)
    running = asyncio.create_task(generation.run())
    await owner.until(str(reply.id), lambda message: bool(message.text))
    await post(owner, reply.id, "stop")
    generation.stop()
    assert await running is Outcome.STOPPED
    return str(reply.id), job, order, generation


async def test_continue_in_the_moment_between_log_and_row_is_not_lost(owner):
    question = "[[tokens=80&stall_after=20&times=1]] a"
    reply, job, order, generation = await stopped_in_the_log_alone(owner, question)
    assert (await post(owner, reply, "attempts")).status_code == 202
    # Now the worker continues, and must neither end nor lose the new attempt.
    async with working("-other") as other:
        await other.jobs.finish(generation, Outcome.STOPPED)
        message = await owner.until(reply, lambda message: message.status == "done")
        assert (await settled_row(reply)).state == "done"
    assert str(message.text) == text_of(question, 80)
    assert [seam["reason"] for seam in message.seams] == ["user"]


async def test_a_worker_that_wakes_late_does_not_end_the_next_attempt(owner):
    """It was frozen after writing the end. Another worker settled the reply, the owner continued
    it, and a third worker is writing."""
    question = "[[tokens=200&rate=200&stall_after=20&times=1]] a"
    reply, job, order, generation = await stopped_in_the_log_alone(owner, question)
    async with working("-other") as other:
        await settled_row(reply)
        await post(owner, reply, "attempts")
        begun = len(str((await owner.message(reply)).text))
        await owner.until(reply, lambda message: len(str(message.text)) > begun + 60)
        # The frozen worker writes the same end again.
        await other.jobs.finish(generation, Outcome.STOPPED)
        assert (await Reply.objects.aget(id=reply)).state == "queued"
        shown = str((await owner.message(reply)).text)
        assert len(shown) > begun + 60 and text_of(question, 200).startswith(shown)
        message = await owner.until(reply, lambda message: message.status == "done")
    assert str(message.text) == text_of(question, 200)


async def test_stopping_and_continuing_before_any_worker_came(owner, holdfast):
    question = "[[tokens=5]] a"
    _, reply = await owner.send(question, parent=owner.first)
    for _ in range(2):
        await post(owner, reply, "stop")
        async with working():
            await settled_row(reply)
        assert (await owner.message(reply)).status == "stopped"
        await post(owner, reply, "attempts")
    async with working():
        assert (await settled_row(reply)).state == "done"
    assert str((await owner.message(reply)).text) == text_of(question, 5)
    assert len(asked_for(holdfast, question)) == 1


async def test_regenerating_twice_at_once_is_one_branch(owner):
    asked = (await owner.transcript()).messages[owner.first].parent
    body = {"id": str(uuid.uuid4()), "parent": asked, "model": MODEL}
    path = f"/api/chats/{owner.chat}/replies"
    answers = await asyncio.gather(*(owner.post(path, **body) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {202}
    assert (await owner.transcript()).children[asked] == [owner.first, body["id"]]


async def test_regenerating_while_the_first_is_written_leaves_both(owner):
    message, first = await owner.send("[[tokens=20&rate=100]] a", parent=owner.first)
    async with working():
        await owner.until(first, lambda message: bool(message.text))
        other = str(uuid.uuid4())
        body = {"id": other, "parent": message, "model": MODEL}
        await owner.post(f"/api/chats/{owner.chat}/replies", **body)
        assert (await settled_row(first)).state == "done"
        assert (await settled_row(other)).state == "done"
    assert (await owner.transcript()).children[message] == [first, other]


# The limit of attempts


async def test_attempts_are_bounded_and_a_continue_begins_anew(owner, holdfast, settings):
    settings.MAX_ATTEMPTS = 3
    question = "[[tokens=60&die_after=5&times=4]] a"
    _, reply = await owner.send(question, parent=owner.first)
    async with working():
        row = await settled_row(reply)
        assert (row.state, row.attempts) == ("failed", 3)
        assert (await owner.message(reply)).error["code"] == "stream_cut"
        assert len(asked_for(holdfast, question)) == 3
        await post(owner, reply, "attempts")
        message = await owner.until(reply, lambda message: message.status == "done")
    assert str(message.text) == text_of(question, 60)
    assert len(asked_for(holdfast, question)) == 5


async def append_seams(owner, reply, *reasons):
    """Append attempts, as workers recorded them that no longer run."""
    noted = [ev.MessageStarted(message=reply, attempt=1, model=MODEL)]
    noted += [
        ev.MessageResumed(message=reply, attempt=n, reason=reason, means="restart", length=0)
        for n, reason in enumerate(reasons, start=2)
    ]
    made = [ev.log_event(owner.chat, event, f"seam:{uuid.uuid4()}") for event in noted]
    await get_log().append(owner.stream, made)


@pytest.mark.parametrize(
    ("reasons", "state"),
    [(["lost"] * 2, "failed"), (["handover"] * 9, "done"), (["lost", *["handover"] * 9], "done")],
)
async def test_lost_workers_count_and_handovers_do_not(owner, settings, reasons, state):
    settings.MAX_ATTEMPTS = 3
    _, reply = await owner.send("[[tokens=3]] a", parent=owner.first)
    await append_seams(owner, reply, *reasons)
    async with working():
        assert (await settled_row(reply)).state == state
    if state == "failed":
        assert (await owner.message(reply)).error["code"] == "attempts_spent"


async def test_handovers_of_an_earlier_round_buy_no_more_attempts(owner, holdfast, settings):
    settings.MAX_ATTEMPTS = 2
    question = "[[tokens=60&die_after=5]] a"
    _, reply = await owner.send(question, parent=owner.first)
    await append_seams(owner, reply, *["handover"] * 6)
    async with working():
        await settled_row(reply)
        before = len(asked_for(holdfast, question))
        await post(owner, reply, "attempts")
        await owner.until(reply, lambda message: message.status == "running")
        await settled_row(reply)
    assert len(asked_for(holdfast, question)) - before == 2


# Many replies


async def test_a_worker_takes_no_more_than_it_may(owner, settings, holdfast):
    settings.WORK_CONCURRENCY = 3
    chats = [str(uuid.uuid4()) for _ in range(12)]
    replies = [(await owner.send("[[tokens=4&rate=40]] a", chat=chat))[1] for chat in chats]
    async with working() as worker:
        seen = 0
        while any([not (await Reply.objects.aget(id=reply)).is_final for reply in replies]):
            seen = max(seen, len(worker.jobs.tasks))
            await asyncio.sleep(0.01)
    assert seen == 3
    assert holdfast.report()["max_active"] == 3


async def test_the_sweep_reads_only_what_is_unfinished(owner):
    """There are many finished replies, which never change, and the sweep runs every few seconds."""
    found = []
    now = timezone.now()
    state = {"chat_id": owner.chat, "state": "done", "finished_at": now}
    finished = (Reply(id=uuid.uuid4(), prompt_id=uuid.uuid4(), **state) for _ in range(2_000))
    await Reply.objects.abulk_create(finished)

    def note(execute, sql, params, many, context):
        if sql.startswith("SELECT"):
            found.append((sql, params))
        return execute(sql, params, many, context)

    def plans():
        with connection.execute_wrapper(note):
            work_orders.abandoned_orders()
            assert len(found) == 1  # Nothing waits.
            work_orders.start_waiting(work_orders.MAY_START)
        assert len(found) == 2
        explain = "EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN "
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                # SQLite would keep the statistics.
                cursor.execute("ANALYZE chat_reply")
            for sql, params in list(found):
                cursor.execute(explain + sql, params)
                yield "\n".join(str(row) for row in cursor.fetchall())

    for plan in await sync_to_async(lambda: list(plans()))():
        assert "reply_unfinished" in plan, plan


async def test_replies_placed_before_the_clock_was_set_back_are_swept(owner):
    _, reply = await owner.send("a", parent=owner.first)
    hour = timedelta(hours=1)
    await Reply.objects.filter(id=reply).aupdate(created_at=timezone.now() + hour)
    orders = await sync_to_async(work_orders.abandoned_orders)()
    assert [order.reply_id for order in orders] == [reply]


async def test_finished_at_is_none_exactly_until_the_end(owner):
    """The sweep finds unfinished replies by it."""
    _, reply = await owner.send("[[tokens=900&rate=100]] a", parent=owner.first)
    for _ in range(2):
        row = await Reply.objects.aget(id=reply)
        assert (row.is_final, row.finished_at) == (False, None)
        async with working():
            await owner.until(reply, lambda message: bool(message.text))
            await post(owner, reply, "stop")
            row = await settled_row(reply)
        assert row.finished_at is not None
        await post(owner, reply, "attempts")


async def test_a_worker_outlives_its_connection_to_the_database(owner):
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has no connection to lose.")

    def cut_off():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    _, reply = await owner.send("[[tokens=2]] after", parent=owner.first)
    with pytest.raises(DatabaseError):
        await sync_to_async(cut_off)()
    with pytest.raises(DatabaseError):  # The test shares the worker's thread and connection.
        await Reply.objects.aget(id=reply)
    async with working():
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(DatabaseError):
                    assert (await settled_row(reply)).state == "done"
                    break
                await asyncio.sleep(0.02)


async def test_an_answer_that_kills_whoever_takes_it_is_given_up(owner, holdfast, monkeypatch):
    """Each worker is killed before it records its attempt, and the lease lapses."""
    monkeypatch.setattr("chat.generation.generation.MAX_DELIVERIES", 2)
    question = "[[tokens=5]] a"
    _, reply = await owner.send(question, parent=owner.first)
    queue = get_queue(outbox.ANSWERS_QUEUE)
    [job] = await queue.claim("first", 10)
    while job.deliveries < 2:
        await asyncio.sleep(0.05)
        found = await queue.claim_stalled("second", 10)
        job = found[0] if found else job
    async with working():
        assert (await settled_row(reply)).state == "failed"
    assert (await owner.message(reply)).error["code"] == "attempts_spent"
    assert asked_for(holdfast, question) == []


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("  A short\n one ", "A short one"),
        ("Why?\n\n```pasted\nin ```pasted\n```", "Why? in ```pasted"),
        ("````pasted\n```\n````", "````pasted ``` ````"),
        ("word " * 11 + "overlong tail", ("word " * 11).strip() + "…"),
    ],
)
def test_the_first_title_is_the_one_that_the_page_gives(text, title):
    """tests/js/list/chat_list.test.mjs has the same texts."""
    assert start_title(text) == title
