"""Packages with native code that was read and has none for a GPU; the data is `without_gpu_code.toml`.

They come along in most plans, and looking into each of their releases would cost more than it tells.
`scripts/read_plain_packages.py` reads them.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path

from gpuenv.model import Noun, from_builtins

__all__ = ["PlainPackage", "carries_no_gpu_code", "load_plain_packages"]


class PlainPackage(Noun, frozen=True, kw_only=True):
    """The newest release of a package that was read: its wheel for Linux x86_64, the sha256, and the day."""

    version: str
    wheel: str
    sha256: str
    read: str


@cache
def load_plain_packages() -> dict[str, PlainPackage]:
    """All of them by name, as the package index spells it."""
    text = (Path(__file__).parent / "without_gpu_code.toml").read_text("utf-8")
    return from_builtins(tomllib.loads(text), dict[str, PlainPackage])


def carries_no_gpu_code(name: str) -> bool:
    """Whether the newest release of the package that was read carries no GPU code, however its name is spelled
    (`PyYAML`, `ruamel.yaml.clib`). False for what nobody has read.
    """
    return re.sub(r"[-_.]+", "-", name).lower() in load_plain_packages()
