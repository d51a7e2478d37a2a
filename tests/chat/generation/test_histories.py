"""A kept history equals the history of a fresh fold, and only what is new is read and counted."""

import asyncio
import tracemalloc
import uuid

import orjson
import pytest
import redis
from django.conf import settings as configured
from hypothesis import given, settings
from hypothesis import strategies as st

from chat import events as ev
from chat.charging.attempts import AttemptFold
from chat.folding import AnswerFold, fold_chat
from chat.generation import histories
from chat.generation.histories import Histories
from chat.generation.history import History
from chat.llm import prompt, tokens
from chat.models import Reply
from streams import reader
from streams.log import Log, get_log
from tests.chat.conftest import MODEL, close_loop
from tests.chat.page_requests import set_instructions
from tests.chat.random_logs import MESSAGES, chat_logs, entries_of
from tests.chat.workers import working
from tests.examples import examples
from tests.folding import fold_entries

STREAM, CHAT = "u:1", "c"
MAX_BYTES = 10**9


def folded(entries):
    history = History()
    for entry in entries:
        history.add(entry, AnswerFold("none"))
    history.end()
    return history


def expected(transcript, message):
    return [(above.role, str(above.text)) for above in transcript.ancestry(message)]


def shown(conversation):
    return [(message.role, message.text) for message in conversation.messages]


@given(log=chat_logs(), data=st.data())
@settings(deadline=None, max_examples=examples(100))
def test_a_history_equals_the_transcript_wherever_it_is_continued(log, data):
    entries = entries_of(log)
    cut = data.draw(st.integers(0, len(entries)))
    history = folded(entries[:cut])
    before = fold_entries(entries[:cut])
    given_out = {name: history.conversation(name) for name in before.messages}
    transcript = fold_entries(entries)
    position = history.resume(data.draw(st.sampled_from(MESSAGES)))
    for entry in entries:
        if tuple(map(int, entry.id.split("-"))) > tuple(map(int, position.split("-"))):
            history.add(entry, AnswerFold("none"))
    history.end()
    assert {name for name in MESSAGES if name in history} == set(transcript.messages)
    for name in transcript.messages:
        conversation = history.conversation(name)
        assert shown(conversation) == expected(transcript, name)
        assert conversation.instructions == transcript.instructions
    # What was given out before is as it was.
    for name, conversation in given_out.items():
        assert shown(conversation) == expected(before, name)
        assert conversation.instructions == before.instructions


def test_a_conversation_is_not_changed_by_later_entries():
    begun = [
        ev.MessageCreated("m0", "user", None, "Question"),
        ev.MessageCreated("m1", "assistant", "m0", model="m"),
        ev.MessageDelta("m1", "Ans"),
    ]
    more = [
        ev.MessageDelta("m1", "wer"),
        ev.MessageCompleted("m1", "stop", "m", 1, "", 1, text="Answer, whole"),
    ]
    stored = [event.to_dict(whole=True) for event in [*begun, *more]]
    log = [[f"{number}-0", data] for number, data in enumerate(stored, start=1)]
    history, texts, given_out = History(), ["", "", "Ans", "Answer", "Answer, whole"], []
    for entry, text in zip(entries_of(log), texts, strict=True):
        history.add(entry, AnswerFold("none"))
        if "m1" in history:
            conversation = history.conversation("m1")
            assert conversation.messages[-1].text == text
            assert conversation.messages[-1].tokens() == tokens.estimate_tokens(text)
            given_out.append((conversation, text))
    assert [conversation.messages[-1].text for conversation, _ in given_out] == texts[1:]


