"""Imports point one way and in no circle, each library has one door, folders stay small."""

import ast
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

BASE_DIR = Path(__file__).resolve().parent.parent.parent
APPS = ("streams", "accounts", "billing", "chat", "config")
MAY_IMPORT = {
    "streams": {"streams"},
    "accounts": {"accounts", "streams"},
    "billing": {"billing", "accounts", "streams"},
    "chat": {"chat", "billing", "accounts", "streams"},
    "config": {"config", "chat", "billing", "accounts", "streams"},
}
# The modules or apps that may import a library.
STAYS_BEHIND = {
    "openai": ("chat.llm.client",),
    "genai_prices": ("billing.prices.genai",),
    # `up` and `doctor` check Redis before `streams` uses it; limits are counted beside the log.
    "redis": ("streams", "config", "accounts.limits"),
    "daphne": ("config",),
    "channels": ("chat", "config", "accounts.sessions", "accounts.sockets"),
}
MAX_FILES = 20
NO_NAMES = {"utils", "helpers", "services", "misc", "common", "base", "tools", "actions"}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for app in APPS:
        for path in sorted((BASE_DIR / app).rglob("*.py")):
            if "migrations" not in path.parts:
                name = ".".join(path.relative_to(BASE_DIR).with_suffix("").parts)
                yield name, ast.parse(path.read_text())


def imported(module: str, tree: ast.Module) -> Iterator[str]:
    """The full names of all imports, anywhere in the module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = module.split(".")[: -node.level] if node.level else []
            yield ".".join([*parents, *([node.module] if node.module else [])])
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "import_module":
            yield from (arg.value for arg in node.args if isinstance(arg, ast.Constant))


MODULES = dict(modules())


@pytest.mark.parametrize("app", APPS)
def test_imports_point_one_way(app):
    for module, tree in MODULES.items():
        if module.split(".")[0] == app:
            ours = {name.split(".")[0] for name in imported(module, tree)} & set(APPS)
            assert ours <= MAY_IMPORT[app], module


@pytest.mark.parametrize("library", STAYS_BEHIND)
def test_a_library_stays_behind_one_door(library):
    doors = STAYS_BEHIND[library]
    users = [
        module
        for module, tree in MODULES.items()
        if any(name.split(".")[0] == library for name in imported(module, tree))
    ]
    assert users, f"nobody imports {library}: mend this test"
    assert [m for m in users if not any(f"{m}.".startswith(f"{door}.") for door in doors)] == []


def test_the_product_does_not_import_its_tests():
    for module, tree in MODULES.items():
        names = {name.split(".")[0] for name in imported(module, tree)}
        allowed = module.startswith("config.management.commands.bench")
        assert allowed or not {"tests", "pytest"} & names, module


def test_no_module_imports_a_test_module():
    """Code that tests share is in a helper module or in a `conftest`."""
    for path in sorted((BASE_DIR / "tests").rglob("*.py")):
        module = ".".join(path.relative_to(BASE_DIR).with_suffix("").parts)
        names = list(imported(module, tree := ast.parse(path.read_text())))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                names += [alias.name for alias in node.names]
        assert not [name for name in names if name.split(".")[-1].startswith("test_")], module


def test_modules_are_named_by_what_they_do():
    # Django imports a database backend by this name; chat.tools is about the tools of MCP.
    names = {name.removeprefix("chat.tools") for name in set(MODULES) - {"config.sqlite.base"}}
    assert not [name for name in names if NO_NAMES & set(name.split("."))]


def test_every_module_can_be_found():
    assert len(MODULES) > 50
    assert {"chat.web.views", "streams.log", "accounts.guests.visitor", "config.settings"} <= set(
        MODULES
    )


def test_modules_import_each_other_in_no_circle():
    """Imports in functions and for type checking count. `CycleError` names the modules."""
    graph = {name: set(modules_imported(name, tree)) - {name} for name, tree in MODULES.items()}
    TopologicalSorter(graph).prepare()


def modules_imported(module: str, tree: ast.Module) -> Iterator[str]:
    """The modules of ours that it imports; `from package import module` counts as that module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            parents = module.split(".")[: -node.level] if node.level else []
            package = ".".join([*parents, *([node.module] if node.module else [])])
            names = [(f"{package}.{alias.name}", package) for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [(alias.name,) for alias in node.names]
        else:
            continue
        for options in names:
            either = (form for name in options for form in (name, f"{name}.__init__"))
            yield from [form for form in either if form in MODULES][:1]


def test_no_folder_holds_more_files_of_code_than_one_can_survey():
    files = [
        path
        for folder in (*APPS, "tests", "static/js")
        for path in (BASE_DIR / folder).rglob("*")
        if path.suffix in {".py", ".js", ".mjs"}
        and not {"migrations", "node_modules"} & set(path.parts)
    ]
    counts = Counter(path.parent.relative_to(BASE_DIR).as_posix() for path in files)
    assert {folder: count for folder, count in counts.items() if count > MAX_FILES} == {}
