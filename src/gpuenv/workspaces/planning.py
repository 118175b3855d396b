"""Plans for all machines of a workspace: as few as will do, with versions that stay where they still fit."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from gpuenv.errors import NoPlanError, RequestError
from gpuenv.machines.interpreters import Interpreter
from gpuenv.model import Machine, Plan, PlanSet, Reporter, Request
from gpuenv.plans.fleet import make_plans
from gpuenv.plans.make import make_plan
from gpuenv.plans.wording import listed
from gpuenv.workspaces.asking import of_channels
from gpuenv.workspaces.imported import CondaPart
from gpuenv.workspaces.machines import machine_key
from gpuenv.workspaces.markers import specs_for

__all__ = ["plan_machines"]


def plan_machines(
    request: Request,
    machines: tuple[Machine, ...],
    *,
    conda: CondaPart | None = None,
    interpreters: tuple[Interpreter, ...] = (),
    keep: PlanSet | None = None,
    renew: frozenset[str] = frozenset(),
    report: Reporter,
) -> PlanSet:
    """The fewest plans that cover `machines`. What the plans of `keep` hold stays where it still fits, but for `renew`.

    `conda` is what of the request must be in its channels. `interpreters` are the Pythons of this computer, where all
    machines are this one. Errors as those of `make_plan` and `of_channels`.
    """
    by_platform: dict[str, list[Machine]] = {}
    for machine in machines:
        by_platform.setdefault(machine.platform, []).append(machine)
    plans: list[Plan] = []
    reasons = [f"{listed([*by_platform])} need environments of their own"] if len(by_platform) > 1 else []
    for platform, there in by_platform.items():
        asked = of_channels(request, conda, platform)
        specs = specs_for(asked.specs, platform, asked.python)
        if not specs:
            raise RequestError(f"nothing is asked for on {platform}", reasons=("no marker holds there",))
        part = _Platform(
            request=msgspec.structs.replace(asked, specs=specs),
            machines=tuple(there),
            interpreters=interpreters,
            renew=renew,
            report=report,
        )
        if len(machines) > 1:
            report.step(f"planning for {platform}")
        found = part.kept(keep) if keep else part.anew()
        plans += found.plans
        reasons += found.reasons
    return PlanSet(plans=tuple(plans), reasons=tuple(dict.fromkeys(reasons)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Platform:
    """The machines of one platform, and what is asked for there."""

    request: Request
    machines: tuple[Machine, ...]
    interpreters: tuple[Interpreter, ...]
    renew: frozenset[str]
    report: Reporter

    def anew(self) -> PlanSet:
        """The newest that fits."""
        return make_plans(self.request, self.machines, interpreters=self.interpreters, report=self.report)

    def kept(self, keep: PlanSet) -> PlanSet:
        """Plans that stay as near as they can to the earlier ones."""
        old = tuple(plan for plan in keep.plans if plan.machine.platform == self.machines[0].platform)
        if not old:
            return self.anew()
        if {key for plan in old for key in _keys(plan.machines)} == _keys(self.machines):
            groups, reasons = _grouped_as(old, self.machines), self._reasons_about(keep)
        else:
            divided = self.anew()
            groups, reasons = tuple(plan.machines for plan in divided.plans), divided.reasons
        try:
            plans = tuple(self._near(group, old) for group in groups)
        except NoPlanError:
            self.report.detail("what the lock has cannot stay as it is")
            return self.anew()
        return PlanSet(plans=plans, reasons=reasons)

    def _reasons_about(self, keep: PlanSet) -> tuple[str, ...]:
        """The earlier reasons that name these machines."""
        return tuple(one for one in keep.reasons if any(f"`{machine.name}`" in one for machine in self.machines))

    def _near(self, group: tuple[Machine, ...], old: tuple[Plan, ...]) -> Plan:
        nearest = max(old, key=lambda plan: len(_keys(plan.machines) & _keys(group)))
        first, *others = group
        return make_plan(
            self.request,
            first,
            others=tuple(others),
            interpreters=self._pythons_as(nearest),
            report=self.report,
            keep=nearest,
            renew=self.renew,
        )

    def _pythons_as(self, plan: Plan) -> tuple[Interpreter, ...]:
        """The Python of an earlier plan, from this computer where it has that one."""
        same = tuple(one for one in self.interpreters if f"{one.version}.".startswith(f"{plan.python}."))
        return same or (Interpreter(version=plan.python, path="", found_by="lock"),)


def _keys(machines: tuple[Machine, ...]) -> set[tuple[object, ...]]:
    return set(map(machine_key, machines))


def _grouped_as(old: tuple[Plan, ...], machines: tuple[Machine, ...]) -> tuple[tuple[Machine, ...], ...]:
    """The machines divided as earlier plans divide them; those that got an answer twice go with the first."""
    left = list(machines)
    groups: list[tuple[Machine, ...]] = []
    for plan in old:
        keys = _keys(plan.machines)
        group = tuple(machine for machine in left if machine_key(machine) in keys)
        left = [machine for machine in left if machine_key(machine) not in keys]
        if group:
            groups.append(group)
    return tuple(groups)
