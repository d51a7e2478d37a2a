"""Static files in production: bundled, named by content, compressed once, cached without end."""

import json
import logging
import re
from collections.abc import Callable, Iterator
from functools import cached_property
from posixpath import dirname, join
from typing import Any

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import Storage
from servestatic.storage import CompressedManifestStaticFilesStorage

from config.web.bundle import Bundle, BundleError, bundled

log = logging.getLogger(__name__)

BUNDLE = "bundle.json"
# A comment on lines of its own. Only a template literal could contain such a line as text, which
# tests/js/lint/eslint.config.mjs forbids.
COMMENT = re.compile(r"^[ \t]*(?://[^\n]*|/\*(?:(?!\*/).)*\*/[ \t]*)$", re.MULTILINE | re.DOTALL)
SHEET_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
SHEET_IMPORT = re.compile(r'^@import "([^"/]+\.css)";$', re.MULTILINE)


def without_comments(source: str) -> str:
    """The script without comments on lines of their own. Every line keeps its number, so that a
    traceback from a browser leads to the line in the repository."""
    return COMMENT.sub(lambda comment: "\n" * comment[0].count("\n"), source)


class Source:
    """Opens a script of ours without its comments, and a style sheet of ours with the sheets that
    it imports in their place; `post_process` needs nothing else of it."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def open(self, path: str) -> ContentFile[bytes]:
        text = self._sheet(path) if path.endswith(".css") else without_comments(self._read(path))
        return ContentFile(text.encode())

    def _sheet(self, path: str) -> str:
        sheet = SHEET_COMMENT.sub("", self._read(path))
        return SHEET_IMPORT.sub(lambda match: self._sheet(join(dirname(path), match[1])), sheet)

    def _read(self, path: str) -> str:
        with self._storage.open(path) as file:
            return str(file.read().decode())


class Pattern:
    """One of Django's patterns for references to other files. It remembers the texts without any.
    Django searches every file again in each of about ten passes, and the patterns for imports are
    slow in large minified scripts: half of the CPU time that collecting took."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._pattern = pattern
        self._without_match: set[str] = set()

    def sub(self, replacement: Callable[[re.Match[str]], str], text: str) -> str:
        if text in self._without_match:
            return text
        replaced, matches = self._pattern.subn(replacement, text)
        if not matches:
            self._without_match.add(text)
        return replaced


class HashedStaticFilesStorage(CompressedManifestStaticFilesStorage):
    # `import "./fold.js"` becomes `import "./fold.0123456789ab.js"` too; off by default in Django.
    # Django does not see an import without its semicolon: tests/config/web/test_static.py looks
    # for those.
    support_js_module_import_aggregation = True
    # In each pass a changed name reaches the modules that import it, so the longest chain of
    # imports decides how many are needed. The default is 5. More than this many means a circle.
    max_post_process_passes = 25
    _patterns: dict[str, list[tuple[Any, str]]]  # by Django, from its `patterns`

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The files of a process do not change, and a page names about 25 of them.
        self._urls: dict[str, str] = {}
        self._bundle: Bundle | None = None
        self._patterns = {
            extension: [(Pattern(pattern), template) for pattern, template in patterns]
            for extension, patterns in self._patterns.items()
        }

    def url(self, name: str | None, force: bool = False) -> str:
        if settings.DEBUG or force or name is None:
            return str(super().url(name, force))
        if name not in self._urls:
            self._urls[name] = str(super().url(name))
        return self._urls[name]

    @cached_property
    def modules(self) -> dict[str, list[str]] | None:
        """The names of the bundled modules of the chat page: see Bundle.lists. None: the modules
        are not bundled."""
        if settings.DEBUG or not self.exists(BUNDLE):
            return None
        with self.open(BUNDLE) as file:
            lists: dict[str, list[str]] = json.loads(file.read())
        return lists

    def post_process(
        self, paths: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Iterator[tuple[str, str | None, bool | Exception]]:
        """Bundle our scripts, and put our style sheets together."""
        sources = {
            name: (Source(storage) if _is_own(name) else storage, path)
            for name, (storage, path) in paths.items()
        }
        self._bundle = self._bundled(paths)
        yield from super().post_process(sources, *args, **kwargs)

    def _bundled(self, paths: dict[str, Any]) -> Bundle | None:
        def read(name: str) -> bytes:
            storage, path = paths[name]
            with storage.open(path) as file:
                return bytes(file.read())

        scripts = [name for name in paths if name.startswith(("js/", "vendor/"))]
        sources = {name: read(name) for name in scripts if name.endswith((".js", "/LICENSE"))}

        def hashed(name: str) -> str:
            return str(self.hashed_name(name, ContentFile(sources[name])))

        try:
            bundle = bundled(sources, hashed)
        except BundleError as error:
            log.warning("Scripts are not bundled, so first visits take longer: %s.", error)
            return None
        for name, content in bundle.files.items():
            self._replace(name, content)
        # Browsers load maps only for their developer tools.
        for _ in self.compress_files({name for name in bundle.files if name.endswith(".js")}):
            pass
        return bundle

    def save_manifest(self) -> None:
        """Django calls this when all names are known."""
        self.delete(BUNDLE)
        if self._bundle is not None:
            self.hashed_files |= {name: name for name in self._bundle.files} | self._bundle.entries
            self._replace(BUNDLE, json.dumps(self._bundle.lists()).encode())
        super().save_manifest()

    def _replace(self, name: str, content: bytes) -> None:
        self.delete(name)
        self._save(name, ContentFile(content))


def _is_own(name: str) -> bool:
    """Whether the file is ours. Vendored files, whose comments hold licences, are elsewhere."""
    return (name.startswith("js/") and name.endswith(".js")) or (
        name.startswith("css/") and name.endswith(".css")
    )
