"""Only one module uses allauth's internals, and they have the form that it expects."""

import inspect
import re
from pathlib import Path

import pytest

from accounts.sign_in import allauth_internals

BASE_DIR = Path(__file__).resolve().parents[3]
IMPORTS = re.compile(r"^\s*(?:from|import) allauth[\w.]*\.internal\b", re.MULTILINE)


def test_one_module_imports_them():
    modules = [path for app in ("accounts", "billing", "chat", "config") for path in sources(app)]
    found = [path.stem for path in modules if IMPORTS.search(path.read_text())]
    assert found == ["allauth_internals"]


def sources(app):
    return sorted((BASE_DIR / app).rglob("*.py"))


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("get_reauthentication_flows", ["user"]),
        ("is_reauthentication_required", ["request", "app"]),
        ("get_cache_key", ["request", "app", "action", "rate", "key", "user"]),
        ("parse_rates", ["rates"]),
        ("TOTP._mark_code_used", ["self", "code"]),
    ],
)
def test_they_take_what_we_give(name, parameters):
    owner = allauth_internals
    for part in name.split("."):
        owner = getattr(owner, part)
    assert list(inspect.signature(owner).parameters) == parameters
