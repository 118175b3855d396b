"""The part of a lock that is still to be installed."""

from __future__ import annotations

import re

from gpuenv.channels.pylock import read_lock
from gpuenv.errors import FormatError

__all__ = ["part_of_lock"]

_PACKAGE = re.compile(r"^\[\[packages\]\][ \t]*$", re.MULTILINE)
_OTHER_TABLE = re.compile(r"^\[(?!\[?packages\b)", re.MULTILINE)


def part_of_lock(text: str, names: set[str]) -> str:
    """The lock `text` (PEP 751, as `uv` writes it) with only the packages `names`.

    FormatError where its parts cannot be told apart, which no lock of uv's does.
    """
    starts = [found.start() for found in _PACKAGE.finditer(text)]
    if not starts:
        return text
    other = _OTHER_TABLE.search(text, starts[0])
    end = other.start() if other else len(text)
    parts = [text[start:stop] for start, stop in zip(starts, [*starts[1:], end], strict=True)]
    packages = read_lock(text)
    if len(parts) != len(packages):
        raise FormatError("the lock does not have one part for each package")
    chosen = [part for part, package in zip(parts, packages, strict=True) if package.name in names]
    result = text[: starts[0]] + "".join(chosen) + text[end:]
    if {one.name for one in read_lock(result)} != names:
        raise FormatError("the lock lacks packages that are to be installed")
    return result
