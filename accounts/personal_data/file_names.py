"""File names made from people's texts, safe on every system that may unpack them."""

import re
import unicodedata

MAX_CHARS = 80
MAX_BYTES = 150
# Control, format (bidirectional and zero-width), surrogate, private use, unassigned, separators.
UNPRINTABLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
FORBIDDEN = re.compile(r'[/\\:*?"<>|]+')
# Device names of Windows, with any extension.
RESERVED = re.compile(
    r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(\..*)?", re.IGNORECASE
)


def safe_name(text: str, otherwise: str) -> str:
    """`text` as the name of one file or folder, or `otherwise` if no character can be kept."""
    text = unicodedata.normalize("NFC", text)
    text = "".join(" " if c.isspace() else c for c in text if c.isspace() or _is_printable(c))
    text = " ".join(FORBIDDEN.sub("-", text).split())
    # No hidden files, no command-line options, no endings that Windows drops.
    text = _cut(text.strip(" .-~")).rstrip(" .-~")
    if RESERVED.fullmatch(text):
        text = f"{text[:3]}_{text[3:]}"
    return text or otherwise


def _is_printable(character: str) -> bool:
    return unicodedata.category(character) not in UNPRINTABLE


def _cut(text: str) -> str:
    text = text[:MAX_CHARS]
    while len(text.encode()) > MAX_BYTES or (text and unicodedata.combining(text[-1])):
        # A combining mark stays with its letter: both are kept, or neither.
        text = text[:-1]
    return text
