"""Projects with native code that were read and carry none for a GPU."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

__all__ = ["carries_no_gpu_code"]


@cache
def _names() -> frozenset[str]:
    path = Path(__file__).parent / "without_gpu_code.toml"
    return frozenset(tomllib.loads(path.read_text("utf-8"))) if path.is_file() else frozenset()


def carries_no_gpu_code(name: str) -> bool:
    """Whether the newest release of the project that was read carries no GPU code."""
    return name in _names()
