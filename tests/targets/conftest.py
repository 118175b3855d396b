"""Fixtures: an index of this computer, and a directory to work in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lone_uv import alone_with
from loopback_index import LoopbackIndex


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackIndex]:
    """An empty index, the only one that `uv` knows."""
    with alone_with(monkeypatch, tmp_path_factory.mktemp("uv-cache")) as made:
        yield made


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
