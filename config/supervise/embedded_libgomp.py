"""libgomp for the embedded model, on systems that have none.

The model's server (xllamacpp) is linked with libgomp, which slim systems lack and which no wheel
contains under its own name. pykdtree's wheel (half a megabyte) contains it under another name. A
link with the right name, in a folder that only the model's process searches, makes it available.
"""

import ctypes
import sys
from importlib.util import find_spec
from pathlib import Path

NAME = "libgomp.so.1"


class GompError(Exception):
    """One line: what is missing and how to install it."""


def environment(folder: Path) -> dict[str, str]:
    """The environment variables that the model's process needs; none if the system has libgomp."""
    if sys.platform != "linux" or _system_has_it():
        return {}
    link = folder / "lib" / NAME
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(_bundled())
    return {"LD_LIBRARY_PATH": str(link.parent)}


def _system_has_it() -> bool:
    try:
        ctypes.CDLL(NAME)
    except OSError:
        return False
    return True


def _bundled() -> Path:
    spec = find_spec("pykdtree")
    if spec is not None and spec.origin is not None:
        libraries = Path(spec.origin).parent.parent / "pykdtree.libs"
        for path in libraries.glob("libgomp-*.so*"):
            return path
    raise GompError(
        f"The embedded model needs {NAME}. Install it (Debian, Ubuntu: apt install libgomp1; "
        "Fedora: dnf install libgomp), or configure another model (docs/configuration.md)."
    )
