"""What is installed in an environment, as the plan that a new one keeps to where it can."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from gpuenv.channels.catalog import Build, builds_of, find_project
from gpuenv.environments.foreign_distributions import Installed
from gpuenv.model import Machine, Plan, PlannedPackage, Request

__all__ = ["as_plan", "held_packages"]


def held_packages(installed: Mapping[str, Installed], machine: Machine, python: str) -> tuple[PlannedPackage, ...]:
    """The GPU packages of the catalog among what is installed, in the builds that they are."""
    found = (_held(one, installed, machine, python) for one in installed.values() if one.url is None)
    return tuple({one.name: one for one in found if one}.values())


def as_plan(
    installed: Mapping[str, Installed], packages: tuple[PlannedPackage, ...], machine: Machine, python: str
) -> Plan:
    """A plan that would have led to what is installed. Its lock is good for versions that uv is to prefer, no more."""
    return Plan(
        request=Request(specs=()),
        machine=machine,
        python=python,
        packages=packages,
        pylock="\n".join(_lock_lines(installed)),
    )


def _lock_lines(installed: Mapping[str, Installed]) -> Iterator[str]:
    versions = {one.key: _normal(one.version) for one in installed.values() if one.url is None}
    known = {key: version for key, version in versions.items() if version}
    # uv takes no lock without packages.
    if known:
        yield from ('lock-version = "1.0"', 'created-by = "gpuenv"')
    for key, version in known.items():
        yield from ("", "[[packages]]", f'name = "{key}"', f'version = "{version}"')


def _held(one: Installed, installed: Mapping[str, Installed], machine: Machine, python: str) -> PlannedPackage | None:
    project = find_project(one.key)
    version = _normal(one.version)
    if project is None or project.library or not project.listed or version is None:
        return None
    fitting = [
        build
        for build in builds_of(project, machine.platform, python)
        if canonicalize_name(build.wheel) == one.key and _normal(build.version) == version
        if _has_all_it_needs(build, installed)
    ]
    if not fitting:
        return None
    build = max(fitting, key=lambda build: build.number)
    return PlannedPackage(
        name=build.project, version=build.version, build=build.build, gpu=build.gpu, requirements=build.requirements
    )


def _has_all_it_needs(build: Build, installed: Mapping[str, Installed]) -> bool:
    """Whether what the build is told by is there: `tensorflow[and-cuda]` is not `tensorflow` alone, and `numba` with
    `numba-cuda` not `numba`.
    """
    for text in build.depends:
        project = find_project(text.split()[0])
        wheels = {canonicalize_name(rule.wheel) for rule in project.builds} if project else set()
        if wheels and not wheels & installed.keys():
            return False
    return True


def _normal(version: str) -> str | None:
    try:
        return str(Version(version))
    except InvalidVersion:
        return None
