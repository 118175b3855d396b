"""What an installation into an environment that gpuenv did not make would change there."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from gpuenv.channels.catalog import find_project
from gpuenv.channels.pylock import LockedPackage
from gpuenv.environments.build import check_plan
from gpuenv.environments.conda_protection import frozen_message
from gpuenv.environments.foreign_conflicts import find_conflicts, unmet
from gpuenv.environments.foreign_distributions import Installed, is_same, read_installed
from gpuenv.environments.foreign_places import (
    ForeignEnvironment,
    check_writable,
    look_at,
    look_without_asking,
    with_own_platform,
)
from gpuenv.environments.foreign_search import Search
from gpuenv.environments.foreign_undo import check_unfinished
from gpuenv.environments.lock_markers import packages_of
from gpuenv.environments.naming import real_prefix
from gpuenv.environments.variables import variables_of
from gpuenv.errors import NoPlanError, RequestError
from gpuenv.model import Conflict, InstallReport, Machine, PackageChange, Plan, Reporter, printable

if TYPE_CHECKING:
    from gpuenv.environments.conda_into import CondaPrefix

__all__ = ["Preview", "plan_into"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A change that is planned and not made: the report of it, and what it rests on.

    `conda` is what a conda prefix has, where its conda packages are to be changed, and `specs` what was asked for then.
    """

    environment: ForeignEnvironment
    installed: Mapping[str, Installed]
    plan: Plan
    report: InstallReport
    conda: CondaPrefix | None = None
    specs: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether all of it is there already."""
        return not self.report.changes


def plan_into(
    specs: tuple[str, ...], prefix: Path, *, machine: Machine, report: Reporter, channels: tuple[str, ...] = ()
) -> Preview:
    """Plan `specs` for the environment at `prefix`, beside what is installed there, which stays where it can.

    With `channels` they are conda packages, and of what is there only conda packages change. Without, they are wheels,
    and what conda installed and what comes from a directory or an address is never changed. NoPlanError where that
    leaves no set, IntegrityError where an earlier installation was interrupted, RequestError and UnavailableError as
    `look_at`.
    """
    if channels:
        return _plan_conda(specs, prefix, channels=channels, machine=machine, report=report)
    environment = look_at(prefix)
    check_writable(environment)
    check_unfinished(environment.prefix)
    installed = read_installed(environment)
    search = Search(
        environment=environment,
        installed=installed,
        machine=with_own_platform(machine, environment),
        specs=specs,
        report=report,
    )
    plan = search.find()
    check_plan(plan)
    planned = packages_of(plan)
    changes = _changes(installed, planned, environment)
    result = InstallReport(
        prefix=str(environment.prefix),
        python=environment.minor,
        changes=changes,
        kept=tuple(_kept(installed, planned)),
        conflicts_before=find_conflicts(installed, plan.machine.platform, environment.minor),
        conflicts=_expected_conflicts(installed, changes, plan),
        notes=_frozen(environment.prefix),
        variables=variables_of(plan),
        plan=plan,
    )
    return Preview(environment=environment, installed=installed, plan=plan, report=result)


def _plan_conda(
    specs: tuple[str, ...], prefix: Path, *, channels: tuple[str, ...], machine: Machine, report: Reporter
) -> Preview:
    from gpuenv.environments.conda_into import changes_of, load_conda_prefix, plan_conda_packages

    prefix = real_prefix(prefix)
    if not (prefix / "conda-meta").is_dir():
        raise RequestError(
            f"`{prefix}` is no conda environment, and channels are for those",
            hints=("leave out `-c`, and what you ask for comes as wheels",),
        )
    check_unfinished(prefix)
    there = load_conda_prefix(prefix)
    environment = look_without_asking(prefix, python=there.python or "")
    check_writable(environment)
    installed = read_installed(environment)
    plan = plan_conda_packages(specs, there, channels=channels, machine=machine, report=report)
    conflicts = find_conflicts(installed, machine.platform, environment.version) if there.python else ()
    result = InstallReport(
        prefix=str(prefix),
        python=environment.version,
        changes=tuple(changes_of(there, plan)),
        kept=tuple(f"{one.name} {one.version}" for one in installed.values() if one.conda is None),
        conflicts_before=conflicts,
        notes=_frozen(prefix),
        conflicts=conflicts,
        plan=plan,
    )
    return Preview(environment=environment, installed=installed, plan=plan, report=result, conda=there, specs=specs)


def _frozen(prefix: Path) -> tuple[str, ...]:
    message = frozen_message(prefix)
    if message is None:
        return ()
    said = f": {printable(message)}" if message.strip() else ""
    return (f"the environment is frozen, and is changed with `--override-frozen` only{said}",)


def _changes(
    installed: Mapping[str, Installed], planned: Sequence[LockedPackage], environment: ForeignEnvironment
) -> tuple[PackageChange, ...]:
    changes: list[PackageChange] = []
    for package in planned:
        there = installed.get(package.name)
        if there is None:
            changes.append(PackageChange(name=package.name, after=package.version or "0"))
        elif not is_same(there, package) and not _has_to_stay(there, package):
            changes.append(
                PackageChange(name=package.name, before=there.version, after=package.version or there.version)
            )
    for one in _ousted(installed, {package.name for package in planned}):
        if one.conda:
            raise NoPlanError(
                f"conda installed {one.name} {one.version}, which would have to go",
                reasons=("it owns the same modules as what is to be installed",),
                hints=(
                    f"let conda remove it: `conda remove -p {shlex.quote(os.fspath(environment.prefix))} {one.conda}`",
                ),
            )
        changes.append(PackageChange(name=one.key, before=one.version))
    return tuple(sorted(changes, key=lambda change: change.name))


def _has_to_stay(there: Installed, package: LockedPackage) -> bool:
    return there.url is not None and not package.direct


def _kept(installed: Mapping[str, Installed], planned: Sequence[LockedPackage]) -> Iterator[str]:
    """What comes from a directory or an address, with the version that the plan has in its place."""
    versions = {package.name: package for package in planned}
    for key, there in installed.items():
        package = versions.get(key)
        if there.url is None or (package and package.direct and not is_same(there, package)):
            continue
        other = f", where the plan has {package.version}" if package and not is_same(there, package) else ""
        yield f"{there.name} {there.version} from `{there.url}`{' (editable)' if there.editable else ''}{other}"


def _ousted(installed: Mapping[str, Installed], planned: set[str]) -> Iterator[Installed]:
    """What would own the same import packages as something planned: other wheels of one project of the catalog."""
    for name in sorted(planned):
        project = find_project(name)
        wheels = {str(canonicalize_name(rule.wheel)) for rule in project.builds} if project else set()
        if project is None or project.library or not project.listed or name not in wheels:
            continue
        for key in sorted(wheels - planned):
            if key in installed:
                yield installed[key]


def _expected_conflicts(
    installed: Mapping[str, Installed], changes: Sequence[PackageChange], plan: Plan
) -> tuple[Conflict, ...]:
    """The conflicts of what stays with what comes; what comes fits together, since uv resolved it so."""
    changed = {one.name for one in changes}
    staying = [one for key, one in installed.items() if key not in changed]
    after = {one.key: one.version for one in staying} | {one.name: one.after for one in changes if one.after}
    return tuple(
        Conflict(name=one.who.name, version=one.who.version, requires=one.text, found=one.found)
        for one in unmet(staying, after, plan.machine.platform, plan.python)
    )
