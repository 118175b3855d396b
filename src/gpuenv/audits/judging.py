"""All findings of the packages of one version, and what would correct them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from gpuenv.audits.bounds import bounds_findings
from gpuenv.audits.correcting import corrected, correction_of
from gpuenv.audits.facts import Facts
from gpuenv.audits.finding import error, evidence
from gpuenv.audits.gathering import Entry
from gpuenv.audits.lines import line_findings
from gpuenv.audits.pointing import pointing_findings
from gpuenv.audits.preference import cpu_builds, preference_findings
from gpuenv.audits.records import record_findings
from gpuenv.audits.repodata import Record
from gpuenv.audits.surroundings import Surroundings
from gpuenv.model import AuditedPackage, AuditFinding, Correction

__all__ = ["judge_group", "without_file"]


Tell = Callable[[Facts, Surroundings], Iterator[AuditFinding]]


def judge_group(group: Sequence[Facts], around: Surroundings, *, by_words_alone: bool = False) -> list[AuditedPackage]:
    """The packages of one name and version in one directory, in their order. `by_words_alone` says that their files
    were not read, so that nothing is said of these.
    """
    preferred: dict[str, list[AuditFinding]] = {}
    for facts, finding in preference_findings(group):
        preferred.setdefault(facts.file, []).append(finding)
    has_cpu = bool(cpu_builds(group))
    told = pointing_findings if by_words_alone else partial(_findings, has_cpu=has_cpu)
    return [_judge(one, around, told, preferred.get(one.file, ()), has_cpu=has_cpu) for one in group]


def _judge(
    facts: Facts, around: Surroundings, told: Tell, preferred: Sequence[AuditFinding], *, has_cpu: bool
) -> AuditedPackage:
    findings = (*told(facts, around), *preferred)
    mends = facts.mendable and any(finding.mendable for finding in findings)
    correction = None
    if mends:
        correction = correction_of(facts.record, corrected(facts.record, facts, around, has_cpu=has_cpu))
    return _package(facts.entry, facts.record, findings, correction, gpu_code=facts.has_gpu_code)


def _findings(facts: Facts, around: Surroundings, *, has_cpu: bool) -> Iterator[AuditFinding]:
    yield from record_findings(facts, partial(corrected, facts=facts, around=around, has_cpu=has_cpu))
    yield from bounds_findings(facts, around, has_cpu=has_cpu)
    yield from line_findings(facts, around)
    yield from pointing_findings(facts, around)


def without_file(entry: Entry) -> AuditedPackage:
    """A record whose file is not there."""
    assert entry.record
    assert entry.subdir
    repodata = entry.subdir.repodata
    mendable = repodata is not None and entry.name not in repodata.v3
    finding = error(
        "file-missing",
        "the channel's index lists it, and the file is not there",
        evidence("file", entry.name, f"{entry.subdir.channel}/{entry.subdir.name}"),
        hints=("put the file there, or index the channel again",),
        mendable=mendable,
    )
    return _package(entry, entry.record, (finding,), Correction(remove=True) if mendable else None)


def _package(
    entry: Entry,
    record: Record,
    findings: tuple[AuditFinding, ...],
    correction: Correction | None,
    *,
    gpu_code: bool = False,
) -> AuditedPackage:
    return AuditedPackage(
        file=entry.name,
        channel=entry.subdir.channel if entry.subdir else None,
        subdir=entry.subdir.name if entry.subdir else None,
        name=record.name,
        version=record.version,
        build=record.build,
        gpu_code=gpu_code,
        findings=findings,
        correction=correction,
    )
