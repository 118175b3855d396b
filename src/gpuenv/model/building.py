"""What building packages for a conda channel, and indexing one, leaves behind."""

from __future__ import annotations

from enum import StrEnum

from gpuenv.model.nouns import JSON_VERSION, Noun
from gpuenv.model.telling import ErrorBody
from gpuenv.versions import CudaVersion

__all__ = ["BuildReport", "BuiltKind", "BuiltPackage", "IndexReport", "IndexedSubdir"]


class BuiltKind(StrEnum):
    """What a package of a build is: for the GPU, for the CPU, for neither, or made beside them without files."""

    GPU = "gpu"
    CPU = "cpu"
    PLAIN = "plain"
    METAPACKAGE = "metapackage"
    MUTEX = "mutex"


class BuiltPackage(Noun, frozen=True, kw_only=True):
    """One package that was built, as it went into the channel.

    `cuda` is the CUDA that it was built with. `sass` and `ptx` are the images of the library that decides (`sm_90a`,
    `compute_90/ptx8.8`). `stamped` are the MatchSpecs that were read off its binaries, in `depends` and `constrains`
    now; `runs_on` are the compute capabilities that they admit, as spans. `variant` is what it was rendered with.
    """

    file: str
    kind: BuiltKind
    name: str
    version: str
    build: str
    build_number: int = 0
    subdir: str
    cuda: CudaVersion | None = None
    sass: tuple[str, ...] = ()
    ptx: tuple[str, ...] = ()
    runs_on: tuple[str, ...] = ()
    depends: tuple[str, ...] = ()
    constrains: tuple[str, ...] = ()
    stamped: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    size_bytes: int = 0
    sha256: str
    variant: dict[str, str] = {}
    warnings: tuple[str, ...] = ()


class IndexedSubdir(Noun, frozen=True, kw_only=True):
    """One directory of a channel after indexing: how many packages its index lists, those of revision 3 (CEP 48) apart,
    and the files of the index.
    """

    subdir: str
    packages: int
    v3_packages: int = 0
    files: tuple[str, ...] = ()


class IndexReport(Noun, frozen=True, kw_only=True):
    """A channel that was indexed; `problems` are the packages that were left out, each with the reason."""

    version: int = JSON_VERSION
    channel: str
    subdirs: tuple[IndexedSubdir, ...]
    problems: tuple[ErrorBody, ...] = ()


class BuildReport(Noun, frozen=True, kw_only=True):
    """What a recipe was built into. `replaced` are files of the channel that had the same name before."""

    version: int = JSON_VERSION
    channel: str
    recipe: str
    packages: tuple[BuiltPackage, ...]
    replaced: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    index: IndexReport | None = None
