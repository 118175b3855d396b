"""An empty cache, and an index of PyTorch's layout in place of PyTorch's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from channels.made_project_index import MadeProjectIndex


@pytest.fixture
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty cache, and no project index that is not of this test."""
    monkeypatch.setenv("GPUENV_CACHE_DIR", str(tmp_path / "cache"))
    for name in ("PYTORCH", "PADDLE"):
        monkeypatch.setenv(f"GPUENV_INDEX_{name}", "")


@pytest.fixture
def index(own_cache: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[MadeProjectIndex]:
    """An empty index of PyTorch's layout, in place of PyTorch's."""
    made = MadeProjectIndex()
    with made.serving() as url:
        monkeypatch.setenv("GPUENV_INDEX_PYTORCH", url)
        yield made
