"""An environment as its `conda-meta` says it is, where conda or another tool changed it since gpuenv did."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import msgspec

from gpuenv.environments.conda_build import asked_of_conda
from gpuenv.environments.conda_history import asked_specs, read_history
from gpuenv.environments.conda_meta import CondaPackage, is_placeholder, missing_files, read_conda_meta
from gpuenv.environments.state import Environment
from gpuenv.errors import FormatError
from gpuenv.model import LockedConda, Plan, Reporter
from gpuenv.plans.specs import spec_name

__all__ = ["as_it_is", "conda_problems", "is_same_conda"]


def as_it_is(environment: Environment, *, report: Reporter) -> Environment:
    """The environment with the conda packages that are there in its plan, and in the request what was asked for since.

    What another tool added, took away or changed is in its notes, and what is broken as well; the plan's own word
    counts for a package whose record cannot be read.
    """
    if not environment.plan.conda and not (environment.prefix / "conda-meta").is_dir():
        return environment
    packages, _ = read_conda_meta(environment.prefix)
    notes = (*conda_problems(environment), *_differences(environment.plan, packages))
    for line in notes:
        report.detail(line)
    plan = _plan_of(environment, packages)
    return replace(environment, state=msgspec.structs.replace(environment.state, plan=plan), notes=notes)


def conda_problems(environment: Environment) -> tuple[str, ...]:
    """What is broken in the conda part of an environment: records, and files that are gone."""
    packages, problems = read_conda_meta(environment.prefix)
    return (*problems, *missing_files(environment.prefix, packages))


def is_same_conda(one: Iterable[LockedConda], other: Iterable[LockedConda]) -> bool:
    """Whether two lists name the same packages."""
    return {_key(package) for package in one} == {_key(package) for package in other}


def _key(package: LockedConda) -> tuple[str, ...]:
    return package.name, package.version, package.build, package.subdir


def _differences(plan: Plan, packages: Iterable[CondaPackage]) -> Iterator[str]:
    planned = {one.name: one for one in plan.conda}
    there = {one.locked.name: one.locked for one in packages if not is_placeholder(one.locked)}
    for name in sorted(planned.keys() | there.keys()):
        was, now = planned.get(name), there.get(name)
        if was is None and now is not None:
            yield f"`{name}` {now.version} was added with another tool"
        elif now is None:
            yield f"`{name}` was taken away with another tool"
        elif was is not None and _key(was) != _key(now):
            yield f"`{name}` was changed with another tool: {now.version} {now.build}, where {was.version} was planned"


def _plan_of(environment: Environment, packages: Iterable[CondaPackage]) -> Plan:
    plan = environment.plan
    there = {one.locked.name: one for one in packages if not is_placeholder(one.locked)}
    planned = {one.name: one for one in plan.conda}
    # A record that is there and cannot be read is no sign that its package was taken away.
    hidden = {
        name: one
        for name, one in planned.items()
        if name not in there and (environment.prefix / "conda-meta" / f"{name}-{one.version}-{one.build}.json").exists()
    }
    conda = sorted([*(one.locked for one in there.values()), *hidden.values()], key=lambda one: one.name)
    gone = planned.keys() - there.keys() - hidden.keys()
    specs = _specs_of(environment, {spec for spec in plan.request.specs if spec_name(spec) in gone}, there, planned)
    if is_same_conda(conda, plan.conda) and specs == plan.request.specs:
        return plan
    moved = {name for name in planned.keys() & there.keys() if _key(planned[name]) != _key(there[name].locked)}
    return msgspec.structs.replace(
        plan,
        request=msgspec.structs.replace(plan.request, specs=specs),
        packages=tuple(one for one in plan.packages if one.name not in gone | moved),
        conda=tuple(conda),
    )


def _specs_of(
    environment: Environment, gone: set[str], there: dict[str, CondaPackage], planned: dict[str, LockedConda]
) -> tuple[str, ...]:
    """What is asked for by now. Where the history has another spec than the request, it was asked for since."""
    try:
        revisions = read_history(environment.prefix)
    except FormatError:
        revisions = ()
    now = {name: spec for name, spec in asked_specs(revisions).items() if name in there}
    ever = {name for one in revisions for name in asked_specs([one])}
    before = asked_of_conda(environment.plan)
    specs: dict[str, str] = {}
    for spec in environment.plan.request.specs:
        name = next((one for one in (spec_name(spec), spec_name(spec).replace("_", "-")) if one in before), None)
        if spec in gone or (name in ever and name not in now):
            continue
        if name in now and _plain(now[name]) != _plain(before[name]):
            specs[f"{name}=="] = now[name]
        else:
            specs[spec] = spec
    known = before.keys() | {spec_name(spec) for spec in specs.values()}
    for name, one in there.items():
        if name in now and name not in known:
            specs[name] = now[name]
        elif name not in planned and one.requested and name not in known:
            specs[name] = one.requested[0]
    return tuple(specs.values())


def _plain(spec: str) -> str:
    """A spec in the one form that rattler gives to all ways to write it."""
    from rattler import MatchSpec
    from rattler.exceptions import InvalidMatchSpecError

    try:
        return str(MatchSpec(spec))
    except InvalidMatchSpecError:
        return spec
