"""`lock`: plan what a workspace asks for on all of its machines, and write it down; or say whether that is needed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from gpuenv import __version__
from gpuenv.errors import FormatError, IntegrityError
from gpuenv.machines.interpreters import find_interpreters
from gpuenv.model import (
    Explanation,
    Lock,
    LockedPlan,
    LockReport,
    LockSource,
    LockState,
    Machine,
    Plan,
    PlannedPackage,
    PlanSet,
    Reporter,
    Request,
)
from gpuenv.plans.specs import spec_name
from gpuenv.workspaces.asking import located, without_unknown_defaults
from gpuenv.workspaces.channel_words import as_locked, from_directory, printable_request
from gpuenv.workspaces.freshness import of_requests, what_changed
from gpuenv.workspaces.imported import CondaPart, Imported
from gpuenv.workspaces.lock_file import load_lock, refuse_newer_lock, save_lock
from gpuenv.workspaces.machines import same_machine
from gpuenv.workspaces.manifest import HERE
from gpuenv.workspaces.planning import plan_machines
from gpuenv.workspaces.wanted_lock import LockOptions, WantedLock, lock_place, wanted_lock
from gpuenv.workspaces.yanked import yanked_releases

__all__ = ["check_lock", "lock"]


def lock(
    options: LockOptions, *, start: Path, path: Path | None = None, upgrade: bool = False, report: Reporter
) -> LockReport:
    """Lock what is asked for at `path`, or in the workspace around `start`. Nothing is installed.

    Versions of an existing lock stay where they still fit, unless `upgrade`; a release that was yanked since does not
    fit. A lock whose answers are the same is not written again. Errors as those of `load_lock`, `read_workspace` and
    `make_plan`; with `upgrade` a damaged lock is written anew.
    """
    place = lock_place(path, start)
    old = _old_lock(place, upgrade=upgrade)
    wanted = wanted_lock(options, place, old)
    new, notes = _decide(wanted, place.parent, None if upgrade else old, report)
    if old is not None and _same_answers(old, new):
        return LockReport(path=str(place), state=LockState.UNCHANGED, notes=notes, lock=old)
    save_lock(place, new)
    return LockReport(path=str(place), state=LockState.WRITTEN, notes=notes, lock=new)


def check_lock(options: LockOptions, *, start: Path, path: Path | None = None, report: Reporter) -> LockReport:
    """Whether `lock` would leave the lock as it is; the reasons say why not. Nothing is written.

    Where the project asks for something else by now, nothing is planned. Errors as those of `lock`; RequestError where
    there is no lock.
    """
    place = lock_place(path, start)
    old = load_lock(place)
    reasons = what_changed(old, place)
    notes: tuple[str, ...] = ()
    if not reasons:
        wanted = wanted_lock(options, place, old)
        new, notes = _decide(wanted, place.parent, old, report)
        reasons = () if _same_answers(old, new) else tuple(_differences(old, new)) or ("the plans differ",)
    state = LockState.STALE if reasons else LockState.CURRENT
    return LockReport(path=str(place), state=state, reasons=reasons, notes=notes, lock=old)


def _old_lock(place: Path, *, upgrade: bool) -> Lock | None:
    if not place.exists():
        return None
    try:
        return load_lock(place)
    except (FormatError, IntegrityError):
        if not upgrade:
            raise
        refuse_newer_lock(place)
        return None


def _decide(wanted: WantedLock, directory: Path, old: Lock | None, report: Reporter) -> tuple[Lock, tuple[str, ...]]:
    """The lock in `directory` of what is wanted, and what to know of it."""
    machines = tuple(_as_locked(machine, old) for machine in wanted.machines)
    keep = PlanSet(plans=tuple(one.whole for one in old.plans), reasons=old.reasons) if old else None
    yanked = {name: told for plan in keep.plans for name, told in yanked_releases(plan).items()} if keep else {}
    interpreters = find_interpreters() if wanted.words == (HERE,) else ()
    renew = frozenset(name for one in yanked for name in (one, spec_name(one)))
    asked, of_defaults = without_unknown_defaults(wanted.request) if wanted.conda else (wanted.request, ())
    found = plan_machines(
        from_directory(asked, directory),
        machines,
        conda=_from_directory(wanted.conda, directory),
        interpreters=interpreters,
        keep=keep,
        renew=renew,
        report=report,
    )
    notes = [*wanted.notes, *of_defaults]
    for plan in found.plans:
        for name, told in yanked.items():
            if any(wheel.name == name and told.split()[0] == wheel.version for wheel in plan.wheels):
                notes.append(f"{name} {told} was yanked from the index; it is taken all the same")
    made = Lock(
        gpuenv=__version__,
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        source=_printable(wanted.source),
        request=printable_request(wanted.request),
        machines=wanted.words,
        plans=tuple(LockedPlan.of(as_locked(plan, wanted.request, directory)) for plan in found.plans),
        reasons=found.reasons,
    )
    return made.sealed(), tuple(dict.fromkeys(notes))


def _printable(source: LockSource | None) -> LockSource | None:
    """The source without logins in the addresses of channels."""
    if source is None:
        return None
    first = printable_request(Request(specs=source.further, channels=source.channels))
    further = printable_request(Request(specs=(), channels=source.further_channels))
    return msgspec.structs.replace(
        source, further=first.specs, channels=first.channels, further_channels=further.channels
    )


def _from_directory(part: CondaPart | None, directory: Path) -> CondaPart | None:
    return located(Imported(conda=part), lambda one: from_directory(one, directory)).conda


def _as_locked(machine: Machine, old: Lock | None) -> Machine:
    """A machine as the lock holds it already, where it is the same for every plan: memory may be counted otherwise."""
    for one in old.plans if old else ():
        for known in one.plan.machines:
            if known.name == machine.name and same_machine(known, machine):
                return known
    return machine


def _same_answers(old: Lock, new: Lock) -> bool:
    """Whether both install the same for the same request; why is not asked, nor when and by whom it was decided."""
    return _answers(old) == _answers(new)


def _answers(lock: Lock) -> tuple[object, ...]:
    plans = tuple((_bare(one.plan), one.pylock) for one in lock.plans)
    return lock.request, lock.machines, lock.source, plans


def _bare(plan: Plan) -> Plan:
    return msgspec.structs.replace(
        plan,
        explanation=Explanation(),
        packages=tuple(msgspec.structs.replace(package, findings=()) for package in plan.packages),
    )


def _differences(old: Lock, new: Lock) -> Iterator[str]:
    """What a new lock would say otherwise, in the words of packages and machines."""
    yield from of_requests(old.request, new.request, "what is asked for")
    before = {machine.name: one.plan for one in old.plans for machine in one.plan.machines}
    after = {machine.name: one.plan for one in new.plans for machine in one.plan.machines}
    for name in dict.fromkeys((*before, *after)):
        was, now = before.get(name), after.get(name)
        if was is None or now is None:
            yield f"the machine `{name}` is {'new' if was is None else 'gone'}"
            continue
        if not any(same_machine(one, other) for one in was.machines for other in now.machines if one.name == name):
            yield f"the machine `{name}` is another than when it was locked"
        yield from _of_plans(was, now, name)


def _of_plans(was: Plan, now: Plan, name: str) -> Iterator[str]:
    if was.python != now.python:
        yield f"for `{name}`: Python {was.python} becomes {now.python}"
    told = {(wheel.name, wheel.sha256): wheel for wheel in was.wheels}
    for wheel in now.wheels:
        old = next((one for one in was.wheels if one.name == wheel.name), None)
        if (wheel.name, wheel.sha256) in told:
            continue
        change = f"{old.version} becomes {wheel.version}" if old else f"{wheel.version} is new"
        same = old is not None and old.version == wheel.version
        yield f"for `{name}`: {wheel.name} {f'{wheel.version} has another file' if same else change}"
    names = {wheel.name for wheel in now.wheels}
    for wheel in was.wheels:
        if wheel.name not in names:
            yield f"for `{name}`: {wheel.name} {wheel.version} is gone"
    yield from _of_conda(was, now, name)
    verdicts = {package.name: package for package in was.packages}
    yield from (f"for `{name}`: {text}" for one in now.packages if (text := _of_package(verdicts.get(one.name), one)))


def _of_conda(was: Plan, now: Plan, name: str) -> Iterator[str]:
    """What of the conda packages is another one."""
    before = {package.name: package for package in was.conda}
    after = {package.name: package for package in now.conda}
    for one in dict.fromkeys((*after, *before)):
        old, new = before.get(one), after.get(one)
        if new is None:
            yield f"for `{name}`: the conda package {one} is gone"
        elif old is None:
            yield f"for `{name}`: the conda package {one} {new.version} {new.build} is new"
        elif (old.version, old.build) != (new.version, new.build):
            yield f"for `{name}`: {one} {old.version} {old.build} becomes {new.version} {new.build}"
        elif (old.url, old.sha256, old.md5) != (new.url, new.sha256, new.md5):
            yield f"for `{name}`: {one} {new.version} {new.build} has another file"
        elif old.record != new.record:
            yield f"for `{name}`: what the channel says of {one} {new.version} {new.build} is another"


def _of_package(was: PlannedPackage | None, now: PlannedPackage) -> str:
    if was is None or was.verdict is now.verdict or was.version != now.version:
        return ""
    return f"the rules say of {now.name} {now.version}: {now.verdict.value}, no longer {was.verdict.value}"
