"""Why each build was chosen: for every newer or GPU build passed over, the first reason in GPU words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from packaging.version import Version

from gpuenv.channels.catalog import find_project
from gpuenv.model import Choice, Finding, Machine, PassedOver, Verdict
from gpuenv.plans.candidates import Candidate, Tier, objections
from gpuenv.plans.solver import matches
from gpuenv.plans.specs import GpuSpec

__all__ = ["explain_choices", "in_words", "preference"]

_ONE_MAJOR = re.compile(r">=(\d+)(?:\.(\d+))?,<\d+")


def preference(candidate: Candidate) -> tuple[Version, int]:
    """Newer first, then by build number: the order in which builds of one package would be taken."""
    return Version(candidate.build.version), candidate.build.number


def explain_choices(
    picks: Mapping[str, Candidate],
    candidates: Mapping[str, list[Candidate]],
    specs: tuple[GpuSpec, ...],
    machine: Machine,
    worst: Tier,
) -> tuple[Choice, ...]:
    """For each package of the GPU layer that users would ask about: what was passed over, and notes on the choice.

    `worst` is the tier down to which builds could be picked.
    """
    wanted: dict[str, list[str]] = {}
    for spec in specs:
        wanted.setdefault(spec.name, []).append(spec.conda)
    # A metapackage narrows the builds of another package, as if the user had named them.
    for pick in picks.values():
        if not pick.build.wheel:
            for depend in pick.build.depends:
                wanted.setdefault(depend.split()[0], []).append(depend.replace(pick.build.version, "*", 1))
    asked = {spec.project.name for spec in specs}
    return tuple(
        Choice(
            package=name,
            passed_over=tuple(_passed_over(pick, picks, candidates, wanted.get(name, []), worst)),
            notes=tuple(_notes(pick, candidates[name], machine)),
        )
        for name, pick in picks.items()
        if name in asked and pick.build.wheel
    )


def _passed_over(
    pick: Candidate,
    picks: Mapping[str, Candidate],
    candidates: Mapping[str, list[Candidate]],
    wanted: list[str],
    worst: Tier,
) -> Iterator[PassedOver]:
    seen: set[str] = set()
    for candidate in sorted(candidates[pick.build.project], key=preference, reverse=True):
        build = candidate.build
        newer = Version(build.version) > Version(pick.build.version)
        same_but_gpu = build.version == pick.build.version and build.gpu and not pick.build.gpu
        if build.version in seen or not (newer or same_but_gpu) or (pick.build.gpu and not build.gpu):
            continue
        if not all(matches(spec, candidate) for spec in wanted):
            continue
        reason = _reason(candidate, picks, candidates, worst)
        if reason:
            seen.add(build.version)
            yield PassedOver(version=build.version, build=build.build, reason=reason)


def _reason(
    candidate: Candidate, picks: Mapping[str, Candidate], candidates: Mapping[str, list[Candidate]], worst: Tier
) -> Finding | None:
    against = objections(candidate)
    if candidate.tier > worst:
        return against[0]
    clash = _clash(candidate, picks, candidates, worst)
    if clash:
        return Finding(rule="fits-together", verdict=Verdict.FAILS, subject=candidate.build.project, message=clash)
    return against[0] if against else None


def _clash(
    candidate: Candidate, picks: Mapping[str, Candidate], candidates: Mapping[str, list[Candidate]], worst: Tier
) -> str | None:
    build = candidate.build
    if direct := _needs_another(candidate, picks):
        return direct
    for pick in picks.values():
        for depend in pick.build.depends:
            if depend.split()[0] == build.project and not matches(depend, candidate):
                return f"{pick.build.project} {pick.build.version} needs {in_words(depend)}"
    others = {name: pick for name, pick in picks.items() if name != build.project}
    for name in (depend.split()[0] for depend in build.depends):
        could_come = [one for one in candidates.get(name, ()) if one.tier <= worst] if name not in picks else []
        clashes = [_needs_another(one, others) for one in sorted(could_come, key=preference, reverse=True)]
        if clashes and all(clashes):
            return f"needs {name}, which {clashes[0]}"
    return None


def _needs_another(candidate: Candidate, picks: Mapping[str, Candidate]) -> str | None:
    build = candidate.build
    for depend in (*build.depends, *build.constrains):
        other = picks.get(depend.split()[0])
        if other and not matches(depend, other):
            there = f"{other.build.version} {other.build.build}" if len(depend.split()) > 2 else other.build.version
            return f"needs {in_words(depend)}; the plan has {there}{_for_whom(other, build.project, picks)}"
    return None


def in_words(depend: str) -> str:
    """A dependency as a person reads it: `cuda-version 12.8.*` is `CUDA 12.8`."""
    name, version, build = (*depend.split(), "", "")[:3]
    if name == "cuda-version":
        major = _ONE_MAJOR.fullmatch(version)
        if major and (major[2] or "0") != "0":
            return f"CUDA {major[1]}.{major[2]} or a later {major[1]}"
        if version.startswith("<="):
            return f"CUDA {version[2:]} or older"
        return f"CUDA {major[1] if major else version.removesuffix('.*')}"
    package = f"{name} {version.removeprefix('==')}".strip(" *")
    return f"{package} in a build {build}" if build else package


def _for_whom(other: Candidate, instead_of: str, picks: Mapping[str, Candidate]) -> str:
    """Who holds a package where it is: `, for pytorch`."""
    holders = [
        pick.build.project
        for pick in picks.values()
        if pick.build.project != instead_of
        and any(
            depend.split()[0] == other.build.project and depend.split()[1:] != ["*"] for depend in pick.build.depends
        )
    ]
    return f", for {holders[0]}" if holders else ""


def _notes(pick: Candidate, builds: list[Candidate], machine: Machine) -> Iterator[str]:
    if pick.build.note:
        yield pick.build.note
    yield from (
        finding.message
        for finding in pick.findings
        if finding.verdict in {Verdict.DEGRADED, Verdict.UNKNOWN}
        or (finding.rule == "side-library" and finding.verdict is Verdict.WORKS)
    )
    project = find_project(pick.build.project)
    if project and machine.nvidia_gpus and not pick.build.gpu and not any(one.build.gpu for one in builds):
        yield from (note.text for note in project.gpu_notes if machine.platform in note.platforms)
