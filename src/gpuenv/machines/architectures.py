"""One spelling for each processor architecture."""

from __future__ import annotations

__all__ = ["normalise"]

_SPELLINGS = {"amd64": "x86_64", "x64": "x86_64", "x86-64": "x86_64", "arm64": "aarch64", "powerpc64le": "ppc64le"}


def normalise(machine: str) -> str:
    """The name that wheels and conda use on Linux (x86_64, aarch64, ppc64le); an unknown one in small letters."""
    name = machine.strip().lower()
    return _SPELLINGS.get(name, name) or "unknown"
