"""Checks that all answers of the kill run are correct once it has settled.

Each check returns its findings as text, so that one run reports all of them.
"""

import asyncio
import contextlib
import hashlib
import io
import json
import os
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import redis

from chat.transcript import Message, Transcript
from config.env import embedded_redis_url
from tests.chat.random_logs import entries_of
from tests.crash.kill_people import Exchange, Person, Talk, Watcher
from tests.fake_model import MARK
from tests.folding import fold_entries
from tests.stack import Stack

# How long after a cut the next attempt may begin: the pauses before attempts grow.
CUT_FELT_MS = 20_000
# Errors that may end an answer early once it has used up its attempts.
BOUNDED = {"attempts_spent", "stream_cut", "provider_down"}
MOST_ATTEMPTS = 6


# Answers


async def check_talk(
    person: Person, talk: Talk, cuts_ms: list[float], within_s: float
) -> list[str]:
    """Reads the chat again; compares it with the known texts and with what each socket received."""
    read = await person.events(talk.chat)
    fresh = fold_entries(entries_of([[entry, event] for entry, event in read]))
    where = f"{person.name}, chat {talk.chat}"
    faults = [f"{where}: {fault}" for fault in transcript_faults(talk, fresh)]
    faults += [f"{where}: {fault}" for fault in end_faults(read, fresh)]
    faults += [f"{where}: {fault}" for fault in call_faults(read, cuts_ms)]
    for number, watcher in enumerate(talk.watchers):
        if not await caught_up(watcher, fresh, within_s):
            faults.append(f"{where}: socket {number} is behind: {difference(watcher, fresh)}")
        faults += [f"{where}: socket {number}: {fault}" for fault in seam_faults(watcher.seen)]
    return faults


def transcript_faults(talk: Talk, fresh: Transcript) -> Iterator[str]:
    """Checks that the chat has each message once, with the requested answers, all correct."""
    sent = sorted(exchange.text for exchange in talk.exchanges.values())
    if (found := sorted(str(m.text) for m in fresh.messages.values() if m.role == "user")) != sent:
        yield f"messages sent: {len(sent)}, in the chat: {found}"
    for exchange in talk.exchanges.values():
        if set(fresh.children.get(exchange.message, ())) != exchange.replies:
            got = fresh.children.get(exchange.message)
            yield f"asked for the answers {sorted(exchange.replies)}, got {got}"
        for reply in exchange.replies & fresh.messages.keys():
            if fault := answer_fault(fresh.messages[reply], exchange, reply in talk.stopped):
                yield f"answer {reply}: {fault}"


def answer_fault(message: Message, exchange: Exchange, was_stopped: bool) -> str:
    text, whole = str(message.text), exchange.whole
    if not whole.startswith(text):
        at = len(os.path.commonprefix([text, whole]))
        return f"differs at {at}: {text[max(at - 30, 0) : at + 60]!r}, not {whole[at : at + 30]!r}"
    match message.status:
        case "done":
            if text != whole:
                return f"is done with {len(text)} of {len(whole)} characters"
            return usage_fault(message, exchange)
        case "stopped":
            return "" if was_stopped else "was stopped without a request"
        case "error":
            code = (message.error or {})["code"]
            bounded = code in BOUNDED and message.attempt >= MOST_ATTEMPTS
            bounded = bounded or (code == "site_bad_stream" and exchange.may_be_refused)
            return "" if bounded else f"failed with {code} at attempt {message.attempt}"
    return f"is still {message.status}"


def usage_fault(message: Message, exchange: Exchange) -> str:
    """Checks the usage of an answer that took one call against that call's tokens."""
    usage = message.usage or {}
    if message.attempt > 1 or usage.get("estimated") or not usage:
        return ""
    counted = usage["completion_tokens"]
    if counted == exchange.tokens:
        return ""
    return f"was counted as {counted}, not {exchange.tokens} tokens"


def call_faults(read: list[tuple[str, dict]], cuts_ms: list[float]) -> Iterator[str]:
    """Checks that only cut connections interrupted calls of the model."""
    for entry, event in read:
        if event["type"] == "message.resumed" and event["reason"] == "provider":
            at_ms = int(entry.partition("-")[0])
            if not any(-1000 < at_ms - cut_ms < CUT_FELT_MS for cut_ms in cuts_ms):
                yield f"{entry}: a call for {event['message']} broke off without a cut"


def end_faults(read: list[tuple[str, dict]], fresh: Transcript) -> Iterator[str]:
    """Checks that the length and digest at the end of each answer match its text."""
    ends = {e["message"]: e for _, e in read if e["type"] in ("message.completed", "message.error")}
    for reply, end in ends.items():
        if fresh.messages[reply].status in ("done", "stopped", "error"):
            stored = str(fresh.messages[reply].text).encode()
            named = (end["length"], end["sha256"])
            if named != (len(stored), hashlib.sha256(stored).hexdigest()):
                yield f"answer {reply} has {len(stored)} bytes, its end says {end['length']}"


