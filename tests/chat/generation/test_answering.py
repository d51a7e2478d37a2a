"""An answer from the request to its end, with a real worker, Redis, database and HTTP model."""

import asyncio
import contextlib
import uuid

import pytest

from chat import events as ev
from chat.generation import loops
from chat.llm.catalogue import reset_catalogue
from chat.models import Chat, Reply
from chat.sending.send import Send
from tests.fake_model import reasoning_of, text_of

pytestmark = pytest.mark.django_db(transaction=True)


async def state_of(reply_id):
    async with asyncio.timeout(10):
        while (reply := await Reply.objects.aget(id=reply_id)).state in ("queued", "waiting"):
            await asyncio.sleep(0.02)
    return reply.state


async def test_a_reply_is_complete(worker, alice):
    question = "[[tokens=60]] Tell me"
    _, reply = await alice.send(question)
    message = await alice.settled(reply)
    assert message.status == "done"
    assert str(message.text) == text_of(question, 60)
    assert (message.length, message.sha256) == ev.fingerprint(text_of(question, 60))
    assert await state_of(reply) == "done"


async def test_reasoning_is_kept_apart_from_the_text(worker, alice):
    question = "[[tokens=10&reasoning=12&style=think]] Think"
    _, reply = await alice.send(question)
    message = await alice.settled(reply)
    assert str(message.text) == text_of(question, 10)
    assert str(message.reasoning).strip() == reasoning_of(question, 12).strip()
    assert message.reasoning_ms is not None


async def test_it_records_model_usage_and_times(worker, alice):
    _, reply = await alice.send("[[tokens=5&cost=0.00123]] Hello")
    message = await alice.settled(reply)
    assert message.model == "openai/script/known"
    assert message.usage["completion_tokens"] == 5
    # A cost that a local server reports is charged to nobody.
    assert message.cost_micro_usd is None
    assert message.duration_ms >= 0


async def test_it_sends_the_conversation_to_the_model(worker, alice, fake_model):
    _, first = await alice.send("[[tokens=4]] One")
    await alice.settled(first)
    _, second = await alice.send("[[tokens=4]] Two", parent=first)
    await alice.settled(second)
    [_, asked] = fake_model.requests
    assert [turn["content"] for turn in asked["body"]["messages"] if turn["role"] != "system"] == [
        "[[tokens=4]] One",
        text_of("[[tokens=4]] One", 4),
        "[[tokens=4]] Two",
    ]


async def test_the_index_has_the_reply_once(worker, alice):
    _, reply = await alice.send("[[tokens=50]] Go")
    await alice.settled(reply)
    assert await state_of(reply) == "done"
    async with asyncio.timeout(5):
        while any(entry.part for entry in await alice.entries()):
            await asyncio.sleep(0.02)
    types = [entry.type for entry in await alice.entries()]
    assert types == [
        "chat.created",
        "message.created",
        "message.created",
        "message.started",
        "message.completed",
    ]


# Sending


async def test_the_same_send_twenty_times_is_one_message_and_one_call(worker, alice, fake_model):
    ids = {"id": "0198c5a0-0000-7000-8000-000000000001"}
    sent = await asyncio.gather(*(alice.send("[[tokens=20]] Once", **ids) for _ in range(20)))
    assert len(set(sent)) == 1
    await alice.settled(sent[0][1])
    await asyncio.sleep(0.3)
    assert len((await alice.transcript()).messages) == 2
    assert len(fake_model.requests) == 1
    assert await Reply.objects.acount() == 1


async def test_an_id_that_was_used_for_another_message_is_refused(worker, alice):
    ids = {"id": "0198c5a0-0000-7000-8000-000000000002"}
    await alice.send("One", **ids)
    body = {"text": "Two", "model": "openai/script/known", "parent": None} | ids
    response = await alice.post(f"/api/chats/{alice.chat}/messages", **body)
    assert response.status_code == 409
    assert response.json()["error"]["code"] == "id_reused"


