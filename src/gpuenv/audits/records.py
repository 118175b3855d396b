"""The record of a channel against the file that it is of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from gpuenv.artifacts.conda_index import CONDA_ENDINGS
from gpuenv.audits.correcting import marked_down
from gpuenv.audits.facts import Facts
from gpuenv.audits.finding import error, evidence, warning
from gpuenv.audits.repodata import PATCHABLE, Record, as_features
from gpuenv.model import AuditFinding, printable

__all__ = ["broken_record", "record_findings"]

_INDEX = "its info/index.json"
_REPODATA = "repodata.json"
_INDEX_AGAIN = ("`gpuenv channel index DIRECTORY` writes the records of the files that are there",)


def record_findings(facts: Facts, corrected: Callable[[Record], Record]) -> Iterator[AuditFinding]:
    """Where the two differ. `corrected` gives a record as a patch of this audit would have it: a record that is what a
    patch makes of the package's own words is explained.
    """
    if not facts.has_record:
        yield from _own_name(facts)
        repodata = facts.subdir.repodata if facts.subdir else None
        if repodata and facts.file in repodata.broken:
            yield broken_record(repodata.broken[facts.file])
        elif repodata and facts.subdir:
            yield warning(
                "record-missing",
                "the channel's index does not list it",
                evidence("file", facts.file, facts.subdir.name),
                hints=_INDEX_AGAIN,
            )
        return
    yield from _sums(facts)
    yield from _identity(facts)
    if not _is_other_package(facts):
        yield from _words(facts, corrected)


def broken_record(reason: str) -> AuditFinding:
    """An entry of the channel's index that is no record."""
    return error(
        "record-broken",
        "its record in the channel's index is broken",
        evidence("why", reason, _REPODATA),
        hints=_INDEX_AGAIN,
    )


def _own_name(facts: Facts) -> Iterator[AuditFinding]:
    """A package that no record names is held against its own file name."""
    index = facts.index
    dist = f"{index.name}-{index.version}-{index.build}"
    stem = next((facts.file.removesuffix(one) for one in CONDA_ENDINGS if facts.file.endswith(one)), facts.file)
    if stem != dist and stem.count("-") > 1:
        yield error(
            "identity",
            f"its file is named `{stem}`, and it says of itself that it is `{printable(dist)}`",
            evidence("name, version, build", dist, _INDEX),
        )


def _sums(facts: Facts) -> Iterator[AuditFinding]:
    record, contents = facts.record, facts.contents
    pairs = (
        ("size", record.size, contents.size_bytes),
        ("sha256", record.sha256 and record.sha256.lower(), contents.sha256),
        ("md5", record.md5 and record.md5.lower(), contents.md5),
    )
    wrong = [(name, said, found) for name, said, found in pairs if said and found and said != found]
    if wrong:
        names = " and ".join(name for name, _, _ in wrong)
        told = [
            one
            for name, said, found in wrong
            for one in (evidence(name, said, _REPODATA), evidence(name, found, facts.file))
        ]
        yield error(
            "sums",
            f"its record has another {names} than the file, so that clients refuse it",
            *told,
            hints=_INDEX_AGAIN,
        )


def _is_other_package(facts: Facts) -> bool:
    record, index = facts.record, facts.index
    return (record.name, record.version, record.build) != (index.name, index.version, index.build)


def _identity(facts: Facts) -> Iterator[AuditFinding]:
    record, index = facts.record, facts.index
    fields = ("name", "version", "build")
    wrong = [name for name in fields if getattr(record, name) != getattr(index, name)]
    if wrong:
        told = [
            one
            for name in wrong
            for one in (
                evidence(name, getattr(record, name), _REPODATA),
                evidence(name, getattr(index, name), _INDEX),
            )
        ]
        yield error(
            "identity",
            f"its record has another {' and '.join(wrong)} than the package",
            *told,
            hints=_INDEX_AGAIN,
        )
    place = facts.subdir.name if facts.subdir else None
    said = index.subdir or ("noarch" if index.noarch else None)
    if place and said and said != place:
        yield error(
            "identity",
            f"it is in `{place}`, and a package for `{said}`",
            evidence("subdir", said, _INDEX),
            hints=(f"move it to `{said}`, and index the channel again",),
        )


def _words(facts: Facts, corrected: Callable[[Record], Record]) -> Iterator[AuditFinding]:
    """The fields that patches change, where no patch explains the difference."""
    record, index, subdir = facts.record, facts.index, facts.subdir
    after = corrected(index)
    for name in PATCHABLE:
        said, own = record.words(name), index.words(name)
        if _alike(said, own) or _alike(said, after.words(name)):
            continue
        if name == "track_features" and not facts.has_gpu_code and said == as_features(marked_down(index)):
            continue
        if subdir and subdir.explained.explains(facts.file, name, record=record, index=index):
            continue
        told = [evidence(name, _in_words(said), _REPODATA), evidence(name, _in_words(own), _INDEX)]
        yield warning(
            "record-differs",
            f"its record has other `{name}` than the package, and no patch of the channel explains it",
            *told,
            hints=("index the channel again, or put the difference into a repodata patch",),
        )


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, tuple) and isinstance(other, tuple):
        return sorted(map(_spaced, one)) == sorted(map(_spaced, other))
    return bool(one == other)


def _spaced(text: str) -> str:
    return " ".join(text.split())


def _in_words(value: Any) -> str:
    return (", ".join(value) or "none") if isinstance(value, tuple) else str(value)