class Chat:
    """One chat in a real log, and what may happen to it. Replies are written as workers do."""

    def __init__(self, log):
        self.log = log
        self.replies: list[tuple[str, str]] = []  # (reply, the message that it answers)
        self.saved = None
        self.attempts = {}

    async def append(self, *events):
        logged = [ev.log_event(CHAT, event, str(uuid.uuid4())) for event in events]
        return await self.log.append(STREAM, logged)

    def reply(self, number):
        return self.replies[number % len(self.replies)][0] if self.replies else None

    async def send(self, number, text):
        """Below any reply or at the top: also an edit, or another branch."""
        asked = str(uuid.uuid4())
        above = None if number == 0 else self.reply(number)
        await self.append(ev.MessageCreated(asked, "user", above, text))
        await self.answer(asked)

    async def answer(self, asked):
        reply = str(uuid.uuid4())
        await self.append(ev.MessageCreated(reply, "assistant", asked, model="m"))
        self.replies.append((reply, asked))

    async def regenerate(self, number, _text):
        if self.replies:
            await self.answer(self.replies[number % len(self.replies)][1])

    async def write(self, number, text):
        if reply := self.reply(number):
            await self._begin(reply)
            await self.append(ev.MessageDelta(reply, text), ev.MessageDelta(reply, "…"))

    async def _begin(self, reply):
        attempt = self.attempts[reply] = self.attempts.get(reply, 0) + 1
        if attempt == 1:
            await self.append(ev.MessageStarted(reply, attempt, f"model {attempt}"))
        else:
            resumed = ev.MessageResumed(reply, attempt, "lost", "ask", 0, f"model {attempt}")
            await self.append(resumed)

    async def think(self, number, text):
        if reply := self.reply(number):
            await self.append(ev.MessageReasoning(reply, text))

    async def recast(self, number, text):
        if reply := self.reply(number):
            await self.append(ev.MessageReasoning(reply, text, number % 5))

    async def stop(self, number, _text):
        await self._end(number, "stopped")

    async def complete(self, number, _text):
        await self._end(number, "stop")

    async def _end(self, number, finish):
        if reply := self.reply(number):
            text = str((await fold_chat(self.log, STREAM, CHAT)).messages[reply].text)
            end = ev.MessageCompleted(reply, finish, "m", len(text), "", 1, text=text)
            [entry] = await self.append(end)
            await self.log.compact(STREAM, CHAT, reply, until=entry)

    async def fail(self, number, text):
        if reply := self.reply(number):
            await self.append(
                ev.MessageError(reply, "rate_limited", "Sorry", True, 1, "", text_kept=text)
            )

    async def instruct(self, _number, text):
        await self.append(ev.ChatInstructed(CHAT, text))

    async def choose(self, number, _text):
        if reply := self.reply(number):
            await self.append(ev.BranchChosen(reply))

    async def erase(self, _number, _text):
        await self.log.erase_chat(STREAM, CHAT)
        self.replies, self.attempts = [], {}

    async def save(self, _number, _text):
        with redis.Redis.from_url(configured.REDIS_URL) as client:
            stored = {key: client.dump(key) for key in client.keys("*")}
        self.saved = stored, self.replies[:], self.attempts.copy()

    async def restore(self, _number, _text):
        """The log as it was when it was saved."""
        if self.saved is None:
            return
        stored, self.replies, self.attempts = self.saved[0], self.saved[1][:], self.saved[2].copy()
        with redis.Redis.from_url(configured.REDIS_URL) as client:
            client.flushall()
            for key, value in stored.items():
                client.restore(key, 0, value)

    async def compare(self, number, kept):
        """Whether a worker with kept histories reads what a new worker reads."""
        if not self.replies:
            return
        reply, asked = self.replies[number % len(self.replies)]
        result = await kept.read(self.log, STREAM, CHAT, reply, asked)
        fresh = await Histories(0).read(self.log, STREAM, CHAT, reply, asked)
        assert result.cursor == fresh.cursor
        assert result.attempts == fresh.attempts
        assert result.conversation == fresh.conversation
        assert result.message.to_dict() == fresh.message.to_dict()
        transcript = await fold_chat(self.log, STREAM, CHAT)
        assert shown(result.conversation) == expected(transcript, asked)
        assert result.conversation.instructions == transcript.instructions
        parentless = {"parent": None}
        assert result.message.to_dict() == transcript.messages[reply].to_dict() | parentless
        assert result.attempts == await attempts_of(self.log, reply)


async def attempts_of(log, reply):
    fold = AttemptFold(reply)
    async for entries in log.slices(STREAM, CHAT):
        for entry in entries:
            fold.feed(ev.parse(entry.data))
    return fold.attempts()


ACTS = [
    Chat.send, Chat.send, Chat.regenerate, Chat.write, Chat.write, Chat.think, Chat.recast,
    Chat.stop, Chat.complete, Chat.complete, Chat.fail, Chat.instruct, Chat.choose, Chat.erase,
    Chat.save, Chat.restore, Chat.compare, Chat.compare, Chat.compare,
]  # fmt: skip
steps = st.tuples(st.sampled_from(ACTS), st.integers(0, 9), st.text(alphabet="ab é日", max_size=4))


