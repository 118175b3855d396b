"""Why there is no plan: which specs nothing satisfies, or which exclude each other, in GPU words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from packaging.version import Version

from gpuenv.errors import NoPlanError
from gpuenv.model import Finding, Machine
from gpuenv.plans.candidates import Candidate, Tier, objections
from gpuenv.plans.explain import in_words, preference
from gpuenv.plans.solver import Unsolvable, matches, solve_layer
from gpuenv.plans.specs import GpuSpec

__all__ = ["explain_refusal", "spans"]

_MOST_REASONS = 6


def explain_refusal(
    specs: tuple[GpuSpec, ...],
    candidates: Mapping[str, list[Candidate]],
    machine: Machine,
    unsolvable: Unsolvable,
    bounds: tuple[str, ...] = (),
) -> NoPlanError:
    """The error that says why no set of builds satisfies `specs` on `machine`."""
    hints: list[str] = []
    for spec in specs:
        reasons, found = _alone(spec, candidates, machine)
        if reasons:
            notes = [note for note in spec.project.gpu_notes if machine.platform in note.platforms]
            hints += [hint for finding in found for hint in finding.hints]
            hints += [hint for note in notes for hint in note.hints]
            return NoPlanError(
                f"no build of `{spec.typed}` runs on this machine" if found else f"nothing satisfies `{spec.typed}`",
                reasons=(*reasons, *(note.text for note in notes)),
                hints=tuple(dict.fromkeys(hints)),
                details=str(unsolvable),
            )
    if bounds and _fits(specs, candidates):
        return NoPlanError(
            f"{_listed([f'`{spec.typed}`' for spec in specs])} cannot be had within "
            + _listed([f"`{one}`" for one in bounds]),
            reasons=tuple(_together(specs, candidates)),
            hints=("leave the bound out, or ask for an older release",),
            details=str(unsolvable),
        )
    culprits = _exclude_each_other(specs, candidates)
    return NoPlanError(
        f"{_listed([f'`{spec.typed}`' for spec in culprits])} do not fit together on this machine",
        reasons=tuple(_together(culprits, candidates)),
        hints=(f"leave one out, or ask for less: `gpuenv plan {culprits[0].project.name}`",),
        details=str(unsolvable),
    )


def _alone(
    spec: GpuSpec, candidates: Mapping[str, list[Candidate]], machine: Machine
) -> tuple[list[str], list[Finding]]:
    """Why nothing satisfies one spec by itself; empty when something does."""
    builds = candidates.get(spec.name, [])
    if not builds:
        return [f"`{spec.name}` has no build for {machine.platform}"], []
    asked = [candidate for candidate in builds if matches(spec.conda, candidate)]
    if not asked:
        versions = sorted({Version(candidate.build.version) for candidate in builds})
        known = f"{versions[0]} to {versions[-1]}" if len(versions) > 1 else str(versions[0])
        same_version = spec.conda.count("=") > 1 or " " in spec.conda.strip()
        labels = sorted({candidate.build.build.partition("_")[0] for candidate in builds})
        builds_known = f", in builds {', '.join(labels)}" if same_version and any(labels) else ""
        return [f"the catalog has {spec.name} {known} for {machine.platform}{builds_known}"], []
    behind = [target for candidate in asked for target in _behind(candidate, candidates)]
    if any(candidate.tier is not Tier.REFUSED for candidate in behind):
        return [], []
    if not behind:
        return [f"`{spec.name}` has no GPU build for {machine.platform}"], []
    found = [(candidate, objections(candidate)[0]) for candidate in behind]
    return list(spans(found)), [finding for _, finding in found[:1]]


def _behind(candidate: Candidate, candidates: Mapping[str, list[Candidate]]) -> Iterator[Candidate]:
    """The builds that a candidate stands for: itself, or what a metapackage pulls in."""
    if candidate.build.wheel or not candidate.build.depends:
        yield candidate
        return
    for depend in candidate.build.depends:
        targets = candidates.get(depend.split()[0], [])
        yield from (one for one in targets if one.build.wheel and matches(depend, one))


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


def _exclude_each_other(specs: tuple[GpuSpec, ...], candidates: Mapping[str, list[Candidate]]) -> tuple[GpuSpec, ...]:
    """The smallest part of `specs` that cannot be had together: each of its members is needed for the conflict."""
    left = list(specs)
    for spec in specs:
        fewer = tuple(one for one in left if one is not spec)
        if not _fits(fewer, candidates):
            left = list(fewer)
    return tuple(left)


def _fits(specs: tuple[GpuSpec, ...], candidates: Mapping[str, list[Candidate]]) -> bool:
    try:
        solve_layer(candidates, [spec.conda for spec in specs], worst=Tier.UNKNOWN, prefer_gpu=False)
    except Unsolvable:
        return False
    return True


def _together(culprits: tuple[GpuSpec, ...], candidates: Mapping[str, list[Candidate]]) -> Iterator[str]:
    """What each of the culprits could be by itself, and with which CUDA."""
    for spec in culprits:
        asked = [one for one in candidates.get(spec.name, []) if matches(spec.conda, one)]
        behind = [two for one in asked for two in _behind(one, candidates)]
        allowed = [one.build for one in behind if one.tier is not Tier.REFUSED]
        if allowed:
            newest = max(allowed, key=lambda build: (build.gpu, Version(build.version), build.number))
            cuda = next((depend for depend in newest.depends if depend.startswith("cuda-version ")), None)
            line = f", with {in_words(cuda)}" if cuda else ""
            yield f"`{spec.typed}` alone would be {newest.project} {newest.version}{line}"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
