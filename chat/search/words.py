"""How search sees a text: as words without case and accents.

Both databases are given these words, and a query is cut in the same way, so that they find the same
and nothing of a query but letters and digits ever reaches them.

Scripts without spaces between words are found by any run of their characters: each Han character
and kana is a word of its own, and a query's run of them is looked up as a phrase. Where letters are
few (Thai, Lao, Khmer, Burmese) or words carry endings (Korean), each pair of letters is a word, so
that a pair does not span two words and is not in every text; the last letter stands alone after it.

Some signs are words too, because names are made of them: C++ is "c", "plusplus"; C# is "c",
"sharp". A dash before a word, as in `ls -la`, makes a second word of it: "dashla", "la". A number
in groups, 1,234, is also the word 1234, and v2.10 is found as 2.10, too.

Who changes what `cut` gives raises VERSION: chat/search/recut.py then cuts all texts anew.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from chat.search.letters import MARKS, Text, folded, ranges

VERSION = 2
# More of a message is not searched: PostgreSQL takes about a megabyte of words in one row.
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

# How a word comes about, where a query must know: a part of a grouped number, the letter that
# stands alone after pairs, one that has no other.
Kind = Literal["", "part", "tail", "alone"]


class Word(NamedTuple):
    text: str
    start: int
    end: int
    kind: Kind = ""


@dataclass(frozen=True, slots=True)
class Term:
    """Words that must follow one another; the last one may go on, if `is_prefix`."""

    words: tuple[str, ...]
    is_prefix: bool = False
    is_excluded: bool = False


def words_of(text: str) -> list[str]:
    return [word.text for word in cut(text)]


def word_spans(text: str) -> list[tuple[str, int, int]]:
    """Each word as search sees it, and where in the text it stands."""
    return [(word.text, word.start, word.end) for word in cut(text)]


def searchable(text: str) -> str:
    """The words of a text, with spaces between them, as the databases index them."""
    return " ".join(words_of(text[:MAX_CHARS]))[:MAX_WORDS_CHARS]


def cut(text: str) -> list[Word]:
    """The words of a text, in the order in which phrases are looked up."""
    known = Text(text)
    span, words = known.span, list[Word]()
    dash = -1  # where one stands before the next word
    for found in _TOKEN.finditer(known.letters):
        kind = found.lastgroup
        if kind == "dash":
            dash = found.start()
            continue
        if dash < 0 and kind in ("word", "cjk"):  # nearly all
            if word := folded(found[0]):
                words.append(Word(word, *span(*found.span())))
            continue
        made = list(_words(kind or "", found[0], found.start()))
        if dash >= 0 and made:
            made.insert(0, Word(DASH + made[0].text, dash, made[0].end))
        dash = -1
        for word, start, end, detail in made:
            if word:
                words.append(Word(word, *span(start, end), detail))
    return words


def _words(kind: str, written: str, start: int) -> Iterator[Word]:
    """The words that a token makes; none of a long mark at the end: サーバー is サーバ."""
    end = start + len(written)
    if kind == "number":
        for part in re.finditer(r"\d+", written):
            yield Word(folded(part[0]), start + part.start(), start + part.end(), "part")
        yield Word(folded(re.sub(r"\D", "", written)), start, end)
    elif kind == "version":
        yield Word(folded(written), start, end)
        yield Word(folded(written[1:]), start + 1, end)
    elif kind == "paired":
        yield from _pairs(written, start)
    elif kind == "sign":
        yield Word(SIGNS[written], start, end)
    elif kind != "long":
        yield Word(folded(written), start, end)


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


_folded_letter = lru_cache(maxsize=20_000)(folded)


def read_query(query: str) -> list[Term]:
    """`word`, `"a phrase"`, `-without`; the last word may be unfinished. Anything can be given.

    Two dashes are those of an option: `--force` is the word. One may be, too: see `readings`.
    """
    query = query[:MAX_QUERY_CHARS]
    terms = []
    for minus, quoted, curly, plain in _QUERY_PART.findall(query):
        is_option = bool(minus) and plain.startswith("-")
        words, must_go_on = _asked(quoted or curly or plain.lstrip("-"))
        if words:
            is_excluded = bool(minus) and not is_option
            terms.append((Term(words, must_go_on, is_excluded), bool(plain)))
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


def _asked(text: str) -> tuple[tuple[str, ...], bool]:
    """The words that a text must have in a row to be found, and whether the last may go on.

    A run of letters is found inside a longer one, and a number whatever stands between its groups.
    """
    words = cut(text)
    while words and words[0].kind == "part":
        words.pop(0)
    if words and words[-1].kind == "tail":
        words.pop()
    return tuple(word.text for word in words), bool(words) and words[-1].kind == "alone"


def readings(query: str) -> list[list[Term]]:
    """What a query may mean, the first that finds anything counts.

    `ls -la` is a command where somebody wrote it so, and else `ls` without `la`. Where nothing but
    excluded words is asked for, these are looked for.
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
