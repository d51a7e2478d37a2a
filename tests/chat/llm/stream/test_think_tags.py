"""Separating thinking from text, wherever the network splits the stream."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.llm.stream.think_marks import KNOWN, Marks
from chat.llm.stream.think_tags import MAX_LOOKS, ThinkSplitter


def recasting(pieces, **options):
    """(answer, reasoning) of these pieces, with `recast` applied after each piece."""
    splitter = ThinkSplitter(**options)
    answer = reasoning = ""
    for piece in pieces:
        text, thought = splitter.feed(piece)
        answer = text if splitter.recast else answer + text
        reasoning += thought
    text, thought = splitter.flush()
    return answer + text, reasoning + thought


HARMONY = "<|channel|>analysis<|message|>a b<|end|><|start|>assistant<|channel|>final<|message|>c"
CASES = [
    ("<think>a b</think>c", ("c", "a b")),
    ("\n<think>\n a\n</think>\n\nc\n", ("c\n", "a")),
    ("<think></think>c", ("c", "")),
    ("<think>never ends", ("", "never ends")),
    ("<think>a</think>", ("", "a")),
    ("<think>a </thin b</think>c", ("c", "a </thin b")),
    ("<THINK>a</Think>c", ("c", "a")),
    ("no tags", ("no tags", "")),
    ("  indented", ("  indented", "")),
    ("<thi", ("<thi", "")),
    ("", ("", "")),
    # A second block, after one at the start.
    ("<think>a</think>b.\n<think>c</think>\nd", ("b.\nd", "a\n\nc")),
    ("<think>a</think>b. <think>c</think>d", ("b. d", "a\n\nc")),
    ("<think>a</think>b\n\n<think>c", ("b\n\n", "a\n\nc")),
    ("<think>a</think>the tag <think> is", ("the tag <think> is", "a")),
    ("<think>a</think>```\n<think>\n```\n", ("```\n<think>\n```\n", "a")),
    ("<think>a</think>b</think>c", ("b</think>c", "a")),
    # The text is about the tag.
    ("The tag <think>a</think> is", ("The tag <think>a</think> is", "")),
    ("Close it by `</think>`.", ("Close it by `</think>`.", "")),
    ('It is called "</think>".', ('It is called "</think>".', "")),
    ("Use </think> at the end.", ("Use </think> at the end.", "")),
    ("```\n</think>\n```\nx", ("```\n</think>\n```\nx", "")),
    ("~~~xml\n<think>\n</think>\n~~~\n", ("~~~xml\n<think>\n</think>\n~~~\n", "")),
    # The model's template opened the block.
    ("Okay, a.\n</think>\n\nc", ("c", "Okay, a.")),
    ("Okay, a.</think>c", ("c", "Okay, a.")),
    ("Okay, a</think>\nc", ("c", "Okay, a")),
    ("Okay, a. </think> c", ("c", "Okay, a.")),
    ('"a" it said.</think>c', ("c", '"a" it said.')),
    ("</think>\nc", ("c", "")),
    ("a\n</think>b\n</think>c", ("b\n</think>c", "a")),
    ("a\n</think>b\n\n<think>d</think>c", ("b\n\nc", "a\n\nd")),
    # Harmony.
    (HARMONY, ("c", "a b")),
    (f"<|start|>assistant{HARMONY}<|return|>", ("c", "a b")),
    ("<|channel|>final<|message|>c < d<|return|>", ("c < d", "")),
    ("<|channel|>analysis<|message|>a\n<|end|>", ("", "a")),
    ("<|channel|>commentary to=f <|constrain|>json<|message|>{}<|call|>", ("", "")),
    ("<|channel|>final<|message|>`<|end|>` ends `c`.", ("`<|end|>` ends `c`.", "")),
    ("<|channel|> is a mark.", ("<|channel|> is a mark.", "")),
    ("<|start|> is a mark.", ("<|start|> is a mark.", "")),
    ("<|start|>assistant is its head.", ("<|start|>assistant is its head.", "")),
    # Harmony from a server that drops the marks.
    ("analysisThe user greets. So do we.assistantfinalc", ("c", "The user greets. So do we.")),
    ("analysis of moss", ("analysis of moss", "")),
    ("analysis", ("analysis", "")),
    # Repeated marks.
    ("<think>\n<think>\na</think>c", ("c", "a")),
    ("<think>a</think>\n</think>\n\nc", ("c", "a")),
    ("a.\n</think></think>c", ("c", "a.")),
    ("<think>a</think></thi", ("</thi", "a")),
    # The text is about the tag, in other forms of Markdown.
    ("* </think> ends it", ("* </think> ends it", "")),
    ("It ends:\n1. </think> b", ("It ends:\n1. </think> b", "")),
    ("> </think> ends it", ("> </think> ends it", "")),
    ("Use **</think>** for it.", ("Use **</think>** for it.", "")),
    ("Write \\</think> for it.", ("Write \\</think> for it.", "")),
    ("|mark|use|\n|-|-|\n| </think> | end |", ("|mark|use|\n|-|-|\n| </think> | end |", "")),
    ("So **a**.</think>c", ("c", "So **a**.")),
    ("So **a**</think>c", ("c", "So **a**")),
]
CASES += [(f"{opening}\na{close}\n\nc", ("c", "a")) for opening, close in KNOWN]
CASES += [(f"a\n{close}\nc", ("c", "a")) for _, close in KNOWN]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_the_split_does_not_depend_on_where_the_text_is_cut(text, expected):
    assert recasting([text]) == expected
    assert recasting(list(text)) == expected
    for at in range(len(text)):
        assert recasting([text[:at], text[at:]]) == expected


PARTS = [
    "<",
    "think",
    ">",
    "</",
    "</think>",
    "<think>",
    " ",
    "a",
    "\n",
    "`",
    "```\n",
    ".",
    "[",
    "◁",
]
PARTS += ["<|channel|>", "final", "analysis", "<|message|>", "<|end|>", "to=", "<|"]


@given(st.lists(st.sampled_from(PARTS)))
def test_random_pieces_and_the_whole_give_the_same(pieces):
    assert recasting(pieces) == recasting(["".join(pieces)])
    assert recasting(list("".join(pieces))) == recasting(["".join(pieces)])


def test_only_a_possible_mark_is_held_back():
    splitter = ThinkSplitter()
    assert splitter.feed("Hi") == ("Hi", "")
    assert splitter.feed(" <th") == (" <th", "")
    assert splitter.feed("x </th") == ("x ", "")
    assert splitter.feed("y") == ("</thy", "")


def test_the_answer_becomes_reasoning_at_a_closing_mark():
    splitter = ThinkSplitter()
    assert splitter.feed("Okay, ") == ("Okay, ", "")
    assert splitter.feed("a.\n") == ("a.\n", "")
    assert not splitter.recast
    assert splitter.feed("</think>\n\nc") == ("c", "Okay, a.")
    assert splitter.recast
    assert splitter.feed("d") == ("d", "")
    assert not splitter.recast
    assert splitter.closed_by == "</think>"


def test_a_model_known_to_think_first_is_assumed_to_do_so():
    assert recasting(["a\n", "b</think>", "\nc"], begins="</think>") == ("c", "a\nb")
    assert recasting(["<think>a</think>c"], begins="</think>") == ("c", "a")
    splitter = ThinkSplitter(begins="</think>")
    splitter.feed("no mark")
    assert splitter.is_assumed


def test_a_continued_answer_keeps_the_context_of_the_partial_one():
    code = "Use `<think>` so:\n\n```\n<think>\nx\n"
    assert recasting(["</think>\n```\n"], before=code, is_glued=True) == ("</think>\n```\n", "")
    assert recasting(["<think>` so"], before="Use `", is_glued=True) == ("<think>` so", "")
    assert recasting(["<think>a</think>c"], before="Half of") == ("c", "a")


def test_marks_can_be_configured():
    marks = Marks((("<<", ">>"),), has_harmony=False)
    assert recasting(["<<a>>c"], marks=marks) == ("c", "a")
    assert recasting(["<think>a</think>c"], marks=marks) == ("<think>a</think>c", "")
    assert recasting([HARMONY], marks=marks) == (HARMONY, "")
    assert recasting(["a>>c"], marks=Marks((), ">>", has_harmony=False)) == ("c", "a")
    none = Marks((), has_harmony=False)
    assert recasting(["<think>a</think>c"], marks=none) == ("<think>a</think>c", "")


def test_thinking_in_separate_fields_leaves_the_text_unchanged():
    splitter = ThinkSplitter()
    splitter.has_fields = True
    assert splitter.feed("c.\n</think>\nd") == ("c.\n</think>\nd", "")
    splitter = ThinkSplitter()
    splitter.has_fields = True
    assert splitter.feed("\n</think>\nd") == ("d", "")


def test_the_number_of_marks_checked_is_bounded():
    text = "in the midst </think> of " * (MAX_LOOKS * 3)
    assert recasting([text]) == (text, "")
    assert recasting([text[n : n + 9] for n in range(0, len(text), 9)]) == (text, "")
