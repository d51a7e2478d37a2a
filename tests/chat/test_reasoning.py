"""The splitter of `<think>` text, at every place where a network may cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.reasoning import ThinkSplitter


def split(pieces):
    splitter = ThinkSplitter()
    parts = [splitter.feed(piece) for piece in pieces] + [splitter.flush()]
    return "".join(answer for answer, _ in parts), "".join(thought for _, thought in parts)


CASES = [
    ("<think>a b</think>c", ("c", "a b")),
    ("\n<think>\n a\n</think>\n\nc\n", ("c\n", "a")),
    ("<think></think>c", ("c", "")),
    ("<think>never ends", ("", "never ends")),
    ("<think>a</think>", ("", "a")),
    ("<think>a </thin b</think>c", ("c", "a </thin b")),
    ("no tags", ("no tags", "")),
    ("  indented", ("  indented", "")),
    ("<thinking>a</thinking>", ("<thinking>a</thinking>", "")),
    ("The tag <think>a</think> is", ("The tag <think>a</think> is", "")),
    ("<think>a</think>b<think>c</think>", ("b<think>c</think>", "a")),
    ("<thi", ("<thi", "")),
    ("", ("", "")),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_it_splits_wherever_the_text_is_cut(text, expected):
    assert split([text]) == expected
    assert split(list(text)) == expected
    for at in range(len(text)):
        assert split([text[:at], text[at:]]) == expected


@given(st.lists(st.sampled_from(["<", "think", ">", "</", "</think>", "<think>", " ", "a", "\n"])))
def test_pieces_and_the_whole_give_the_same(pieces):
    assert split(pieces) == split(["".join(pieces)])


def test_it_holds_back_only_what_may_be_a_tag():
    splitter = ThinkSplitter()
    assert splitter.feed("Hi") == ("Hi", "")
    assert splitter.feed(" <th") == (" <th", "")
