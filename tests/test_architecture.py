"""The shape of the package: imports point down, the pure parts stay pure, rooms stay small."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "gpuenv"
MODULES = sorted(SOURCE.rglob("*.py"))

LEVELS = [
    {"errors"},
    {"versions"},
    {"model", "settings"},
    {"facts", "binaries", "_net", "_process"},
    {"machines", "artifacts", "rules"},
    {"channels"},
    {"targets"},
    {"plans"},
    {"environments"},
    {"workspaces", "recipes", "audits", "doctor", "fleet"},
    {"cli", "web", "conda_plugin"},
]
LEVEL_OF = {part: level for level, parts in enumerate(LEVELS) for part in parts}
# Front ends use the public verbs (the package itself) and the nouns, never the parts behind them.
FRONT_END_MAY = {"cli", "errors", "model", "settings", "versions"}
PURE = {"errors", "versions", "model", "facts", "binaries", "rules"}
IMPURE = {"os", "subprocess", "socket", "time", "random", "ctypes", "urllib", "http", "httpx", "requests", "datetime"}
# Who alone may import what.
ONLY_IN = {
    "subprocess": {"_process"},
    "ctypes": {"machines", "environments"},
    "pynvml": {"machines"},
    "requests": {"_net"},
    "rattler": {"channels", "plans", "environments", "recipes", "audits"},
    "rattler_build": {"recipes"},
    "conda": {"conda_plugin"},
    "rich": {"cli"},
    "click": {"cli"},
}
MOST_LINES = 500
MOST_FUNCTION_LINES = 60
MOST_INIT_LINES = 40
VAGUE = {"utils", "helpers", "common", "core", "base", "misc", "tools", "types", "constants"}


def part_of(path: Path) -> str:
    """The first name below the package: the file of a top module, the directory of a part."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every module that a file imports, at its top or within a function, with its line."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            yield node.module or "", node.lineno
            if node.module == "gpuenv":
                yield from ((f"gpuenv.{alias.name}", node.lineno) for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_down_and_pure_parts_stay_pure(path: Path) -> None:
    """A module imports from lower levels or its own part; what is pure imports nothing that could make it impure."""
    part = part_of(path)
    if part in {"__init__", "__main__", "schemas"}:
        pytest.skip("the public face and the list of its documents stand above the levels")
    for name, line in imports(path):
        where = f"{path.relative_to(ROOT)}:{line} imports {name}"
        top, _, rest = name.partition(".")
        target = rest.partition(".")[0]
        if top == "gpuenv" and target in LEVEL_OF and target != part:
            assert LEVEL_OF[target] < LEVEL_OF[part], f"{where}, which is not below {part}"
            assert part not in LEVELS[-1] or target in FRONT_END_MAY, f"{where}, past the public verbs"
        assert part not in PURE or top not in IMPURE, f"{where}, but {part} is pure"
        assert part in ONLY_IN.get(top, {part}), f"{where}, which only {ONLY_IN.get(top)} may"


def test_ctypes_in_environments_is_in_one_file() -> None:
    """The atomic exchange of two directories is the only use of ctypes outside of machines."""
    users = {path.name for path in MODULES if part_of(path) == "environments" and "ctypes" in dict(imports(path))}
    assert users == {"switch.py"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_rooms_are_small(path: Path) -> None:
    """Files, functions and package faces stay within their bounds, and no file has a name that says nothing."""
    text = path.read_text("utf-8")
    bound = MOST_INIT_LINES if path.name == "__init__.py" and path.parent != SOURCE else MOST_LINES
    assert len(text.splitlines()) <= bound, f"{path.name} is past {bound} lines: which idea wants its own room?"
    assert path.stem not in VAGUE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= MOST_FUNCTION_LINES, f"{path.name}:{node.lineno} {node.name} has {length} lines"


@pytest.mark.parametrize("path", [path for path in MODULES if part_of(path) != "cli"], ids=lambda path: path.stem)
def test_only_the_command_line_prints(path: Path) -> None:
    """No part but the command line writes to the terminal; a driver child answers on its standard output."""
    if path.name == "driver_child.py":
        pytest.skip("its standard output is its answer")
    calls = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
    assert not [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]


def test_no_package_registry_is_named_by_host() -> None:
    """No file of the project names the host of a package registry."""
    hosts = [host.replace("#", "") for host in ("py#pi.org", "pythonhosted#.", "registry.np#mjs", "deb.deb#ian.")]
    kinds = {".py", ".toml", ".json", ".md", ".c", ".txt", ".yml", ".cfg", ""}
    ignored = {".venv", ".git", ".demo", "build", "dist"}
    for path in ROOT.rglob("*"):
        inside = path.relative_to(ROOT).parts
        if path.is_file() and path.suffix in kinds and not ignored & set(inside) and not inside[0].startswith(".m"):
            text = path.read_text("utf-8", errors="replace")
            assert not [host for host in hosts if host in text], f"{path.relative_to(ROOT)} names a registry"
