"""The fold, by the shared vectors: it gives the same transcript from every starting point."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.transcript import Transcript
from tests.chat.random_logs import chat_logs, entries_of
from tests.examples import examples
from tests.folding import fold_entries

VECTORS = Path(__file__).parent.parent / "vectors" / "fold"


def vectors():
    found = sorted(VECTORS.glob("*.json"))
    assert found, "no fold vectors"
    return [pytest.param(json.loads(path.read_text()), id=path.stem) for path in found]


@pytest.mark.parametrize("vector", vectors())
def test_it_gives_the_transcript_of_the_vector(vector):
    folded = fold_entries(entries_of(vector["events"])).to_dict()
    assert folded == vector["state"]


@given(chat_logs(), st.data())
@settings(deadline=None, max_examples=examples(60))
def test_stopping_anywhere_and_going_on_changes_nothing(log, data):
    entries = entries_of(log)
    cut = data.draw(st.integers(0, len(entries)))
    whole = fold_entries(entries)
    resumed = fold_entries(entries, into=fold_entries(entries[:cut]))
    assert resumed.to_dict() == whole.to_dict()


@given(chat_logs())
@settings(deadline=None, max_examples=examples(60))
def test_folding_an_entry_twice_changes_nothing(log):
    entries = entries_of(log)
    doubled = [entry for entry in entries for _ in range(2)]
    assert fold_entries(doubled).to_dict() == fold_entries(entries).to_dict()


@given(chat_logs())
@settings(deadline=None, max_examples=examples(60))
def test_the_shown_path_is_a_line_from_the_root(log):
    transcript = fold_entries(entries_of(log))
    parent = None
    for message in transcript.path():
        assert message.parent == parent
        parent = message.id


def test_it_skips_types_of_a_newer_version():
    events = [
        ["1-0", {"type": "message.created", "message": "m", "role": "user", "text": "hi"}],
        ["2-0", {"type": "message.hologram", "message": "m", "depth": 3}],
        ["3-0", {"type": "message.delta", "message": "m", "text": "!", "colour": "green"}],
    ]
    assert str(fold_entries(entries_of(events)).messages["m"].text) == "hi!"


def test_it_starts_empty():
    assert fold_entries([]).to_dict() == Transcript().to_dict()
