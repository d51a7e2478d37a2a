"""Whether a text is English, which is all that the local voice reads."""

import re

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
# The words that make up about half of any English text, apart from those that are also common in
# other European languages ("a", "in", "me", "do", "as", "no", "on", "or", "so", "he", "was", "is").
_COMMON = frozenset(
    _WORD.findall(
        "the of and to for it that you with this are be have not from by but they we can if which "
        "at there what when your will would how then than has were been its into these some their "
        "one yes okay hello sure thanks here"
    )
)
MIN_SHARE = 0.08
# Shorter texts may have none of these words. They are English if all letters are ASCII.
FEW_WORDS = 8
MAX_OTHER_LETTERS = 0.05


def is_english(text: str) -> bool:
    words = _WORD.findall(text.lower())
    letters = "".join(words)
    if not letters:
        return True  # numbers
    others = sum(not letter.isascii() for letter in letters if letter not in "'’")
    if others > MAX_OTHER_LETTERS * len(letters):
        return False
    if len(words) < FEW_WORDS:
        return not others
    return sum(word in _COMMON for word in words) >= MIN_SHARE * len(words)
