"""Whether installed distributions get what they require, as `pip check` looks at it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from gpuenv.artifacts.required import Required, marker_holds, parse_requirement
from gpuenv.environments.foreign_distributions import Installed
from gpuenv.errors import FormatError
from gpuenv.model import Conflict

__all__ = ["Unmet", "find_conflicts", "unmet"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmet:
    """A requirement of `who` that is not met: `key` is what it asks for, `found` the version that is there."""

    who: Installed
    key: str
    text: str
    found: str | None


def find_conflicts(installed: Mapping[str, Installed], platform: str, python: str) -> tuple[Conflict, ...]:
    """All conflicts among what is installed, by name."""
    versions = {key: one.version for key, one in installed.items()}
    return tuple(
        Conflict(name=one.who.name, version=one.who.version, requires=one.text, found=one.found)
        for one in unmet(installed.values(), versions, platform, python)
    )


def unmet(installed: Iterable[Installed], versions: Mapping[str, str], platform: str, python: str) -> Iterator[Unmet]:
    """The requirements of `installed` that `versions` (by normalized name) do not meet, on a platform and Python.

    Requirements of extras are left aside, since nothing tells which extras somebody wanted.
    """
    from packaging.utils import canonicalize_name

    for one in installed:
        for text in one.requires:
            required = _applying(text, platform, python)
            if required is None:
                continue
            key = canonicalize_name(required.name)
            found = versions.get(key)
            if found is None or not _admits(required, found):
                asked = f"{required.name}{required.specifier}"
                yield Unmet(who=one, key=key, text=asked, found=found)


def _applying(text: str, platform: str, python: str) -> Required | None:
    try:
        required = parse_requirement(text)
        holds = not required.marker or marker_holds(required.marker, platform, python, frozenset())
    except FormatError:
        # Old packages hold requirements that nobody can read; no tool obeys them.
        return None
    return required if holds else None


def _admits(required: Required, version: str) -> bool:
    from packaging.version import InvalidVersion

    try:
        return required.specifier.contains(version, prereleases=True)
    except InvalidVersion:
        return True
