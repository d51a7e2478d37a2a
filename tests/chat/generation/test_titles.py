"""A chat's title, from whatever text a model writes when asked for one."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat import chats
from chat.generation.title_text import TITLE_MAX_CHARS, title_in
from chat.llm.catalogue import reset_catalogue
from chat.models import Chat
from tests.stub_model import stub_model

BREAD = "Baking sourdough bread"
ASKED = "How do I bake bread?"


@pytest.mark.parametrize(
    "written",
    [
        "Baking sourdough bread",
        "  Baking sourdough bread.\n",
        "Here is a title for the conversation:\n\nBaking sourdough bread",
        "Sure! Here's a title:\n**Baking sourdough bread**",
        "Sure, here is a title for this conversation: Baking sourdough bread",
        "Of course! Here is the title you asked for.\nBaking sourdough bread",
        "Certainly! “Baking sourdough bread”",
        "Here you go!\nBaking sourdough bread",
        "Here's a title for your chat - Baking sourdough bread",
        'A good title for this conversation would be "Baking sourdough bread".',
        'Based on the conversation, a suitable title could be: **"Baking sourdough bread"**',
        'I would title this conversation "Baking sourdough bread".',
        "I'd suggest: Baking sourdough bread",
        'This conversation could be titled "Baking sourdough bread"',
        'Title: "Baking sourdough bread"',
        "TITLE:Baking sourdough bread",
        "**Title:** Baking sourdough bread",
        "**Title: Baking sourdough bread**",
        "Title:\n\n**Baking sourdough bread**",
        "## Title\n\nBaking sourdough bread",
        "Conversation Title - Baking sourdough bread",
        "Title suggestion: Baking sourdough bread",
        "title: Baking sourdough bread\nsummary: how to",
        "Assistant: Baking sourdough bread",
        "# Baking sourdough bread",
        "> Baking sourdough bread",
        "*Baking sourdough bread*",
        "**Baking sourdough bread",
        "`Baking sourdough bread`",
        "<b>Baking sourdough bread</b>",
        "<title>Baking sourdough bread</title>",
        "'Baking sourdough bread'",
        '"Baking sourdough bread',
        "```\nBaking sourdough bread\n```",
        "```json\n" + '{"title": "Baking sourdough bread"}' + "\n```",
        '{"title": "Baking sourdough bread"}',
        '{"title": "Baking sourdough bread", "emoji": "🍞"}',
        '{"result": {"chat_title": "Baking sourdough bread"}}',
        '{"title": "Baking sourdough bread',
        "{'title': 'Baking sourdough bread'}",
        'Sure! Here you go:\n```json\n{\n "title": "Baking sourdough bread"\n}\n```\nMore?',
        '["Baking sourdough bread", "Bread at home"]',
        "\\boxed{\\text{Baking sourdough bread}}",
        "1. Baking sourdough bread\n2. Bread at home\n3. Dough",
        "Here are some titles:\n\n- **Baking sourdough bread**\n- Bread at home",
        "Option 1: Baking sourdough bread\nOption 2: Bread at home",
        "Baking sourdough bread\n\nThis title says what the conversation is about.",
        "Baking sourdough bread (3 words)",
        "Baking sourdough bread<|im_end|>",
        "<think>\nHm, bread.\n</think>\n\nBaking sourdough bread",
        "<thinking>\nHm, bread.\n</thinking>\nBaking sourdough bread",
        "<reasoning>Hm.</reasoning><think>Bread.</think>Baking sourdough bread",
        "Okay, the user asks about bread.\n</think>\n\nBaking sourdough bread",
        "◁think▷Hm, bread.◁/think▷Baking sourdough bread",
        "[THINK]Hm, bread.[/THINK]Baking sourdough bread",
        "<|channel|>analysis<|message|>Bread.<|end|><|start|>assistant<|channel|>final<|message|>"
        "Baking sourdough bread<|return|>",
        "analysisThe user asks about bread.assistantfinalBaking sourdough bread",
        "Okay, the user wants a title. Let me think.\nBaking sourdough bread",
        '{"subject": "Baking sourdough bread", "emoji": "x"}',
        "Baking sourdough bread [3 words]",
    ],
)
def test_it_finds_the_title(written):
    assert title_in(written) == BREAD


@pytest.mark.parametrize(
    ("written", "title"),
    [
        ("Titel: Brot backen", "Brot backen"),
        ("Natürlich! Hier ist ein Titel für das Gespräch:\n\n„Brot backen“", "Brot backen"),
        ("Titre : « Cuire du pain »", "Cuire du pain"),
        ("Titre\u00a0: Cuire du pain", "Cuire du pain"),
        ("Voici un titre : Cuire du pain", "Cuire du pain"),
        ("Claro, aquí está el título: Hornear pan", "Hornear pan"),
        ("Ecco un titolo:\n\n**Fare il pane**", "Fare il pane"),
        ("标题：《烘焙面包》", "烘焙面包"),
        ("好的，这是一个标题：烘焙面包", "烘焙面包"),
        ("好的，以下是标题：\n烘焙面包。", "烘焙面包"),
        ("# 标题\n烘焙面包", "烘焙面包"),
        ("もちろんです！タイトル：「パンの焼き方」", "パンの焼き方"),
        ("제목: 빵 굽기", "빵 굽기"),
        ("Конечно! Вот заголовок:\n\n**Выпечка хлеба**", "Выпечка хлеба"),
        ("Başlık: Ekmek yapımı", "Ekmek yapımı"),
        ("العنوان: خبز الخبز", "خبز الخبز"),
    ],
)
def test_it_finds_it_in_other_languages(written, title):
    assert title_in(written) == title


@pytest.mark.parametrize(
    "title",
    [
        "How do I bake bread?",
        "Learning C# and C++",
        ".NET basics",
        "What snake_case is for",
        "__init__.py explained",
        'Meaning of "serendipity"',
        '"Hello" and "World"',
        "Title IX in colleges",
        "Here Is New York",
        "I can't sleep at night",
        "Sure, why not try yoga",
        "The user manual of a drill",
        "3.14 and pi",
        "2026 budget plan",
        "C. elegans genetics",
        "🍞 Bread",
        "Based on a true story",
        "Using <div> and <span>",
    ],
)
def test_it_leaves_a_bare_title_as_it_is(title):
    assert title_in(title) == title


@pytest.mark.parametrize(
    "written",
    [
        "",
        " \n ",
        "...",
        "Sure!",
        "Here is a title:",
        "Untitled",
        "Untitled chat",
        "No title found",
        "None",
        "{}",
        '{"words": 3}',
        "I'm sorry, but I can't help with that.",
        "I cannot generate a title for this conversation.",
        "As an AI language model, I",
        "Title: I'm sorry, I cannot do that",
        "Es tut mir leid, das kann ich nicht.",
        "抱歉，我无法",
        "Please provide the conversation.",
        "<think>It never ends, Baking",
        "<|channel|>analysis<|message|>Bread",
        "The user asks about bread. I need to write a title",
        "A very long and winding title about how one might go about the baking of bread in winter",
    ],
)
def test_it_says_that_there_is_none(written):
    assert title_in(written) == ""


HOSTILE = [
    "_",
    "`",
    "*a ",
    "«   ",
    "« ",
    "**",
    "name: '",
    "```",
    "&amp;",
    "[a](",
    "a_",
    "sure! ",
    "\\text",
]


@pytest.mark.parametrize("repeated", HOSTILE)
@pytest.mark.parametrize("before", ["", "title ", "Here is a title: ", "{"])
def test_a_long_run_of_marks_takes_no_time(before, repeated):
    """It once took hours, and no reply of the worker advanced meanwhile."""
    assert len(title_in(before + repeated * 5_000 + "x")) <= TITLE_MAX_CHARS


@given(st.text(max_size=300))
def test_it_is_one_line_and_short_whatever_is_written(written):
    title = title_in(written)
    assert len(title) <= TITLE_MAX_CHARS and title == title.strip()
    assert not any(c in title for c in "\n\r\t\x00\u202e")


# Titles by a model over HTTP


@pytest.fixture
def titled(holdfast, settings):
    """A model that answers, and then gives the title that the test sets."""
    settings.BACKGROUND_CALLS = True
    written = {}

    def says(asked):
        is_title = "Write a title" in asked["messages"][-1]["content"]
        return written["title"] if is_title else "Mix flour, water and salt."

    with stub_model(says) as model:
        model.lists({"data": [{"id": "m"}]})
        settings.OPENAI_BASE_URL = model.base_url
        yield written, model


async def ask_and_wait(alice, model):
    await reset_catalogue()
    _, reply = await alice.send(ASKED, model="openai/m")
    await alice.settled(reply)
    async with asyncio.timeout(20):
        while len(model.requests) < 2:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    "written",
    [
        "Okay, the user asks about bread. " * 20 + "\n</think>\n\n" + BREAD,
        "Sure! Here's a title:\n**" + BREAD + "**",
        '```json\n{"title": "' + BREAD + '"}\n```',
    ],
)
async def test_a_chat_is_named_by_what_a_model_means(titled, worker, alice, written):
    said, model = titled
    said["title"] = written
    await ask_and_wait(alice, model)
    async with asyncio.timeout(20):
        while (await alice.transcript()).title != BREAD:
            await asyncio.sleep(0.02)
    assert (await Chat.objects.aget()).title_by == "model"


@pytest.mark.parametrize(
    "written",
    [
        "I'm sorry, but I can't help with that.",
        {"reasoning_content": "Hm, bread"},
        "A very long and winding title about how one might go about the baking of bread in winter",
        "x" * 20_000,
    ],
)
async def test_the_first_words_stay_when_there_is_no_title(titled, worker, alice, written):
    said, model = titled
    said["title"] = written
    await ask_and_wait(alice, model)
    async with asyncio.timeout(20):
        while worker.jobs.title_tasks:  # the title is one
            await asyncio.sleep(0.02)
    chat = await Chat.objects.aget()
    assert (chat.title, chat.title_by) == (ASKED, "start")


# A person renames the chat while the model's title, which the row has, is being appended


@pytest.fixture
async def titled_row(alice, worker):
    _, reply = await alice.send(ASKED)
    await alice.settled(reply)
    await Chat.objects.aupdate(title=BREAD, title_by=Chat.TitleBy.MODEL)
    return await Chat.objects.select_related("owner").aget()


async def assert_named(alice, title):
    chat = await Chat.objects.aget()
    assert ((await alice.transcript()).title, chat.title, chat.title_by) == (title, title, "user")


async def test_a_persons_title_holds_if_the_models_is_appended_later(alice, titled_row):
    await chats.rename(titled_row.owner, titled_row.id, "Mine")
    await chats.tell_title_by_model(titled_row.owner, titled_row.id, BREAD)
    await assert_named(alice, "Mine")


async def test_it_holds_if_the_row_is_written_later_as_well(alice, titled_row, monkeypatch):
    append = chats.append_within

    async def append_and_let_the_model_be_next(*args):
        entry = await append(*args)
        await chats.tell_title_by_model(titled_row.owner, titled_row.id, BREAD)
        return entry

    monkeypatch.setattr(chats, "append_within", append_and_let_the_model_be_next)
    await chats.rename(titled_row.owner, titled_row.id, "Mine")
    await assert_named(alice, "Mine")


async def test_a_models_title_that_was_appended_before_changes_nothing(alice, titled_row):
    await chats.tell_title_by_model(titled_row.owner, titled_row.id, BREAD)
    await chats.rename(titled_row.owner, titled_row.id, "Mine")
    await chats.tell_title_by_model(titled_row.owner, titled_row.id, BREAD)
    await assert_named(alice, "Mine")
