"""The search for a plan that fits beside what is installed in an environment and changes nothing that has to stay."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from gpuenv.channels.pylock import LockedPackage
from gpuenv.environments.foreign_conflicts import Unmet, unmet
from gpuenv.environments.foreign_distributions import Installed, is_same
from gpuenv.environments.foreign_holding import as_plan, held_packages
from gpuenv.environments.foreign_places import ForeignEnvironment
from gpuenv.environments.lock_markers import packages_of
from gpuenv.errors import NoPlanError
from gpuenv.machines.interpreters import Interpreter
from gpuenv.model import Machine, Plan, PlannedPackage, Reporter, Request
from gpuenv.plans.make import make_plan
from gpuenv.plans.specs import spec_name

__all__ = ["Search"]

_MOST_ROUNDS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bond:
    """A requirement that keeps a plan from breaking `who`, which stays. A `soft` one may be given up."""

    text: str
    why: str
    who: Installed
    soft: bool = False


@dataclass(slots=True, kw_only=True)
class Search:
    """Looks for the plan of `specs` for one environment."""

    environment: ForeignEnvironment
    installed: Mapping[str, Installed]
    machine: Machine
    specs: tuple[str, ...]
    report: Reporter
    _given_up: set[str] = field(default_factory=set)

    def find(self) -> Plan:
        """The plan, with the GPU packages that are there part of it where they can be, so that all go together.

        NoPlanError where nothing fits beside what has to stay.
        """
        first: NoPlanError | None = None
        for more, packages in self._attempts():
            keep = as_plan(self.installed, packages, self.machine, self.environment.minor)
            try:
                return self._beside((*self.specs, *more), keep)
            except NoPlanError as error:
                self.report.detail("what is installed cannot all stay as it is")
                first = error
        assert first is not None
        raise first

    def _attempts(self) -> Iterator[tuple[tuple[str, ...], tuple[PlannedPackage, ...]]]:
        held = held_packages(self.installed, self.machine, self.environment.minor)
        asked = {spec_name(spec) for spec in self.specs}
        beside = tuple(f"{one.name} =={one.version} {one.build}" for one in held if one.name not in asked)
        if beside:
            yield beside, held
        if held:
            yield (), held
        yield (), ()

    def _beside(self, specs: tuple[str, ...], keep: Plan) -> Plan:
        """The plan, made again with what it would break as further requests until it breaks nothing."""
        bonds: dict[str, _Bond] = {}
        for _ in range(_MOST_ROUNDS):
            try:
                plan = self._make((*specs, *bonds), keep)
            except NoPlanError as error:
                soft = [bond.text for bond in bonds.values() if bond.soft]
                if soft:
                    self._given_up.update(soft)
                    bonds = {text: bond for text, bond in bonds.items() if not bond.soft}
                    continue
                if bonds:
                    raise self._nothing_beside(bonds, error) from error
                raise
            more = {bond.text: bond for bond in self._broken_by(plan)}
            if not more.keys() - bonds.keys():
                return plan if not more else self._still_broken(more)
            bonds |= more
        return self._still_broken(bonds)

    def _make(self, specs: tuple[str, ...], keep: Plan) -> Plan:
        own = Interpreter(version=self.environment.version, path=str(self.environment.python), found_by="environment")
        request = Request(specs=specs, python=self.environment.minor)
        plan = make_plan(request, self.machine, interpreters=(own,), report=self.report, keep=keep)
        return msgspec.structs.replace(plan, request=msgspec.structs.replace(request, specs=self.specs))

    def _broken_by(self, plan: Plan) -> Iterator[_Bond]:
        """What must hold so that what has to stay is neither changed nor broken."""
        planned = packages_of(plan)
        for package in planned:
            there = self.installed.get(package.name)
            if there is None or is_same(there, package):
                continue
            text = f"{there.key}=={there.version}"
            if there.conda:
                why = f"conda installed {there.name} {there.version}, and the plan has {package.version}"
                yield _Bond(text=text, why=why, who=there)
            elif there.url and not package.direct and text not in self._given_up:
                yield _Bond(text=text, why=f"{there.name} comes from `{there.url}`", who=there, soft=True)
        for one in self._unmet_after(planned):
            why = f"{one.who.name} {one.who.version} is installed and needs {one.text}"
            yield _Bond(text=one.text, why=why, who=one.who)

    def _unmet_after(self, planned: tuple[LockedPackage, ...]) -> Iterator[Unmet]:
        """What distributions that are not in the plan ask of those that are, where the plan takes it from them."""
        names = {one.name for one in planned}
        staying = [one for key, one in self.installed.items() if key not in names]
        before = {key: one.version for key, one in self.installed.items()}
        moved = {one.name: one.version for one in planned if one.version and not self._stays(one.name)}
        platform, python = self.machine.platform, self.environment.minor
        known = {(one.who.key, one.text) for one in unmet(staying, before, platform, python)}
        for one in unmet(staying, before | moved, platform, python):
            if one.key in names and (one.who.key, one.text) not in known:
                yield one

    def _stays(self, name: str) -> bool:
        return name in self.installed and self.installed[name].url is not None

    def _still_broken(self, bonds: Mapping[str, _Bond]) -> Plan:
        raise self._nothing_beside(bonds, None)

    def _nothing_beside(self, bonds: Mapping[str, _Bond], error: NoPlanError | None) -> NoPlanError:
        where = self.environment.prefix
        conda = [bond for bond in bonds.values() if bond.who.conda and bond.text.startswith(f"{bond.who.key}==")]
        others = [bond for bond in bonds.values() if bond not in conda]
        hints: list[str] = []
        if conda:
            names = " ".join(bond.who.conda or bond.who.name for bond in conda)
            hints.append(f"let conda change them: `conda update -p {where} {names}`")
        movable = dict.fromkeys(bond.who.key for bond in others if not bond.who.conda and not bond.who.url)
        if movable:
            hints.append(f"let them change as well: `gpuenv install -p {where} {shlex.join((*self.specs, *movable))}`")
        hints.append("leave this environment as it is: `gpuenv create -n NAME PACKAGE`")
        what = "what conda installed" if conda and not others else "what is installed"
        return NoPlanError(
            f"nothing fits beside {what} in `{where}`",
            reasons=(*dict.fromkeys(bond.why for bond in bonds.values()), *((error.message,) if error else ())),
            hints=tuple(hints),
            details="\n".join((*error.reasons, error.details)).strip() if error else "",
        )
