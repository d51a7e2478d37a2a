"""Collected files: names and imports have hashes, scripts have no comments, all are compressed."""

import json
import re
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command

from config.web.static_files import without_comments

STORAGE = {"staticfiles": {"BACKEND": "config.web.static_files.HashedStaticFilesStorage"}}
# import x from "./y.js"; export * from "./y.js"; import("./y.js"); import "./y.js"
IMPORT = re.compile(r"""(?:\bfrom|\bimport)\s*\(?\s*["'](\.{1,2}/[^"']+)["']""")
COMMENT = re.compile(r"/\*.*?\*/|(?<![:\"'])//[^\n]*", re.DOTALL)
HASHED = re.compile(r"\.[0-9a-f]{12}\.js$")


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    from django.test import override_settings

    root = tmp_path_factory.mktemp("static")
    with override_settings(STATIC_ROOT=root, STORAGES=django_settings.STORAGES | STORAGE):
        call_command("collectstatic", verbosity=0, interactive=False)
        manifest = json.loads((root / "staticfiles.json").read_text())["paths"]
        yield root, manifest


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


def test_our_own_files_are_there(collected):
    _, manifest = collected
    sources = Path(django_settings.BASE_DIR / "static")
    ours = {str(path.relative_to(sources)) for path in sources.rglob("*") if path.is_file()}
    assert ours <= set(manifest)


def test_they_are_served_compressed_and_for_good(stack):
    address = stack.url + "/static/"
    manifest = json.loads((django_settings.STATIC_ROOT / "staticfiles.json").read_text())["paths"]
    asked = Request(address + manifest["admin/css/base.css"], headers={"Accept-Encoding": "gzip"})
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
