"""Fixtures: an index of this computer, a workspace whose machines are written, and `uv` pointed at that index alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lone_uv import leave_alone
from loopback_index import LoopbackIndex
from workspaces.team_workspace import TeamWorkspace, YankingIndex


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """No index, cache or setting of the user's reaches a test."""
    leave_alone(monkeypatch, tmp_path / "uv-cache")
    monkeypatch.setenv("GPUENV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("GPUENV_DATA_DIR", str(tmp_path / "data"))
    return monkeypatch


@pytest.fixture
def index(alone: pytest.MonkeyPatch) -> Iterator[YankingIndex]:
    """An index with alpha 1.0 and 2.0, which need beta, and beta 1.0 and 2.0."""
    made = YankingIndex()
    for version in ("1.0", "2.0"):
        made.add("alpha", version, requires=["beta"])
        made.add("beta", version)
    with made.serving() as url:
        alone.setenv("UV_DEFAULT_INDEX", url)
        yield made


@pytest.fixture(scope="session")
def served_catalog() -> Iterator[str]:
    """Where the catalog's XGBoost is, for CPU and GPU, with all that it requires."""
    made = LoopbackIndex()
    made.add_catalog("xgboost", "xgboost-cpu", platforms=("linux-x86_64", "windows-x86_64"), pythons=("3.11",))
    with made.serving() as url:
        yield url


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache of `uv` for the tests that read the catalog's index, which never changes."""
    return tmp_path_factory.mktemp("uv-cache")


@pytest.fixture
def catalog_index(served_catalog: str, alone: pytest.MonkeyPatch, shared_cache: Path) -> None:
    """The catalog's XGBoost is what `uv` finds."""
    alone.setenv("UV_DEFAULT_INDEX", served_catalog)
    alone.setenv("UV_CACHE_DIR", str(shared_cache))


@pytest.fixture
def workspace(tmp_path: Path) -> TeamWorkspace:
    """An empty workspace."""
    directory = tmp_path / "team"
    directory.mkdir()
    return TeamWorkspace(directory)
