"""`check_targets`: whether what a user points at runs on machines, by the one table of rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from gpuenv.channels.assumptions import with_assumptions
from gpuenv.channels.destinations import ASSUMED_GLIBC
from gpuenv.errors import GpuenvError
from gpuenv.model import (
    Artifact,
    CheckedArtifact,
    CheckReport,
    ErrorBody,
    Machine,
    MachineAnswer,
    Needs,
    Reporter,
    Silence,
    Verdict,
)
from gpuenv.rules import check
from gpuenv.targets.gather import gather
from gpuenv.targets.inspect import needs_in_group
from gpuenv.targets.means import Looked, open_means
from gpuenv.versions import LibcVersion

__all__ = ["check_targets"]

CHECKED_GLIBC = "2.31"
"""The C library to judge by where the machine's was not said: that of Ubuntu 20.04 and Debian 11.

A plan is for 2.28, to be safe on Red Hat Enterprise Linux 8; whoever asks about a package that exists wants to know
about its GPU, and is told what was assumed.
"""

# A row of the report: which target, which package of it, and which file of that where there are several (`dist/`).
# The version may be another for each machine.
_Row = tuple[str, str, int]


def check_targets(
    words: Sequence[str],
    *,
    machines: Sequence[Machine],
    prefix: Path | None = None,
    python: str | None = None,
    channels: tuple[str, ...] = (),
    cache: bool = True,
    offline: bool = False,
    report: Reporter | None = None,
) -> CheckReport:
    """What the rules say of each artifact on each machine, before anything is installed.

    For each machine the builds are looked at that it would get, so one row may stand for different files. `python`
    (`3.12`) goes before the machine's own. With conda `channels` names are specs of conda that these answer. Targets
    that could not be looked at are problems of the report.
    """
    answers: dict[_Row, list[MachineAnswer | None]] = {}
    problems: dict[str, GpuenvError] = {}
    notes: dict[str, None] = {}
    with open_means(cache=cache, offline=offline, report=report or Silence(), channels=channels) as means:
        for number, machine in enumerate(machines):
            groups = gather(words, means, machine=machine, prefix=prefix, python=python)
            for group in groups:
                problems |= {error.message: error for error in group.problems}
                notes |= dict.fromkeys(group.notes)
                seen: Counter[str] = Counter()
                for looked, needs in zip(group.looked, needs_in_group(group), strict=True):
                    notes |= dict.fromkeys(_note(looked))
                    chosen = python or machine.python or looked.python
                    here = with_assumptions(machine, chosen, glibc=CHECKED_GLIBC)
                    notes |= dict.fromkeys(_assumed(needs, here))
                    name = looked.reading.artifact.name
                    seen[name] += 1
                    row = answers.setdefault((group.target, name, seen[name]), [None] * len(machines))
                    row[number] = _answer(looked, needs, here)
    rows = _told_apart(_row(target, found) for (target, _, _), found in answers.items())
    return CheckReport(
        verdict=Verdict.worst(answer.verdict for row in rows for answer in row.answers if answer),
        machines=tuple(machine.name for machine in machines),
        rows=rows,
        notes=tuple(notes),
        problems=tuple(map(ErrorBody.of, problems.values())),
    )


def _assumed(needs: Needs, here: Machine) -> Iterator[str]:
    """A word on the C library where the answer rests on an assumption that does not hold everywhere."""
    matters = needs.glibc is not None and LibcVersion(ASSUMED_GLIBC) < needs.glibc <= LibcVersion(CHECKED_GLIBC)
    if matters and here.sources.get("system.glibc") == "assumed":
        yield f"{needs.subject} needs glibc {needs.glibc}; where the machine's was not said, {CHECKED_GLIBC} is assumed"


def _answer(looked: Looked, needs: Needs, here: Machine) -> MachineAnswer:
    findings = check(needs, here)
    return MachineAnswer(
        machine=here.name,
        verdict=Verdict.worst(finding.verdict for finding in findings),
        uses_gpu=needs.uses_gpu,
        artifact=looked.reading.artifact,
        findings=findings,
    )


def _note(looked: Looked) -> tuple[str, ...]:
    if looked.note is None:
        return ()
    name = looked.reading.artifact.name
    return (looked.note if looked.note.startswith(name) else f"{name}: {looked.note}",)


def _row(target: str, answers: list[MachineAnswer | None]) -> CheckedArtifact:
    artifacts = _artifacts(answers)
    versions = dict.fromkeys(one.version for one in artifacts if one.version)
    subject = " ".join(filter(None, (artifacts[0].name, " or ".join(versions))))
    return CheckedArtifact(target=target, subject=subject, answers=tuple(answers))


def _artifacts(answers: Iterable[MachineAnswer | None]) -> list[Artifact]:
    return [answer.artifact for answer in answers if answer and answer.artifact]


def _told_apart(rows: Iterable[CheckedArtifact]) -> tuple[CheckedArtifact, ...]:
    """Rows named by their packages, and where several packages would have one name (`dist/*.whl`) by their files."""
    found = tuple(rows)
    files: dict[str, set[str | None]] = {}
    for row in found:
        files.setdefault(row.subject, set()).add(_artifacts(row.answers)[0].filename)
    return tuple(
        msgspec.structs.replace(row, subject=_artifacts(row.answers)[0].filename or row.subject)
        if len(files[row.subject]) > 1
        else row
        for row in found
    )
