"""Static files in production: named by their content, compressed once, cached without end."""

import re
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import Storage
from servestatic.storage import CompressedManifestStaticFilesStorage

# A comment on lines of its own. Only a template literal could contain such a line as text, which
# tests/js/lint/eslint.config.mjs forbids.
COMMENT = re.compile(r"^[ \t]*(?://[^\n]*|/\*(?:(?!\*/).)*\*/[ \t]*)$", re.MULTILINE | re.DOTALL)


def without_comments(source: str) -> str:
    """The script without comments on lines of their own. Every line keeps its number, so that a
    traceback from a browser leads to the line in the repository."""
    return COMMENT.sub(lambda comment: "\n" * comment[0].count("\n"), source)


class ScriptSource:
    """Opens a script of ours without its comments; `post_process` needs nothing else of it."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def open(self, name: str) -> ContentFile[bytes]:
        with self._storage.open(name) as file:
            return ContentFile(without_comments(file.read().decode()).encode())


class HashedStaticFilesStorage(CompressedManifestStaticFilesStorage):
    # `import "./fold.js"` becomes `import "./fold.0123456789ab.js"` too; off by default in Django.
    # Django does not see an import without its semicolon: tests/config/web/test_static.py looks
    # for those.
    support_js_module_import_aggregation = True
    # In each pass a changed name reaches the modules that import it, so the longest chain of
    # imports decides how many are needed. The default is 5. More than this many means a circle.
    max_post_process_passes = 25

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The files of a process do not change, and a page names about 25 of them.
        self._urls: dict[str, str] = {}

    def url(self, name: str | None, force: bool = False) -> str:
        if settings.DEBUG or force or name is None:
            return str(super().url(name, force))
        if name not in self._urls:
            self._urls[name] = str(super().url(name))
        return self._urls[name]

    def post_process(
        self, paths: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Iterator[tuple[str, str | None, bool | Exception]]:
        """Strip the comments of our scripts, a quarter of the bytes that a first visit loads."""
        sources = {
            name: (ScriptSource(storage) if _is_own_script(name) else storage, path)
            for name, (storage, path) in paths.items()
        }
        yield from super().post_process(sources, *args, **kwargs)


def _is_own_script(name: str) -> bool:
    """Whether the script is ours. Vendored files, whose comments hold licences, are elsewhere."""
    return name.startswith("js/") and name.endswith(".js")
