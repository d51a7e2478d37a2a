"""The HTML of a mail, made from its text: the text is the one that is written and translated."""

import re

from django.template.loader import render_to_string

CODE = re.compile(r"[0-9A-Z-]{4,12}")
ADDRESS = re.compile(r"https?://\S+")


def html_of(subject: str, text: str) -> str:
    """Paragraphs; a line that is only a code or only an address stands out."""
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text) if part.strip()]
    return render_to_string(
        "mail/message.html", {"subject": subject, "blocks": [_block(part) for part in paragraphs]}
    )


def _block(paragraph: str) -> dict[str, str]:
    if CODE.fullmatch(paragraph) and any(character.isdigit() for character in paragraph):
        return {"kind": "code", "text": paragraph}
    if ADDRESS.fullmatch(paragraph):
        return {"kind": "link", "text": paragraph}
    return {"kind": "text", "text": paragraph}
