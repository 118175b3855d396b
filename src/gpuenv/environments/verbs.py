"""Change what was asked for: each verb makes the plan of the new request and then the environment of that plan."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from dataclasses import replace as replace_fields
from functools import partial
from pathlib import Path

import msgspec
from packaging.utils import canonicalize_name

from gpuenv.channels.pylock import read_lock
from gpuenv.environments import layout
from gpuenv.environments.changes import create, replace
from gpuenv.environments.conda_protection import read_pins, refuse_frozen, within_pins
from gpuenv.environments.conda_truth import as_it_is
from gpuenv.environments.foreign import foreign_packages
from gpuenv.environments.naming import real_prefix
from gpuenv.environments.state import Environment, load
from gpuenv.errors import NoPlanError, RequestError
from gpuenv.machines.interpreters import Interpreter, find_interpreters
from gpuenv.model import Machine, Plan, Reporter, Request
from gpuenv.plans.make import make_plan
from gpuenv.plans.specs import spec_name

__all__ = ["Change", "apply_plan", "create_environment", "install", "plan_install", "uninstall", "update"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An environment after a change, and the plan it had before (None for a new one).

    `notes` say what was found there, as by another tool, and what is to be told of packages that came.
    """

    environment: Environment
    before: Plan | None
    notes: tuple[str, ...] = ()


def create_environment(
    request: Request,
    prefix: Path,
    *,
    machine: Machine,
    report: Reporter,
    force: bool = False,
    override_frozen: bool = False,
) -> Change:
    """Plan `request` for `machine` with the Pythons found here, and make the environment at `prefix`."""
    plan = make_plan(request, machine, interpreters=find_interpreters(), report=report)
    made = create(plan, prefix, report=report, force=force, asked_with=request, override_frozen=override_frozen)
    return Change(environment=made, before=None, notes=made.notes)


def apply_plan(
    plan: Plan,
    prefix: Path,
    *,
    report: Reporter,
    offline: bool = False,
    drop_foreign: bool = False,
    override_frozen: bool = False,
) -> Change:
    """Make the environment at `prefix` that of a finished `plan`, whether there is one yet or not.

    With `offline` only files in the cache of `uv` are used. Errors as those of `create` and `replace`.
    """
    real = real_prefix(prefix)
    if not (layout.is_environment(real) or layout.journal_path(real).exists()):
        made = create(plan, prefix, report=report, offline=offline)
        return Change(environment=made, before=None, notes=made.notes)
    old = as_it_is(load(prefix), report=report)
    new = replace(
        plan,
        prefix,
        report=report,
        drop_foreign=drop_foreign,
        seen=old,
        offline=offline,
        override_frozen=override_frozen,
    )
    return Change(environment=new, before=old.plan, notes=(*old.notes, *new.notes))


def install(
    specs: tuple[str, ...],
    prefix: Path,
    *,
    machine: Machine,
    report: Reporter,
    drop_foreign: bool = False,
    channels: tuple[str, ...] = (),
    override_frozen: bool = False,
) -> Change:
    """Add `specs` to what was asked for at `prefix`; a spec takes the place of an older one for the same package.

    What is installed stays at its version where the new request allows it. `channels` go before those that the
    environment has.
    """
    old = _with_channels(_opened(prefix, report, override_frozen), channels)
    wanted = _with_more(old, specs, drop=drop_foreign)
    return _change(
        old, wanted, machine, report, keep=old.plan, drop_foreign=drop_foreign, override_frozen=override_frozen
    )


def plan_install(
    specs: tuple[str, ...],
    prefix: Path,
    *,
    machine: Machine,
    report: Reporter,
    drop_foreign: bool = False,
    channels: tuple[str, ...] = (),
) -> tuple[Plan, Plan]:
    """The plan of the environment at `prefix`, and the one that `install` would make it; nothing is changed."""
    old = _with_channels(as_it_is(load(prefix), report=report), channels)
    wanted = _with_more(old, specs, drop=drop_foreign)
    plan = _planned(old, wanted, machine, report, keep=old.plan)
    notes = (*old.notes, *plan.explanation.notes)
    return old.plan, msgspec.structs.replace(plan, explanation=msgspec.structs.replace(plan.explanation, notes=notes))


def uninstall(
    names: tuple[str, ...],
    prefix: Path,
    *,
    machine: Machine,
    report: Reporter,
    drop_foreign: bool = False,
    override_frozen: bool = False,
) -> Change:
    """Take packages out of what was asked for at `prefix`, and with them what only they needed.

    RequestError for a package that was not asked for, and when nothing would be left.
    """
    old = _opened(prefix, report, override_frozen)
    gone = {spec_name(name) for name in names}
    asked = {spec_name(spec) for spec in old.plan.request.specs}
    added = {spec_name(spec): spec for spec in foreign_packages(prefix)} if not drop_foreign else {}
    for name in sorted(gone - asked - added.keys()):
        raise _not_asked_for(name, old, asked)
    wanted = tuple(spec for spec in old.plan.request.specs if spec_name(spec) not in gone)
    wanted = (*wanted, *(spec for name, spec in added.items() if name not in gone))
    if not wanted:
        raise RequestError(
            f"nothing would be left in `{old.name}`",
            hints=(f"remove the environment itself: `gpuenv env remove -p {shlex.quote(os.fspath(old.prefix))}`",),
        )
    drop = drop_foreign or bool(added.keys() & gone)
    return _change(old, wanted, machine, report, keep=old.plan, drop_foreign=drop, override_frozen=override_frozen)


