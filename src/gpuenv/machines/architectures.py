"""One spelling for each processor architecture."""

from __future__ import annotations

__all__ = ["normalise"]

_SPELLINGS = {
    **dict.fromkeys(("amd64", "x64", "x86-64"), "x86_64"),
    **dict.fromkeys(("x86", "i386", "i486", "i586"), "i686"),
    "arm64": "aarch64",
    "powerpc64le": "ppc64le",
}


def normalise(machine: str) -> str:
    """The name that wheels use on Linux (x86_64, i686, aarch64, ppc64le); an unknown one in small letters."""
    name = machine.strip().lower()
    return _SPELLINGS.get(name, name) or "unknown"
