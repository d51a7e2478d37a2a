"""Extracts the text of each page of a PDF that Chromium has printed; no other PDFs work.

In a page, Chromium (Skia) names a font by the number of its object. The font's `ToUnicode` table
maps glyphs to characters."""

import re
import zlib

OBJECT = re.compile(rb"(?:^|\n)(\d+) 0 obj\b(.*?)\nendobj", re.DOTALL)
STREAM = re.compile(rb"stream\r?\n(.*)\r?\nendstream", re.DOTALL)
SHOWN = re.compile(rb"/F(\d+) [\d.]+ Tf|<([0-9A-Fa-f]+)>|(\bTj\b|\bTJ\b|\bTm\b)")
RANGES = re.compile(rb"begin(bfchar|bfrange)\n(.*?)end\1", re.DOTALL)


def pdf_text(pdf: bytes) -> list[str]:
    objects = {int(number): body for number, body in OBJECT.findall(pdf)}
    fonts = {
        number: _characters(_stream(objects[int(table[1])]))
        for number, body in objects.items()
        if (table := re.search(rb"/ToUnicode (\d+) 0 R", body))
    }
    pages = [body for body in objects.values() if re.search(rb"/Type /Page\b(?!s)", body)]
    contents = [re.search(rb"/Contents (\d+) 0 R", page) for page in pages]
    return [_text(_stream(objects[int(one[1])]), fonts) for one in contents if one]


def _stream(body: bytes) -> bytes:
    found = STREAM.search(body)
    assert found
    return zlib.decompress(found[1]) if b"/FlateDecode" in body else found[1]


def _characters(table: bytes) -> dict[int, str]:
    characters: dict[int, str] = {}
    for kind, lines in RANGES.findall(table):
        for line in lines.splitlines():
            first, *rest = re.findall(rb"<([0-9A-Fa-f]+)>", line)
            text = bytes.fromhex(rest[-1].decode()).decode("utf-16-be", "replace")
            last = int(rest[0], 16) if kind == b"bfrange" else int(first, 16)
            for step, glyph in enumerate(range(int(first, 16), last + 1)):
                characters[glyph] = text[:-1] + chr(ord(text[-1]) + step)
    return characters


def _text(content: bytes, fonts: dict[int, dict[int, str]]) -> str:
    """Returns the runs of glyphs, with a line break at each new position."""
    text: list[str] = []
    font: dict[int, str] = {}
    for name, glyphs, operator in SHOWN.findall(content):
        if name:
            font = fonts.get(int(name), {})
        elif operator == b"Tm":
            text.append("\n")
        else:
            codes = [int(glyphs[at : at + 4], 16) for at in range(0, len(glyphs), 4)]
            text.append("".join(font.get(code, "") for code in codes))
    return "".join(text)