def update(
    names: tuple[str, ...],
    prefix: Path,
    *,
    machine: Machine,
    report: Reporter,
    drop_foreign: bool = False,
    channels: tuple[str, ...] = (),
    override_frozen: bool = False,
) -> Change:
    """Plan what was asked for at `prefix` anew, with the newest of everything, or of the packages named only."""
    old = _with_channels(_opened(prefix, report, override_frozen), channels)
    gone = {spec_name(name) for name in names}
    asked = {spec_name(spec) for spec in old.plan.request.specs}
    for name in sorted(gone - asked):
        raise _not_asked_for(name, old, asked)
    wanted = (*old.plan.request.specs, *_carried(old, set(), drop=drop_foreign))
    keep = old.plan if names else None
    return _change(
        old,
        wanted,
        machine,
        report,
        keep=keep,
        renew=frozenset(gone),
        drop_foreign=drop_foreign,
        override_frozen=override_frozen,
    )


def _opened(prefix: Path, report: Reporter, override_frozen: bool) -> Environment:
    """The environment as it is, which is to be changed."""
    there = load(prefix)
    refuse_frozen(there.prefix, override=override_frozen)
    return as_it_is(there, report=report)


def _with_channels(old: Environment, channels: tuple[str, ...]) -> Environment:
    """The environment with further channels, in front of its own, in its request."""
    if not channels:
        return old
    request = old.plan.request
    every = tuple(dict.fromkeys((*channels, *request.channels)))
    plan = msgspec.structs.replace(old.plan, request=msgspec.structs.replace(request, channels=every))
    return replace_fields(old, state=msgspec.structs.replace(old.state, plan=plan))


def _with_more(old: Environment, specs: tuple[str, ...], *, drop: bool) -> tuple[str, ...]:
    names = {spec_name(spec) for spec in specs}
    kept = tuple(spec for spec in old.plan.request.specs if spec_name(spec) not in names)
    return (*kept, *specs, *_carried(old, names, drop=drop))


def _carried(old: Environment, names: set[str], *, drop: bool) -> tuple[str, ...]:
    if drop:
        return ()
    return tuple(spec for spec in foreign_packages(old.prefix) if spec_name(spec) not in names)


def _change(
    old: Environment,
    specs: tuple[str, ...],
    machine: Machine,
    report: Reporter,
    *,
    keep: Plan | None,
    renew: frozenset[str] = frozenset(),
    drop_foreign: bool,
    override_frozen: bool,
) -> Change:
    plan = _planned(old, specs, machine, report, keep=keep, renew=renew)
    environment = replace(
        plan,
        old.prefix,
        report=report,
        drop_foreign=drop_foreign,
        seen=old,
        asked_with=old.plan.request,
        override_frozen=override_frozen,
    )
    return Change(environment=environment, before=old.plan, notes=(*old.notes, *environment.notes))


def _planned(
    old: Environment,
    specs: tuple[str, ...],
    machine: Machine,
    report: Reporter,
    *,
    keep: Plan | None,
    renew: frozenset[str] = frozenset(),
) -> Plan:
    request = msgspec.structs.replace(old.plan.request, specs=specs)
    own = Interpreter(version=old.plan.python, path=old.plan.interpreter or "", found_by="environment")
    asks_python = any(spec_name(spec) == "python" for spec in specs)
    interpreters = find_interpreters() if asks_python or not old.plan.interpreter else (own,)
    make = partial(make_plan, machine=machine, interpreters=interpreters, report=report)
    pins = read_pins(old.prefix)
    if keep is not None:
        try:
            return within_pins(request, partial(make, keep=keep, renew=renew), pins)
        except NoPlanError:
            report.detail("what is installed cannot stay as it is")
    return within_pins(request, make, pins)


def _not_asked_for(name: str, old: Environment, asked: set[str]) -> RequestError:
    locked: set[str] = {canonicalize_name(package.name) for package in read_lock(old.plan.pylock)}
    locked |= {package.name for package in old.plan.packages} | {package.name for package in old.plan.conda}
    if canonicalize_name(name) in locked or name in locked:
        return RequestError(
            f"`{name}` was not asked for by itself in `{old.name}`",
            reasons=(f"another package needs it; asked for were {', '.join(sorted(asked))}",),
        )
    return RequestError(
        f"`{name}` is not in `{old.name}`",
        reasons=(f"asked for were {', '.join(sorted(asked))}",),
        hints=(f"see what is there: `gpuenv list -p {shlex.quote(os.fspath(old.prefix))}`",),
    )
