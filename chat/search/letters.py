"""One spelling for what is typed in many: composed, in full width, with accents, in capitals.

Search folds a text and a query in the same way, and then looks for the same letters.
"""

import re
import unicodedata
from bisect import bisect_right

MAX_WORD_CHARS = 64


def ranges(codes: list[int]) -> str:
    """A list of code points as the inside of a character class."""
    found: list[list[int]] = []
    for code in codes:
        if found and code == found[-1][1] + 1:
            found[-1][1] = code
        else:
            found.append([code, code])
    return "".join(rf"\U{first:08x}-\U{last:08x}" for first, last in found)


# Marks over, under and beside letters, of all scripts; what is not seen inside a word.
MARKS = (
    ranges([code for code in range(0x300, 0x1F000) if unicodedata.category(chr(code))[0] == "M"])
    + "\u00ad\u200d\u2060"
)
# Letters and marks of Korean, and half-width marks of Japanese, which join what stands before them.
_JOINING = "\u1160-\u11ff\ud7b0-\ud7ff\uff9e\uff9f"
_CLUSTER = re.compile(
    rf"[^\x00-\x7f][{MARKS}{_JOINING}]*|[\x00-\x7f][{MARKS}{_JOINING}]+", re.DOTALL
)
_ACCENTS = re.compile("[\u0300-\u036f]+")
# Letters that Unicode does not take apart, as they are written where they are missing.
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
    """`letters`: a text composed and of one width. `span` tells where a part of it was written."""

    def __init__(self, text: str) -> None:
        self.letters = text
        # What became something else: where that ends here, and how far the text was ahead then.
        self._ends: list[int] = []
        self._changes: list[tuple[int, int, int, int]] = []
        if not text.isascii() and not unicodedata.is_normalized("NFKC", text):
            self._compose(text)

    def _compose(self, text: str) -> None:
        """Letters that are written with marks behind them, in half or full width, become one.
        Signs stay as they are: "…" is no three full stops, and "™" no end of the word before it."""
        parts: list[str] = []
        read = made = 0
        for found in _CLUSTER.finditer(text):
            cluster = found[0]
            if not cluster[0].isalnum():
                continue
            letters = unicodedata.normalize("NFKC", cluster)
            if letters == cluster:
                continue
            start, end = found.span()
            parts += [text[read:start], letters]
            made += start - read
            self._changes.append((made, made + len(letters), start, end))
            made += len(letters)
            self._ends.append(made)
            read = end
        self.letters = "".join([*parts, text[read:]])

    def span(self, start: int, end: int) -> tuple[int, int]:
        if not self._ends:
            return start, end
        return self._place(start)[0], self._place(end - 1)[1]

    def _place(self, at: int) -> tuple[int, int]:
        """Where the letter at this place was written, from and to."""
        number = bisect_right(self._ends, at)
        if number < len(self._changes) and at >= self._changes[number][0]:
            return self._changes[number][2:]
        ahead = self._changes[number - 1][3] - self._changes[number - 1][1] if number else 0
        return at + ahead, at + ahead + 1


def folded(word: str) -> str:
    """A word without case, accents and vowels that are marks; letters and digits alone are left."""
    if word.isascii():
        return word.lower()[:MAX_WORD_CHARS]
    plain = _ACCENTS.sub("", unicodedata.normalize("NFKD", word.casefold()))
    # Decomposing takes Hangul and some kana apart: together again.
    plain = unicodedata.normalize("NFC", plain).translate(_PLAIN)
    return "".join(_digit(letter) for letter in plain if letter.isalnum())[:MAX_WORD_CHARS]


def _digit(letter: str) -> str:
    return str(unicodedata.decimal(letter)) if letter.isdecimal() else letter