@given(acts=st.lists(steps, min_size=4, max_size=30))
@settings(deadline=None, max_examples=examples(60))
def test_a_kept_history_equals_a_fresh_one_whatever_happened(redis_server, acts):
    async def main():
        kept = Histories(MAX_BYTES)
        with redis.Redis.from_url(configured.REDIS_URL) as client:
            client.flushall()
        async with Log() as log:
            chat = Chat(log)
            for act, number, text in acts:
                await act(chat, number, kept if act is Chat.compare else text)
            for number in range(len(chat.replies)):
                await chat.compare(number, kept)

    asyncio.run(main())


@pytest.fixture
async def chat(redis_url):
    async with Log() as log:
        yield Chat(log)


@pytest.fixture
def read(monkeypatch):
    """Entries and bytes of each page that is read from a log; not those of a worker's sweeps."""
    pages: list[tuple[int, int]] = []
    page = reader.Reader.page

    async def noting(self, *args, **kwargs):
        result = await page(self, *args, **kwargs)
        if "repeat_forever" not in str(asyncio.current_task().get_coro()):
            pages.append((len(result[0]), sum(len(raw[3]) for raw in result[0])))
        return result

    monkeypatch.setattr(reader.Reader, "page", noting)
    return pages


def entries_in(pages):
    return sum(count for count, _ in pages)


async def exchange(chat, text="x" * 2_000):
    above = len(chat.replies) - 1 if chat.replies else 0
    await chat.send(above, text)
    await chat.write(len(chat.replies) - 1, text)
    await chat.complete(len(chat.replies) - 1, text)


async def test_only_entries_after_the_cursor_are_read(chat, read):
    kept = Histories(MAX_BYTES)
    for _ in range(30):
        await exchange(chat)
    await chat.compare(29, kept)
    await chat.send(29, "another")
    read.clear()
    await kept.read(chat.log, STREAM, CHAT, *chat.replies[-1])
    # The last entry again, and two messages.
    assert entries_in(read) == 3
    assert sum(size for _, size in read) < 5_000


async def test_a_reply_that_is_continued_is_read_from_its_beginning(chat, read):
    kept = Histories(MAX_BYTES)
    for _ in range(30):
        await exchange(chat)
    await chat.compare(29, kept)
    await chat.write(29, "more")
    read.clear()
    await kept.read(chat.log, STREAM, CHAT, *chat.replies[-1])
    assert entries_in(read) == 6  # created, started, completed; resumed and two deltas
    await chat.compare(29, kept)


@pytest.mark.parametrize("change", [Chat.restore, Chat.erase])
async def test_a_log_without_the_last_entry_is_read_anew(chat, read, change):
    kept = Histories(MAX_BYTES)
    await exchange(chat)
    await chat.save(0, "")
    await exchange(chat, "lost")
    await chat.compare(1, kept)
    await change(chat, 0, "")
    await exchange(chat, "new")
    read.clear()
    result = await kept.read(chat.log, STREAM, CHAT, *chat.replies[-1])
    assert "lost" not in [message.text for message in result.conversation.messages]
    assert entries_in(read) >= len(await chat.log.read(STREAM, CHAT))
    await chat.compare(len(chat.replies) - 1, kept)


async def test_another_entry_under_the_same_id_is_not_taken_for_the_last_one(chat):
    kept = Histories(MAX_BYTES)
    await exchange(chat, "old")
    await chat.send(0, "old")
    reply, asked = chat.replies[-1]
    cursor = (await kept.read(chat.log, STREAM, CHAT, reply, asked)).cursor
    # As if the clock of Redis had been set back together with its data.
    names = reader.stream_keys(configured.STREAMS_PREFIX, STREAM)
    created = ev.MessageCreated(reply, "assistant", asked, model="another").encode()
    with redis.Redis.from_url(configured.REDIS_URL) as client:
        entries = client.xrange(names.chat(CHAT))
        client.delete(names.chat(CHAT))
        for entry_id, fields in entries:
            data = created if entry_id.decode() == cursor else fields[b"d"]
            data = data.replace(b'"old"', b'"changed"')
            client.xadd(names.chat(CHAT), {"t": fields[b"t"], "d": data}, id=entry_id)
    result = await kept.read(chat.log, STREAM, CHAT, reply, asked)
    assert result.message.model == "another"
    assert result.conversation.messages[-1].text == "changed"


async def test_a_history_of_another_stream_or_chat_is_not_used(chat):
    kept = Histories(MAX_BYTES)
    await exchange(chat)
    reply, asked = chat.replies[0]
    assert (await kept.read(chat.log, STREAM, CHAT, reply, asked)).message
    for stream, name in (("u:2", CHAT), (STREAM, "d")):
        result = await kept.read(chat.log, stream, name, reply, asked)
        assert result.message is None and result.conversation.messages == ()


