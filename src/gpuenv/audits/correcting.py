"""What a repodata patch has to say so that a record asks for what its binary does.

Preference is put right with `track_features` on CPU builds: a build number is part of a build's name, and rattler's
indexer leaves build numbers in patches aside (0.28). Solvers rank what has features below all else of its name, of any
version, so all CPU builds of a name get them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import msgspec

from gpuenv.audits.bounds import bounds_findings, is_only_for_gpus
from gpuenv.audits.facts import Facts
from gpuenv.audits.lines import missing_libraries, requirement_for
from gpuenv.audits.repodata import Record, as_features
from gpuenv.audits.saying import name_of
from gpuenv.audits.surroundings import Surroundings
from gpuenv.model import AuditFinding, Correction

__all__ = ["corrected", "correction_of", "marked_down"]

_DRIVER, _CAPABILITY = "__cuda", "__cuda_arch"


def corrected(record: Record, facts: Facts, around: Surroundings, *, has_cpu: bool) -> Record:
    """The record with the bounds that follow from the binary of its package, and with what it is linked with."""
    own = Facts(entry=replace(facts.entry, record=record), contents=facts.contents)
    found = [*bounds_findings(own, around, has_cpu=has_cpu)]
    depends, constrains = list(record.depends), list(record.constrains)
    _mend_bounds(found, facts, depends, constrains, is_must=is_only_for_gpus(facts, has_cpu=has_cpu))
    if facts.has_gpu_code:
        for library in missing_libraries(facts, tuple(depends), around):
            if (wanted := requirement_for(library, around)) and wanted not in depends:
                depends.append(wanted)
    return msgspec.structs.replace(record, depends=tuple(depends), constrains=tuple(constrains))


def _mend_bounds(
    found: Iterable[AuditFinding], facts: Facts, depends: list[str], constrains: list[str], *, is_must: bool
) -> None:
    rules = {finding.rule for finding in found}
    wanted = facts.constraints
    if wanted.cuda and rules & {"gpu-undeclared", "gpu-not-required", "cuda-too-loose", "cuda-too-tight"}:
        _put(wanted.cuda, _DRIVER, depends, constrains, into_depends=is_must)
    if wanted.cuda_arch and rules & {
        *("gpu-undeclared", "arch-undeclared", "arch-too-loose", "arch-without-end", "arch-too-tight"),
    }:
        # Clients that do not know `__cuda_arch` (CEP 46) could not install what depends on it.
        _put(wanted.cuda_arch, _CAPABILITY, depends, constrains, into_depends=False)


def _put(spec: str, name: str, depends: list[str], constrains: list[str], *, into_depends: bool) -> None:
    """Writes a bound in the place of those that there are: into `depends` where there was one, or where it must be."""
    was_there = any(name_of(one) == name for one in depends)
    for specs, is_place in ((depends, into_depends or was_there), (constrains, not (into_depends or was_there))):
        at = next((number for number, one in enumerate(specs) if name_of(one) == name), len(specs))
        specs[:] = [one for one in specs if name_of(one) != name]
        if is_place:
            specs.insert(min(at, len(specs)), spec)


def marked_down(record: Record) -> str:
    """The features of a CPU build, so that solvers take the GPU builds of its name first."""
    return " ".join((*as_features(record.track_features), f"{record.name}-cpu"))


def correction_of(before: Record, after: Record) -> Correction | None:
    """The difference between a record and what it should be, None without any."""
    found = Correction(
        depends=after.depends if after.depends != before.depends else None,
        constrains=after.constrains if after.constrains != before.constrains else None,
    )
    return found if found != Correction() else None
