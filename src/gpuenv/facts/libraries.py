"""NVIDIA's own libraries: which package holds which, how they are numbered, which GPUs they are documented for, and
which of them choose among their units when they run. The data is `libraries.toml`.
"""

from __future__ import annotations

import re
import tomllib
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from pathlib import Path

from gpuenv.facts.architectures import load_capabilities
from gpuenv.model import Noun, from_builtins
from gpuenv.versions import ComputeCapability, CudaVersion

__all__ = [
    "Library",
    "documented_lowest",
    "find_library",
    "holds",
    "is_instrument",
    "library_cuda",
    "library_sources",
    "load_libraries",
    "lowest_of_toolkit",
    "selects_at_run_time",
    "wheel_with",
]

# Source: units of cuBLAS 12.8, cuFFT and cuDNN 9.10 counted per generation (2026-11-24): cuFFT has 23,532 units of
# breadth 1, cuBLASLt covers 7.5 with a twentieth of its units, and both run there.
_SELECTING = re.compile(
    r"(?:lib)?(?:cublas|cublasLt|cudnn\w*|cufft\w*|curand|cusolver\w*|cusparse|cusparseLt|npp\w+|nvjpeg|cutensor\w*)"
    r"(?:64_\d+)?(?:[-.][0-9a-f]{8})?(?:\.so[.\d]*|\.dll)"
)
# Profiling and checkpointing libraries of the toolkit's `extras/CUPTI`: a package that brings them along computes
# without them (names: the toolkit's own directory; their kernels seen in triton 3.9.0, 2026-11-24).
_INSTRUMENT = re.compile(
    r"(?:lib)?(?:cupti|checkpoint|nvperf_host|nvperf_target|pcsamplingutil)(?:64_[\d.]+|_static)?"
    r"(?:[-.][0-9a-f]{8})?(?:\.so[.\d]*|\.dll|\.a|\.lib)"
)
# From CUDA 13 on the wheels of the toolkit's libraries are named without it.
_LAST_SUFFIXED = 12
_SUFFIX = re.compile(r"-cu(?P<major>\d{2})\b")


class Library(Noun, frozen=True, kw_only=True):
    """One library, or a set that is published together; fields as `libraries.toml` explains them."""

    wheels: tuple[str, ...]
    conda: tuple[str, ...]
    holds: tuple[str, ...]
    toolkit: bool = False
    keeps_suffix: bool = False
    numbered_by_cuda_from: int | None = None
    numbered_by_cuda_to: int = 99
    source: tuple[str, ...]

    def is_numbered_by(self, major: int) -> bool:
        """Whether builds for this CUDA major have the CUDA version in their own."""
        first = self.numbered_by_cuda_from
        return first is not None and first <= major <= self.numbered_by_cuda_to


class _Range(Noun, frozen=True, kw_only=True):
    library: str
    versions: str
    cuda: tuple[int, ...] = ()
    lowest: ComputeCapability
    source: tuple[str, ...]


class _Table(Noun, frozen=True, kw_only=True):
    checked: str
    sources: dict[str, str]
    library: tuple[Library, ...]
    range: tuple[_Range, ...]


@cache
def _table() -> _Table:
    text = (Path(__file__).parent / "libraries.toml").read_text("utf-8")
    return from_builtins(tomllib.loads(text), _Table)


def library_sources() -> dict[str, str]:
    """What the keys in `source` stand for."""
    return dict(_table().sources)


def load_libraries() -> tuple[Library, ...]:
    """All rows, in the order of the table."""
    return _table().library


@cache
def _by_package() -> dict[str, Library]:
    rows = load_libraries()
    return {_plain(name): row for row in rows for name in (*row.conda, *row.wheels)}


@lru_cache(maxsize=1 << 14)
def find_library(package: str) -> Library | None:
    """The library that a wheel (`nvidia-cublas-cu12`, `tensorrt-cu13-libs`) or a conda package (`libcublas`) of this
    name holds; None for any other package.
    """
    return _by_package().get(_SUFFIX.sub("", _plain(package)))


