"""Conda packages in a prefix, from the `conda-meta/*.json` that conda, mamba, pixi and rattler write for each.

Fields: conda documentation, "Managing packages", and rattler's `PrefixRecord`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from gpuenv.artifacts.conda_index import CondaIndex
from gpuenv.artifacts.distributions import ChosenFiles, Distribution, DistributionKind
from gpuenv.artifacts.listed_files import Boundary, choose_files, read_regular
from gpuenv.errors import FormatError
from gpuenv.model import printable

__all__ = ["PrefixRecord", "choose_conda_files", "find_conda_packages", "read_record"]

_MOST_RECORD_BYTES = 64 << 20
_METADATA = (".dist-info", ".egg-info")


class PrefixRecord(CondaIndex, frozen=True, kw_only=True):
    """What gpuenv reads of a record: what the package says of itself, and its files from the prefix."""

    files: tuple[str, ...] = ()


def find_conda_packages(prefix: Path) -> tuple[list[Distribution], frozenset[str], list[str]]:
    """The packages of a prefix by name, the Python metadata that belongs to them, and what could not be read.

    The metadata are directories or files from the prefix, case-folded: `lib/python3.11/site-packages/x-2.0.dist-info`.
    """
    found: list[Distribution] = []
    owned: set[str] = set()
    problems: list[str] = []
    for place in sorted((prefix / "conda-meta").glob("*.json")):
        try:
            record = read_record(place)
        except (OSError, FormatError) as error:
            said = error.message if isinstance(error, FormatError) else error.strerror or str(error)
            problems.append(f"cannot read `conda-meta/{printable(place.name)}`: {said}")
            continue
        owned.update(_python_metadata(record.files))
        found.append(
            Distribution(
                name=record.name,
                version=record.version,
                kind=DistributionKind.CONDA,
                prefix=prefix,
                base=prefix,
                metadata=place,
            )
        )
    return found, frozenset(owned), problems


def read_record(place: Path) -> PrefixRecord:
    """The record in a file; FormatError when it is none."""
    try:
        record = msgspec.json.decode(read_regular(place, _MOST_RECORD_BYTES), type=PrefixRecord)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"not a record of conda: {error}") from error
    if not record.name.isprintable() or not record.name or not record.version.isprintable():
        raise FormatError("not a record of conda: it names no package")
    return record


def choose_conda_files(record: PrefixRecord, boundary: Boundary) -> ChosenFiles:
    """What to read of a package."""
    return choose_files(((path, None) for path in record.files), boundary)


def _python_metadata(files: Iterable[str]) -> Iterable[str]:
    for path in files:
        if "-info" in path:
            for mark in _METADATA:
                before, found, after = path.partition(mark)
                if found and (not after or after.startswith("/")):
                    yield (before + found).casefold()
