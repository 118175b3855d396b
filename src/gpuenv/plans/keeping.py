"""What stays of an earlier plan when a request changes."""

from __future__ import annotations

from collections.abc import Iterable

from gpuenv.channels.catalog import builds_of, find_project
from gpuenv.model import LockedConda, Plan, PlannedPackage
from gpuenv.plans.specs import Wanted

__all__ = ["kept_bounds", "kept_conda"]


def kept_bounds(keep: Plan | None, wanted: Wanted, renew: frozenset[str]) -> tuple[str, ...]:
    """Specs that hold the packages of `keep` in their versions and builds.

    Free to move are those in `renew`, those of which the request wants something else now, and what only comes along
    with either of them.
    """
    if keep is None:
        return ()
    asked = {spec.name for spec in wanted.gpu}
    moving = {one.name for one in keep.packages if one.name in renew or not _is_still_wanted(one, wanted)}
    freed = moving | _what_comes_along(moving, keep.machine.platform, keep.python)
    conda = _conda_along(moving, keep)
    return tuple(
        f"{one.name} =={one.version} {one.build}"
        for one in keep.packages
        if one.source != "inspected"
        and one.name not in conda
        and one.name not in moving
        and (one.name in asked or one.name not in freed)
    )


def _conda_along(moving: Iterable[str], keep: Plan) -> set[str]:
    """What conda packages that move have brought along, directly or not."""
    depends = {one.name: one.record.get("depends", ()) for one in keep.conda}
    found: set[str] = set()
    waiting = [name for name in moving if name in depends]
    while waiting:
        names = {str(text).split()[0] for text in depends.get(waiting.pop(), ())} - found
        found |= names
        waiting += [name for name in names if name in depends]
    return found


def kept_conda(keep: Plan | None, renew: frozenset[str]) -> tuple[LockedConda, ...]:
    """The conda packages of `keep` that stay where they can, or at least in their release: all but those in `renew`."""
    return tuple(one for one in keep.conda if one.name not in renew) if keep else ()


def _is_still_wanted(package: PlannedPackage, wanted: Wanted) -> bool:
    from rattler import MatchSpec, PackageRecord
    from rattler.package import BuildString

    record = PackageRecord(package.name, package.version, BuildString(package.build), 0, "noarch", noarch="generic")
    return all(MatchSpec(spec.conda).matches(record) for spec in wanted.gpu if spec.name == package.name)


def _what_comes_along(names: Iterable[str], platform: str, python: str) -> set[str]:
    """All that packages depend on, directly or not, in any of their builds."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        project = find_project(name)
        builds = builds_of(project, platform, python) if project else ()
        depends = {depend.split()[0] for build in builds if build.project == name for depend in build.depends}
        waiting += depends - found
        found |= depends
    return found