def _plain(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


def holds(row: Library, library: str) -> bool:
    """Whether a package of this row brings a library (`cublasLt`, as `binaries.cuda_library` names it)."""
    return any(fnmatchcase(library.lower(), pattern.lower()) for pattern in row.holds)


def find_holder(library: str) -> Library | None:
    """The package that holds a library (`cublasLt`) and not all of the toolkit; None where there is none."""
    return next((row for row in load_libraries() if "*" not in row.holds and holds(row, library)), None)


def wheel_with(library: str, cuda_major: int) -> str | None:
    """The wheel of NVIDIA's that holds a library (`cublasLt`) for a CUDA major: `nvidia-cublas-cu12`; None for one
    that is in none of them.
    """
    row = find_holder(library)
    if row is None or not row.wheels:
        return None
    return f"{row.wheels[0]}-cu{cuda_major}" if cuda_major <= _LAST_SUFFIXED or row.keeps_suffix else row.wheels[0]


def library_cuda(package: str, version: str | None) -> tuple[int, CudaVersion | None] | None:
    """The CUDA major that a package of NVIDIA's libraries belongs to, and the exact CUDA where its own number says
    so: `nvidia-cuda-nvrtc-cu12` 12.8.93 gives 12 and 12.8. None where neither name nor number tells.
    """
    row = find_library(package)
    if row is None:
        return None
    suffix = _SUFFIX.search(_plain(package))
    numbers = re.match(r"(\d{1,2})\.(\d{1,2})(?!\d)", version or "")
    if numbers and row.is_numbered_by(int(numbers[1])):
        exact = CudaVersion(f"{numbers[1]}.{numbers[2]}")
        if suffix is None or int(suffix["major"]) == exact.major:
            return exact.major, exact
    if suffix:
        return int(suffix["major"]), None
    unsuffixed = row.toolkit and _plain(package) in row.wheels and _plain(package) not in row.conda
    return (13, None) if unsuffixed else None


def lowest_of_toolkit(major: int) -> ComputeCapability | None:
    """The lowest compute capability that toolkits of a CUDA major make code for; None for majors not known."""
    served = (
        row.capability
        for row in load_capabilities()
        if row.first_cuda.major <= major and (row.last_cuda is None or row.last_cuda.major >= major)
    )
    newest = max(row.first_cuda.major for row in load_capabilities())
    return min(served, default=None) if major <= newest else None


def documented_lowest(package: str, version: str | None) -> ComputeCapability | None:
    """The lowest compute capability that NVIDIA documents for one of its libraries, by the name of the wheel or conda
    package that holds it and its version; None where the documents that were read say nothing.
    """
    row, line = find_library(package), library_cuda(package, version)
    if row is None:
        return None
    if row.toolkit:
        return lowest_of_toolkit(line[0]) if line else None
    major = line[0] if line else None
    for one in _table().range:
        if one.library in row.wheels and (not one.cuda or major in one.cuda) and _admits(one.versions, version):
            return one.lowest
    return None


def _admits(versions: str, version: str | None) -> bool:
    from packaging.specifiers import SpecifierSet
    from packaging.version import InvalidVersion

    if not versions:
        return True
    try:
        return version is not None and SpecifierSet(versions).contains(version, prereleases=True)
    except InvalidVersion:
        return False


def selects_at_run_time(library: str) -> bool:
    """Whether any unit that runs counts for a library of this file name (`libcublasLt.so.12`)."""
    return _SELECTING.fullmatch(library.rpartition("/")[2]) is not None


def is_instrument(file: str) -> bool:
    """Whether a file of this name is for profiling or checkpointing programs and not for computing."""
    return _INSTRUMENT.fullmatch(file.rpartition("/")[2]) is not None
