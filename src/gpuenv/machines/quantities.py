"""Sizes, counts and versions as people write them, read with errors that name the place."""

from __future__ import annotations

import re
from typing import TypeVar

from gpuenv.errors import FormatError, RequestError
from gpuenv.versions import ComputeCapability, CudaVersion, DriverVersion, LibcVersion

__all__ = ["quoted", "read_bytes", "read_count", "read_version"]

V = TypeVar("V", ComputeCapability, CudaVersion, DriverVersion, LibcVersion)

_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*([kmgt])(?:i?b)?", re.ASCII | re.IGNORECASE)
_POWER = {"k": 10, "m": 20, "g": 30, "t": 40}
_LARGEST_SIZE = 1 << 50
_LARGEST_COUNT = 100_000


def quoted(text: str) -> str:
    """`text` for a message: in backticks, on one line and not longer than 60 characters."""
    line = " ".join(text.split())
    return f"`{line[:59]}…`" if len(line) > 60 else f"`{line}`"


def read_bytes(text: str, where: str) -> int:
    """The size in bytes: `64GiB`, `64 GB`, `65536M`. GB counts as GiB, as it does for memory; a unit is required."""
    found = _SIZE.fullmatch(text.strip())
    size = int(float(found[1]) * (1 << _POWER[found[2].lower()])) if found else 0
    if not 0 < size <= _LARGEST_SIZE:
        raise RequestError(
            f"{where}: {quoted(text)} is not a size of memory",
            reasons=("a size is a number with the unit MiB, GiB or TiB",),
            hints=("write `64GiB`",),
        )
    return size


def read_count(text: str, where: str, what: str) -> int:
    """A whole number from 1 on."""
    stripped = text.strip()
    count = int(stripped) if re.fullmatch(r"\d{1,6}", stripped, re.ASCII) else 0
    if not 0 < count <= _LARGEST_COUNT:
        raise RequestError(f"{where}: {quoted(text)} is not a number of {what}")
    return count


def read_version(kind: type[V], text: str, where: str) -> V:
    """The version of this kind."""
    try:
        return kind(text)
    except FormatError as error:
        raise RequestError(f"{where}: {error.message}") from error