def seam_faults(seen: list[tuple[float, str, dict]]) -> Iterator[str]:
    """Checks that each seam follows exactly the bytes that were shown before it. An answer that
    was replayed after its end has no deltas to count, so it is not checked."""
    lengths: defaultdict[str, int] = defaultdict(int)
    faults: defaultdict[str, list[str]] = defaultdict(list)
    for _, entry, event in seen:
        reply = event.get("message", "")
        match event["type"]:
            case "message.delta":
                lengths[reply] += len(event["text"].encode())
            case "message.resumed" if event["length"] != lengths[reply]:
                faults[reply].append(
                    f"{entry}: a seam of {reply} at {event['length']}, shown {lengths[reply]}"
                )
            case "message.completed" | "message.error":
                text = event.get("text_kept" if event["type"] == "message.error" else "text")
                if text is not None:
                    lengths[reply] = len(text.encode())
                    faults.pop(reply, None)
                elif event["length"] != lengths[reply]:
                    faults[reply].append(f"{entry}: the end of {reply} names other bytes")
    for reply_faults in faults.values():
        yield from reply_faults


async def caught_up(watcher: Watcher, fresh: Transcript, within_s: float) -> bool:
    wanted = fresh.to_dict()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            while watcher.transcript.to_dict() != wanted:
                await asyncio.sleep(0.1)
            return True
    return False


def difference(watcher: Watcher, fresh: Transcript) -> str:
    seen, state = watcher.transcript, watcher.socket and watcher.socket.state.name
    parts = [f"at {seen.cursor} of {fresh.cursor}, {state}, connected {watcher.connects} times"]
    for key, message in fresh.messages.items():
        theirs = seen.messages.get(key)
        if theirs is None:
            parts.append(f"lacks {key}")
        elif theirs.to_dict() != message.to_dict():
            parts.append(f"{key} is {theirs.status} ({len(str(theirs.text))} characters)")
    return "; ".join(parts[:6])


# The log, prompts, search and exports


def check_log(stack: Stack, people: list[Person]) -> list[str]:
    """Checks that the deltas of each answer in Redis, deleted chats included, form its text."""
    talks = [talk for person in people for talk in person.talks]
    known = {reply: one for talk in talks for reply, one in talk.replies.items()}
    faults: list[str] = []
    with redis.Redis.from_url(embedded_redis_url(stack.data)) as client:
        for key in client.scan_iter("hf:*:log", count=1000):
            events = [json.loads(values[b"d"]) for _, values in client.xrange(key)]
            faults += [f"log {key.decode()}: {fault}" for fault in log_faults(events, known)]
    return faults


def log_faults(events: list[dict[str, Any]], known: dict[str, Exchange]) -> Iterator[str]:
    owners = {mark[:3] for event in events for mark in MARK.findall(json.dumps(event))}
    if len(owners) > 1:
        yield f"contains messages of {sorted(owners)}"
    texts: defaultdict[str, str] = defaultdict(str)
    for event in events:
        if event["type"] == "message.delta":
            texts[event["message"]] += event["text"]
    for reply, text in texts.items():
        if reply not in known:
            yield f"an answer {reply} that was not requested"
        elif not known[reply].whole.startswith(text):
            yield f"the deltas of {reply} are not the beginning of its text: ...{text[-60:]!r}"


def check_prompts(requests: list[dict[str, Any]]) -> list[str]:
    faults = []
    for request in requests:
        people = {mark[:3] for mark in MARK.findall(json.dumps(request["body"]["messages"]))}
        if len(people) != 1:
            faults.append(f"a prompt has messages of {sorted(people)}")
    return faults


def check_search(stack: Stack, database: Any, people: list[Person]) -> list[str]:
    owners: defaultdict[str, set[str]] = defaultdict(set)
    for owner, text in database.rows(stack, "SELECT owner_id, text FROM chat_messagetext"):
        owners[str(owner)] |= {mark[:3] for mark in MARK.findall(text)}
    return [f"search of {owner} knows {sorted(of)}" for owner, of in owners.items() if len(of) > 1]


async def check_export(person: Person) -> list[str]:
    """Checks that the person's export contains all of their messages and nobody else's."""
    await person.command("POST", "/settings/data/export")
    async with asyncio.timeout(60):
        while True:
            status = (await person.command("GET", "/settings/data/status")).json()
            if status["state"] == "ready":
                break
            await asyncio.sleep(0.3)
    response = await person.http.get("/settings/data/download")
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        for name in archive.namelist():
            person.look_at(archive.read(name).decode(errors="replace"), f"the export, {name}")
        whole = b"".join(map(archive.read, archive.namelist())).decode(errors="replace")
    talks = [talk for talk in person.talks if not talk.is_deleted]
    texts = [exchange.text for talk in talks for exchange in talk.exchanges.values()]
    missing = [text for text in texts if text not in whole]
    return [f"{person.name}: not in the export: {missing}"] if missing else []
