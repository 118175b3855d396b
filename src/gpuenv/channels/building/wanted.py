"""Which names on the index the catalog covers: the `[[wheels]]` of all project files."""

from __future__ import annotations

from collections.abc import Iterable

from packaging.version import Version

from gpuenv.channels.catalog import find_project, project_names
from gpuenv.channels.catalog.projects import Wheel

__all__ = ["admits", "merge_wheels", "wanted_wheels"]


def wanted_wheels() -> dict[str, Wheel]:
    """What to list and to open, by name, sorted. A name that several projects need is listed as far as any asks."""
    projects = (find_project(name) for name in project_names())
    return merge_wheels(wheel for project in projects if project for wheel in project.wheels)


def merge_wheels(wheels: Iterable[Wheel]) -> dict[str, Wheel]:
    """The wheels by name, sorted; of several with one name everything that any of them asks for."""
    found: dict[str, Wheel] = {}
    for wheel in wheels:
        known = found.get(wheel.name)
        found[wheel.name] = _both(known, wheel) if known else wheel
    return dict(sorted(found.items()))


def _both(one: Wheel, other: Wheel) -> Wheel:
    narrow = bool(one.only) and bool(other.only)
    return Wheel(
        name=one.name,
        # Releases named one by one need no bound, so the bound is that of the other.
        since=min((wheel.since for wheel in (one, other) if narrow or not wheel.only), key=Version),
        only=tuple(dict.fromkeys((*one.only, *other.only))) if narrow else (),
        last_only=one.last_only and other.last_only,
        open=tuple(dict.fromkeys((*one.open, *other.open))),
    )


def admits(wheel: Wheel, version: Version) -> bool:
    """Whether the catalog lists this release, were it the newest: a final one of the versions that count."""
    if version.is_prerelease or version.local:
        return False
    if wheel.only:
        return version in {Version(text) for text in wheel.only}
    return version >= Version(wheel.since)