async def test_two_sends_at_once_are_both_answered_in_order(worker, alice, fake_model):
    await alice.send("[[tokens=3]] Begin")
    sends = [alice.send(f"[[tokens=30&rate=200]] {n}") for n in range(2)]
    (one, first), (two, second) = await asyncio.gather(*sends)
    await alice.settled(first)
    await alice.settled(second)
    path = [message.id for message in (await alice.transcript()).path()]
    assert set(path[2:]) == {one, first, two, second}
    assert path[2:] in ([one, first, two, second], [two, second, one, first])
    assert fake_model.report()["max_active"] == 1


async def test_a_message_from_a_stale_tab_goes_to_the_end(worker, alice):
    _, first = await alice.send("[[tokens=2]] a")
    await alice.send("[[tokens=2]] b", parent=first)
    third, reply = await alice.send("[[tokens=2]] c", parent=first)
    await alice.settled(reply)
    path = (await alice.transcript()).path()
    assert [message.role for message in path] == ["user", "assistant"] * 3
    assert path[4].id == third


# Branches


async def test_an_edit_is_a_branch(worker, alice):
    message, reply = await alice.send("[[tokens=2]] a")
    await alice.settled(reply)
    edited, reply = await alice.send("[[tokens=2]] A", parent=None, edit=True)
    await alice.settled(reply)
    transcript = await alice.transcript()
    assert transcript.children[""] == [message, edited]
    assert [shown.id for shown in transcript.path()] == [edited, reply]


async def test_a_regeneration_is_a_branch_and_the_choice_is_remembered(worker, alice):
    message, first = await alice.send("[[tokens=2]] a")
    await alice.settled(first)
    second = "0198c5a0-0000-7000-8000-000000000003"
    for _ in range(2):
        response = await alice.post(
            f"/api/chats/{alice.chat}/replies",
            id=second,
            parent=message,
            model="openai/script/known",
        )
        assert response.status_code == 202
    await alice.settled(second)
    assert (await alice.transcript()).children[message] == [first, second]
    await alice.post(f"/api/chats/{alice.chat}/branch", message=first)
    _, third = await alice.send("[[tokens=2]] b", parent=first)
    assert [m.id for m in (await alice.transcript()).path()][1] == first
    assert (await alice.settled(third)).status == "done"


# Ends of replies


async def test_stop_keeps_what_is_there_and_ends_the_call(worker, alice, fake_model):
    question = "[[tokens=500&rate=100]] Long"
    _, reply = await alice.send(question)
    await alice.until(reply, lambda message: len(str(message.text)) > 40)
    response = await alice.post(f"/api/chats/{alice.chat}/replies/{reply}/stop")
    assert response.status_code == 202
    message = await alice.settled(reply)
    assert message.status == "stopped"
    assert text_of(question, 500).startswith(str(message.text))
    assert await state_of(reply) == "stopped"
    async with asyncio.timeout(5):
        while not fake_model.report()["disconnects"]:
            await asyncio.sleep(0.02)


async def test_a_stopped_answer_can_be_continued_in_the_same_message(worker, alice):
    question = "[[tokens=200&rate=200]] Long"
    _, reply = await alice.send(question)
    await alice.until(reply, lambda message: len(str(message.text)) > 40)
    await alice.post(f"/api/chats/{alice.chat}/replies/{reply}/stop")
    await alice.settled(reply)
    assert await state_of(reply) == "stopped"
    await alice.post(f"/api/chats/{alice.chat}/replies/{reply}/attempts", id=alice.chat)
    message = await alice.until(reply, lambda message: message.status == "done")
    assert str(message.text) == text_of(question, 200)
    assert [seam["reason"] for seam in message.seams] == ["user"]


async def test_a_stop_before_the_reply_starts(no_worker, alice, holdfast):
    _, reply = await alice.send("[[tokens=9]] a")
    await alice.post(f"/api/chats/{alice.chat}/replies/{reply}/stop")
    from chat.generation.worker import Worker

    worker = Worker()
    running = asyncio.create_task(worker.run())
    message = await alice.settled(reply)
    assert (message.status, str(message.text)) == ("stopped", "")
    assert holdfast.requests == []
    worker.leave()
    await running


