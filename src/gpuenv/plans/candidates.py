"""Every build that could take part in a plan, each judged by the rules on the machine."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import msgspec
from packaging.version import Version

from gpuenv.channels.catalog import Build, builds_of, find_project
from gpuenv.model import Evidence, Finding, Jit, Machine, Verdict
from gpuenv.plans.specs import GpuSpec
from gpuenv.rules import check

__all__ = ["TIERS_TAKEN", "Candidate", "Tier", "find_candidates", "objections"]


class Tier(IntEnum):
    """How good a build is on the machine. Code that the driver compiles at first use counts as whole.

    `BY_HAND` needs CUDA libraries that somebody has to install, so a build that needs none is better, on the CPU too.
    """

    WHOLE = 0
    DEGRADED = 1
    UNKNOWN = 2
    BY_HAND = 3
    REFUSED = 4


TIERS_TAKEN = tuple(tier for tier in Tier if tier is not Tier.REFUSED)
"""The tiers from which builds may be taken, in the order in which they are let in."""

_TIER_OF = {
    Verdict.WORKS: Tier.WHOLE,
    Verdict.DEGRADED: Tier.DEGRADED,
    Verdict.UNKNOWN: Tier.UNKNOWN,
    Verdict.FAILS: Tier.REFUSED,
}


# What these say is about the first start or the machine as a whole, and no reason to take an older release.
_NOT_HELD_AGAINST = {"host-memory", "cpu-cores", "board-class"}


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One build and what the rules say of it."""

    build: Build
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst word of any rule."""
        return Verdict.worst(finding.verdict for finding in self.findings)

    @cached_property
    def tier(self) -> Tier:
        """Where the build stands in the order of preference."""
        against = [finding for finding in self.findings if _held_against(finding)]
        if any(finding.rule == "c-library" for finding in against):
            # uv is asked for wheels that the C library of the machine, known or assumed, can load.
            return Tier.REFUSED
        tier = _TIER_OF[Verdict.worst(finding.verdict for finding in against)]
        by_hand = any(finding.rule == "system-cuda" for finding in against)
        return Tier.BY_HAND if by_hand and tier is not Tier.REFUSED else tier


def _held_against(finding: Finding) -> bool:
    return finding.verdict is not Verdict.WORKS and finding.rule not in _NOT_HELD_AGAINST and not _is_jit(finding)


def _is_jit(finding: Finding) -> bool:
    return finding.rule == "kernel-image" and finding.verdict is Verdict.DEGRADED and "compiles it" in finding.message


def objections(candidate: Candidate) -> tuple[Finding, ...]:
    """The findings that put a candidate in its tier, the worst first and otherwise in the order of the rules."""
    against = [finding for finding in candidate.findings if _held_against(finding)]
    return tuple(sorted(against, key=lambda finding: -finding.verdict.badness))


def find_candidates(specs: tuple[GpuSpec, ...], machine: Machine) -> dict[str, list[Candidate]]:
    """All builds of the packages that `specs` name and of what those depend on, by package name.

    `machine.python` is the Python they are judged for. Dependencies are followed from builds that may be taken.
    """
    requested = {spec.name for spec in specs} | {spec.project.name for spec in specs}
    wheels = {spec.project.name: spec.wheel for spec in specs if spec.wheel}
    extras = {spec.project.name: spec.extra for spec in specs if spec.extra}
    found: dict[str, list[Candidate]] = {}
    waiting = [spec.project.name for spec in specs]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        project = find_project(name)
        if name in seen or project is None:
            continue
        seen.add(name)
        wheel = wheels.get(project.name)
        extra = extras.get(project.name)
        builds = [
            build
            for build in builds_of(project, machine.platform, machine.python or "")
            if (wheel is None or build.wheel in {wheel, ""})
            and (extra is None or extra in build.extras)
            and (build.beside is None or build.beside in requested)
        ]
        judged = list(_judged(_through_what_is_requested(builds, requested), machine))
        for candidate in (_as_its_neighbours(one, judged) for one in judged):
            found.setdefault(candidate.build.project, []).append(candidate)
            if candidate.tier is not Tier.REFUSED:
                waiting += [depend.split()[0] for depend in candidate.build.depends]
    return found


def _through_what_is_requested(builds: list[Build], requested: set[str]) -> list[Build]:
    through = {build.through for build in builds if build.through} & requested
    return [build for build in builds if build.through in through] if through else _without_pulling(builds, requested)


def _without_pulling(builds: list[Build], requested: set[str]) -> list[Build]:
    # Chainer works without CuPy, so CuPy is not brought in for it; Keras works with no backend at all, so one is.
    alone = [build for build in builds if not build.through]
    return [build for build in builds if build.through in {None, *requested}] if alone else builds


def _judged(builds: list[Build], machine: Machine) -> Iterator[Candidate]:
    for build in builds:
        # What other packages stand on asks no GPU of a machine that has none; its Python and system count all the same.
        unused = build.library and not machine.nvidia_gpus
        asks_less = msgspec.structs.replace(build.needs, uses_gpu=False, lowest_capability=None)
        yield Candidate(
            build=_within_driver(build, machine), findings=check(asks_less if unused else build.needs, machine)
        )


def _within_driver(build: Build, machine: Machine) -> Build:
    """A build that hands PTX to the driver keeps the CUDA line from being newer than the driver's own CUDA."""
    serves = machine.driver.cuda
    if build.needs.jit is not Jit.PTX or serves is None or not machine.nvidia_gpus:
        return build
    return dataclasses.replace(build, constrains=(*build.constrains, f"cuda-version <={serves}"))


def _as_its_neighbours(candidate: Candidate, judged: list[Candidate]) -> Candidate:
    """A build whose code nobody read is refused where its neighbours were read and carry none for the GPU: the nearest
    release of the same minor version, or those on both sides. That they do run would prove nothing.
    """
    build = candidate.build
    if not build.gpu or build.needs.libraries is not None or candidate.tier is not Tier.UNKNOWN:
        return candidate
    read = [one for one in judged if _same_wheel(one.build, build) and one.build.needs.libraries]
    older = max((one for one in read if _release(one) < _release(candidate)), key=_release, default=None)
    newer = min((one for one in read if _release(one) > _release(candidate)), key=_release, default=None)
    beside = [one for one in (newer, older) if one]
    witnesses = [one for one in beside if _release(one).release[:2] == _release(candidate).release[:2]]
    if not witnesses and len(beside) == 2:
        witnesses = beside
    lacking = [finding for one in witnesses for finding in one.findings if _lacks_code(finding)]
    if not witnesses or len({finding.subject for finding in lacking}) < len(witnesses):
        return candidate
    finding = msgspec.structs.replace(
        lacking[0],
        subject=build.needs.subject,
        message=f"like the releases beside it, {lacking[0].message}",
        evidence=(*(Evidence(what="code read of", value=finding.subject) for finding in lacking), *lacking[0].evidence),
    )
    return Candidate(build=build, findings=(finding, *candidate.findings))


def _same_wheel(one: Build, other: Build) -> bool:
    return (one.wheel, one.extras) == (other.wheel, other.extras)


def _release(candidate: Candidate) -> Version:
    return Version(candidate.build.version)


def _lacks_code(finding: Finding) -> bool:
    return finding.rule == "kernel-image" and finding.verdict is Verdict.FAILS
