"""`uv` as a test wants it: no index, cache or setting of the user's reaches it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from loopback_index import LoopbackIndex

__all__ = ["alone_with", "leave_alone"]


def leave_alone(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """Take every index, proxy and setting from `uv`; a test gives it an index with `UV_DEFAULT_INDEX`."""
    for name in [name for name in os.environ if name.startswith(("UV_", "GPUENV_", "CONDA_", "MACOSX_"))]:
        monkeypatch.delenv(name)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UV_CACHE_DIR", str(cache))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    for name in ("PYTORCH", "PADDLE"):
        monkeypatch.setenv(f"GPUENV_INDEX_{name}", "")


@contextmanager
def alone_with(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Iterator[LoopbackIndex]:
    """Inside, `uv` sees one empty index on the loopback interface, which may be filled."""
    leave_alone(monkeypatch, cache)
    index = LoopbackIndex()
    with index.serving() as url:
        monkeypatch.setenv("UV_DEFAULT_INDEX", url)
        yield index
