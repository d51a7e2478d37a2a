"""`manage.py texts`: updates the catalogues of texts and compiles their translations."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import to_language

from config.i18n.languages import SOURCE, is_known


class Command(BaseCommand):
    help = "Brings the catalogues in locale/ up to date and compiles those of other languages."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--add", metavar="LANGUAGE", help="a new one, such as de or pt-br")
        parser.add_argument("--check", action="store_true", help="change nothing; fail if stale")

    def handle(self, *args: Any, add: str | None, check: bool, **options: Any) -> None:
        try:
            from config.i18n import texts
        except ImportError as error:
            raise CommandError("This needs Babel: install requirements-test.lock.") from error
        if check:
            self._check(texts)
            return
        if add and not is_known(add):
            raise CommandError(f"{add} is not the code of a language, such as de or pt-br.")
        locales = {path.parent.parent.name for path in texts.LOCALE.glob("*/LC_MESSAGES/*.po")}
        languages = {to_language(name) for name in locales} | {SOURCE, *([add] if add else [])}
        try:
            for language in sorted(languages):
                texts.update(texts.LOCALE, language)
                if language != SOURCE:
                    texts.compile_language(texts.LOCALE, texts.COMPILED_SCRIPTS, language)
                self.stdout.write(f"{language}: {', '.join(map(str, texts.DOMAINS))}")
        except texts.BrokenTextsError as error:
            raise CommandError(f"{language}: {error}") from error

    def _check(self, texts: Any) -> None:
        for domain, path in texts.paths(texts.LOCALE, SOURCE).items():
            if not path.exists() or path.read_text(encoding="utf-8") != texts.extracted()[domain]:
                raise CommandError(f"{path} does not match the code. Run `manage.py texts`.")