async def test_readers_at_the_same_time_share_no_history(chat):
    kept = Histories(MAX_BYTES)
    for _ in range(3):
        await exchange(chat)
    await chat.regenerate(2, "")
    await chat.regenerate(2, "")
    reads = [kept.read(chat.log, STREAM, CHAT, *reply) for reply in chat.replies[-3:]]
    first, second, third = await asyncio.gather(*reads)
    assert first.conversation == second.conversation == third.conversation
    assert len(kept._kept) == 1
    assert kept.size_bytes == next(iter(kept._kept.values()))[1]


async def test_a_read_that_is_cancelled_leaves_no_half_folded_history(chat, monkeypatch):
    kept = Histories(MAX_BYTES)
    await exchange(chat)
    await chat.compare(0, kept)
    for _ in range(3):
        await exchange(chat)
    monkeypatch.setattr("streams.log.SLICE_ENTRIES", 1)
    for turns in range(8):
        reading = asyncio.create_task(kept.read(chat.log, STREAM, CHAT, *chat.replies[-1]))
        while not kept._kept and turns:
            turns -= 1
            await asyncio.sleep(0.001)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await chat.compare(3, kept)


async def test_the_bytes_kept_are_bounded_and_the_least_recently_used_go_first(chat):
    for _ in range(4):
        await exchange(chat, "x" * 100_000)
    [(_, size, _)] = await kept_after(chat, Histories(MAX_BYTES), STREAM)
    assert size > len(chat.replies) * 200_000
    assert await kept_after(chat, Histories(size - 1), STREAM) == []
    kept = Histories(3 * size)
    await kept_after(chat, kept, STREAM)
    for name in ("d", "e"):
        await read_another(chat, kept, name, size)
        await chat.compare(3, kept)  # used again
    assert [name for _, name in kept._kept] == ["d", "e", CHAT]
    await read_another(chat, kept, "f", size)
    assert [name for _, name in kept._kept] == ["e", CHAT, "f"]
    reply, asked = str(uuid.uuid4()), str(uuid.uuid4())
    await kept.read(chat.log, STREAM, "empty", reply, asked)
    assert kept.size_bytes <= 3 * size
    assert kept.size_bytes == sum(size for _, size, _ in kept._kept.values())


async def read_another(chat, kept, name, size):
    """Reads another chat, a little smaller than `size`."""
    reply, asked = str(uuid.uuid4()), str(uuid.uuid4())
    written = [
        ev.MessageCreated(asked, "user", None, "x" * (size - 20_000)),
        ev.MessageCreated(reply, "assistant", asked, model="m"),
    ]
    logged = [ev.log_event(name, event, str(uuid.uuid4())) for event in written]
    await chat.log.append(STREAM, logged)
    await kept.read(chat.log, STREAM, name, reply, asked)


async def kept_after(chat, kept, stream):
    await kept.read(chat.log, stream, CHAT, *chat.replies[-1])
    return list(kept._kept.values())


async def test_an_unused_history_is_dropped(chat, monkeypatch):
    monkeypatch.setattr(histories, "KEEP_S", 1.0)
    kept = Histories(MAX_BYTES)
    await exchange(chat)
    await chat.compare(0, kept)
    assert kept.size_bytes
    async with asyncio.timeout(20):
        while kept._kept:
            await asyncio.sleep(0.01)
    assert kept.size_bytes == 0
    await chat.compare(0, kept)


@pytest.mark.parametrize("letter", ["x", "é", "日"])
@pytest.mark.parametrize(("messages", "length"), [(1_000, 20), (200, 5_000)])
def test_the_bytes_of_a_history_are_those_it_takes(letter, messages, length):
    events = []
    for number in range(messages):
        above = events[-1].message if events else None
        text = letter * length + str(number)
        events.append(ev.MessageCreated(str(uuid.uuid4()), "user", above, text))
    log = [[f"{1_700_000_000_000 + n}-0", event.to_dict()] for n, event in enumerate(events)]
    entries = entries_of(log)
    tracemalloc.start()
    try:
        history = folded(entries)
        for message in history.conversation(events[-1].message).messages:
            message.tokens()
            orjson.dumps(message.text)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0.75 * taken <= history.size_bytes <= 1.5 * taken


# With a worker


@pytest.fixture
def counted(monkeypatch):
    """The characters of each text whose tokens are counted for prompts."""
    texts: list[str] = []

    def noting(text):
        texts.append(text)
        return tokens.estimate_tokens(text)

    monkeypatch.setattr(prompt, "estimate_tokens", noting)
    return texts


