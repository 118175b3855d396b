"""Change the conda packages of an environment that conda, mamba or pixi made, in place and with a way back.

With channels a change is of conda packages alone: what pip or uv installed there stays as it is. What is there stays
where the new specs allow, and the history goes on, so that conda can go on from it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from gpuenv.environments.build import check_plan, with_lock
from gpuenv.environments.conda_build import asked_of_conda, dist_names
from gpuenv.environments.conda_history import asked_specs, history_with, read_history, write_history
from gpuenv.environments.conda_install import mend_records, notes_of, run_install, shown
from gpuenv.environments.conda_meta import CondaPackage, is_placeholder, read_conda_meta
from gpuenv.environments.conda_packages import CachedPackage, cached_packages
from gpuenv.environments.conda_protection import read_pins, within_pins
from gpuenv.environments.conda_together import Together, check_together, clear_the_way, refuse_outside
from gpuenv.environments.conda_truth import is_same_conda
from gpuenv.environments.leftovers import delete_tree
from gpuenv.errors import IntegrityError, NoPlanError, UnavailableError
from gpuenv.model import LockedConda, Machine, PackageChange, Plan, Reporter, Request, Sources
from gpuenv.plans.make import make_plan
from gpuenv.plans.specs import spec_name

__all__ = ["CondaPrefix", "change_conda_packages", "changes_of", "load_conda_prefix", "plan_conda_packages"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CondaPrefix:
    """What a prefix of another tool has: its packages, and what was asked for, by package."""

    prefix: Path
    packages: tuple[CondaPackage, ...]
    asked: dict[str, str]

    @property
    def locked(self) -> tuple[LockedConda, ...]:
        """The packages as a plan has them."""
        return tuple(one.locked for one in self.packages if not is_placeholder(one.locked))

    @property
    def channels(self) -> tuple[str, ...]:
        """The addresses that they came from."""
        return tuple(dict.fromkeys(one.channel for one in self.locked if "://" in one.channel))

    @property
    def python(self) -> str | None:
        """Its Python, as 3.11."""
        versions = (one.version for one in self.locked if one.name == "python")
        return next((".".join(version.split(".")[:2]) for version in versions), None)


def load_conda_prefix(prefix: Path) -> CondaPrefix:
    """What is in the prefix of another tool, by its records and its history.

    IntegrityError where a record cannot be read, since nobody could then tell which files are whose.
    """
    packages, problems = read_conda_meta(prefix)
    if problems:
        raise IntegrityError(
            f"the records of `{prefix}` are broken",
            reasons=problems,
            hints=("reinstall these packages with the tool that made the environment",),
        )
    requested = {one.locked.name: one.requested[0] for one in packages if one.requested}
    there = {one.locked.name for one in packages}
    asked = {name: spec for name, spec in asked_specs(read_history(prefix)).items() if name in there}
    return CondaPrefix(prefix=prefix, packages=packages, asked=requested | asked)


def plan_conda_packages(
    specs: tuple[str, ...], there: CondaPrefix, *, channels: tuple[str, ...], machine: Machine, report: Reporter
) -> Plan:
    """The plan of what is there with `specs`, from `channels` and those that the packages came from.

    Where it can be, nothing goes that is there. NoPlanError where no set fits.
    """
    new = {spec_name(spec) for spec in specs}
    asked = [spec for name, spec in there.asked.items() if name not in new]
    along = [one.name for one in there.locked if one.name not in new and one.name not in there.asked]
    python = None if "python" in new else there.python
    keep = Plan(request=Request(specs=()), machine=machine, python=there.python or "3.11", conda=there.locked)
    pins = read_pins(there.prefix)
    first: NoPlanError | None = None
    for more in dict.fromkeys((tuple(along), ())):
        request = Request(
            specs=(*asked, *specs, *more),
            python=python,
            channels=tuple(dict.fromkeys((*channels, *there.channels))),
            sources=Sources.CONDA,
        )
        try:
            plan = within_pins(request, partial(make_plan, machine=machine, report=report, keep=keep), pins)
        except NoPlanError as error:
            first = error
            continue
        check_plan(plan)
        return with_lock(plan)
    assert first is not None
    raise first


def changes_of(there: CondaPrefix, plan: Plan) -> Iterator[PackageChange]:
    """What comes, goes and changes, by name; builds are named where only they differ."""
    before, after = ({one.name: one for one in packages} for packages in (there.locked, plan.conda))
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old and new and is_same_conda([old], [new]):
            continue
        with_build = bool(old and new and old.version == new.version)
        yield PackageChange(
            name=name,
            before=_version(old, with_build=with_build) if old else None,
            after=_version(new, with_build=with_build) if new else None,
        )


def change_conda_packages(
    there: CondaPrefix, plan: Plan, specs: tuple[str, ...], *, work: Path, report: Reporter
) -> tuple[str, ...]:
    """Bring the prefix to `plan`. `work` is a directory for files of the moment, on the file system of the prefix.

    Gives what is to be told of the packages.
    Nothing protects the prefix while this works: the caller keeps its files. Errors as `cached_packages`, and
    UnavailableError where the prefix is not as it was when it was planned for.
    """
    prefix = there.prefix
    now = load_conda_prefix(prefix)
    if not is_same_conda(now.locked, there.locked):
        raise UnavailableError(f"`{prefix}` was changed by another command meanwhile", hints=("try again",))
    report.step("fetching conda packages")
    old = {one.name: one for one in there.locked}
    coming = [one for one in plan.conda if not (one.name in old and is_same_conda([old[one.name]], [one]))]
    cached = cached_packages(coming, plan.request, offline=False, report=report)
    every = [(one.locked, one.facts) for one in cached]
    staying = _files(now, {one.name for one in plan.conda} - {one.name for one in coming})
    together = check_together(every, staying=staying)
    python = next((".".join(one.version.split(".")[:2]) for one in plan.conda if one.name == "python"), there.python)
    for locked, facts in every:
        refuse_outside(prefix, locked, facts, python=python)
    report.step("linking conda packages")
    cache = work / "packages"
    cache.mkdir()
    try:
        clear_the_way(prefix, every, staying=staying, owners=_files(now), python=python)
        _install(now, plan, cached, together, cache=cache, report=report)
    finally:
        delete_tree(cache)
    asked = {name: spec for name, spec in asked_of_conda(plan).items() if name in {spec_name(one) for one in specs}}
    _, clashes = mend_records(prefix, cached, asked)
    _go_on(there, plan, asked)
    return (*(note for one in cached for note in notes_of(one)), *together.notes, *clashes)


def _files(there: CondaPrefix, names: set[str] | None = None) -> dict[str, str]:
    """The files of packages, each with its package."""
    every = (one for one in there.packages if names is None or one.locked.name in names)
    return {path: one.locked.name for one in every for path in one.files}


def _install(
    now: CondaPrefix,
    plan: Plan,
    cached: tuple[CachedPackage, ...],
    together: Together,
    *,
    cache: Path,
    report: Reporter,
) -> None:
    from rattler import PrefixRecord, install

    try:
        installed = [PrefixRecord.from_path(path) for path in sorted((now.prefix / "conda-meta").glob("*.json"))]
    except Exception as error:
        raise IntegrityError(f"rattler cannot read the records of `{now.prefix}`", reasons=(str(error),)) from error
    hidden = together.hidden
    fresh = {one.locked.name: shown(one, cache, hidden=hidden.get(one.locked.name, ())) for one in cached}
    staying = [one for one in installed if one.name.normalized not in fresh]
    names = {one.name for one in plan.conda} | {one.locked.name for one in now.packages if is_placeholder(one.locked)}
    records = [*(one for one in staying if one.name.normalized in names), *fresh.values()]
    had_tag = (now.prefix / "CACHEDIR.TAG").exists()
    linking = install(
        [*records],
        now.prefix,
        cache_dir=cache,
        installed_packages=installed,
        execute_link_scripts=False,
        show_progress=False,
    )
    run_install(linking, now.prefix)
    if not had_tag:
        (now.prefix / "CACHEDIR.TAG").unlink(missing_ok=True)
    report.detail(f"{len(fresh)} linked, {len(installed) - len(staying)} replaced or removed")


def _go_on(there: CondaPrefix, plan: Plan, asked: dict[str, str]) -> None:
    try:
        text = (there.prefix / "conda-meta" / "history").read_text("utf-8", "replace")
    except OSError:
        text = ""
    was = dist_names(there.locked, plan.request) if text.strip() else set()
    is_ = dist_names(plan.conda, plan.request)
    write_history(
        there.prefix,
        history_with(
            text,
            when=datetime.now(UTC),
            command=[os.fspath(one) for one in sys.argv],
            came=is_ - was,
            went=was - is_,
            asked=asked.values(),
        ),
    )


def _version(package: LockedConda, *, with_build: bool) -> str:
    return f"{package.version} {package.build}" if with_build else package.version
