"""Specs with environment markers (PEP 508): one list for all machines, of which each gets what holds there."""

from __future__ import annotations

import re

from packaging.markers import Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement

from gpuenv.artifacts.required import marker_environment
from gpuenv.channels.catalog import find_project
from gpuenv.channels.destinations import running_python

__all__ = ["specs_for"]

_NO_EXTRAS = re.compile(r"\s*[\w.-]+\s*\[\s*\]", re.ASCII)
_OF_PYTHON = ("python_version", "python_full_version", "implementation_version")


def specs_for(specs: tuple[str, ...], platform: str, python: str | None) -> tuple[str, ...]:
    """The specs whose markers hold on `platform` with `python`, without their markers.

    What depends on a Python that is still open keeps its marker, for `uv` to decide; for a package of the catalog the
    running Python is meant then, since its build is chosen first.
    """
    return tuple(text for spec in specs if (text := _for_one(spec, platform, python)) is not None)


def _for_one(spec: str, platform: str, python: str | None) -> str | None:
    if ";" not in spec:
        return spec
    try:
        requirement = Requirement(spec)
    except InvalidRequirement:
        return spec
    marker = requirement.marker
    if marker is None:
        return spec
    is_open = python is None and any(name in str(marker) for name in _OF_PYTHON)
    if is_open and find_project(requirement.name.lower()) is None:
        return spec
    if not _holds(marker, platform, python or running_python()):
        return None
    requirement.marker = None
    plain = str(requirement)
    # An empty list of extras says that no channel is asked, and must not get lost.
    return f"{requirement.name}[]{plain[len(requirement.name) :]}" if _NO_EXTRAS.match(spec) else plain


def _holds(marker: Marker, platform: str, python: str) -> bool:
    try:
        return marker.evaluate({**marker_environment(platform, python), "extra": ""})
    except (UndefinedComparison, UndefinedEnvironmentName):
        return True
