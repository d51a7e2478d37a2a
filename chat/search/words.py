"""Splits texts and queries into words for search, without case and accents.

Both databases index these words, and a query is split in the same way. Both therefore find the same
messages, and only the letters and digits of a query ever reach them.

Scripts without spaces between words are searchable by any run of their characters. Each Han
character and kana is a word of its own, and a run of them in a query is a phrase. Where letters are
few (Thai, Lao, Khmer, Burmese) or words have endings (Korean), each pair of letters is a word,
because a single letter would occur in every text; the last letter follows as a word of its own.

Some signs are words too, because names contain them: C++ is "c", "plusplus"; C# is "c", "sharp". A
dash before a word, as in `ls -la`, adds a second word: "dashla", "la". A grouped number, 1,234, is
also the word 1234, and v2.10 is also found as 2.10.

Increase VERSION with every change to the result of `split_words`: chat/search/recut.py then splits
all texts again.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from chat.search.letters import MARKS, Text, fold_word, ranges

VERSION = 2
# The rest of a message is not searched: PostgreSQL accepts about a megabyte of words in a row.
MAX_CHARS = 200_000
MAX_WORDS_CHARS = 200_000
MAX_QUERY_CHARS = 200
MAX_TERMS = 12
DASH = "dash"
SIGNS = {"++": "plusplus", "+": "plus", "#": "sharp"}

# Han and kana, written without spaces.
_CJK = (
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\uff66-\uff9f\U00020000-\U000323af"
)
# The letters of Hangul, Thai, Lao, Burmese and Khmer.
_PAIRED = ranges(
    [
        code
        for first, last in (
            (0x1100, 0x11FF), (0x3130, 0x318F), (0xA960, 0xA97F), (0xAC00, 0xD7FF),
            (0x0E00, 0x0EFF), (0x1780, 0x17FF),
            (0x1000, 0x109F), (0xA9E0, 0xA9FF), (0xAA60, 0xAA7F),
        )
        for code in range(first, last + 1)
        if chr(code).isalnum() and not chr(code).isdecimal()
    ]
)  # fmt: skip
_KATAKANA = "\u30a1-\u30fa\u30fc"
_LETTER = rf"[^\W_{_CJK}{_PAIRED}]"
_TOKEN = re.compile(
    rf"""
    (?P<number>(?<!\w)\d{{1,3}}(?:[.,'\u2019\u00a0\u2009\u202f]\d{{3}})+(?!\w))
    |(?P<version>(?<!\w)[vV]\d+(?=\.\d))
    |(?P<word>{_LETTER}+(?:[{MARKS}]+{_LETTER}*)*)
    |(?P<long>(?<=[{_KATAKANA}]{{3}})\u30fc(?![{_KATAKANA}]))
    |(?P<cjk>[{_CJK}])
    |(?P<paired>[{_PAIRED}][{_PAIRED}{MARKS}\u200b\u200c]*)
    |(?P<dash>(?<![\w-])-{{1,2}}(?=[^\W_]))
    |(?P<sign>(?<=[^\W_])(?:\+\+|\+(?!\w)|\#(?!\w)))
    """,
    re.VERBOSE,
)
_QUERY_PART = re.compile(r'(-?)(?:"([^"]*)"|“([^”]*)”|([^\s"“]+))')

# The kinds of words that a query treats specially: a part of a grouped number, the last letter
# after pairs, a single letter without pairs.
Kind = Literal["", "part", "tail", "alone"]


class Word(NamedTuple):
    text: str
    start: int
    end: int
    kind: Kind = ""


@dataclass(frozen=True, slots=True)
class Term:
    """Words that must follow one another. With `is_prefix`, the last one may be incomplete."""

    words: tuple[str, ...]
    is_prefix: bool = False
    is_excluded: bool = False


def words_of(text: str) -> list[str]:
    return [word.text for word in split_words(text)]


def word_spans(text: str) -> list[tuple[str, int, int]]:
    """(word, start, end) for each word of a text."""
    return [(word.text, word.start, word.end) for word in split_words(text)]


def searchable(text: str) -> str:
    """The words of a text, separated by spaces, as the databases index them."""
    return " ".join(words_of(text[:MAX_CHARS]))[:MAX_WORDS_CHARS]


def split_words(text: str) -> list[Word]:
    """The words of a text, in the order that phrases match."""
    composed = Text(text)
    span, words = composed.span, list[Word]()
    dash = -1  # the position of a dash before the next word
    for token in _TOKEN.finditer(composed.letters):
        kind = token.lastgroup
        if kind == "dash":
            dash = token.start()
            continue
        if dash < 0 and kind in ("word", "cjk"):  # most tokens
            if word := fold_word(token[0]):
                words.append(Word(word, *span(*token.span())))
            continue
        token_words = list(_words(kind or "", token[0], token.start()))
        if dash >= 0 and token_words:
            first = token_words[0]
            token_words.insert(0, Word(DASH + first.text, dash, first.end))
        dash = -1
        for word, start, end, detail in token_words:
            if word:
                words.append(Word(word, *span(start, end), detail))
    return words


def _words(kind: str, written: str, start: int) -> Iterator[Word]:
    """The words of a token. A long mark at its end is dropped: サーバー becomes サーバ."""
    end = start + len(written)
    if kind == "number":
        for part in re.finditer(r"\d+", written):
            yield Word(fold_word(part[0]), start + part.start(), start + part.end(), "part")
        yield Word(fold_word(re.sub(r"\D", "", written)), start, end)
    elif kind == "version":
        yield Word(fold_word(written), start, end)
        yield Word(fold_word(written[1:]), start + 1, end)
    elif kind == "paired":
        yield from _pairs(written, start)
    elif kind == "sign":
        yield Word(SIGNS[written], start, end)
    elif kind != "long":
        yield Word(fold_word(written), start, end)


def _pairs(written: str, start: int) -> Iterator[Word]:
    places = [at for at, letter in enumerate(written) if letter.isalnum()]
    ends = [*places[1:], len(written)]
    letters = [_folded_letter(written[at]) for at in places]
    last = len(letters) - 1
    for number, letter in enumerate(letters):
        begins, ends_at = start + places[number], start + ends[number]
        if number < last:
            yield Word(letter + letters[number + 1], begins, start + ends[number + 1])
        else:
            yield Word(letter, begins, ends_at, "tail" if last else "alone")


_folded_letter = lru_cache(maxsize=20_000)(fold_word)


def read_query(query: str) -> list[Term]:
    """Parse `word`, `"a phrase"`, `-without`. The last word may be incomplete. Accepts any text.

    Two dashes begin an option: `--force` is a word. See `interpretations` for a single dash.
    """
    query = query[:MAX_QUERY_CHARS]
    terms = []
    for minus, quoted, curly, plain in _QUERY_PART.findall(query):
        is_option = bool(minus) and plain.startswith("-")
        words, is_partial = _query_words(quoted or curly or plain.lstrip("-"))
        if words:
            is_excluded = bool(minus) and not is_option
            terms.append((Term(words, is_partial, is_excluded), bool(plain)))
    terms = terms[:MAX_TERMS]
    ends_open = query[-1:].isalnum()
    last = len(terms) - 1
    return [
        Term(
            term.words,
            is_prefix=term.is_prefix
            or (is_plain and number == last and ends_open and not term.is_excluded),
            is_excluded=term.is_excluded,
        )
        for number, (term, is_plain) in enumerate(terms)
    ]


def _query_words(text: str) -> tuple[tuple[str, ...], bool]:
    """The words that must follow one another in a text, and whether the last may be incomplete.

    A run of letters matches inside a longer one, and a number matches whatever separates its
    groups.
    """
    words = split_words(text)
    while words and words[0].kind == "part":
        words.pop(0)
    if words and words[-1].kind == "tail":
        words.pop()
    return tuple(word.text for word in words), bool(words) and words[-1].kind == "alone"


def interpretations(query: str) -> list[list[Term]]:
    """The possible readings of a query, in order; the first one with a result counts.

    `ls -la` is a command in texts that contain it, otherwise `ls` without `la`. If all words of a
    query are excluded, they are searched for.
    """
    terms = read_query(query)
    excluded = [term for term in terms if term.is_excluded]
    if not excluded:
        return [terms]
    options = [_as_option(term) if term.is_excluded else term for term in terms]
    if len(excluded) == len(terms):
        return [options, [Term(term.words, is_prefix=True) for term in terms]]
    return [options, terms]


def _as_option(term: Term) -> Term:
    first = DASH + term.words[0]
    return Term((first, *term.words) if len(term.words) > 1 else (first,), is_prefix=True)
