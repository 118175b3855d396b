"""Which plan of a lock is for a machine: one made for such a machine, else one that every rule says runs there."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from gpuenv.channels.assumptions import with_assumptions
from gpuenv.channels.destinations import destination_of
from gpuenv.environments.needs_of_plan import needs_of_plan
from gpuenv.errors import GpuenvError, NoPlanError
from gpuenv.machines.written import parse_machine
from gpuenv.model import Finding, Lock, Machine, Plan, PlannedPackage, Verdict
from gpuenv.plans.candidates import Tier, tier_of
from gpuenv.rules import check
from gpuenv.workspaces.machines import machine_key, same_machine
from gpuenv.workspaces.manifest import HERE

__all__ = ["Chosen", "choose_plan"]

_MOST_TOLD = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A plan of a lock, and what to know of it on the machine that it was chosen for."""

    plan: Plan
    notes: tuple[str, ...] = ()


def choose_plan(lock: Lock, machine: Machine, *, where: str) -> Chosen:
    """The plan of the lock for `machine`; NoPlanError, naming the machines that it is for, where there is none.

    A plan that was made for such a machine comes first, then one whose packages all run there by the rules of today,
    those with more packages on the GPU before others.
    """
    plans = [one.whole for one in lock.plans]
    there = [plan for plan in plans if plan.machine.platform == machine.platform]
    if not there:
        raise NoPlanError(
            f"`{where}` holds no plan for {machine.platform}",
            reasons=tuple(_told(plans)),
            hints=(_adding(machine),),
        )
    own = next((plan for plan in there if any(same_machine(one, machine) for one in plan.machines)), None)
    if own is not None:
        return Chosen(plan=own, notes=_withdrawn(own, machine))
    judged = [(plan, tuple(_objections(plan, machine))) for plan in there]
    fitting = [plan for plan, objections in judged if not objections]
    if not fitting:
        reasons = tuple(f"{_names(plan)}: {objections[0]}" for plan, objections in judged)
        raise NoPlanError(
            f"no plan of `{where}` is known to run on {_called(machine)}",
            reasons=(*reasons, *_told(plans)),
            hints=(_adding(machine),),
        )
    best = max(fitting, key=lambda plan: (_describes(plan, machine), sum(package.gpu for package in plan.packages)))
    note = f"no plan was made for {_called(machine)}; the one for {_names(best)} runs there by all rules"
    return Chosen(plan=best, notes=(*(() if _describes(best, machine) else (note,)), *_advice(best, machine)))


def _describes(plan: Plan, machine: Machine) -> bool:
    """Whether the plan was made for a machine with this driver and such GPUs, as people write it: without its name."""
    return any(
        one.driver.version == machine.driver.version
        and {gpu.compute_capability for gpu in one.nvidia_gpus}
        == {gpu.compute_capability for gpu in machine.nvidia_gpus}
        for one in plan.machines
    )


def _objections(plan: Plan, machine: Machine) -> Iterator[str]:
    """Why the plan is not known to run on the machine; none where it is."""
    here = with_assumptions(machine, plan.python)
    needs = needs_of_plan(plan)
    for package in plan.packages:
        wanted = needs[package.name]
        if wanted is None:
            if package.gpu_support != "none" and package.verdict is not Verdict.UNKNOWN:
                yield f"what {package.name} {package.version} needs is not known any more"
            continue
        findings = check(wanted, here)
        if _is_worse(package, findings):
            worst = max(findings, key=lambda finding: finding.verdict.badness)
            yield f"{package.name} {package.version}: {worst.message}"
    yield from _wheels_that_do_not_fit(plan, here)


def _is_worse(package: PlannedPackage, findings: tuple[Finding, ...]) -> bool:
    """Whether it is refused there, or not known where it was known when it was locked."""
    tier = tier_of(findings)
    if tier in {Tier.WHOLE, Tier.DEGRADED}:
        return False
    return tier is Tier.REFUSED or package.verdict is not Verdict.UNKNOWN


def _wheels_that_do_not_fit(plan: Plan, machine: Machine) -> Iterator[str]:
    tags = frozenset(destination_of(machine, python=plan.python).tags())
    for wheel in plan.wheels:
        if not (wheel.filename or "").endswith(".whl"):
            continue
        try:
            found = parse_wheel_filename(wheel.filename or "")[3]
        except InvalidWheelFilename:
            continue
        if tags.isdisjoint(found):
            yield f"the wheel `{wheel.filename}` cannot be installed there"


def _withdrawn(plan: Plan, machine: Machine) -> tuple[str, ...]:
    """What the rules say today of a plan that was made for this machine, where they refuse a part of it."""
    here = with_assumptions(machine, plan.python)
    told = []
    for package, wanted in zip(plan.packages, needs_of_plan(plan).values(), strict=True):
        findings = check(wanted, here) if wanted else ()
        if findings and tier_of(findings) is Tier.REFUSED and package.verdict is not Verdict.FAILS:
            worst = max(findings, key=lambda finding: finding.verdict.badness)
            told.append(f"{package.name} {package.version} would not be taken today: {worst.message}")
    return tuple(told)


def _advice(plan: Plan, machine: Machine) -> tuple[str, ...]:
    here = with_assumptions(machine, plan.python)
    found = (finding for needs in needs_of_plan(plan).values() if needs for finding in check(needs, here))
    return tuple(dict.fromkeys(one.message for one in found if one.verdict is Verdict.DEGRADED))


def _told(plans: list[Plan]) -> Iterator[str]:
    lines = [f"it is for {_names(plan)}: Python {plan.python}, {plan.machine.platform}" for plan in plans]
    yield from lines[:_MOST_TOLD]
    if len(lines) > _MOST_TOLD:
        yield f"and for {len(lines) - _MOST_TOLD} more"


def _names(plan: Plan) -> str:
    return ", ".join(dict.fromkeys(f"`{machine.name}`" for machine in plan.machines))


def _called(machine: Machine) -> str:
    return "this machine" if machine.name in {HERE, "this machine"} else f"`{machine.name}`"


def _adding(machine: Machine) -> str:
    return f"add this one: `gpuenv lock -m {shlex.quote(_word(machine))}`"


def _word(machine: Machine) -> str:
    """The machine as it can be written in a `gpuenv.toml`; `here` where the short form does not say it all."""
    if machine.name not in {HERE, "this machine"}:
        return machine.name
    gpus = [f"gpu={gpu.name}" for gpu in machine.nvidia_gpus] or ["gpu=none"]
    driver = [f"driver={machine.driver.version}"] if machine.driver.version else []
    arch = machine.system.arch
    text = ",".join([*gpus, *driver, f"os={machine.system.os.value}", *([] if arch == "x86_64" else [f"arch={arch}"])])
    try:
        return text if _says_it(parse_machine(text), machine) else HERE
    except GpuenvError:
        return HERE


def _says_it(written: Machine, machine: Machine) -> bool:
    mine, theirs = machine_key(machine), machine_key(written)
    same_gpus = [gpu.compute_capability for gpu in written.nvidia_gpus] == [
        gpu.compute_capability for gpu in machine.nvidia_gpus
    ]
    return mine[0] == theirs[0] and same_gpus
