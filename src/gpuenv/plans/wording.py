"""How builds and what they depend on read in messages, and the order in which builds are told."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gpuenv.plans.candidates import Candidate
from gpuenv.plans.ordering import version_key

if TYPE_CHECKING:
    from rattler import Version

__all__ = ["in_words", "listed", "preference"]

_ONE_MAJOR = re.compile(r">=(\d+)(?:\.(\d+))?,<\d+")


def preference(candidate: Candidate) -> tuple[Version, int]:
    """Newer first, then by build number: the order in which builds of one package would be taken."""
    return version_key(candidate.build.version), candidate.build.number


def in_words(depend: str) -> str:
    """A dependency as a person reads it: `cuda-version 12.8.*` is `CUDA 12.8`."""
    name, version, build = (*depend.split(), "", "")[:3]
    if name == "cuda-version":
        return f"CUDA {_line(version)}"
    package = f"{name} {version.removeprefix('==').removesuffix('.*')}".strip(" *")
    return f"{package} in a build {build}" if build else package


def _line(version: str) -> str:
    major = _ONE_MAJOR.fullmatch(version)
    if major and (major[2] or "0") != "0":
        return f"{major[1]}.{major[2]} or a later {major[1]}"
    if version.startswith("<="):
        return f"{version[2:]} or older"
    return major[1] if major else version.removesuffix(".*")


def listed(names: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
