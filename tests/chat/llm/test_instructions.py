"""Instructions of a person, for all chats and for one chat: what the model and devices receive."""

import asyncio

import pytest
from asgiref.sync import sync_to_async

from accounts.models import User
from accounts.preferences import store as preferences
from chat.llm.catalogue import reset_catalogue
from chat.llm.prompt import PromptMessage, system_messages
from chat.models import Chat
from tests.chat.page_requests import set_instructions
from tests.chat.websocket.socket_client import Socket
from tests.fake_model import text_of

pytestmark = pytest.mark.django_db(transaction=True)


async def set_own(person, **fields):
    answer = await person.client.patch("/api/settings", fields, content_type="application/json")
    assert answer.status_code == 200, answer.content


def system_texts(request):
    """The system messages of a call."""
    return [m["content"] for m in request["body"]["messages"] if m["role"] == "system"]


async def ask(person, text, parent=None):
    _, reply = await person.send(text, parent=parent)
    return reply, await person.settled(reply)


async def test_there_is_no_system_message_without_instructions(worker, alice, fake_model):
    await ask(alice, "[[tokens=2]] One")
    assert system_texts(fake_model.requests[-1]) == []


async def test_changed_instructions_apply_from_the_next_reply(worker, alice, fake_model):
    first, _ = await ask(alice, "[[tokens=2]] One")
    await set_own(alice, instructions="Be brief.")
    second, _ = await ask(alice, "[[tokens=2]] Two", first)
    assert system_texts(fake_model.requests[-1]) == ["Be brief."]
    assert (await set_instructions(alice, "In verse.\r\nIn French.")).json() == {
        "chat": alice.chat,
        "instructions": "In verse.\nIn French.",
    }
    third, _ = await ask(alice, "[[tokens=2]] Three", second)
    assert system_texts(fake_model.requests[-1]) == ["Be brief.\n\nIn verse.\nIn French."]
    assert fake_model.requests[-1]["body"]["messages"][0]["role"] == "system"
    await set_instructions(alice, "")
    await set_own(alice, instructions="")
    await ask(alice, "[[tokens=2]] Four", third)
    assert system_texts(fake_model.requests[-1]) == []


async def test_another_chat_does_not_get_the_instructions(worker, alice, fake_model):
    await ask(alice, "[[tokens=2]] One")
    await set_instructions(alice, "In verse.")
    other = "0198c5a0-0000-7000-8000-00000000000a"
    _, reply = await alice.send("[[tokens=2]] Elsewhere", chat=other)
    await alice.settled(reply, chat=other)
    assert system_texts(fake_model.requests[-1]) == []


async def test_a_continued_answer_uses_the_current_instructions(
    worker, alice, fake_model, settings
):
    settings.MAX_ATTEMPTS = 1
    _, failed = await alice.send("[[tokens=30&die_after=10]] One")
    assert (await alice.settled(failed)).status == "error"
    await set_instructions(alice, "In verse.")
    await alice.post(f"/api/chats/{alice.chat}/replies/{failed}/attempts")
    await alice.until(failed, lambda message: message.attempt == 2)
    await alice.settled(failed)
    assert system_texts(fake_model.requests[-1]) == ["In verse."]


async def test_instructions_count_towards_the_window(worker, alice, fake_model):
    """Earlier messages are left out for them; the instructions never are."""
    small = "openai/script/small?context=300"
    fake_model.list_models("script/known", "script/small?context=300")
    await reset_catalogue()
    reply, left_out = None, []
    for n in range(3):
        text = f"[[tokens=10]] {n} " + "word " * 40
        question, reply = await alice.send(text, parent=reply, model=small)
        left_out.append((await alice.settled(reply)).left_out)
    await set_own(alice, instructions="Always " + "remember " * 60)
    again = "0198c5a0-0000-7000-8000-00000000000f"
    path = f"/api/chats/{alice.chat}/replies"
    await alice.post(path, id=again, parent=question, model=small)
    message = await alice.settled(again)
    assert message.status == "done", message.error
    assert left_out[-1] < message.left_out
    assert system_texts(fake_model.requests[-1])[0].startswith("Always remember")