def asked_of(model):
    return [message["content"] for message in model.requests[-1]["body"]["messages"]]


async def path_of(person):
    return [str(message.text) for message in (await person.transcript()).path()]


async def fill(person, parent, count):
    """Append exchanges to the log, and the rows that a send below the last of them needs."""
    log = get_log()
    for number in range(count):
        asked, reply = str(uuid.uuid4()), str(uuid.uuid4())
        text = f"{number} " + "word " * 40
        length, digest = ev.fingerprint(text)
        events = [
            ev.MessageCreated(asked, "user", parent, text),
            ev.MessageCreated(reply, "assistant", asked, model="m"),
            ev.MessageStarted(reply, 1, "m"),
            ev.MessageCompleted(reply, "stop", "m", length, digest, 1, text=text),
        ]
        await log.append(
            person.stream, [ev.log_event(person.chat, e, str(uuid.uuid4())) for e in events]
        )
        parent = reply
    await Reply.objects.acreate(
        id=parent, chat_id=person.chat, prompt_id=asked, model="m", state="done", request_digest="d"
    )
    return parent


@pytest.mark.django_db(transaction=True)
async def test_the_second_answer_reads_and_counts_only_what_is_new(
    worker, alice, fake_model, settings, read, counted
):
    settings.NAMED_MODELS = {"openai": [("script/known", 1_000_000)]}
    _, reply = await alice.send("[[tokens=2]] One")
    await alice.settled(reply)
    parent = await fill(alice, reply, 100)
    _, reply = await alice.send("[[tokens=2]] Two", parent=parent)
    await alice.settled(reply)
    assert len(asked_of(fake_model)) == 2 + 200 + 1
    assert len(counted) >= 200
    await until_done(reply)
    read.clear()
    counted.clear()
    _, reply = await alice.send("[[tokens=2]] Three", parent=reply)
    await until_done(reply)
    # The last entry again, start and end of the answer before, two new messages.
    assert entries_in(read) <= 5
    assert sum(size for _, size in read) < 2_000
    assert len(asked_of(fake_model)) == 2 + 200 + 3
    assert asked_of(fake_model) == (await path_of(alice))[:-1]
    assert len(counted) == 2  # the answer before, and the question


async def until_done(reply):
    async with asyncio.timeout(20):
        while not await Reply.objects.filter(id=reply, state="done").aexists():
            await asyncio.sleep(0.02)


@pytest.mark.django_db(transaction=True)
async def test_prompts_are_right_after_edits_regenerations_and_instructions(
    worker, alice, fake_model, settings
):
    first, reply = await alice.send("[[tokens=2]] One")
    await until_done(reply)
    _, second = await alice.send("[[tokens=3]] Two", parent=reply)
    await until_done(second)
    await set_instructions(alice, "In verse.")
    _, edited = await alice.send("[[tokens=4]] Two, edited", parent=reply, edit=True)
    await until_done(edited)
    assert asked_of(fake_model) == ["In verse.", *(await path_of(alice))[:-1]]
    other = str(uuid.uuid4())
    regenerated = {"id": other, "parent": first, "model": MODEL}
    path = f"/api/chats/{alice.chat}/replies"
    assert (await alice.post(path, **regenerated)).status_code == 202
    await until_done(other)
    assert asked_of(fake_model) == ["In verse.", "[[tokens=2]] One"]
    _, below = await alice.send("[[tokens=2]] Below", parent=second)
    await until_done(below)
    assert asked_of(fake_model) == ["In verse.", *(await path_of(alice))[:-1]]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("max_bytes", [0, 32_000_000])
async def test_another_workers_answers_are_in_the_next_prompt(
    no_worker, alice, fake_model, settings, max_bytes
):
    settings.WORK_KEPT_CHAT_BYTES = max_bytes
    parent = None
    async with working("-one") as one:
        kept = one.jobs._histories
        _, parent = await alice.send("[[tokens=2]] One", parent=parent)
        await until_done(parent)
        assert bool(kept.size_bytes) is bool(max_bytes)
    async with working("-two"):
        _, parent = await alice.send("[[tokens=2]] Two", parent=parent)
        await until_done(parent)
    async with working("-one") as again:
        again.jobs._histories = kept
        _, parent = await alice.send("[[tokens=2]] Three", parent=parent)
        await until_done(parent)
    assert asked_of(fake_model) == (await path_of(alice))[:-1]
    assert len(asked_of(fake_model)) == 5
    await close_loop()
