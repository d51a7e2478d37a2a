"""How search sees a text: as words without case and accents, every CJK character a word of its own.

Both databases are given these words, and a query is cut in the same way, so that they find the same
and nothing of a query but letters and digits ever reaches them. A script written without spaces is
found by any run of its characters, for a query's word of several is looked up as a phrase.
"""

import re
import unicodedata
from dataclasses import dataclass

# More of a message is not searched: PostgreSQL takes about a megabyte of words in one row.
MAX_CHARS = 200_000
MAX_WORDS_CHARS = 200_000
MAX_WORD_CHARS = 64
MAX_QUERY_CHARS = 200
MAX_TERMS = 12

# Han, kana and half-width kana: written without spaces. Hangul has them.
_CJK = (
    "\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\uff66-\uff9f\U00020000-\U000323af"
)
# Marks that stand over, under or beside the letters of a word: Latin, Hebrew, Arabic, Indic, Thai.
_MARKS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc"
    "\u06df-\u06e8\u06ea-\u06ed\u0900-\u0963\u0966-\u0dff\u0e31-\u0e3a\u0e47-\u0e4e"
)
_WORD = re.compile(rf"[{_CJK}]|[^\W_{_CJK}](?:[^\W_{_CJK}]|[{_MARKS}])*")
_LATIN_MARKS = re.compile("[\u0300-\u036f]+")
_QUERY_PART = re.compile(r'(-?)(?:"([^"]*)"|“([^”]*)”|([^\s"“]+))')


@dataclass(frozen=True, slots=True)
class Term:
    """Words that must follow one another; the last one may go on, if `is_prefix`."""

    words: tuple[str, ...]
    is_prefix: bool = False
    is_excluded: bool = False


def words_of(text: str) -> list[str]:
    return [found[0] for found in word_spans(text)]


def word_spans(text: str) -> list[tuple[str, int, int]]:
    """Each word as search sees it, and where in the text it stands."""
    spans = []
    for found in _WORD.finditer(text):
        if word := _folded(found[0]):
            spans.append((word, found.start(), found.end()))
    return spans


def searchable(text: str) -> str:
    """The words of a text, with spaces between them, as the databases index them."""
    return " ".join(words_of(text[:MAX_CHARS]))[:MAX_WORDS_CHARS]


def read_query(query: str) -> list[Term]:
    """`word`, `"a phrase"`, `-without`; the last word may be unfinished. Anything can be given."""
    query = query[:MAX_QUERY_CHARS]
    terms = []
    for minus, quoted, curly, plain in _QUERY_PART.findall(query):
        is_plain = bool(plain)
        words = tuple(words_of(quoted or curly or plain))
        if words:
            terms.append(Term(words, is_prefix=is_plain, is_excluded=bool(minus)))
    terms = terms[:MAX_TERMS]
    ends_open = query[-1:].isalnum()
    last = len(terms) - 1
    return [
        Term(
            term.words,
            is_prefix=term.is_prefix and number == last and ends_open and not term.is_excluded,
            is_excluded=term.is_excluded,
        )
        for number, term in enumerate(terms)
    ]


def _folded(word: str) -> str:
    if word.isascii():
        return word.lower()[:MAX_WORD_CHARS]
    plain = _LATIN_MARKS.sub("", unicodedata.normalize("NFKD", word.casefold()))
    # Decomposing takes Hangul and some kana apart: together again.
    plain = unicodedata.normalize("NFC", plain)
    # Vowels that are marks go too, in a text as in a query.
    return "".join(letter for letter in plain if letter.isalnum())[:MAX_WORD_CHARS]
