"""Gathers extracted text by page, up to a number of characters, and writes it."""

import json
import re
from pathlib import Path

# Control characters but tab and line feed, and halves of surrogate pairs; U+FFFE and U+FFFF, which
# PDFium puts where it joins a hyphenated word.
_UNWANTED = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


class Extracted:
    """Texts with their pages: a number, the name of a sheet, or None."""

    def __init__(self, most_chars: int) -> None:
        self.pages: list[tuple[int | str | None, str]] = []
        self.left = most_chars
        self.is_cut = False

    @property
    def chars(self) -> int:
        return sum(len(text) for _, text in self.pages)

    @property
    def is_blank(self) -> bool:
        return not any(text.strip() for _, text in self.pages)

    def add(self, page: int | str | None, text: str) -> None:
        text = cleaned(text)
        self.is_cut = self.is_cut or len(text) > self.left
        text = text[: self.left]
        self.left -= len(text)
        self.pages.append((page, text))

    def write(self, name: str) -> None:
        pages = [{"page": page, "text": text} for page, text in self.pages]
        Path(name).write_text(json.dumps(pages, ensure_ascii=False), encoding="utf-8")


def cleaned(text: str) -> str:
    return _UNWANTED.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
