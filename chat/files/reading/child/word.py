"""Reads Word documents: the text, then headers, footers, notes and comments."""

from chat.files.reading.child.archives import Archive
from chat.files.reading.child.extracted import Extracted
from chat.files.reading.child.runs import text_of
from chat.files.reading.child.xml_parts import parts_of_type

_WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml."
_OTHERS = ("header", "footer", "footnotes", "endnotes", "comments")


def extract(archive: Archive, main: str, extracted: Extracted) -> None:
    texts = [text_of(archive, main, extracted.left)]
    for kind in _OTHERS:
        for part in parts_of_type(archive, f"{_WORD}{kind}+xml"):
            text = text_of(archive, part, extracted.left)
            if text.strip() and text not in texts:  # Each section may repeat a header.
                texts.append(text)
    extracted.add(None, "\n\n".join(texts))
