"""Events on the wire: they can be read back, also by and from other versions."""

import dataclasses
import hashlib
import json
import logging
import subprocess
import typing
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat import events as ev
from streams.log import Entry
from tests.examples import examples
from tests.folding import fold_entries
from tests.node import NODE

FIXTURES = Path(__file__).parent / "fixtures"
VERIFY = Path(__file__).resolve().parent.parent.parent / "static/js/chat/log/verify.js"

texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = {
    "str": texts,
    "str | None": st.none() | texts,
    "int": st.integers(0, 2**53),
    "int | None": st.none() | st.integers(0, 2**53),
    "bool": st.booleans(),
    "bool | None": st.none() | st.booleans(),
    "Role": st.sampled_from(["user", "assistant"]),
    "ResumeReason": st.sampled_from(["lost", "handover", "provider", "user", "step"]),
    "ToolStatus": st.sampled_from(["ok", "error", "denied", "stopped", "timeout", "unknown"]),
    "Any": st.none() | st.booleans() | st.dictionaries(texts, st.integers(0, 9), max_size=3),
    "list[dict[str, Any]]": st.lists(st.dictionaries(texts, texts), max_size=3),
    "Means": st.sampled_from(["prefill", "ask", "restart"]),
    "list[str] | None": st.none() | st.lists(texts, max_size=3),
    "list[dict[str, Any]] | None": st.none() | st.lists(st.dictionaries(texts, texts), max_size=3),
    "list[dict[str, str]] | None": st.none() | st.lists(st.dictionaries(texts, texts), max_size=3),
    "dict[str, Any]": st.dictionaries(texts, st.integers(0, 9), max_size=3),
    "list[list[int]]": st.lists(st.lists(st.integers(0, 9), max_size=4), max_size=3),
    "dict[str, Any] | None": st.none() | st.dictionaries(texts, st.integers(0, 9), max_size=3),
}


def value_of(field):
    if "Literal" in str(field.type):
        return st.sampled_from(["user", "model"])
    annotation = getattr(field.type, "__name__", None) if isinstance(field.type, type) else None
    return VALUES[annotation or _annotation(field)]


def _annotation(field):
    names = {ev.Role: "Role", ev.ResumeReason: "ResumeReason", ev.Means: "Means"}
    names[ev.ToolStatus] = "ToolStatus"
    return names.get(field.type) or str(field.type).replace("typing.", "")


def made(kind):
    given_fields = {}
    for field in dataclasses.fields(kind):
        if field.type in (ev.Role, ev.ResumeReason, ev.Means, ev.ToolStatus):
            given_fields[field.name] = VALUES[_annotation(field)]
        else:
            given_fields[field.name] = value_of(field)
    return st.builds(kind, **given_fields)


@pytest.mark.parametrize("kind", ev.EVENT_TYPES.values(), ids=ev.EVENT_TYPES.keys())
def test_every_event_comes_back_as_it_was(kind):
    @given(made(kind))
    @settings(deadline=None, max_examples=examples(25))
    def check(event):
        whole = orjson.dumps(event.to_dict(whole=True))
        assert ev.parse(whole) == event
        bare = dataclasses.replace(event, **dict.fromkeys(kind.KEPT_OUT_OF_LOG))
        assert ev.parse(event.encode()) == bare
        assert None not in json.loads(event.encode()).values()

    check()


def test_every_kind_of_event_is_known_by_its_type():
    named = {kind.__name__ for kind in ev.ChatEvent.__subclasses__()}
    assert {kind.__name__ for kind in ev.EVENT_TYPES.values()} == named
    assert set(ev.EVENT_TYPES.values()) == set(typing.get_args(ev.AnyEvent))
    assert all(kind.type == name for name, kind in ev.EVENT_TYPES.items())


def test_a_writer_cannot_misspell_a_field():
    with pytest.raises(TypeError):
        ev.MessageDelta(message="m", txt="x")  # type: ignore[call-arg]
    with pytest.raises(dataclasses.FrozenInstanceError):
        ev.MessageDelta(message="m", text="x").text = "y"  # type: ignore[misc]


# Other versions


def test_fields_of_a_newer_version_are_ignored():
    data = b'{"type": "message.delta", "message": "m", "text": "x", "voice": {"a": [1]}}'
    assert ev.parse(data) == ev.MessageDelta(message="m", text="x")


