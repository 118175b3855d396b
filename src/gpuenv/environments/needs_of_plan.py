"""What the packages of a plan need of a machine, found again: in the catalog, or in what was read of their files."""

from __future__ import annotations

import tempfile
import tomllib
from pathlib import Path

import msgspec
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from gpuenv.artifacts.cache import ReadingCache, open_cache
from gpuenv.artifacts.needs import needs_of
from gpuenv.channels.catalog import Build, builds_of, find_project
from gpuenv.channels.conda.gpu_builds import builds_of_records
from gpuenv.channels.conda.places import without_secrets
from gpuenv.environments.conda_install import as_record
from gpuenv.model import LockedConda, Needs, Plan, PlannedPackage
from gpuenv.plans.knowledge import Knowledge

__all__ = ["needs_of_plan"]

Hashes = dict[str, tuple[str, str | None]]
"""By name, the SHA-256 of a wheel, and where it is on a server."""


def needs_of_plan(plan: Plan) -> dict[str, Needs | None]:
    """By name, what each package of the GPU layer needs; None where nobody knows it any more."""
    cache = open_cache()
    addresses = _addresses(plan)
    hashes = {wheel.name: (wheel.sha256, addresses.get(wheel.sha256)) for wheel in plan.wheels if wheel.sha256}
    conda = {one.name: one for one in plan.conda}
    return {
        package.name: _needs_of_conda(conda[package.name], cache)
        if package.name in conda
        else _needs(package, plan, hashes, cache)
        for package in plan.packages
    }


def _addresses(plan: Plan) -> dict[str, str]:
    """Where the wheels of the lock are, by their hashes."""
    packages = tomllib.loads(plan.pylock).get("packages", []) if plan.pylock else []
    wheels = [wheel for package in packages for wheel in package.get("wheels", [])]
    known = ((wheel.get("hashes", {}).get("sha256"), wheel.get("url")) for wheel in wheels)
    return {sha256: without_secrets(url) for sha256, url in known if sha256 and url}


def _needs_of_conda(package: LockedConda, cache: ReadingCache) -> Needs:
    """By the package's record, and by what was read in it on this computer."""
    # A lock may have an address that starts at its own directory, which is none for rattler.
    entry = {**package.record, "url": f"https://gpu.invalid/{package.filename}"}
    with tempfile.TemporaryDirectory(prefix="gpuenv-") as scratch:
        (build,) = builds_of_records([as_record(entry, Path(scratch))])
    reading = cache.of_file(package.sha256, without_secrets(package.url)) if package.sha256 else None
    knowledge = Knowledge()
    if reading is not None:
        knowledge.needs |= dict.fromkeys(knowledge.unread((build,)), needs_of(reading))
    return knowledge.as_read(build).needs


def _needs(package: PlannedPackage, plan: Plan, hashes: Hashes, cache: ReadingCache) -> Needs | None:
    build = _build(package, plan)
    if build is not None and (build.needs.libraries is not None or not build.wheel):
        return _as_used(build, plan)
    read = _of_files(package, hashes, cache)
    if build is None:
        return read
    libraries = read.libraries if read else None
    return msgspec.structs.replace(_as_used(build, plan), libraries=libraries)


def _build(package: PlannedPackage, plan: Plan) -> Build | None:
    project = find_project(package.name)
    if project is None or package.source != "catalog":
        return None
    same = (
        build
        for build in builds_of(project, plan.machine.platform, plan.python)
        if (build.project, build.version, build.build) == (package.name, package.version, package.build)
    )
    return next(same, None)


def _as_used(build: Build, plan: Plan) -> Needs:
    """A library asks no GPU of machines without one, as when the plan was made."""
    if build.library and not any(machine.nvidia_gpus for machine in plan.machines):
        return msgspec.structs.replace(build.needs, uses_gpu=False, lowest_capability=None)
    # That it would compute on the CPU, too, counts only where it was planned for a machine without a GPU as well.
    is_for_gpus = build.gpu and all(machine.nvidia_gpus for machine in plan.machines)
    return msgspec.structs.replace(build.needs, runs_without_gpu=False) if is_for_gpus else build.needs


def _of_files(package: PlannedPackage, hashes: Hashes, cache: ReadingCache) -> Needs | None:
    """What was read of the wheel of the package itself, if it was read on this computer."""
    for name in (package.name, *_required(package)):
        known = hashes.get(str(canonicalize_name(name)))
        reading = cache.of_file(*known) if known else None
        if reading is not None:
            return needs_of(reading)
    return None


def _required(package: PlannedPackage) -> list[str]:
    names = []
    for text in package.requirements[:1]:
        try:
            names.append(Requirement(text).name)
        except InvalidRequirement:
            continue
    return names
