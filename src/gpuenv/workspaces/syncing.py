"""`sync`: make the environment that a lock describes, or see that it is there already."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from gpuenv.channels.pylock import read_lock
from gpuenv.environments import Environment, layout, load
from gpuenv.environments.build import check_plan, with_lock
from gpuenv.environments.conda_truth import as_it_is
from gpuenv.environments.installed import read_distributions
from gpuenv.environments.naming import real_prefix
from gpuenv.environments.verbs import apply_plan
from gpuenv.errors import GpuenvError, IntegrityError, RequestError, ToolError, UnavailableError
from gpuenv.machines import probe_here
from gpuenv.machines.interpreters import find_interpreters
from gpuenv.model import LockedConda, Machine, PackageChange, Plan, Reporter, Silence, SyncReport, SyncState
from gpuenv.workspaces.channel_words import unlocked
from gpuenv.workspaces.choosing import choose_plan
from gpuenv.workspaces.freshness import refuse_stale
from gpuenv.workspaces.lock_file import load_lock
from gpuenv.workspaces.wanted_lock import lock_place
from gpuenv.workspaces.yanked import yanked_releases

__all__ = ["ENVIRONMENT_NAME", "sync"]

ENVIRONMENT_NAME = ".venv"
"""Where the environment of a workspace is unless another place is named: beside the lock, as other tools have it."""

_ABOUT = re.compile(r"Failed to [\w ]+ `(?P<name>[\w.-]+)==(?P<version>[^`]+)`")
_OTHER = re.compile(r"(hash|size) mismatch", re.IGNORECASE)
_GONE = re.compile(r"404 Not Found|410 Gone|No such file or directory|os error 2\b")


def sync(
    *,
    start: Path,
    path: Path | None = None,
    prefix: Path | None = None,
    machine: Machine | None = None,
    offline: bool = False,
    dry_run: bool = False,
    drop_foreign: bool = False,
    override_frozen: bool = False,
    report: Reporter,
) -> SyncReport:
    """Make the environment at `prefix` that of the plan that the lock holds for `machine`, or for this computer.

    The lock is the one at `path`, or that of the workspace around `start`; without a `prefix` the environment is
    `.venv` beside it. Files are those of the lock, byte for byte; with `offline` all must be in the cache of `uv`.
    Where the environment is as the lock says, nothing is done; with `dry_run` nothing is done in any case. Where files
    or records of conda packages are gone it is not as the lock says. A frozen one needs `override_frozen`.

    RequestError where there is no lock, or something else is at the place; IntegrityError for a lock that was changed,
    or is older than what the project asks for; FormatError for one that is none; NoPlanError where it holds no plan
    that runs there; UnavailableError where a file cannot be had.
    """
    place = lock_place(path, start)
    lock = load_lock(place)
    refuse_stale(lock, place)
    chosen = choose_plan(lock, machine or probe_here(), where=place.name)
    wanted = with_lock(unlocked(chosen.plan, place.parent))
    target = real_prefix(prefix or place.parent / ENVIRONMENT_NAME)
    there = load(target) if layout.is_environment(target) or layout.journal_path(target).exists() else None
    changes = tuple(_changes(there, wanted))
    notes = chosen.notes
    broken = there.conda_problems if there else ()
    added = tuple(change for change in changes if change.after is None)
    is_equal = there is not None and not broken and _is_equal(there, wanted)
    if is_equal and changes == added and not (added and drop_foreign):
        state, changes = SyncState.UNCHANGED, ()
        notes += tuple(f"added by hand, and in no lock: {one.name} {one.before}" for one in added)
    elif dry_run:
        state = SyncState.WOULD_CREATE if there is None else SyncState.WOULD_CHANGE
        notes += broken
        check_plan(wanted)
    else:
        state = SyncState.CREATED if there is None else SyncState.CHANGED
        plan = _with_interpreter(wanted, there)
        notes += _apply(
            plan,
            target,
            offline=offline,
            drop_foreign=drop_foreign,
            override_frozen=override_frozen,
            report=report,
        )
        notes += _yanked(plan, offline=offline)
    return SyncReport(prefix=str(target), lock=str(place), state=state, changes=changes, notes=notes, plan=wanted)


def _changes(there: Environment | None, plan: Plan) -> Iterator[PackageChange]:
    """What is installed otherwise than the plan says, by name: conda packages, then distributions of wheels."""
    conda = as_it_is(there, report=Silence()).plan.conda if there else ()
    yield from _differing({one.name: _release(one) for one in conda}, {one.name: _release(one) for one in plan.conda})
    installed = {one.key: one.version for one in read_distributions(there.prefix)} if there else {}
    wanted = {one.name: one.version for one in read_lock(plan.pylock)}
    yield from _differing(installed, wanted)


def _release(package: LockedConda) -> str:
    return f"{package.version} {package.build}"


def _differing(before: Mapping[str, str], after: Mapping[str, str | None]) -> Iterator[PackageChange]:
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if name not in after:
            yield PackageChange(name=name, before=old)
        elif old is None or (new is not None and not _same_version(old, new)):
            yield PackageChange(name=name, before=old, after=new or "")


def _same_version(one: str, other: str) -> bool:
    from packaging.version import InvalidVersion, Version

    try:
        return Version(one) == Version(other)
    except InvalidVersion:
        return one == other


def _is_equal(there: Environment, plan: Plan) -> bool:
    """Whether the environment was made of the same files for the same wishes, and can run."""
    old = there.plan
    fields = ("request", "python", "pylock", "source_packages", "build_constraints")
    same = all(getattr(old, field) == getattr(plan, field) for field in fields)
    files = [[(one.name, one.subdir, one.filename, one.sha256, one.md5) for one in plan.conda] for plan in (old, plan)]
    variables = [[package.variables for package in one.packages] for one in (old, plan)]
    return same and files[0] == files[1] and variables[0] == variables[1] and there.problem is None


def _with_interpreter(plan: Plan, there: Environment | None) -> Plan:
    """The plan with a Python of this computer: the one that the environment has, else one of those found. One that is
    a conda package is in the plan itself.
    """
    if plan.has_conda_python:
        return plan
    own = there.plan.interpreter if there and there.plan.python == plan.python else None
    if own and Path(own).exists():
        return msgspec.structs.replace(plan, interpreter=own)
    found = find_interpreters()
    fitting = [one.path for one in found if f"{one.version}.".startswith(f"{plan.python}.")]
    if not fitting:
        here = ", ".join(dict.fromkeys(one.version for one in found)) or "none"
        raise UnavailableError(
            f"the lock is for Python {plan.python}, which is not on this computer",
            reasons=(f"found {here}",),
            hints=(
                f"install Python {plan.python}",
                f"or lock for another: `gpuenv lock --python {'.'.join(found[0].version.split('.')[:2])}`"
                if found
                else "or lock for another with `gpuenv lock --python`",
            ),
        )
    return msgspec.structs.replace(plan, interpreter=fitting[0])


def _apply(
    plan: Plan, target: Path, *, offline: bool, drop_foreign: bool, override_frozen: bool, report: Reporter
) -> tuple[str, ...]:
    try:
        return apply_plan(
            plan, target, report=report, offline=offline, drop_foreign=drop_foreign, override_frozen=override_frozen
        ).notes
    except RequestError as error:
        if os.path.lexists(target) and not layout.is_environment(target):
            hints = ("name another place: `gpuenv sync -p PATH`, or move it away first",)
            raise RequestError(error.message, reasons=error.reasons, hints=hints) from error
        raise
    except (UnavailableError, IntegrityError, ToolError) as error:
        raise _explained(error) from error


def _explained(error: GpuenvError) -> GpuenvError:
    """The failure in the words of a lock, where a file of it is gone or another by now."""
    said = "\n".join(error.reasons)
    about = _ABOUT.search(said)
    hints = ("decide anew: `gpuenv lock --upgrade`",)
    called = f"`{about['name']}` {about['version']}" if about else "a file"
    if _OTHER.search(said):
        return IntegrityError(
            f"{called} is no longer the file that was locked", reasons=error.reasons, hints=hints, details=error.details
        )
    if _GONE.search(said):
        return UnavailableError(
            f"{called} of the lock is gone from its index", reasons=error.reasons, hints=hints, details=error.details
        )
    return error


def _yanked(plan: Plan, *, offline: bool) -> tuple[str, ...]:
    """A word for each release that was withdrawn since. A lock goes on installing it, by its hash (PEP 592)."""
    if offline:
        return ()
    return tuple(
        f"{name} {told} was yanked from the index since; take another with `gpuenv lock --upgrade`"
        for name, told in yanked_releases(plan).items()
    )
