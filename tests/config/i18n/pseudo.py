"""A pseudo-language, English between ⟦brackets⟧, compiled like every other language.

Text without brackets on its pages has not been marked for translation.
"""

import io
import re
from html.parser import HTMLParser
from pathlib import Path

import django
from babel.messages.pofile import read_po, write_po
from django.apps import apps

from config.i18n import texts

LANGUAGE = "mt"  # It has many plural forms, and no library has translations for it.
BRACKETED = re.compile(r"⟦[^⟦⟧]*⟧")
WORD = re.compile(r"[^\W\d_]{2,}")
SEEN_ATTRIBUTES = {"title", "alt", "placeholder", "aria-label", "aria-description"}
UNSEEN = {"script", "style", "template", "svg"}
# Data: the names of places and languages.
UNSEEN_PARTS = {("id", "time_zone"), ("id", "language")}


def write(locale: Path, scripts: Path) -> None:
    """The compiled catalogues of the language, made as a translator would make them."""
    texts.update(locale, LANGUAGE)
    for domain, path in texts.paths(locale, LANGUAGE).items():
        with path.open("rb") as file:
            catalogue = read_po(file, locale=LANGUAGE)
        if domain == "django":
            for library in _of_libraries():
                with library.open("rb") as file:
                    for message in read_po(file):
                        if message.id and not catalogue.get(message.id, message.context):
                            catalogue.add(message.id, context=message.context)
        for message in catalogue:
            if message.id:
                _bracket(message, catalogue.num_plurals)
        written = io.BytesIO()
        write_po(written, catalogue)
        path.write_bytes(written.getvalue())
    texts.compile_language(locale, scripts, LANGUAGE)


def _of_libraries() -> list[Path]:
    """The English texts of Django and allauth."""
    folders = [Path(django.__file__).parent / "conf"]
    folders += [Path(app.path) for app in apps.get_app_configs() if "site-packages" in app.path]
    found = (folder / "locale" / "en" / "LC_MESSAGES" / "django.po" for folder in folders)
    return [path for path in found if path.exists()]


def _bracket(message, forms):
    if isinstance(message.id, tuple | list):
        message.string = tuple(f"⟦{message.id[1]}⟧" for _ in range(forms))
    else:
        message.string = f"⟦{message.id}⟧"
    message.flags.discard("fuzzy")


def bare(text: str) -> str:
    """The text without its bracketed parts, nested brackets included."""
    while (less := BRACKETED.sub(" ", text)) != text:
        text = less
    return text


class SeenTexts(HTMLParser):
    """The pieces of text on a page that a person sees or hears."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._within: list[str] = []

    def handle_starttag(self, tag, attrs):
        if self._within:
            attrs = [pair for pair in attrs if pair in UNSEEN_PARTS]
        values = dict(attrs)
        if tag == "input" and values.get("type") == "submit" and "value" in values:
            self.found.append(values["value"] or "")
        self.found += [value or "" for name, value in attrs if name in SEEN_ATTRIBUTES]
        if self._within:
            self._within += [tag] if tag == self._within[0] else []
        elif tag in UNSEEN or UNSEEN_PARTS.intersection(attrs):
            self._within.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found += [value or "" for name, value in attrs if name in SEEN_ATTRIBUTES]

    def handle_endtag(self, tag):
        if self._within and self._within[0] == tag:
            self._within.pop()

    def handle_data(self, data):
        if not self._within:
            self.found.append(data)


def english_of(html: str) -> list[str]:
    """The pieces with words outside brackets. Tags may cut a sentence, so brackets are matched over
    all pieces."""
    seen = SeenTexts()
    seen.feed(html)
    left = bare("\n".join(seen.found))
    return [line.strip() for line in left.splitlines() if WORD.search(line)]