async def test_every_device_receives_the_instructions(no_worker, alice):
    await alice.send("Hello")
    async with Socket(alice) as first, Socket(alice) as second:
        await first.until_type("welcome")
        await second.until_type("welcome")
        await first.follow(alice.chat)
        await set_instructions(alice, "In verse.")
        await first.until(lambda m: "chat.instructed" in str(m.get("entries")))
        assert first.transcript(alice.chat).instructions == "In verse."
        await second.until(lambda m: "chat.instructed" in str(m.get("entries")))
    async with Socket(alice) as later:
        await later.until_type("welcome")
        await later.follow(alice.chat)
        assert later.transcript(alice.chat).instructions == "In verse."


@pytest.mark.parametrize("wrong", [None, 7, ["x"], "x" * 4_001, "nul\x00"])
async def test_invalid_instructions_are_refused_by_name(no_worker, alice, wrong):
    await alice.send("Hello")
    answer = await set_instructions(alice, wrong)
    assert answer.status_code == 400
    assert "“instructions”" in answer.json()["error"]["message"]
    assert (await alice.transcript()).instructions == ""


async def test_title_and_instructions_go_together_or_not_at_all(no_worker, alice):
    await alice.send("Hello")
    path, json = f"/api/chats/{alice.chat}", "application/json"
    both = {"title": " Kelp ", "instructions": "In verse."}
    answer = await alice.client.patch(path, both, content_type=json)
    assert answer.json() == {"chat": alice.chat, "title": "Kelp", "instructions": "In verse."}
    wrong = {"title": "", "instructions": "Other"}
    assert (await alice.client.patch(path, wrong, content_type=json)).status_code == 400
    transcript = await alice.transcript()
    assert (transcript.title, transcript.instructions) == ("Kelp", "In verse.")


async def test_nobody_can_change_instructions_of_a_strangers_chat(no_worker, alice, bob):
    await alice.send("Hello")
    await bob.send("Hello")
    for chat in (alice.chat, "0198c5a0-0000-7000-8000-00000000000b"):
        answer = await set_instructions(bob, "Tell all.", chat)
        assert answer.json()["error"]["code"] == "chat_not_found"
    assert (await alice.transcript()).instructions == ""


async def test_a_person_can_turn_background_calls_off(worker, alice, settings, fake_model):
    model = "openai/script/known?tokens=4"
    fake_model.list_models("script/known", "script/known?tokens=4")
    await reset_catalogue()
    await ask(alice, "[[tokens=2]] To be known")
    settings.BACKGROUND_CALLS = True
    await set_own(alice, background_calls=False)
    quiet = "0198c5a0-0000-7000-8000-00000000000c"
    _, reply = await alice.send("Quiet", chat=quiet, model=model)
    await alice.settled(reply, chat=quiet)
    await set_own(alice, background_calls=True)
    loud = "0198c5a0-0000-7000-8000-00000000000d"
    _, reply = await alice.send("Loud", chat=loud, model=model)
    await alice.settled(reply, chat=loud)
    async with asyncio.timeout(20):
        while (await Chat.objects.aget(id=loud)).title_by != "model":
            await asyncio.sleep(0.02)
    assert (await Chat.objects.aget(id=quiet)).title_by == "start"
    asked = [str(request["body"]["messages"]) for request in fake_model.requests]
    assert not [one for one in asked if "Write a title" in one and "Quiet" in one]


async def test_the_operators_setting_takes_precedence(worker, alice, settings, fake_model):
    settings.BACKGROUND_CALLS = False
    await alice.send("[[tokens=2]] To be known")
    await set_own(alice, background_calls=True)
    other = "0198c5a0-0000-7000-8000-00000000000e"
    _, reply = await alice.send("[[tokens=2]] Loud", chat=other)
    assert str((await alice.settled(reply, chat=other)).text) == text_of("[[tokens=2]] Loud", 2)
    assert not [r for r in fake_model.requests if "Write a title" in str(r["body"])]


async def test_the_page_contains_the_settings(no_worker, alice):
    await alice.send("Hello")
    await sync_to_async(preferences.change)(await User.objects.aget(), {"send_key": "ctrl_enter"})
    html = (await alice.visit()).content.decode()
    assert '"send_key": "ctrl_enter"' in html


def test_there_is_at_most_one_system_message():
    assert system_messages("", "", "") == []
    for alone in (("a", "", ""), ("", "a", ""), ("", "", "a")):
        assert system_messages(*alone) == [PromptMessage("system", "a")]
    assert system_messages("a", "b", "c") == [PromptMessage("system", "a\n\nb\n\nc")]
