"""`make_plans`: for several machines the fewest environments that cover them, and what forces more than one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import msgspec

from gpuenv.channels.assumptions import LATER_GLIBC, with_assumptions
from gpuenv.channels.destinations import ASSUMED_GLIBC
from gpuenv.errors import NoPlanError
from gpuenv.machines.interpreters import Interpreter
from gpuenv.model import Machine, PlanSet, Reporter, Request, Silence
from gpuenv.plans.candidates import Candidate, Tier, objections
from gpuenv.plans.knowledge import Knowledge, alike
from gpuenv.plans.layer import Layer, choose_layer, gpu_spots
from gpuenv.plans.make import make_plan
from gpuenv.plans.pythons import PythonChoice
from gpuenv.plans.setting import Setting
from gpuenv.plans.specs import Wanted
from gpuenv.plans.wanting import in_order, open_channels_once, pythons_for, wanted_of, with_python
from gpuenv.plans.wording import listed

__all__ = ["divide", "make_plans"]

_MOST_ATTEMPTS = 200
"""How many parts of a fleet are tried when not all of it can share an environment."""

Group = tuple[int, ...]


def make_plans(
    request: Request,
    machines: Sequence[Machine],
    *,
    interpreters: tuple[Interpreter, ...] = (),
    report: Reporter | None = None,
    cache: bool = True,
    offline: bool = False,
    knowledge: Knowledge | None = None,
) -> PlanSet:
    """The fewest plans that cover `machines`, in their order. One environment is shared where each package is on the
    GPU of every machine that could have it there alone, and runs no worse. Machines of different platforms never share.

    With `interpreters` all are this computer. Where nobody said which C library a machine has and there is no plan for
    the assumed one, the newer one of `LATER_GLIBC` is assumed, and said. `knowledge` is filled with what
    is found out. Errors as those of `make_plan`; NoPlanError
    names the machine that nothing fits.
    """
    options = _Options(
        interpreters=interpreters,
        report=report,
        cache=cache,
        offline=offline,
        knowledge=knowledge or Knowledge(can_learn=True),
    )
    try:
        return _plan_all(request, machines, options)
    except NoPlanError:
        newer = [with_assumptions(one, one.python, glibc=LATER_GLIBC) for one in machines]
        if all(one.system == before.system for one, before in zip(newer, machines, strict=True)):
            raise
        with suppress(NoPlanError):
            return _with_note(_plan_all(request, newer, options), LATER_GLIBC)
        raise


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    """What all plans of one call have in common."""

    interpreters: tuple[Interpreter, ...]
    report: Reporter | None
    cache: bool
    offline: bool
    knowledge: Knowledge


def _with_note(found: PlanSet, glibc: str) -> PlanSet:
    note = (
        f"not all of it runs on glibc {ASSUMED_GLIBC}, so {glibc} is assumed, as Red Hat Enterprise Linux 9 has: the "
        "machine's was not said (`glibc=` in `--machine`)"
    )
    return msgspec.structs.replace(
        found,
        plans=tuple(
            msgspec.structs.replace(
                plan,
                explanation=msgspec.structs.replace(plan.explanation, notes=(*plan.explanation.notes, note)),
            )
            for plan in found.plans
        ),
    )


def _plan_all(request: Request, machines: Sequence[Machine], options: _Options) -> PlanSet:
    knowledge = options.knowledge
    plans = []
    reasons: list[str] = []
    by_platform: dict[str, list[Machine]] = {}
    for machine in machines:
        by_platform.setdefault(machine.platform, []).append(machine)
    if len(by_platform) > 1:
        reasons.append(f"{listed([*by_platform])} need environments of their own")
    for platform, there in by_platform.items():
        open_channels_once(knowledge, request, offline=options.offline, report=options.report or Silence())
        wanted = wanted_of(request, platform, knowledge)
        pythons = pythons_for(request, wanted, platform, knowledge, options.interpreters)
        # A single machine is not divided, and its plan puts the Pythons in order by itself.
        choice = (in_order(pythons, wanted, partial(_setting, request, there, knowledge)) if there[1:] else pythons)[0]
        groups, why = divide(request, there, python=choice.version, knowledge=knowledge, choice=choice)
        reasons += why
        for first, *others in groups:
            plans.append(
                make_plan(
                    request,
                    first,
                    others=tuple(others),
                    interpreters=options.interpreters,
                    report=options.report,
                    cache=options.cache,
                    offline=options.offline,
                    knowledge=knowledge,
                )
            )
    return PlanSet(plans=tuple(plans), reasons=tuple(reasons))


def _setting(request: Request, machines: Sequence[Machine], knowledge: Knowledge, python: str) -> Setting:
    return Setting.of(request, (with_assumptions(one, python or None) for one in machines), knowledge)


def divide(
    request: Request,
    machines: Sequence[Machine],
    *,
    python: str,
    knowledge: Knowledge | None = None,
    choice: PythonChoice | None = None,
) -> tuple[list[tuple[Machine, ...]], tuple[str, ...]]:
    """Machines of one platform in the fewest groups that can share an environment for `python` (3.11), as far as the
    catalog and the channels tell; and what forces each further group. `choice` is the Python where it comes from a
    channel. NoPlanError names a machine that nothing fits.
    """
    knowledge = knowledge or Knowledge()
    wanted = wanted_of(request, machines[0].platform, knowledge)
    parts = _Parts(
        wanted=with_python(wanted, choice) if choice else wanted,
        request=request,
        python=python,
        machines=_distinct(machines),
        knowledge=knowledge,
    )
    groups = parts.fewest()
    together = [tuple(machine for index in group for machine in parts.machines[index]) for group in groups]
    return together, tuple(parts.reasons(groups))


def _distinct(machines: Sequence[Machine]) -> list[tuple[Machine, ...]]:
    """The machines in groups of those that get the same answer to every request."""
    groups: dict[str, list[Machine]] = {}
    for machine in machines:
        groups.setdefault(alike(machine), []).append(machine)
    return [tuple(group) for group in groups.values()]


@dataclass(slots=True, kw_only=True)
class _Parts:
    """The parts of one platform's machines that can share an environment; machines that are alike count as one."""

    wanted: Wanted
    request: Request
    python: str
    machines: list[tuple[Machine, ...]]
    knowledge: Knowledge
    _objections: dict[Group, str | None] = field(default_factory=dict)
    _alone: dict[int, Layer] = field(default_factory=dict)

    def fewest(self) -> list[Group]:
        """The machines divided into as few groups as a bounded search finds; every machine is in one."""
        everyone = tuple(range(len(self.machines)))
        # Whether one machine has a plan at all is found out when it is made.
        if len(everyone) == 1 or self._objection(everyone) is None:
            return [everyone]
        best: list[Group] = []
        for groups in self._divisions((), 0):
            if not best or len(groups) < len(best):
                best = groups
            if len(best) == 2 or len(self._objections) > _MOST_ATTEMPTS:
                break
        return best

    def reasons(self, groups: list[Group]) -> Iterator[str]:
        """Which machine forces each further environment, and why."""
        for number, group in enumerate(groups[1:], start=1):
            for earlier in groups[:number]:
                for index in group:
                    if why := self._why_apart(earlier, index):
                        yield f"{self._name(index)} cannot share an environment with {self._names(earlier)}: {why}"
                        break

    def _why_apart(self, group: Group, index: int) -> str | None:
        """Why a machine cannot join a group, by what the group gets without it, or what it gets without the group."""
        joined = self._objection(_with(group, index))
        if joined is None:
            return None
        theirs = self._layer(group) if len(group) > 1 else self._alone_layer(group[0])
        against = self._against(theirs, (index,)) or self._against(self._alone_layer(index), group)
        return against or joined

    def _against(self, layer: Layer, group: Group) -> str | None:
        """What speaks against the GPU builds of a layer on the machines of a group."""
        for name, pick in layer.picks.items():
            for index in group if pick.build.gpu else ():
                here = with_assumptions(self.machines[index][0], self.python)
                found = self.knowledge.judge(pick.build, here, without_gpu_too=True)
                if against := objections(Candidate(build=pick.build, findings=found)):
                    return f"{name} {pick.build.version}: {against[0].message}"
        return None

    def _divisions(self, groups: tuple[Group, ...], index: int) -> Iterator[list[Group]]:
        """Divisions of the machines from `index` on into the groups so far and new ones; the first puts each machine
        into the first group that takes it.
        """
        if index == len(self.machines):
            yield list(groups)
            return
        for place, group in enumerate(groups):
            joined = _with(group, index)
            if self._objection(joined) is None:
                yield from self._divisions((*groups[:place], joined, *groups[place + 1 :]), index + 1)
        if self._objection((index,)) is None:
            yield from self._divisions((*groups, (index,)), index + 1)

    def _objection(self, group: Group) -> str | None:
        """Why the machines of a group cannot share an environment; None where they can. A part of a group that can
        share one can share it, too.
        """
        if len(group) == 1:
            self._alone_layer(group[0])
            return None
        if group not in self._objections:
            parts = (why for part, why in self._objections.items() if set(part) <= set(group))
            self._objections[group] = next(filter(None, parts), None) or self._try(group)
        return self._objections[group]

    def _try(self, group: Group) -> str | None:
        try:
            layer = self._layer(group)
        except NoPlanError as refusal:
            return (refusal.reasons or (refusal.message,))[0]
        spots = gpu_spots(layer)
        for index in group if spots else ():
            alone = self._alone_layer(index)
            lost = [pick for name in spots if (pick := alone.picks.get(name)) and pick.build.gpu]
            if lost:
                return _why_lost(lost[0], layer, self._name(index))
        # What one of them would not get whole by itself need not be whole together.
        if layer.worst is Tier.WHOLE or any(self._alone_layer(index).worst >= layer.worst for index in group):
            return None
        return "no set of builds runs whole on all of them"

    def _alone_layer(self, index: int) -> Layer:
        if index not in self._alone:
            try:
                self._alone[index] = self._layer((index,))
            except NoPlanError as refusal:
                if len(self.machines) == 1:
                    raise
                raise NoPlanError(
                    f"{refusal.message} ({self._name(index)})",
                    reasons=refusal.reasons,
                    hints=refusal.hints,
                    details=refusal.details,
                ) from refusal
        return self._alone[index]

    def _layer(self, group: Group) -> Layer:
        here = (with_assumptions(self.machines[index][0], self.python) for index in group)
        return choose_layer(self.wanted.gpu, Setting.of(self.request, here, self.knowledge), self.wanted.bounds)

    def _name(self, index: int) -> str:
        return f"`{self.machines[index][0].name}`"

    def _names(self, group: Group) -> str:
        return listed([self._name(index) for index in group])


def _why_lost(pick: Candidate, layer: Layer, machine: str) -> str:
    """Why a build that one machine gets by itself is not to be had together with others."""
    build = pick.build
    together = (one for one in layer.candidates[build.project] if one.build.version == build.version)
    against = next((found[0] for one in together if one.build.gpu and (found := objections(one))), None)
    lost = f"`{build.project}` would be on the CPU of {machine}"
    return f"{lost}: {build.version} {against.message}" if against else lost


def _with(group: Group, index: int) -> Group:
    return tuple(sorted((*group, index)))
