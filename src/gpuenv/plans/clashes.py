"""Why a build that runs on the machine was not picked: what of the rest of the plan it does not go with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from gpuenv.model import Finding, Verdict
from gpuenv.plans.candidates import Candidate, Tier, objections
from gpuenv.plans.layer import Layer
from gpuenv.plans.ordering import version_key
from gpuenv.plans.solver import matches, offers
from gpuenv.plans.wording import in_words, preference

__all__ = ["why_not"]

_NOT_TOGETHER = "does not go with all else that the plan needs"
_DEPTH = 2
"""How far what would have come along with a build is followed to what it clashes with."""


def why_not(candidate: Candidate, layer: Layer) -> Finding | None:
    """The first reason against a build: what the rules say where that kept it out, else what it clashes with."""
    against = objections(candidate)
    if candidate.tier is Tier.REFUSED or (candidate.tier > layer.worst and candidate.build.record is None):
        return against[0]
    # That nobody has read a conda package says little where it could not be taken anyway.
    clash = _clash(candidate, layer)
    if clash is None and candidate.tier > layer.worst:
        return against[0]
    if clash:
        return Finding(rule="fits-together", verdict=Verdict.FAILS, subject=candidate.build.project, message=clash)
    if candidate.is_unread and against:
        # It would have been read, had it been picked.
        return msgspec.structs.replace(against[0], rule="fits-together", message=_NOT_TOGETHER, evidence=(), hints=())
    return against[0] if against else None


def _clash(candidate: Candidate, layer: Layer) -> str | None:
    own = candidate.build.project
    others = {name: pick for name, pick in layer.picks.items() if name != own}
    if wanting := next(_not_offered(candidate, layer), None):
        return wanting
    if direct := next(_held_fast(candidate, own, others, layer), None):
        return direct
    for pick in others.values():
        # A metapackage follows the version of what it stands for, so it is no reason for that version.
        for depend in pick.build.depends if pick.build.has_files else ():
            if depend.split()[0] == own and not matches(depend, candidate):
                return f"{pick.build.project} {pick.build.version} needs {in_words(depend)}"
    return _with_what_comes_along(candidate, own, others, layer, _DEPTH)


def _not_offered(candidate: Candidate, layer: Layer) -> Iterator[str]:
    """What a conda package asks of the machine itself (`__glibc >=2.34`), and the machine is not."""
    offered = {one[0]: one for one in layer.candidates.virtual_packages}
    for depend in (*candidate.build.depends, *candidate.build.constrains):
        name = depend.split()[0]
        if not name.startswith("__") or (name not in offered and depend in candidate.build.constrains):
            continue
        if name not in offered:
            yield f"needs `{depend}`, which the machine does not have"
        elif not offers(depend, offered[name]):
            yield f"needs `{depend}`; the machine has {offered[name][1]}"


def _held_fast(candidate: Candidate, instead_of: str, picks: Mapping[str, Candidate], layer: Layer) -> Iterator[str]:
    """What the build needs that runs nowhere on these machines, or that the plan holds at something else."""
    for depend, admitted in _unmet(candidate, picks, layer):
        there_are = [one for one in admitted if one.tier <= layer.worst]
        if admitted and not there_are:
            yield f"needs {in_words(depend)}: {_of_the_nearest(admitted)}"
            continue
        name = depend.split()[0]
        other = picks.get(name)
        holder = _holder(other, instead_of, there_are, layer) if other else None
        # What nobody else holds where it is would have followed the build.
        if other and (holder or name in layer.named):
            there = f"{other.build.version} {other.build.build}" if len(depend.split()) > 2 else other.build.version
            yield f"needs {in_words(depend)}; the plan has {there}{f', for {holder}' if holder else ''}"


def _unmet(candidate: Candidate, picks: Mapping[str, Candidate], layer: Layer) -> Iterator[tuple[str, list[Candidate]]]:
    """Each need of a build that no pick meets, and all the builds that would meet it."""
    build = candidate.build
    for depend in (*build.depends, *build.constrains):
        name = depend.split()[0]
        known = name in picks or (depend in build.depends and name in layer.candidates)
        if known and not (name in picks and matches(depend, picks[name])):
            admitted = [one for one in layer.candidates.get(name, ()) if matches(depend, one)]
            # Beside a build on the GPU one for the CPU would be no help.
            on_gpu = [one for one in admitted if one.build.gpu] if build.gpu else []
            yield depend, on_gpu or admitted


def _of_the_nearest(refused: list[Candidate]) -> str:
    """The first objection to the build that comes nearest to one that may be taken; of equals the newest, and of
    those that a newer driver would cure the one that asks for least.
    """

    def distance(one: Candidate) -> tuple[Tier, int]:
        wants_driver = objections(one)[0].rule == "driver-floor"
        return one.tier, one.build.number if wants_driver else -one.build.number

    newest = max(version_key(one.build.version) for one in refused)
    finding = objections(min((one for one in refused if version_key(one.build.version) == newest), key=distance))[0]
    return f"{finding.message} (on {finding.machine})" if finding.machine else finding.message


def _with_what_comes_along(
    candidate: Candidate, instead_of: str, picks: Mapping[str, Candidate], layer: Layer, depth: int
) -> str | None:
    """The same one step further: what a package that would be pulled in, or move, does not go with."""
    for depend, admitted in _unmet(candidate, picks, layer):
        name = depend.split()[0]
        others = {other: pick for other, pick in picks.items() if other != name}
        could_come = [one for one in admitted if one.tier <= layer.worst]
        clashes: list[str] = []
        for one in sorted(could_come, key=preference, reverse=True):
            clash = next(_held_fast(one, instead_of, others, layer), None)
            if clash is None and depth > 1:
                clash = _with_what_comes_along(one, instead_of, others, layer, depth - 1)
            if clash is None:
                break
            clashes.append(clash)
        if clashes and len(clashes) == len(could_come):
            return f"needs {name}, which {clashes[0]}"
    return None


def _holder(other: Candidate, instead_of: str, there_are: list[Candidate], layer: Layer) -> str | None:
    """Which package holds another where it is; a library that nobody asked for does it only for some package.

    One that takes a build of `there_are` as well holds nothing, nor does what came along with `instead_of`.
    """
    own = layer.picks.get(instead_of)
    came_along = {depend.split()[0] for depend in own.build.depends} - layer.named if own else set()
    for pick in layer.picks.values():
        name = pick.build.project
        if name == instead_of or name in came_along or (pick.build.library and name not in layer.named):
            continue
        wanted = [depend for depend in pick.build.depends if depend.split()[0] == other.build.project]
        if any(not any(matches(depend, one) for one in there_are) for depend in wanted if depend.split()[1:] != ["*"]):
            return name
    return None
