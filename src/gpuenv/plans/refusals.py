"""Why there is no plan: which specs nothing satisfies, or which exclude each other, in GPU words."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from gpuenv.errors import NoPlanError
from gpuenv.model import Finding, Machine
from gpuenv.plans.candidates import TIERS_TAKEN, Candidate, Candidates, Tier, objections
from gpuenv.plans.ordering import version_key
from gpuenv.plans.solver import Unsolvable, matches, solve_layer
from gpuenv.plans.specs import GpuSpec
from gpuenv.plans.wording import in_words, listed, preference

__all__ = ["explain_refusal", "spans"]

_MOST_REASONS = 6
_MOST_HINTS = 3
_DEPTH = 3
"""How far what a conda package pulls in is followed to what the rules refuse."""
_EXACT = re.compile(r"([\w.-]+?)[= ](\d[\d.]*)[= ](\S+)")


def explain_refusal(
    specs: tuple[GpuSpec, ...],
    candidates: Candidates,
    machine: Machine,
    unsolvable: Unsolvable,
    bounds: tuple[str, ...] = (),
) -> NoPlanError:
    """The error that says why no set of builds satisfies `specs` on `machine`."""
    for spec in specs:
        refusal = _alone(spec, candidates, machine)
        if refusal:
            notes = [note for note in spec.project.gpu_notes if machine.platform in note.platforms]
            hints = (*refusal.hints, *(hint for note in notes for hint in note.hints))
            return NoPlanError(
                f"no build of `{spec.typed}` runs on this machine"
                if refusal.of_machine
                else f"nothing satisfies `{spec.typed}`",
                reasons=(*refusal.reasons, *(note.text for note in notes)),
                hints=tuple(dict.fromkeys(hints)),
                details=str(unsolvable),
            )
    if bounds and _fits(specs, candidates):
        return NoPlanError(
            f"{listed([f'`{spec.typed}`' for spec in specs])} cannot be had within "
            + listed([f"`{one}`" for one in bounds]),
            reasons=tuple(_together(specs, candidates)),
            hints=("leave the bound out, or ask for an older release",),
            details=str(unsolvable),
        )
    culprits = _exclude_each_other(specs, candidates)
    return NoPlanError(
        f"{listed([f'`{spec.typed}`' for spec in culprits])} do not fit together on this machine",
        reasons=tuple(_together(culprits, candidates)),
        hints=_what_would_fit(culprits, candidates),
        details=str(unsolvable),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refusal:
    """Why nothing satisfies one spec by itself; `of_machine` where it is for what the rules say of the machine."""

    reasons: tuple[str, ...]
    hints: tuple[str, ...] = ()
    of_machine: bool = False


def _alone(spec: GpuSpec, candidates: Candidates, machine: Machine) -> _Refusal | None:
    """Why nothing satisfies one spec by itself; None when something does."""
    builds = candidates.get(spec.name, [])
    if spec.name.startswith("__"):
        offered = {name: version for name, version, _ in candidates.virtual_packages}
        version = offered.get(spec.name)
        there = f"the machine has `{spec.name}` {version}" if version else "the machine has none"
        return _Refusal(reasons=(there,), of_machine=True) if not _fits((spec,), candidates) else None
    if not builds:
        return _Refusal(reasons=(f"`{spec.name}` has no build for {machine.platform}",))
    asked = [candidate for candidate in builds if matches(spec.conda, candidate)]
    if not asked:
        return _Refusal(reasons=(_what_there_is(spec, builds, machine),), hints=tuple(_without_exactness(spec, builds)))
    behind = [target for candidate in asked for target in _behind(candidate, candidates)]
    if any(candidate.tier is not Tier.REFUSED for candidate in behind):
        if _fits((spec,), candidates):
            return None
        if refused := _refused_need(behind, candidates, _DEPTH):
            found = [(one, objections(one)[0]) for one in refused]
            return _Refusal(reasons=tuple(spans(found)), hints=tuple(_hints(found, machine)), of_machine=True)
        return _Refusal(reasons=tuple(_with_cuda(behind, machine)))
    if not behind:
        return _Refusal(reasons=(f"`{spec.name}` has no GPU build for {machine.platform}",))
    found = [(candidate, objections(candidate)[0]) for candidate in behind]
    return _Refusal(reasons=tuple(spans(found)), hints=tuple(_hints(found, machine)), of_machine=True)


def _what_there_is(spec: GpuSpec, builds: list[Candidate], machine: Machine) -> str:
    versions = sorted({candidate.build.version for candidate in builds}, key=version_key)
    known = f"{versions[0]} to {versions[-1]}" if len(versions) > 1 else versions[0]
    names_build = spec.conda.count("=") > 1 or " " in spec.conda.strip()
    labels = sorted({candidate.build.build.partition("_")[0] for candidate in builds})
    in_builds = f", in builds {', '.join(labels)}" if names_build and any(labels) else ""
    where = "the channels have" if spec.from_channel else "the catalog has"
    return f"{where} {spec.name} {known} for {machine.platform}{in_builds}"


def _without_exactness(spec: GpuSpec, builds: list[Candidate]) -> Iterator[str]:
    """For `NAME=2.16=BUILD`, where conda takes the version exactly: the spec that means any 2.16."""
    written = _EXACT.fullmatch(spec.conda)
    looser = f"{written[1]}={written[2]}.*={written[3]}" if written else ""
    if looser and any(matches(looser, candidate) for candidate in builds):
        yield f"before a build, conda takes the version exactly; any {written[2] if written else ''} is `{looser}`"


def _refused_need(builds: list[Candidate], candidates: Candidates, depth: int) -> list[Candidate]:
    """What the builds need and the rules refuse, where none of them can do without such; conda packages only, since the
    needs of the catalog's builds are followed before.
    """
    refused: list[Candidate] = []
    for build in builds:
        found = [*_refused_by(build, candidates, depth)] if build.build.record else []
        if not found and build.tier is not Tier.REFUSED:
            return []
        refused += found
    return list({id(one): one for one in refused}.values())


def _refused_by(candidate: Candidate, candidates: Candidates, depth: int) -> Iterator[Candidate]:
    for depend in candidate.build.depends:
        admitted = (one for one in candidates.get(depend.split()[0], ()) if matches(depend, one))
        targets = [one for one in admitted if _agree(candidate, one, candidates)]
        if targets and all(one.tier is Tier.REFUSED for one in targets):
            yield from targets
        elif targets and depth > 1:
            yield from _refused_need(targets, candidates, depth - 1)


def _agree(one: Candidate, other: Candidate, candidates: Candidates) -> bool:
    """Whether two builds can have what both of them need: the GPU build of a mutex is not the one for the CPU."""
    needs = {depend.split()[0]: depend for depend in one.build.depends}
    for depend in other.build.depends:
        name = depend.split()[0]
        known = candidates.get(name) if name in needs else None
        if known and not any(matches(depend, two) and matches(needs[name], two) for two in known):
            return False
    return True


def _with_cuda(behind: list[Candidate], machine: Machine) -> Iterator[str]:
    """For which CUDA the builds are that a metapackage could pull in."""
    lines: dict[str, list[str]] = {}
    for one in behind:
        cuda = (_cuda_of(one.build.depends) or "").removeprefix("CUDA ")
        if cuda and one.tier is not Tier.REFUSED and cuda not in lines.setdefault(one.build.project, []):
            lines[one.build.project].append(cuda)
    for name, known in lines.items():
        yield f"the builds of {name} that run on this machine are for CUDA {listed(known)}"
    if not lines:
        yield f"what it pulls in does not fit together on {machine.platform}"


def _cuda_of(depends: tuple[str, ...]) -> str | None:
    return next((in_words(depend) for depend in depends if depend.startswith("cuda-version ")), None)


def _hints(found: list[tuple[Candidate, Finding]], machine: Machine) -> Iterator[str]:
    """What the findings advise, those of the newest builds first; and another Python, where only that is in the way."""
    newest_first = sorted(found, key=lambda pair: preference(pair[0]), reverse=True)
    advised = dict.fromkeys(hint for _, finding in newest_first for hint in finding.hints)
    yield from islice(advised, _MOST_HINTS)
    pythons = newest_first[0][0].build.needs.pythons
    if pythons and all(finding.rule == "python-build" for _, finding in found):
        nearest = min(pythons, key=lambda python: (abs(_minor(python) - _minor(machine.python)), python))
        yield f"plan for a Python that it has wheels for: `--python {nearest}`"


def _minor(python: str | None) -> int:
    return int((python or "3.0").split(".")[1])


def _behind(candidate: Candidate, candidates: Candidates) -> Iterator[Candidate]:
    """The builds that a candidate stands for: itself, or what a metapackage pulls in."""
    if candidate.build.has_files or not candidate.build.depends:
        yield candidate
        return
    for depend in candidate.build.depends:
        targets = candidates.get(depend.split()[0], [])
        yield from (one for one in targets if one.build.has_files and matches(depend, one))


def spans(found: list[tuple[Candidate, Finding]]) -> Iterator[str]:
    """One line per reason, newest releases first, each with the span of releases that it holds for."""
    by_message: dict[str, list[Candidate]] = {}
    for candidate, finding in sorted(found, key=lambda pair: preference(pair[0]), reverse=True):
        by_message.setdefault(finding.message, []).append(candidate)
    for message, group in list(by_message.items())[:_MOST_REASONS]:
        newest, oldest = group[0].build, group[-1].build
        span = newest.version if newest.version == oldest.version else f"{oldest.version} to {newest.version}"
        yield f"{newest.project} {span}: {message}"
    left = len(by_message) - _MOST_REASONS
    if left > 0:
        yield f"older releases have {left} more {'reason' if left == 1 else 'reasons'}"


def _exclude_each_other(specs: tuple[GpuSpec, ...], candidates: Candidates) -> tuple[GpuSpec, ...]:
    """The smallest part of `specs` that cannot be had together: each of its members is needed for the conflict."""
    left = list(specs)
    for spec in specs:
        fewer = tuple(one for one in left if one is not spec)
        if not _fits(fewer, candidates):
            left = list(fewer)
    return tuple(left)


def _fits(specs: tuple[GpuSpec, ...], candidates: Candidates) -> bool:
    texts = tuple(spec.conda for spec in specs)
    if texts not in candidates.fits:
        candidates.fits[texts] = _solves([*texts], candidates)
    return candidates.fits[texts]


def _solves(specs: list[str], candidates: Candidates) -> bool:
    try:
        solve_layer(candidates, specs, worst=TIERS_TAKEN[-1], prefer_gpu=False)
    except Unsolvable:
        return False
    return True


def _together(culprits: tuple[GpuSpec, ...], candidates: Candidates) -> Iterator[str]:
    """What each of the culprits would be by itself, and with which CUDA."""
    for spec in culprits:
        picks = _by_itself(spec, candidates)
        pick = picks.get(spec.project.name) or picks.get(spec.name)
        if pick:
            cuda = _cuda_of(pick.build.depends)
            line = picks.get("cuda-version")
            if not cuda and line and pick.build.gpu:
                cuda = f"CUDA {line.build.version}"
            with_cuda = f", with {cuda}" if cuda else ""
            yield f"`{spec.typed}` alone would be {pick.build.project} {pick.build.version}{with_cuda}"


def _by_itself(spec: GpuSpec, candidates: Candidates) -> dict[str, Candidate]:
    for worst in TIERS_TAKEN:
        with suppress(Unsolvable):
            return solve_layer(candidates, [spec.conda], worst=worst, prefer_gpu=True).picks
    return {}


def _what_would_fit(culprits: tuple[GpuSpec, ...], candidates: Candidates) -> tuple[str, ...]:
    """The request with one of its restrictions left out, where that can be had."""
    for spec in culprits:
        if spec.conda == spec.name:
            continue
        others = [one for one in culprits if one is not spec]
        named_twice = any(one.name == spec.name for one in others)
        itself = [] if named_twice else [spec.name]
        if _solves([*itself, *(one.conda for one in others)], candidates):
            asked = [spec.name if one is spec else one.typed for one in culprits if one is not spec or not named_twice]
            return (f"without its bounds on `{spec.name}` it can be had: `gpuenv plan {shlex.join(asked)}`",)
    return (f"leave one out: `gpuenv plan {shlex.join(spec.typed for spec in culprits[1:])}`",) if culprits[1:] else ()
