"""Which languages there are: English, which is in the code, and those that somebody translated.

A language is a folder of `locale/` with compiled catalogues; nothing else has to be told of it.
`manage.py texts` makes and compiles them: docs/translating.md.
"""

from pathlib import Path

from django.conf.locale import LANG_INFO
from django.utils.translation import to_language

SOURCE = "en"


def available(*folders: Path) -> list[tuple[str, str]]:
    """(code, name in the language itself), the language of the code first."""
    found = {
        to_language(catalogue.parent.parent.name)
        for folder in folders
        for catalogue in folder.glob("*/LC_MESSAGES/django.mo")
    }
    return [(code, name_of(code)) for code in (SOURCE, *sorted(found - {SOURCE}))]


def is_known(code: str) -> bool:
    """Whether it is the code of a language, as Django writes it."""
    return code in LANG_INFO


def name_of(code: str) -> str:
    """What a language is called by those who speak it; its code where Django does not know it."""
    known = LANG_INFO.get(code, {})
    if "fallback" in known:
        known = LANG_INFO[known["fallback"][0]]
    return str(known.get("name_local", code))
