"""The texts of pages, mails and scripts as catalogues for translators, and back again.

Two catalogues for each language, in `locale/<language>/LC_MESSAGES/`: `django.po` with what
templates and Python say, `djangojs.po` with what scripts say (and why answers end, which the log
keeps as a code). Those of English hold no translations: they are what there is to translate.

Compiled they are `django.mo`, and for scripts `static/js/texts/<language>.json`, in the shape of
the English in the scripts. Needs Babel, which the pages do without.
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
# Times would make a file differ that says the same.
NOT_WRITTEN = re.compile(r'^"(POT-Creation|PO-Revision|Last-Translator|Report-Msgid|Generated)')
PLACE = re.compile(r"\{(\w+)\}")
# Numbers that between them have every form of every language.
SAMPLES = (*range(1_000), 1_000_000, 2_000_000)


class BrokenTextsError(Exception):
    """Translations that would not fit into their sentences: one line for each."""


def paths(locale: Path, language: str) -> dict[str, Path]:
    folder = locale / to_locale(language) / "LC_MESSAGES"
    return {domain: folder / f"{domain}.po" for domain in DOMAINS}


def extracted() -> dict[str, str]:
    """By domain: the catalogue of English as it ought to stand in its file."""
    return {
        "django": _as_text(_catalogue(SOURCE, _texts_of_pages())),
        "djangojs": _as_text(_catalogue(SOURCE, _texts_of_scripts())),
    }


def update(locale: Path, language: str) -> None:
    """Bring the files of a language up to what there is to translate; made if there are none.
    A text that has changed keeps its old translation as a suggestion ("fuzzy"), which is not used.
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
    if broken := [line for one in catalogues.values() for line in _broken(one)]:
        raise BrokenTextsError("\n".join(broken))
    with paths(locale, language)["django"].with_suffix(".mo").open("wb") as file:
        write_mo(file, catalogues["django"])
    scripts.mkdir(parents=True, exist_ok=True)
    told = json.dumps(_for_scripts(catalogues["djangojs"]), ensure_ascii=False, indent=1)
    (scripts / f"{language}.json").write_text(told + "\n", encoding="utf-8")


# What there is to translate


def _texts_of_pages() -> Iterator[Text]:
    for app in APPS:
        for path in sorted((BASE_DIR / app).rglob("*.py")):
            if "migrations" not in path.parts:
                yield from _found(path, path.read_text(encoding="utf-8"))
    for path in sorted((BASE_DIR / "templates").rglob("*.*")):
        # Made for xgettext: a stream of calls, which for Python must not be indented.
        code = templatize(path.read_text(encoding="utf-8"), origin=str(path))
        yield from _found(path, "\n".join(line.strip() for line in code.splitlines()) + "\n")
    for name in model_names.names():
        where = f"{name.model.__module__.replace('.', '/')}.py"
        yield Text(where, name.said, name.context)


def _found(path: Path, code: str) -> Iterator[Text]:
    where = path.relative_to(BASE_DIR).as_posix()
    for _line, said, _comments, context in extract("python", io.BytesIO(code.encode()), KEYWORDS):
        yield Text(where, said, context or "")


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
        catalogue.add(text.said, locations=[(text.where, 0)], context=text.context or None)
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


# What was translated


def _translated(catalogue: Catalog) -> Iterator[Message]:
    for message in catalogue:
        said = message.string if isinstance(message.string, tuple | list) else [message.string]
        if message.id and all(said) and not message.fuzzy:
            yield message


def _broken(catalogue: Catalog) -> Iterator[str]:
    """Where a place is missing, or there is one that nothing fills."""
    for message in _translated(catalogue):
        if message.context:
            wrong = _places(message.string) - _places(message.id)
            if wrong:
                yield f"{message.context}: nothing fills {', '.join(sorted(wrong))}"
        else:
            for error in message.check(catalogue):
                yield f"{message.id!r}: {error}"


def _places(said: Any) -> set[str]:
    return set(PLACE.findall(said if isinstance(said, str) else " ".join(said)))


def _for_scripts(catalogue: Catalog) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for message in _translated(catalogue):
        *parents, name = (message.context or "").split(".")
        place = told
        for parent in parents:
            place = place.setdefault(parent, {})
        is_plural = isinstance(message.string, tuple | list)
        place[name] = _forms(catalogue, message.string) if is_plural else message.string
    return told


def _forms(catalogue: Catalog, strings: Any) -> dict[str, str]:
    """A form for each name that Intl.PluralRules has in this language; gettext numbers them."""
    assert isinstance(catalogue.locale, Locale)
    rule, number = catalogue.locale.plural_form, gettext.c2py(catalogue.plural_expr)
    forms = {rule(sample): strings[number(sample)] for sample in reversed(SAMPLES)}
    return {"other": strings[-1]} | forms