async def test_deleting_a_chat_stops_its_answer(worker, alice):
    _, reply = await alice.send("[[tokens=500&rate=100]] Long")
    await alice.until(reply, lambda message: bool(message.text))
    response = await alice.client.delete(f"/api/chats/{alice.chat}")
    assert response.status_code == 204
    assert (await alice.settled(reply)).status == "stopped"
    assert (await alice.client.get("/api/chats")).json()["chats"] == []


# Faults of the provider


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("status=401", "site_key_refused"),
        ("status=402", "site_credit"),
        ("status=404", "model_not_found"),
        ("status=429&retry_after=120", "rate_limited"),
        ("status=400", "bad_request"),
        ("html_200=1", "site_bad_stream"),
    ],
)
async def test_a_permanent_error_of_the_provider_is_stored(worker, alice, fault, code):
    _, reply = await alice.send(f"[[{fault}]] a")
    message = await alice.settled(reply)
    assert (message.status, message.error["code"]) == ("error", code)
    assert message.error["text"].endswith(".")
    assert await state_of(reply) == "failed"
    assert (await Reply.objects.aget(id=reply)).error_code == code


async def test_the_operators_are_told_of_a_key_that_a_guest_cannot_mend(worker, alice, caplog):
    _, reply = await alice.send("[[status=401&times=1]] a")
    error = (await alice.settled(reply)).error
    assert "settings" not in error["text"]
    assert await state_of(reply) == "failed"
    [warning] = [record for record in caplog.records if reply in record.getMessage()]
    assert warning.levelname == "WARNING"
    assert "provider_auth (openai/script/known)" in warning.getMessage()
    await alice.post(f"/api/chats/{alice.chat}/replies/{reply}/attempts", id=alice.chat)
    await alice.until(reply, lambda message: message.status == "done")
    assert await state_of(reply) == "done"
    assert (await Reply.objects.aget(id=reply)).error_code == ""


@pytest.mark.parametrize(
    "fault",
    [
        "status=503&times=1",
        "status=429&retry_after=1&times=1",
        "die_after=7&times=2",
        "cut_after=7&times=1",
        "malformed_after=5&times=1",
        "error_after=5&times=1",
    ],
)
async def test_a_temporary_error_of_the_provider_leaves_no_trace_in_the_text(worker, alice, fault):
    question = f"[[tokens=30&{fault}]] a"
    _, reply = await alice.send(question)
    message = await alice.settled(reply)
    assert message.status == "done", message.error
    assert str(message.text) == text_of(question, 30)


async def test_a_wait_for_the_provider_is_in_the_log_until_the_answer_ends(worker, alice):
    question = "[[tokens=5&status=429&retry_after=2&times=1]] a"
    _, reply = await alice.send(question)
    message = await alice.until(reply, lambda message: message.waiting is not None)
    assert (message.status, message.attempt) == ("running", 1)
    assert (message.waiting["code"], message.waiting["delay_ms"]) == ("rate_limited", 2000)
    message = await alice.settled(reply)
    assert (str(message.text), message.waiting) == (text_of(question, 5), None)
    assert await state_of(reply) == "done"
    async with asyncio.timeout(5):
        while any(entry.part for entry in await alice.entries()):
            await asyncio.sleep(0.02)
    assert "message.waiting" not in {entry.type for entry in await alice.entries()}


async def test_a_stop_ends_a_wait_for_the_provider(worker, alice):
    _, reply = await alice.send("[[status=429&retry_after=55]] a")
    await alice.until(reply, lambda message: message.waiting is not None)
    await alice.post(f"/api/chats/{alice.chat}/replies/{reply}/stop")
    message = await alice.settled(reply)
    assert (message.status, message.waiting) == ("stopped", None)


async def test_the_partial_answer_is_kept_and_continued_on_request(worker, alice, settings):
    settings.MAX_ATTEMPTS = 1
    question = "[[tokens=30&die_after=10&times=1]] a"
    _, reply = await alice.send(question)
    message = await alice.settled(reply)
    assert message.status == "error"
    assert text_of(question, 30).startswith(str(message.text))
    assert str(message.text)
    assert await state_of(reply) == "failed"
    await alice.post(f"/api/chats/{alice.chat}/replies/{reply}/attempts", id=alice.chat)
    message = await alice.until(reply, lambda message: message.status == "done")
    assert str(message.text) == text_of(question, 30)


