"""Records whose files are not there: some of a directory, or most of it, as where only its index was copied."""

from __future__ import annotations

from collections.abc import Sequence

from gpuenv.audits.facts import Facts
from gpuenv.audits.gathering import Entry, Subdir
from gpuenv.audits.reading import Contents
from gpuenv.errors import UnavailableError
from gpuenv.model import Artifact, ArtifactKind, Reading

__all__ = ["files_are_elsewhere", "from_words_alone", "is_index_alone"]

_MOST_NAMED = 3


def is_index_alone(missing: int, there: int) -> bool:
    """Whether the files of a directory are elsewhere, rather than that a few went: more are missing than there."""
    return missing > there


def files_are_elsewhere(subdir: Subdir, missing: Sequence[Entry], there: int) -> UnavailableError:
    """What is said of a directory whose files are elsewhere, once."""
    total = len(missing) + there
    names = sorted(one.name for one in missing)
    if there:
        told = f"{len(missing)} of the {total} files that `{subdir.channel}/{subdir.name}` lists are not there"
    elif total > 1:
        told = f"none of the {total} files that `{subdir.channel}/{subdir.name}` lists is there"
    else:
        told = f"the one file that `{subdir.channel}/{subdir.name}` lists is not there"
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return UnavailableError(
        told,
        reasons=(
            f"missing: {', '.join(names[:_MOST_NAMED])}{more}",
            "their metadata were judged alone, and no patch takes them out of the index",
        ),
        hints=("put the files there to have them read",),
    )


def from_words_alone(entry: Entry) -> Facts:
    """A record as far as it can be judged without its file."""
    record = entry.record
    assert record
    artifact = Artifact(
        kind=ArtifactKind.CONDA, name=record.name, version=record.version, build=record.build, filename=entry.name
    )
    # That it has files is assumed: what is said of packages without any needs a look.
    reading = Reading(artifact=artifact, requires=record.depends, constrains=record.constrains, members=1)
    return Facts(
        entry=entry, contents=Contents(index=record, reading=reading, size_bytes=record.size or 0, sha256=None)
    )
