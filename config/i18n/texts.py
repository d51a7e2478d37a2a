"""The texts of pages, mails and scripts as catalogues for translators, and back again.

Each language has two catalogues in `locale/<language>/LC_MESSAGES/`: `django.po` has the texts of
templates and Python, `djangojs.po` those of scripts (and the reasons why answers end, which the log
stores as codes). The English catalogues have no translations: they list the texts to translate.

They are compiled to `django.mo` and, for scripts, to `static/js/texts/<language>.json`, which has
the structure of the English texts in the scripts. This needs Babel; serving pages does not.
"""

import gettext
import io
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from babel import Locale
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation import templatize, to_locale

from chat.generation import errors as answer_errors
from chat.llm import errors as model_errors
from config.i18n import model_names
from config.i18n.languages import SOURCE
from config.i18n.script_texts import Text, texts_of

BASE_DIR = Path(__file__).resolve().parents[2]
LOCALE, SCRIPTS = BASE_DIR / "locale", BASE_DIR / "static" / "js"
COMPILED_SCRIPTS = SCRIPTS / "texts"
APPS = "accounts", "billing", "chat", "config", "streams"
DOMAINS = "django", "djangojs"
KEYWORDS: dict[str, Any] = {
    "_": None,
    "gettext": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}
# These lines have times, which would change a file although its texts are the same.
NOT_WRITTEN = re.compile(r'^"(POT-Creation|PO-Revision|Last-Translator|Report-Msgid|Generated)')
PLACE = re.compile(r"\{(\w+)\}")
# These numbers use every plural form of every language.
SAMPLES = (*range(1_000), 1_000_000, 2_000_000)


class BrokenTextsError(Exception):
    """Translations whose placeholders do not match the text: one line for each."""


def paths(locale: Path, language: str) -> dict[str, Path]:
    folder = locale / to_locale(language) / "LC_MESSAGES"
    return {domain: folder / f"{domain}.po" for domain in DOMAINS}


def extracted() -> dict[str, str]:
    """The up-to-date content of the English catalogues, by domain."""
    return {
        "django": _as_text(_catalogue(SOURCE, _texts_of_pages())),
        "djangojs": _as_text(_catalogue(SOURCE, _texts_of_scripts())),
    }


def update(locale: Path, language: str) -> None:
    """Bring the catalogues of a language up to date; make them if they are missing. A text that has
    changed keeps its old translation as a suggestion ("fuzzy"), which is not used.
    """
    sources = extracted()
    for domain, path in paths(locale, language).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        written = sources[domain]
        if language != SOURCE:
            catalogue = _read(path, language)
            catalogue.update(read_po(io.StringIO(written)))
            written = _as_text(catalogue)
        path.write_text(written, encoding="utf-8")


def compile_language(locale: Path, scripts: Path, language: str) -> None:
    """Write the `.mo` and the `.json` of a language. Raises BrokenTextsError."""
    catalogues = {name: _read(path, language) for name, path in paths(locale, language).items()}
    if broken := [line for each in catalogues.values() for line in _broken(each)]:
        raise BrokenTextsError("\n".join(broken))
    with paths(locale, language)["django"].with_suffix(".mo").open("wb") as file:
        write_mo(file, catalogues["django"])
    scripts.mkdir(parents=True, exist_ok=True)
    compiled = json.dumps(_for_scripts(catalogues["djangojs"]), ensure_ascii=False, indent=1)
    (scripts / f"{language}.json").write_text(compiled + "\n", encoding="utf-8")


# The texts to translate


def _texts_of_pages() -> Iterator[Text]:
    for app in APPS:
        for path in sorted((BASE_DIR / app).rglob("*.py")):
            if "migrations" not in path.parts:
                yield from _found(path, path.read_text(encoding="utf-8"))
    for path in sorted((BASE_DIR / "templates").rglob("*.*")):
        # The result is meant for xgettext: a stream of calls, which Python must not see indented.
        code = templatize(path.read_text(encoding="utf-8"), origin=str(path))
        yield from _found(path, "\n".join(line.strip() for line in code.splitlines()) + "\n")
    for name in model_names.names():
        where = f"{name.model.__module__.replace('.', '/')}.py"
        yield Text(where, name.text, name.context)


def _found(path: Path, code: str) -> Iterator[Text]:
    where = path.relative_to(BASE_DIR).as_posix()
    for _line, message, _comments, context in extract(
        "python", io.BytesIO(code.encode()), KEYWORDS
    ):
        yield Text(where, message, context or "")


def _texts_of_scripts() -> Iterator[Text]:
    for path in sorted(SCRIPTS.rglob("*.js")):
        yield from texts_of(path.relative_to(BASE_DIR).as_posix(), path.read_text(encoding="utf-8"))
    for module in (answer_errors, model_errors):
        where = f"{module.__name__.replace('.', '/')}.py"
        for code, sentence in sorted(module.SENTENCES.items()):
            yield Text(where, sentence, f"errors.{code}")


def _catalogue(language: str, texts: Iterable[Text]) -> Catalog:
    catalogue = Catalog(
        locale=to_locale(language), project="Holdfast", fuzzy=False, header_comment="#"
    )
    for text in texts:
        catalogue.add(text.text, locations=[(text.where, 0)], context=text.context or None)
    return catalogue


def _as_text(catalogue: Catalog) -> str:
    file = io.BytesIO()
    catalogue.header_comment = f"# {catalogue.locale.english_name if catalogue.locale else ''}"
    write_po(file, catalogue, width=100, sort_by_file=True, include_lineno=False)
    lines = file.getvalue().decode().splitlines(keepends=True)
    return "".join(line for line in lines if not NOT_WRITTEN.match(line))


def _read(path: Path, language: str) -> Catalog:
    if not path.exists():
        return _catalogue(language, ())
    with path.open("rb") as file:
        return read_po(file, locale=to_locale(language))


# Translations


def _translated(catalogue: Catalog) -> Iterator[Message]:
    for message in catalogue:
        forms = message.string if isinstance(message.string, tuple | list) else [message.string]
        if message.id and all(forms) and not message.fuzzy:
            yield message


def _broken(catalogue: Catalog) -> Iterator[str]:
    """A line for each translation with a missing or an unknown placeholder."""
    for message in _translated(catalogue):
        if message.context:
            wrong = _places(message.string) - _places(message.id)
            if wrong:
                yield f"{message.context}: nothing fills {', '.join(sorted(wrong))}"
        else:
            for error in message.check(catalogue):
                yield f"{message.id!r}: {error}"


def _places(text: Any) -> set[str]:
    return set(PLACE.findall(text if isinstance(text, str) else " ".join(text)))


def _for_scripts(catalogue: Catalog) -> dict[str, Any]:
    texts: dict[str, Any] = {}
    for message in _translated(catalogue):
        *parents, name = (message.context or "").split(".")
        place = texts
        for parent in parents:
            place = place.setdefault(parent, {})
        is_plural = isinstance(message.string, tuple | list)
        place[name] = _forms(catalogue, message.string) if is_plural else message.string
    return texts


def _forms(catalogue: Catalog, strings: Any) -> dict[str, str]:
    """The plural forms by their names in Intl.PluralRules; gettext numbers them."""
    assert isinstance(catalogue.locale, Locale)
    rule, number = catalogue.locale.plural_form, gettext.c2py(catalogue.plural_expr)
    forms = {rule(sample): strings[number(sample)] for sample in reversed(SAMPLES)}
    return {"other": strings[-1]} | forms