async def test_a_stalled_stream_is_given_up_and_continued(worker, alice, settings):
    settings.MODEL_STALL_TIMEOUT_MS = 300
    question = "[[tokens=30&stall_after=10&times=1]] a"
    _, reply = await alice.send(question)
    message = await alice.settled(reply)
    assert str(message.text) == text_of(question, 30)


async def test_a_failed_answer_does_not_block_the_next(worker, alice):
    _, failed = await alice.send("[[status=401]] a")
    _, reply = await alice.send("[[tokens=3]] b", parent=failed)
    assert (await alice.settled(reply)).status == "done"


# Crashes between two steps


async def test_the_sweep_delivers_a_reply_that_its_sender_did_not(worker, alice, monkeypatch):
    from asgiref.sync import sync_to_async

    from chat import work_orders
    from chat.sending import sends

    monkeypatch.setattr(work_orders, "ABANDONED_AFTER_S", 0)
    monkeypatch.setattr("chat.generation.worker.SWEEP_EVERY_S", 0.1)
    _, first = await alice.send("[[tokens=2]] a")
    await alice.settled(first)
    owner = await alice.row()
    chat = await Chat.objects.aget()
    order = Send(
        id=uuid.UUID("0198c5a0-0000-7000-8000-000000000009"),
        chat=chat.id,
        text="[[tokens=2]] b",
        model="openai/script/known",
        parent=None,
    )
    reply = await sync_to_async(sends.place_send)(owner, order)
    assert (await alice.settled(str(reply.id))).status == "done"


async def test_a_leaving_worker_hands_its_replies_over(worker, alice):
    from chat.generation.worker import Worker

    question = "[[tokens=150&rate=150]] a"
    _, reply = await alice.send(question)
    await alice.until(reply, lambda message: bool(message.text))
    successor = Worker()
    successor.name += "-successor"
    running = asyncio.create_task(successor.run())
    worker.leave()
    message = await alice.settled(reply)
    assert str(message.text) == text_of(question, 150)
    assert [seam["reason"] for seam in message.seams] == ["handover"]
    successor.leave()
    await running


# Titles


async def test_the_first_answer_gives_the_chat_a_title(worker, alice, settings, fake_model):
    settings.BACKGROUND_CALLS = True
    fake_model.list_models("script/known?tokens=4")
    await reset_catalogue()
    model = "openai/script/known?tokens=4"
    _, reply = await alice.send("Where do kelp forests grow?", model=model)
    await alice.settled(reply)
    async with asyncio.timeout(5):
        while (await Chat.objects.aget()).title_by != "model":
            await asyncio.sleep(0.05)
    assert (await alice.transcript()).title == (await Chat.objects.aget()).title


async def test_a_title_set_by_the_owner_stays(worker, alice, settings):
    settings.BACKGROUND_CALLS = True
    _, reply = await alice.send("[[tokens=40&rate=100]] Where do kelp forests grow?")
    path = f"/api/chats/{alice.chat}"
    body = {"title": "Kelp"}
    response = await alice.client.patch(path, body, content_type="application/json")
    assert response.status_code == 200
    await alice.settled(reply)
    await asyncio.sleep(0.3)
    assert (await alice.transcript()).title == "Kelp"


async def test_a_loop_ends_although_a_library_swallows_its_cancellation(monkeypatch):
    """redis 8.1 swallows it while it subscribes. A worker that was asked to leave right after its
    start then waited until it was killed."""
    monkeypatch.setattr(loops, "CANCEL_AGAIN_S", 0.01)

    async def stubborn():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        await asyncio.sleep(60)

    async def failing():
        raise ValueError("a fault of its own")

    tasks = [asyncio.create_task(step()) for step in (stubborn, failing)]
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await loops.cancel_all(tasks)
    assert all(task.done() for task in tasks)
