"""The installable app: a shell that opens offline, the service worker that caches it, the manifest.

The shell is the chat page without personal data. It shows the data in the browser's own store, so
one cached copy serves everybody who uses the browser and reveals nothing about them.
"""

import functools
import hashlib
import re
from pathlib import Path
from typing import Any

import orjson
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.staticfiles.storage import staticfiles_storage
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.utils.translation import get_language, override
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

STATIC = Path(__file__).resolve().parents[2] / "static"
WORKER = STATIC / "js" / "service_worker.js"
ISLAND = STATIC / "js" / "chat" / "main.js"
# import x from "./y.js"; export * from "./y.js"; import("./y.js")
IMPORT = re.compile(r"""\b(?:from|import)\s*\(?\s*["'](\.{1,2}/[^"']+\.js)["']""")
# There are many of these, and a person needs few: cached on first use.
CACHED_ON_USE = "/highlight-11.12.0/languages/", "/katex-0.19.1/"
ASSET = re.compile(r'(?:href|src|content)="([^"]+\.(?:js|css|svg|png|woff2|json))"')
BACKGROUND, THEME = "#fbfcfc", "#0f5f63"


@require_safe
async def shell(request: HttpRequest) -> HttpResponse:
    """The page without personal data, which the service worker caches for offline use."""
    response = HttpResponse((await _build())[1])
    response["Cache-Control"] = "no-cache"
    return response


@require_safe
async def service_worker(request: HttpRequest) -> HttpResponse:
    """The worker. It differs with each build, which browsers detect by comparing its bytes."""
    response = HttpResponse((await _build())[0], content_type="text/javascript; charset=utf-8")
    response["Cache-Control"] = "no-cache"
    return response


@require_safe
async def manifest(request: HttpRequest) -> HttpResponse:
    body = orjson.dumps(await sync_to_async(_manifest)())
    response = HttpResponse(body, content_type="application/manifest+json")
    response["Cache-Control"] = "no-cache"
    return response


async def _build() -> tuple[str, str]:
    """(service worker, shell) in the active language."""
    language = get_language() or settings.LANGUAGE_CODE
    return await sync_to_async(_make_build if settings.DEBUG else _build_once)(language)


def _make_build(language: str = "en") -> tuple[str, str]:
    """(service worker, shell), built from the present static files. Sync."""
    with override(language):
        config = {"shell": True, "ws_path": "/ws"}
        page = render_to_string(
            "chat/page.html", {"config": config, "modules": module_links(chat=False)}
        )
    # First the files that the page names, in their order, then those that it fetches later. Their
    # names contain a hash of their content.
    assets = list(dict.fromkeys([*ASSET.findall(page), *map(static, _modules())]))
    code = WORKER.read_text(encoding="utf-8")
    digest = hashlib.sha256()
    for part in (code, page, str(getattr(staticfiles_storage, "manifest_hash", ""))):
        digest.update(part.encode())
    build = {
        "id": digest.hexdigest()[:16],
        "static": settings.STATIC_URL,
        "assets": assets,
        "icon": static("img/icon-180.png"),  # of notifications, as in notifications.js
        # In debug mode names have no hash, so files may change under them: not cached.
        "keeps": not settings.DEBUG,
    }
    return f"const BUILD = {orjson.dumps(build).decode()};\n{code}", page


def _modules() -> list[str]:
    """The names of all modules that the page may import, at once or later."""
    bundled = _bundled_modules()
    if bundled is None:
        return _source_modules()
    modules = [ISLAND.relative_to(STATIC).as_posix()]
    for name in bundled["first"] + bundled["chat"] + bundled["later"]:
        if name not in modules and not any(part in f"/{name}" for part in CACHED_ON_USE):
            modules.append(name)
    return modules


def _bundled_modules() -> dict[str, list[str]] | None:
    """The lists that config/web/static_files.py wrote, if the modules are bundled."""
    modules: dict[str, list[str]] | None = getattr(staticfiles_storage, "modules", None)
    return modules


def _source_modules() -> list[str]:
    modules, unread = {ISLAND}, [ISLAND]
    while unread:
        module = unread.pop()
        for path in IMPORT.findall(module.read_text(encoding="utf-8")):
            imported = (module.parent / path).resolve()
            is_excluded = any(part in imported.as_posix() for part in CACHED_ON_USE)
            if imported not in modules and not is_excluded and imported.is_file():
                modules.add(imported)
                unread.append(imported)
    return sorted(module.relative_to(STATIC).as_posix() for module in modules)


def module_links(*, chat: bool) -> str:
    """The elements that fetch every module of the first load. Sync.

    `chat`: of the page of a chat, which draws messages at once.
    """
    build = getattr(staticfiles_storage, "manifest_hash", "")
    return _module_links_of(build, chat) if build and not settings.DEBUG else _module_links(chat)


def _module_links(chat: bool) -> str:
    bundled = _bundled_modules()
    names = bundled and [*bundled["first"], *(bundled["chat"] if chat else [])]
    return render_to_string("chat/_modules.html", {"chat": chat, "bundled": names})


@functools.lru_cache(maxsize=2)
def _module_links_of(build: str, chat: bool) -> str:
    """Cached, because this is most of what rendering a page costs."""
    return _module_links(chat)


# Once for each process: a deployment starts new ones.
_build_once = functools.cache(_make_build)


def _manifest() -> dict[str, Any]:
    icons = [
        {"src": static(f"img/{name}"), "sizes": sizes, "type": kind, "purpose": purpose}
        for name, sizes, kind, purpose in (
            ("favicon.svg", "any", "image/svg+xml", "any"),
            ("icon-192.png", "192x192", "image/png", "any"),
            ("icon-512.png", "512x512", "image/png", "any"),
            ("icon-maskable-512.png", "512x512", "image/png", "maskable"),
        )
    ]
    return {
        "id": "/",
        "name": "Holdfast",
        "short_name": "Holdfast",
        "description": _("AI chat whose answers cannot be lost."),
        "lang": get_language() or settings.LANGUAGE_CODE,
        "start_url": "/",
        "scope": "/",
        "display": "standalone",
        "background_color": BACKGROUND,
        "theme_color": THEME,
        "categories": ["productivity"],
        "icons": icons,
        "shortcuts": [{"name": _("New chat"), "url": "/", "icons": [icons[1]]}],
    }
