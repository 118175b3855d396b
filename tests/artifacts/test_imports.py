"""Imports of GPU packages are found wherever they stand, and nothing else is taken for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuenv.artifacts.imports import find_imports, wanted_sources


def found(text: str | bytes, path: str = "package/module.py") -> set[str]:
    """The GPU packages that a source imports."""
    return set(find_imports(path, text.encode() if isinstance(text, str) else text))


@pytest.mark.parametrize(
    ("text", "modules"),
    [
        ("import torch", {"torch"}),
        ("import torch.nn as nn, numpy, cupy", {"torch", "cupy"}),
        ("from tensorflow.python import eager", {"tensorflow"}),
        ("def f():\n    try:\n        import jax\n    except ImportError:\n        jax = None", {"jax"}),
        ("from numba import cuda", {"numba.cuda"}),
        ("import numba.cuda.random", {"numba.cuda"}),
        ("import importlib\nt = importlib.import_module('torch.utils')", {"torch"}),
        ("t = __import__('cupy')", {"cupy"}),
        ("from cuda.bindings import driver", {"cuda.bindings"}),
        ("if x:\n    pass\nelse:\n    import torch", {"torch"}),
        ('import re\nre.compile("\\d+\\\\\\"torch")\nimport torch', {"torch"}),
        ("r'\\'\nimport torch", {"torch"}),
    ],
)
def test_real_imports_are_found(text: str, modules: set[str]) -> None:
    """At the top, in functions, in `try`, and asked for by name."""
    assert found(text) == modules


@pytest.mark.parametrize(
    "text",
    [
        "import numpy, numba",
        "from numba import njit",
        "from .torch import thing",
        "from . import torch",
        "'''import torch'''",
        "# import torch",
        "if is_torch_available():\n    pass",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch",
        "import typing\nif typing.TYPE_CHECKING:\n    import torch",
        "import mytorch.torch",
        "name = 'torch'",
        "",
    ],
)
def test_what_only_looks_like_one_is_not(text: str) -> None:
    """Texts, comments, the package's own modules, and what only type checkers see."""
    assert not found(text)


@pytest.mark.parametrize(
    "text",
    [
        "print 'old'\nimport torch\nfrom cupy import array, ndarray",
        "import torch, cupy\nx = (",
        "import torch\nimport cupy\n" + "x = 1\n" * 200_000,
        "import torch\nimport cupy\nx = " + "(" * 5000 + ")" * 5000,
        "import torch\nimport cupy\nx = " + "-" * 100_000 + "1",
        "import torch\nimport cupy\n\0",
        b"import torch\nimport cupy\nx = '\xff\xfe'",
    ],
    ids=["Python 2", "broken", "long", "nested", "signs", "null byte", "not UTF-8"],
)
def test_sources_that_do_not_parse_are_searched_line_by_line(text: str | bytes) -> None:
    """Without an error, and with the same answer."""
    assert found(text) == {"torch", "cupy"}


@pytest.mark.parametrize(
    "path",
    [
        "package/tests/module.py",
        "package/_vendor/other/module.py",
        "package/array_api_compat/torch/__init__.py",
        "examples/train.py",
        "package/test_module.py",
        "conftest.py",
    ],
)
def test_tests_and_copies_of_other_packages_do_not_count(path: str) -> None:
    """SciPy and scikit-learn bring a copy of a package that imports torch and cupy."""
    assert not found("import torch", path)
    assert not wanted_sources([(path, 100)], budget_bytes=1000)


def test_the_files_that_tell_most_come_first() -> None:
    """By their names, then what lies near the top, the smallest first; never more than the budget."""
    sources = [
        ("keras/src/layers/core/dense.py", 9000),
        ("keras/src/backend/torch/__init__.py", 500),
        ("keras/src/backend/torch/nn.py", 30_000),
        ("keras/__init__.py", 800),
        ("keras/src/utils/import_utils.py", 700),
        ("keras/readme.md", 10),
        ("keras/src/backend/jax/huge.py", 10**9),
        ("keras/tests/cuda.py", 10),
    ]
    everything = wanted_sources(sources, budget_bytes=50_000)
    assert everything == (
        "keras/src/backend/torch/__init__.py",
        "keras/src/backend/torch/nn.py",
        "keras/src/utils/import_utils.py",
        "keras/__init__.py",
        "keras/src/layers/core/dense.py",
    )
    assert wanted_sources(sources, budget_bytes=1300) == (
        "keras/src/backend/torch/__init__.py",
        "keras/src/utils/import_utils.py",
    )


@given(st.lists(st.tuples(st.text("abc/_.py", max_size=20), st.integers(-5, 5000))), st.integers(0, 10_000))
def test_the_budget_holds(sources: list[tuple[str, int]], budget: int) -> None:
    """Whatever there is."""
    sizes = dict(sources)
    assert sum(sizes[path] for path in wanted_sources(tuple(sizes.items()), budget_bytes=budget)) <= budget


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_give_an_answer(text: bytes) -> None:
    """Never an error."""
    assert found(b"import torch\n" + text) <= {"torch"} | found(text)
