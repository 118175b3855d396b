"""Which GPU packages Python sources import. Nothing is imported or run: the sources are parsed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from functools import cache

from gpuenv.facts.frameworks import find_framework, gpu_modules, gpu_packages

__all__ = ["find_imports", "is_aside", "is_bridge", "is_test", "wanted_sources"]

# Tests, documentation and copies of other packages tell nothing of what a package itself computes with.
_TEST = re.compile(
    r"(?:^|/)(?:tests?|testing|testdata|test_data|docs?|_?examples?|samples?|tutorials?|notebooks?|bench(?:mark)?s?)/",
    re.IGNORECASE,
)
_COPY = re.compile(
    r"(?:^|/)(?:_{0,2}vendor(?:ed)?_?|_?externals?|_?extern|third[_-]?party|array_api_compat)/|"
    r"(?:^|/)array_api_compat\.py$",
    re.IGNORECASE,
)
_TEST_FILE = re.compile(r"(?:test_.+|.+_test|conftest)\.py", re.IGNORECASE)
_TELLING = re.compile(r"backends?|devices?|cuda|gpus?|accelerat\w*|import_utils|_?imports?|_?compat\w*|framework\w*")
_INTEGRATIONS = frozenset({"integration", "integrations", "contrib"})
_MOST_PARSED_BYTES = 1 << 19
# Escapes inside of literals that Python warns about; what is in a literal does not matter here.
_BACKSLASH = re.compile(rb"\\(\\|(?![\\'\"\r\n]))")
_LINE = re.compile(
    rb"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import[ \t]+\(?([\w, \t.*]*)|import[ \t]+([\w., \t]+))", re.MULTILINE
)
_CALL = re.compile(rb"""(?:import_module|__import__)\([ \t\r\n]*['"]([\w.]+)['"]""")
_CALLS = frozenset({"import_module", "__import__"})


def is_test(path: str) -> bool:
    """Whether a file of an artifact is for its tests, its documentation or its measurements."""
    return _TEST.search(path) is not None or _TEST_FILE.fullmatch(path.rpartition("/")[2]) is not None


def is_aside(path: str) -> bool:
    """Whether a Python source is one of those, or of a copy of another package."""
    return is_test(path) or _COPY.search(path) is not None


def is_bridge(path: str) -> bool:
    """Whether a Python source is there only for who has a GPU package already: a module of its name
    (`tqdm/keras.py`, `sympy/printing/tensorflow.py`) or one among integrations. The package works without it, other
    than without one of its backends (`keras/backend/torch.py`).
    """
    *folders, name = path.lower().rpartition("site-packages/")[2].split("/")
    inner = [folder.strip("_") for folder in folders[1:]]
    if not folders or any(_tells(folder) for folder in inner):
        return False
    module = name.removesuffix(".py").strip("_")
    return any(folder in _INTEGRATIONS for folder in inner) or module in gpu_packages() or bool(find_framework(module))


def wanted_sources(sources: Sequence[tuple[str, int]], *, budget_bytes: int) -> tuple[str, ...]:
    """Which of these Python files (path, size in bytes) to look through, of `budget_bytes` together at most.

    First come those whose names tell most (`backend/torch/__init__.py`, `cuda.py`), then `__init__.py` and files near
    the top, bridges to other packages last; among their like the smallest first.
    """
    modules = gpu_packages()
    ranked = sorted(
        (_rank(path, modules), size, path) for path, size in sources if path.endswith(".py") and not is_aside(path)
    )
    chosen: list[str] = []
    left = budget_bytes
    for _, size, path in ranked:
        if 0 < size <= left:
            chosen.append(path)
            left -= size
    return tuple(chosen)


def _rank(path: str, modules: frozenset[str]) -> int:
    if is_bridge(path):
        return 7
    *folders, name = path.lower().split("/")
    # The first folder is the package itself, which may have the name of a GPU package.
    words = [*folders[1:], name.removesuffix(".py")]
    if any(word.strip("_") in modules for word in words):
        return 0
    if any(map(_tells, words)):
        return 1
    if name == "__init__.py":
        return 2 if len(folders) <= 2 else 3
    return min(3 + len(folders) // 2, 6)


def _tells(word: str) -> bool:
    """Whether a file or folder is named for what computes (`backend_torch`, `cuda`, `import_utils`)."""
    return any(map(_TELLING.fullmatch, (word, *word.strip("_").split("_"))))


def find_imports(path: str, text: bytes) -> Iterator[str]:
    """The GPU packages that a Python source imports, each once, as `facts.frameworks` names them (`torch`,
    `numba.cuda`): at its top, in functions, in `try`, or with `importlib.import_module("torch")`.

    What only type checkers see does not count. A source that does not parse is searched line by line.
    """
    if is_aside(path) or not _names_some(text):
        return
    seen: set[str] = set()
    for module in _modules(text):
        found = _gpu_module(module)
        if found and found not in seen:
            seen.add(found)
            yield found


def _names_some(text: bytes) -> bool:
    """Whether a GPU package is named in a line on imports, for most sources are not worth parsing."""
    marks = _marks()
    return any(marks.search(line) for line in text.split(b"\n") if b"import" in line)


@cache
def _marks() -> re.Pattern[bytes]:
    names = sorted({module.partition(".")[0] for module in gpu_modules()})
    return re.compile(b"|".join(re.escape(name.encode()) for name in names))


def _gpu_module(module: str) -> str | None:
    known = gpu_modules()
    parts = module.split(".")
    return next((name for end in (3, 2, 1) if (name := ".".join(parts[:end])) in known), None)


def _modules(text: bytes) -> Iterator[str]:
    """Every module that a source imports; for `from a import b` also `a.b`."""
    if len(text) <= _MOST_PARSED_BYTES:
        try:
            tree = ast.parse(_BACKSLASH.sub(lambda found: b"//" if found[1] else b"/", text))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            pass
        else:
            yield from _in_tree(tree)
            return
    yield from _in_lines(text)


def _in_tree(tree: ast.Module) -> Iterator[str]:
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level == 0 and node.module:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call):
            yield from _in_call(node)
        skipped = node.body if isinstance(node, ast.If) and _is_for_types(node.test) else []
        waiting += [child for child in ast.iter_child_nodes(node) if child not in skipped]


def _in_call(node: ast.Call) -> Iterator[str]:
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    first = node.args[0] if node.args else None
    if called in _CALLS and isinstance(first, ast.Constant) and isinstance(first.value, str):
        yield first.value


def _is_for_types(test: ast.expr) -> bool:
    return (test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")) == "TYPE_CHECKING"


def _in_lines(text: bytes) -> Iterator[str]:
    for found in _LINE.finditer(text):
        source, names, modules = (part.decode("ascii", "replace") if part else "" for part in found.groups())
        if source:
            yield from (
                (f"{source}.{name.split()[0]}" for name in names.split(",") if name.split()) if names else (source,)
            )
        yield from (name.split()[0] for name in modules.split(",") if name.split())
    for called in _CALL.finditer(text):
        yield called[1].decode("ascii", "replace")