@pytest.mark.parametrize(
    "data",
    [
        b'{"type": "message.hologram", "message": "m"}',
        b'{"type": null}',
        b'{"type": 5}',
        b'{"message": "m"}',
        b'{"type": "message.delta", "message": "m"}',
        b'{"type": "message.completed", "message": "m", "finish": "stop"}',
    ],
)
def test_what_this_version_cannot_read_is_skipped_and_said_once(data, caplog, monkeypatch):
    monkeypatch.setattr(ev, "_unknown_types_seen", set())
    with caplog.at_level(logging.WARNING):
        assert [ev.parse(data) for _ in range(3)] == [None] * 3
    assert len(caplog.records) == 1


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.jsonl")), ids=lambda path: path.stem)
def test_lines_that_were_written_once_can_be_read_for_good(path, javascript_fold):
    """Never edit these files: people's logs have these lines. New fields get a new file."""
    log = [json.loads(line) for line in path.read_text().splitlines()]
    entries = [Entry(entry_id, "c", event["type"], orjson.dumps(event)) for entry_id, event in log]
    for entry in entries:
        event = ev.parse(entry.data)
        assert event is not None, entry
        read = event.to_dict(whole=True)
        assert read | json.loads(entry.data) == read
    folded = fold_entries(entries).to_dict()
    assert folded == json.loads(path.with_suffix(".json").read_text())
    assert javascript_fold(log) == folded


def test_there_are_old_lines_of_every_type():
    lines = [line for path in FIXTURES.glob("*.jsonl") for line in path.read_text().splitlines()]
    assert {json.loads(line)[1]["type"] for line in lines} == set(ev.EVENT_TYPES)


# In the log


def test_only_the_index_holds_the_text_of_an_ended_answer():
    completed = ev.MessageCompleted(
        message="m",
        finish="stop",
        model="x/y",
        length=2,
        sha256="00",
        duration_ms=1,
        text="hi",
        reasoning="so",
    )
    failed = ev.MessageError(
        message="m",
        code="stream_cut",
        text="It broke off.",
        retryable=True,
        length=2,
        sha256="00",
        text_kept="hi",
        reasoning="so",
    )
    for event, kept in ((completed, "text"), (failed, "text_kept")):
        logged = ev.log_event("c", event, "id")
        assert {kept, "reasoning"}.isdisjoint(json.loads(logged.data))
        whole = json.loads(logged.whole)
        assert (whole[kept], whole["reasoning"]) == ("hi", "so")
        assert logged.part_of is None
    assert json.loads(ev.log_event("c", failed, "id").data)["text"] == "It broke off."


def test_an_empty_answer_is_told_apart_from_one_that_is_left_out():
    event = ev.MessageCompleted(
        message="m", finish="stop", model="x", length=0, sha256="", duration_ms=0, text=""
    )
    assert json.loads(ev.log_event("c", event, "id").whole)["text"] == ""


def test_tokens_alone_are_parts():
    parts = {
        kind.type
        for kind, event in {
            ev.MessageDelta: ev.MessageDelta("m", "x"),
            ev.MessageReasoning: ev.MessageReasoning("m", "x"),
            ev.MessageCreated: ev.MessageCreated("m", "user"),
            ev.BranchChosen: ev.BranchChosen("m"),
        }.items()
        if ev.log_event("c", event, "id").part_of == "m"
    }
    assert parts == {"message.delta", "message.reasoning"}


# The fingerprint

CHECK = """
import { matchesFingerprint } from %s;
import { createInterface } from "node:readline";
for await (const line of createInterface({ input: process.stdin }))
  console.log(await matchesFingerprint(JSON.parse(line)));
"""
SAMPLES = [
    "",
    "plain",
    "é",
    "e\u0301",
    "漢字かな",
    "👩\u200d💻🇩🇰👍🏽",
    "\U0010ffff\ufeff\u2028\u2029\x00",
    "a\r\nb\rc\n",
    "\ufffd",
    "x" * 100_000,
]


def test_the_browser_reckons_the_same_fingerprint():
    good = [
        dict(zip(("length", "sha256"), ev.fingerprint(t), strict=True), text=t) for t in SAMPLES
    ]
    wrong = [sample | {"text": sample["text"] + "!"} for sample in good]
    swapped = [sample | {"sha256": hashlib.sha256(b"else").hexdigest()} for sample in good]
    lines = "\n".join(json.dumps(sample) for sample in [*good, *wrong, *swapped])
    done = subprocess.run(
        [NODE, "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON", "--input-type=module", "-e",
         CHECK % json.dumps(VERIFY.as_uri())],
        input=lines, capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    assert done.stdout.split() == ["true"] * len(good) + ["false"] * (2 * len(good))


@given(texts)
@settings(deadline=None, max_examples=examples(50))
def test_the_fingerprint_is_that_of_the_bytes(text):
    data = text.encode()
    assert ev.fingerprint(text) == (len(data), hashlib.sha256(data).hexdigest())
