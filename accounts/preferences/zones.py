"""The time zones that the settings page offers: each place once."""

import importlib.resources
import zoneinfo
from functools import cache
from pathlib import Path


@cache
def listed_zones() -> frozenset[str]:
    """The zones in the time zone database's list of places, which has no aliases such as
    Asia/Calcutta. All names, if the machine has no such list."""
    known = frozenset(zoneinfo.available_timezones())
    listed = frozenset(
        line.split("\t")[2].strip()
        for line in _list_of_places().splitlines()
        if line and not line.startswith("#")
    )
    return (listed & known) or known


def _list_of_places() -> str:
    for folder in zoneinfo.TZPATH:
        path = Path(folder, "zone.tab")
        if path.is_file():
            return path.read_text(encoding="utf-8")
    try:
        package = importlib.resources.files("tzdata").joinpath("zoneinfo/zone.tab")
        return package.read_text(encoding="utf-8")
    except (ModuleNotFoundError, FileNotFoundError):
        return ""
