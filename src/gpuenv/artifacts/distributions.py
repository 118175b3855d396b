"""One installed distribution: where its metadata is, and what of its files is worth reading."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

__all__ = ["ChosenFiles", "Distribution", "DistributionKind"]


class DistributionKind(StrEnum):
    """Which tool keeps account of it: wheels leave `dist-info`, older installs `egg-info`, conda its `conda-meta`."""

    DIST_INFO = "dist-info"
    EGG_INFO = "egg-info"
    CONDA = "conda"


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """What is installed under one name in `prefix`.

    `metadata` is the directory or file that tells of it, `base` the directory that its list of files starts from.
    `source` is the directory of sources that an editable install points at.
    """

    name: str
    version: str | None
    kind: DistributionKind
    prefix: Path
    base: Path
    metadata: Path
    source: Path | None = None

    @property
    def key(self) -> str:
        """The name as Python compares names; conda's names stay as they are."""
        from packaging.utils import canonicalize_name

        return self.name if self.kind is DistributionKind.CONDA else canonicalize_name(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenFiles:
    """The files of a distribution: `native` are to be read (where each lies, its path in the artifact).

    `sources` are its Python files with their sizes, by path in the artifact, all of which are below `base`. `missing`
    are native files that should be there. `members` counts all files.
    """

    native: tuple[tuple[Path, str], ...] = ()
    sources: tuple[tuple[str, int], ...] = ()
    missing: tuple[Path, ...] = ()
    members: int = 0
    problems: tuple[str, ...] = ()
