"""`inspect_targets`: from what a user points at to what is inside, artifact by artifact."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from gpuenv.artifacts.native_files import file_name
from gpuenv.artifacts.needs import needs_of, needs_together
from gpuenv.errors import FormatError, GpuenvError
from gpuenv.model import (
    ArtifactKind,
    ErrorBody,
    Inspection,
    InspectionReport,
    LibrarySummary,
    Needs,
    Reading,
    Reporter,
    Silence,
)
from gpuenv.rules.code import main_library
from gpuenv.targets.gather import Group, gather
from gpuenv.targets.means import Looked, open_means
from gpuenv.targets.summaries import summarize_library

__all__ = ["inspect_targets", "needs_in_group"]

_MOST_TOLD = 5


def inspect_targets(
    words: Sequence[str],
    *,
    prefix: Path | None = None,
    platform: str | None = None,
    python: str | None = None,
    channels: tuple[str, ...] = (),
    cache: bool = True,
    offline: bool = False,
    report: Reporter | None = None,
) -> InspectionReport:
    """What the artifacts that `words` point at carry and need. Nothing is installed, imported or run.

    With `prefix` the words are names of packages in that environment (all of them without words). `platform`
    (`windows-x86_64`) and `python` (`3.12`) choose among the builds on the index; by default those of this computer.
    With conda `channels` names are specs of conda that these answer.
    Each target that could not be looked at is a problem of the report, and so is each archive of which a native file
    could not be read; what could be read is there.
    """
    with open_means(cache=cache, offline=offline, report=report or Silence(), channels=channels) as means:
        groups = gather(words, means, prefix=prefix, platform=platform, python=python)
    return InspectionReport(
        artifacts=tuple(inspection for group in groups for inspection in _inspections(group)),
        notes=tuple(dict.fromkeys(note for group in groups for note in group.notes)),
        problems=tuple(ErrorBody.of(one) for group in groups for one in (*group.problems, *_unread(group))),
    )


def _unread(group: Group) -> Iterator[GpuenvError]:
    """Environments are left out: nobody handed their files over as a package that is whole."""
    for reading in (looked.reading for looked in group.looked):
        told = tuple(file.problem for file in reading.files if file.problem)
        if told and reading.artifact.kind is not ArtifactKind.INSTALLED:
            files = "a native file" if len(told) == 1 else f"{len(told)} native files"
            name = reading.artifact.filename or reading.artifact.name
            yield FormatError(f"{files} of `{name}` could not be read", reasons=told[:_MOST_TOLD])


def needs_in_group(group: Group) -> tuple[Needs, ...]:
    """What each artifact of a group needs; of those in one environment with regard to the others."""
    readings = [one.reading for one in group.looked]
    return needs_together(readings) if group.together else tuple(map(needs_of, readings))


def _inspections(group: Group) -> Iterator[Inspection]:
    for looked, needs in zip(group.looked, needs_in_group(group), strict=True):
        yield _inspection(group.target, looked, needs)


def _inspection(target: str, looked: Looked, needs: Needs) -> Inspection:
    reading = looked.reading
    return Inspection(
        target=target,
        artifact=reading.artifact,
        needs=needs,
        libraries=tuple(_summaries(reading, needs)),
        # The units are in `needs` already.
        files=tuple(msgspec.structs.replace(file, code=None) for file in reading.files),
        requires=reading.requires,
        imports=reading.imports,
        members=reading.members,
        problems=(*((looked.note,) if looked.note else ()), *reading.problems),
        complete=reading.complete,
        fetched_bytes=looked.fetched_bytes,
    )


def _summaries(reading: Reading, needs: Needs) -> Iterator[LibrarySummary]:
    """Each file with GPU code, with what the needs say of it where it is one of theirs."""
    known = {library.name: library for library in needs.libraries or ()}
    main = main_library(needs.libraries or ())
    for file in sorted(reading.files, key=lambda one: one.path):
        if file.code:
            named = known.get(file.path) or known.get(file_name(file.path))
            # A file of the same name elsewhere (in a directory of tests) may be another.
            library = named if named and named.groups == file.code.groups else file.code
            summary = summarize_library(library)
            yield msgspec.structs.replace(summary, path=file.path, is_main=library is main)
