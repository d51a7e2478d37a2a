"""The vendored libraries match static/vendor/README.md and have their licences."""

import hashlib
import re
from pathlib import Path

VENDOR = Path(__file__).parents[2] / "static" / "vendor"


def test_every_vendored_file_is_listed_with_its_sum():
    sums = {
        path.relative_to(VENDOR).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in [*VENDOR.rglob("*.js"), *VENDOR.rglob("*.css")]
    }
    listed = re.findall(r"^([0-9a-f]{64})  (\S+)$", (VENDOR / "README.md").read_text(), re.M)
    assert {name: digest for digest, name in listed} == sums


def test_every_library_brings_its_licence():
    for folder in (path for path in VENDOR.iterdir() if path.is_dir()):
        assert (folder / "LICENSE").stat().st_size > 500, folder.name


def test_vendored_modules_import_only_files_that_are_there():
    for path in VENDOR.rglob("*.js"):
        # Only an import at the start of a statement counts: "import" is also in lists of keywords.
        for name in re.findall(
            r'(?:^|[;}])(?:import|export)\b[^"\';]*"([^"]+)"', path.read_text(), re.M
        ):
            assert (path.parent / name).is_file(), f"{path.name} imports {name}"
