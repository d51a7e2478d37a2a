"""The instructions of a project in prompts, and what they cost in statements."""

import uuid

import pytest

from accounts.models import Preferences
from chat.models import Reply
from tests.chat.page_requests import set_instructions
from tests.chat.projects.project_requests import add, change, move, remove
from tests.chat.workers import settled_row, working
from tests.statements import outboxes_empty

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]

OTHER = "0198c5a0-0000-7000-8000-00000000000a"


@pytest.fixture
async def guest(no_worker, alice):
    async with working():
        _, reply = await alice.send("[[tokens=2]] Hello")
        await alice.settled(reply)
    return alice


def system_texts(request):
    return [m["content"] for m in request["body"]["messages"] if m["role"] == "system"]


async def ask(person, text, chat=OTHER, **fields):
    _, reply = await person.send(text, chat=chat, **fields)
    assert (await person.settled(reply, chat)).status == "done"
    return reply


async def test_the_prompt_of_each_answer_contains_them(guest, fake_model):
    project = await add(guest, instructions="Answer as a gardener.")
    async with working():
        first = await ask(guest, "[[tokens=2]] One", project=project)
        assert system_texts(fake_model.requests[-1]) == ["Answer as a gardener."]
        await Preferences.objects.aupdate_or_create(
            person=await guest.row(), defaults={"instructions": "Be brief."}
        )
        await set_instructions(guest, "In verse.", OTHER)
        await change(guest, project, instructions="Answer as a cook.")
        second = await ask(guest, "[[tokens=2]] Two", parent=first)
        together = ["Be brief.\n\nAnswer as a cook.\n\nIn verse."]
        assert system_texts(fake_model.requests[-1]) == together
        await guest.post(
            f"/api/chats/{OTHER}/replies",
            id=(again := str(uuid.uuid4())),
            parent=str((await Reply.objects.aget(id=second)).prompt_id),
            model="openai/script/known",
        )
        await guest.settled(again, OTHER)
        assert system_texts(fake_model.requests[-1]) == together
        await move(guest, OTHER, None)
        await ask(guest, "[[tokens=2]] Three", parent=again)
        assert system_texts(fake_model.requests[-1]) == ["Be brief.\n\nIn verse."]


async def test_a_deleted_project_and_another_chat_have_none(guest, fake_model):
    project = await add(guest)
    async with working():
        reply = await ask(guest, "[[tokens=2]] One", project=project)
        await ask(guest, "[[tokens=2]] Elsewhere", chat=str(uuid.uuid4()))
        assert system_texts(fake_model.requests[-1]) == []
        await remove(guest, project)
        await ask(guest, "[[tokens=2]] Two", parent=reply)
        assert system_texts(fake_model.requests[-1]) == []


async def test_a_worker_that_takes_over_uses_those_that_it_began_with(guest, fake_model):
    project = await add(guest, instructions="Answer as a gardener.")
    async with working("first") as first:
        _, reply = await guest.send("[[tokens=60&rate=40]] Long", chat=OTHER, project=project)
        await guest.until(reply, lambda message: len(str(message.text)) > 20, OTHER)
        await change(guest, project, instructions="Answer as a cook.")
        first.leave()  # It hands the answer over.
    assert not (await Reply.objects.aget(id=reply)).is_final
    async with working("second"):
        message = await guest.settled(reply, OTHER)
        await settled_row(reply)
        assert (message.status, len(message.seams)) == ("done", 1)
        calls = [r for r in fake_model.requests if "Long" in str(r["body"]["messages"])]
        assert [system_texts(call) for call in calls] == [["Answer as a gardener."]] * 2
        assert (await Reply.objects.aget(id=reply)).project_instructions == ""
        await ask(guest, "[[tokens=2]] Next", parent=reply)
        assert system_texts(fake_model.requests[-1]) == ["Answer as a cook."]


async def test_a_waiting_answer_uses_those_at_its_request(guest, fake_model):
    project = await add(guest, instructions="Answer as a gardener.")
    _, first = await guest.send("[[tokens=2]] One", chat=OTHER, project=project)
    _, second = await guest.send("[[tokens=2]] Two", chat=OTHER, parent=first)
    assert (await Reply.objects.aget(id=second)).state == Reply.State.WAITING
    await remove(guest, project)
    async with working():
        await guest.settled(second, OTHER)
    assert system_texts(fake_model.requests[-1]) == ["Answer as a gardener."]


async def test_a_continued_answer_uses_the_current_ones(guest, fake_model, settings):
    settings.MAX_ATTEMPTS = 1
    project = await add(guest, instructions="Answer as a gardener.")
    question = "[[tokens=30&die_after=10]] One"
    async with working():
        _, failed = await guest.send(question, chat=OTHER, project=project)
        assert (await guest.settled(failed, OTHER)).status == "error"
        await settled_row(failed)
        await change(guest, project, instructions="Answer as a cook.")
        await guest.post(f"/api/chats/{OTHER}/replies/{failed}/attempts")
        await guest.until(failed, lambda message: message.attempt == 2, OTHER)
        await guest.settled(failed, OTHER)
    assert system_texts(fake_model.requests[-1]) == ["Answer as a cook."]


async def test_a_send_costs_one_statement_more_only_in_a_project(guest, statements):
    """tests/chat/charging/test_statement_counts.py bounds those outside of one."""

    async def cost(**fields):
        statements.clear()
        _, reply = await guest.send("Hello", **fields)
        executed, _ = statements.take()
        await outboxes_empty()
        return len(executed), reply

    project, inside = await add(guest), str(uuid.uuid4())
    first_outside, reply = await cost(chat=OTHER)
    next_outside, _ = await cost(chat=OTHER, parent=reply)
    first_inside, reply = await cost(chat=inside, project=project)
    next_inside, _ = await cost(chat=inside, parent=reply)
    assert (first_inside, next_inside) == (first_outside + 1, next_outside + 1)
