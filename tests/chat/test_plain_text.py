"""Plain text of any Markdown. A rule that backtracks over a long line makes these tests hang."""

import json
from pathlib import Path

import pytest

from chat.plain_text import plain_text

LENGTH = 100_000
PIECES = (
    *("`", "``a", "`a\n", "**", "**a", "__a ", "~~", "*a ", "* ", "***a ", "*a*b", "_", "> ", "# "),
    *("[", "[a](", "![", "[](", "[^", "[^a", "|-", "-- |", "| ", "- [", "\\", " ", "**a __b ~~c "),
)


@pytest.mark.parametrize("head", ["", "a", "word ", "|"])
@pytest.mark.parametrize("piece", PIECES)
def test_nothing_makes_it_slow(piece, head):
    hostile = (head + piece * LENGTH)[:LENGTH]
    assert len(plain_text(hostile)) <= LENGTH


def test_marks_of_code_go_and_the_code_stays():
    assert plain_text("a ``b`` `c` ```d``` `") == "a b c d `"


# They also drive tests/js/lib/plain_text.test.mjs.
VECTORS = Path(__file__).parents[1] / "vectors" / "plain_text.json"


@pytest.mark.parametrize("vector", json.loads(VECTORS.read_text()), ids=lambda one: one["markdown"])
def test_the_server_and_the_page_make_the_same_of_it(vector):
    assert plain_text(vector["markdown"]) == vector["text"]
