"""The available languages: English, which is in the code, and those with a translation.

A language is a folder of `locale/` with compiled catalogues; nothing else lists it. `manage.py
texts` makes and compiles them: docs/translating.md.
"""

from pathlib import Path

from django.conf.locale import LANG_INFO
from django.utils.translation import to_language

SOURCE = "en"


def available(*folders: Path) -> list[tuple[str, str]]:
    """(code, name in the language itself), English first, then by code."""
    translated = {
        to_language(catalogue.parent.parent.name)
        for folder in folders
        for catalogue in folder.glob("*/LC_MESSAGES/django.mo")
    }
    return [(code, name_of(code)) for code in (SOURCE, *sorted(translated - {SOURCE}))]


def is_known(code: str) -> bool:
    """Whether `code` is a language code in Django's spelling."""
    return code in LANG_INFO


def name_of(code: str) -> str:
    """The name of a language in that language; its code if Django does not know it."""
    known = LANG_INFO.get(code, {})
    if "fallback" in known:
        known = LANG_INFO[known["fallback"][0]]
    return str(known.get("name_local", code))
