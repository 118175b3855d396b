"""Why a build that runs on the machine was not picked: what of the rest of the plan it does not go with."""

from __future__ import annotations

from collections.abc import Mapping

from gpuenv.model import Finding, Verdict
from gpuenv.plans.candidates import Candidate, objections
from gpuenv.plans.layer import Layer
from gpuenv.plans.solver import matches
from gpuenv.plans.wording import in_words, preference

__all__ = ["why_not"]


def why_not(candidate: Candidate, layer: Layer) -> Finding | None:
    """The first reason against a build: what the rules say where that kept it out, else what it clashes with."""
    against = objections(candidate)
    if candidate.tier > layer.worst:
        return against[0]
    clash = _clash(candidate, layer)
    if clash:
        return Finding(rule="fits-together", verdict=Verdict.FAILS, subject=candidate.build.project, message=clash)
    return against[0] if against else None


def _clash(candidate: Candidate, layer: Layer) -> str | None:
    own = candidate.build.project
    if direct := _with_what_it_needs(candidate, layer.picks, layer):
        return direct
    for pick in layer.picks.values():
        # A metapackage follows the version of what it stands for, so it is no reason for that version.
        for depend in pick.build.depends if pick.build.wheel else ():
            if depend.split()[0] == own and not matches(depend, candidate):
                return f"{pick.build.project} {pick.build.version} needs {in_words(depend)}"
    return _with_what_comes_along(candidate, layer)


def _with_what_it_needs(candidate: Candidate, picks: Mapping[str, Candidate], layer: Layer) -> str | None:
    build = candidate.build
    for depend in (*build.depends, *build.constrains):
        name = depend.split()[0]
        other = picks.get(name)
        if other is None or matches(depend, other):
            continue
        holder = _holder(other, build.project, layer)
        # What nobody else holds where it is would have followed the build.
        if holder or name in layer.named:
            there = f"{other.build.version} {other.build.build}" if len(depend.split()) > 2 else other.build.version
            return f"needs {in_words(depend)}; the plan has {there}{f', for {holder}' if holder else ''}"
    return None


def _with_what_comes_along(candidate: Candidate, layer: Layer) -> str | None:
    """The same one step further: what a package that would be pulled in does not go with."""
    others = {name: pick for name, pick in layer.picks.items() if name != candidate.build.project}
    for name in (depend.split()[0] for depend in candidate.build.depends):
        if name in layer.picks:
            continue
        could_come = [one for one in layer.candidates.get(name, ()) if one.tier <= layer.worst]
        newest_first = sorted(could_come, key=preference, reverse=True)
        clashes = [_with_what_it_needs(one, others, layer) for one in newest_first]
        if clashes and all(clashes):
            return f"needs {name}, which {clashes[0]}"
    return None


def _holder(other: Candidate, instead_of: str, layer: Layer) -> str | None:
    """Which package holds another where it is; a library that nobody asked for does it only for some package."""
    for pick in layer.picks.values():
        name = pick.build.project
        if name == instead_of or (pick.build.library and name not in layer.named):
            continue
        if any(
            depend.split()[0] == other.build.project and depend.split()[1:] != ["*"] for depend in pick.build.depends
        ):
            return name
    return None
