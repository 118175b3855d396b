"""Fixtures: the catalog's packages on an index of this computer, and `uv` pointed at it alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lone_uv import leave_alone
from loopback_index import LoopbackIndex

CATALOG = (
    *("torch", "torchvision", "tensorflow", "tensorflow-cpu", "jax", "cupy-cuda12x", "cupy-cuda13x", "xgboost"),
    *("xgboost-cpu", "numba", "numba-cuda", "cuda-toolkit", "mxnet", "chainer", "kendryte-caffe"),
)


@pytest.fixture(scope="session")
def catalog_index() -> Iterator[tuple[LoopbackIndex, str]]:
    """The catalog's packages for Linux x86_64, Python 3.8 and 3.11, with all that they require; and where it is."""
    made = LoopbackIndex()
    made.add_catalog(*CATALOG, platforms=("linux-x86_64",), pythons=("3.8", "3.11"))
    with made.serving() as url:
        yield made, url


@pytest.fixture(scope="session")
def uv_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for the tests that read and do not change the catalog's index."""
    return tmp_path_factory.mktemp("uv-cache")


@pytest.fixture
def only_loopback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """No index, cache or setting of the user's reaches `uv`; to be given one with `UV_DEFAULT_INDEX`."""
    leave_alone(monkeypatch, tmp_path / "uv-cache")
    monkeypatch.setenv("GPUENV_CACHE_DIR", str(tmp_path / "cache"))
    return monkeypatch


@pytest.fixture
def index(catalog_index: tuple[LoopbackIndex, str], only_loopback: pytest.MonkeyPatch, uv_cache: Path) -> LoopbackIndex:
    """The catalog's index, from which plans are made; packages that a test adds need names of their own."""
    made, url = catalog_index
    only_loopback.setenv("UV_DEFAULT_INDEX", url)
    only_loopback.setenv("UV_CACHE_DIR", str(uv_cache))
    return made


@pytest.fixture
def own_index(only_loopback: pytest.MonkeyPatch) -> Iterator[LoopbackIndex]:
    """An empty index for one test."""
    made = LoopbackIndex()
    with made.serving() as url:
        only_loopback.setenv("UV_DEFAULT_INDEX", url)
        yield made
