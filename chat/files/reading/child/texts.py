"""Reads text: anything that decodes, SVG and HTML too."""

import codecs

from chat.files.reading.child import magic
from chat.files.reading.child.extracted import Extracted
from chat.files.reading.child.outcome import Bounds, Outcome
from chat.files.reading.child.refusals import Refused

_MARKS = (  # UTF-32 before UTF-16, whose mark is the start of its own.
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_GUESS_BYTES = 200_000  # A guess at the encoding by more would not be better, but slower.
_USUAL_CONTROLS = "\t\n\r\f\b\x1b"  # Terminals write the last ones.
_MOST_CONTROLS = 1 / 200


def read(data: bytes, bounds: Bounds) -> Outcome:
    text = _decoded(data).removeprefix("\ufeff")
    controls = sum(text.count(chr(n)) for n in (*range(32), *range(127, 160)))
    controls -= sum(text.count(usual) for usual in _USUAL_CONTROLS)
    if "\0" in text or controls > len(text) * _MOST_CONTROLS:
        raise Refused("kind")
    extracted = Extracted(bounds.chars)
    extracted.add(None, text)
    if extracted.is_blank and not extracted.is_cut:
        raise Refused("empty")
    extracted.write("text")
    return Outcome(
        "text", magic.TEXT, chars=extracted.chars, is_cut=extracted.is_cut, names=["text"]
    )


def _decoded(data: bytes) -> str:
    """Raises Refused if this is no text in any encoding."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _strict(data, encoding)
    if b"\0" in data:  # Guessing would take long.
        raise Refused("kind")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return _strict(data, _guess(data))


def _strict(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        raise Refused("kind") from None


def _guess(data: bytes) -> str:
    from charset_normalizer import from_bytes

    best = from_bytes(data[:_GUESS_BYTES]).best()
    if best is None:
        raise Refused("kind")
    return best.encoding
