"""Folding of equivalent spellings: composed or not, full width, accents, capitals.

Search folds texts and queries in the same way, and compares the folded letters.
"""

import re
import unicodedata
from bisect import bisect_right

MAX_WORD_CHARS = 64


def ranges(codes: list[int]) -> str:
    """A sorted list of code points as the inside of a character class."""
    runs: list[list[int]] = []
    for code in codes:
        if runs and code == runs[-1][1] + 1:
            runs[-1][1] = code
        else:
            runs.append([code, code])
    return "".join(rf"\U{first:08x}-\U{last:08x}" for first, last in runs)


# Combining marks of all scripts, and characters that are invisible inside a word.
MARKS = (
    ranges([code for code in range(0x300, 0x1F000) if unicodedata.category(chr(code))[0] == "M"])
    + "\u00ad\u200d\u2060"
)
# Korean letters and marks, and half-width Japanese marks, which join the preceding character.
_JOINING = "\u1160-\u11ff\ud7b0-\ud7ff\uff9e\uff9f"
_CLUSTER = re.compile(
    rf"[^\x00-\x7f][{MARKS}{_JOINING}]*|[\x00-\x7f][{MARKS}{_JOINING}]+", re.DOTALL
)
_ACCENTS = re.compile("[\u0300-\u036f]+")
# Letters that Unicode does not decompose, with their usual replacements.
_PLAIN = str.maketrans(
    {
        "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "ł": "l", "ŋ": "n", "ŧ": "t", "ĸ": "k",
        "þ": "th", "æ": "ae", "œ": "oe", "ə": "e", "ɓ": "b", "ɗ": "d", "ɖ": "d", "ƙ": "k", "ƒ": "f",
        "ɛ": "e", "ɔ": "o", "ʒ": "z", "ȷ": "j",
        "أ": "ا", "إ": "ا", "آ": "ا", "ٱ": "ا", "ى": "ي",
        "ـ": None, "ʻ": None, "ʼ": None, "ʾ": None, "ʿ": None,
    }
)  # fmt: skip


class Text:
    """`letters` is a text, composed and in one width. `span` maps its positions to the original."""

    def __init__(self, text: str) -> None:
        self.letters = text
        # The ends of changed parts in `letters`, and (start, end, original start, original end).
        self._ends: list[int] = []
        self._changes: list[tuple[int, int, int, int]] = []
        if not text.isascii() and not unicodedata.is_normalized("NFKC", text):
            self._compose(text)

    def _compose(self, text: str) -> None:
        """Compose letters with their marks, and convert half and full width.

        Signs are not changed: otherwise "…" would become three full stops, and "™" would become
        part of the word before it.
        """
        parts: list[str] = []
        read = made = 0
        for match in _CLUSTER.finditer(text):
            cluster = match[0]
            if not cluster[0].isalnum():
                continue
            letters = unicodedata.normalize("NFKC", cluster)
            if letters == cluster:
                continue
            start, end = match.span()
            parts += [text[read:start], letters]
            made += start - read
            self._changes.append((made, made + len(letters), start, end))
            made += len(letters)
            self._ends.append(made)
            read = end
        self.letters = "".join([*parts, text[read:]])

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The range of the original text for a range of `letters`."""
        if not self._ends:
            return start, end
        return self._place(start)[0], self._place(end - 1)[1]

    def _place(self, at: int) -> tuple[int, int]:
        """The range of the original text for the letter at this position."""
        number = bisect_right(self._ends, at)
        if number < len(self._changes) and at >= self._changes[number][0]:
            return self._changes[number][2:]
        ahead = self._changes[number - 1][3] - self._changes[number - 1][1] if number else 0
        return at + ahead, at + ahead + 1


def fold_word(word: str) -> str:
    """A word without case, accents and vowel marks: only letters and digits remain."""
    if word.isascii():
        return word.lower()[:MAX_WORD_CHARS]
    plain = _ACCENTS.sub("", unicodedata.normalize("NFKD", word.casefold()))
    # Decomposition also splits Hangul and some kana; recompose them.
    plain = unicodedata.normalize("NFC", plain).translate(_PLAIN)
    return "".join(_digit(letter) for letter in plain if letter.isalnum())[:MAX_WORD_CHARS]


def _digit(letter: str) -> str:
    return str(unicodedata.decimal(letter)) if letter.isdecimal() else letter
