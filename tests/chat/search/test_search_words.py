"""Splitting texts and queries into words, and snippets. Without a database."""

import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.search.query import _fts5, _tsquery
from chat.search.snippets import (
    FIRST_SEARCH_CHARS,
    MAX_SEARCH_CHARS,
    SNIPPET_CHARS,
    highlighted,
    snippet,
)
from chat.search.words import (
    MAX_TERMS,
    Term,
    interpretations,
    read_query,
    searchable,
    word_spans,
    words_of,
)

VECTORS = Path(__file__).parents[2] / "vectors" / "search" / "words.json"


@pytest.mark.parametrize("case", json.loads(VECTORS.read_text()), ids=lambda case: case["text"])
def test_the_words_of_a_text(case):
    assert words_of(case["text"]) == case["words"]


@pytest.mark.parametrize(
    ("query", "terms"),
    [
        ("hello wor", [Term(("hello",)), Term(("wor",), is_prefix=True)]),
        ("hello wor ", [Term(("hello",)), Term(("wor",))]),
        ('"Two words" on', [Term(("two", "words")), Term(("on",), is_prefix=True)]),
        ("tide -moon", [Term(("tide",)), Term(("moon",), is_excluded=True)]),
        ("潮の", [Term(("潮", "の"), is_prefix=True)]),
        ("don't", [Term(("don", "t"), is_prefix=True)]),
        ('" "" -- * () : ^ OR', [Term(("or",), is_prefix=True)]),
        ("NEAR(a b, 2)", [Term(("near", "a")), Term(("b",)), Term(("2",))]),
        ("", []),
        ('-"', []),
    ],
)
def test_the_terms_of_a_query(query, terms):
    assert read_query(query) == terms


@pytest.mark.parametrize(
    ("query", "terms"),
    [
        ("git push --force", [Term(("git",)), Term(("push",)), Term(("force",), is_prefix=True)]),
        ("밤 학교", [Term(("밤",), is_prefix=True), Term(("학교",), is_prefix=True)]),
        ("학교에서 ", [Term(("학교", "교에", "에서"))]),
        ('"학교에 가다"', [Term(("학교", "교에", "에", "가다"))]),
        ("1,234.56", [Term(("1234", "56"), is_prefix=True)]),
        ('"at 1,234"', [Term(("at", "1", "234", "1234"))]),
        ("c++", [Term(("c", "plusplus"))]),
        ("x " * 20, [Term(("x",))] * MAX_TERMS),
    ],
)
def test_query_operators(query, terms):
    assert read_query(query) == terms


def test_a_dash_is_an_option_or_an_exclusion():
    ls, la = Term(("ls",)), Term(("dashla",), is_prefix=True)
    assert interpretations("ls -la") == [[ls, la], [ls, Term(("la",), is_excluded=True)]]
    assert interpretations("-la") == [[la], [Term(("la",), is_prefix=True)]]
    assert interpretations("a -b=c")[0][1] == Term(("dashb", "b", "c"), is_prefix=True)
    assert interpretations("ls") == [[Term(("ls",), is_prefix=True)]]


@given(st.text(alphabet="a1e\u0301ßｶﾞ가각ᄒ\u1161\u11a8ก\u0e33์ー,.-+# x…™\u200b", max_size=40))
def test_word_spans_point_to_the_original_text(text):
    spans = word_spans(text)
    for word, start, end in spans:
        assert 0 <= start < end <= len(text)
        assert word.isalnum() and word == word.lower()
    # The Unicode normalization of the query does not matter.
    assert words_of(unicodedata.normalize("NFC", text)) == [word for word, _, _ in spans]


@given(st.text(max_size=400))
def test_no_query_reaches_a_database_as_syntax(query):
    terms = read_query(query)
    assert len(terms) <= MAX_TERMS
    for term in terms:
        assert all(word and all(letter.isalnum() for letter in word) for word in term.words)
    if any(not term.is_excluded for term in terms):
        assert _tsquery(terms).count("'") == 2 * sum(len(term.words) for term in terms)
        assert _fts5(terms).count('"') == 2 * len(terms)


@given(st.text(max_size=400), st.text(max_size=20))
def test_a_snippet_is_part_of_the_text(text, query):
    terms = read_query(query)
    assert "".join(part for part, _ in highlighted(text, terms)) == text
    for word, start, end in word_spans(text):
        assert 0 <= start < end <= len(text) and word
    searchable(text)
    snippet(text, terms)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (
            "A **bloom filter** is *quick*.\n\n## How `it` works\n",
            "A bloom filter is quick. How it works",
        ),
        ("> - [x] bloom\n\n| a | b |\n|--:|---|\n", "- bloom | a | b |"),
        ("```python\nbloom = 2 ** 3\n```\n", "bloom = 2 ** 3"),
        ("see [bloom](https://example.org/x) and ![it](y.png)[^1]", "see bloom and it"),
        ("a [link](https://bloom.example)", "a [link](https://bloom.example)"),
        ("2 * 3 * bloom and snake_case_name", "2 * 3 * bloom and snake_case_name"),
    ],
)
def test_a_snippet_is_shown_without_its_markup(written, shown):
    parts = snippet(written, read_query("bloom"))
    assert "".join(str(part) for part, _ in parts).strip() == shown
    assert ["bloom", True] in parts


def hits(parts):
    return [part for part, hit in parts if hit]


def test_a_long_message_is_split_only_as_far_as_needed(monkeypatch):
    looked_at = []

    def counting(text):
        looked_at.append(len(text))
        return word_spans(text)

    monkeypatch.setattr("chat.search.snippets.word_spans", counting)
    long = "\u6f6e" * 200_000
    assert hits(snippet("whale " + long, read_query("whale"))) == ["whale"]
    assert sum(looked_at) <= FIRST_SEARCH_CHARS
    looked_at.clear()
    assert hits(snippet(long, read_query("whale"))) == []
    assert max(looked_at) == MAX_SEARCH_CHARS
    assert sum(looked_at) <= 2 * (FIRST_SEARCH_CHARS + MAX_SEARCH_CHARS)


def test_more_terms_further_on_are_preferred_to_fewer_nearby():
    text = "moon " + "sand " * 1_000 + "moon and tide " + "sand " * 1_000
    assert hits(snippet(text, read_query("moon tide"))) == ["moon", "tide"]
    # A match at the edge of the first search includes the text after it.
    edge = "s" * (FIRST_SEARCH_CHARS - 8) + " moon tides " + "sand " * 1_000
    assert hits(snippet(edge, read_query("moon tide"))) == ["moon", "tides"]


def test_a_snippet_shows_where_most_terms_are_close_together():
    text = "moon " + "far " * 200 + "the tide follows the moon, <b>always</b>. " + "end " * 200
    parts = snippet(text, read_query("moon tide"))
    assert [part for part, hit in parts if hit] == ["tide", "moon"]
    whole = "".join(part for part, _ in parts)
    assert whole.startswith("…") and whole.endswith("…") and "<b>always</b>" in whole
    assert len(whole) < SNIPPET_CHARS * 1.5


def test_matches_keep_their_accents_and_case():
    assert highlighted("Über CAFÉ", read_query("uber cafe")) == [
        ["Über", True],
        [" ", False],
        ["CAFÉ", True],
    ]
