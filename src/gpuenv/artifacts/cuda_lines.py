"""The CUDA line of a build: the oldest and the newest CUDA that it can be used with, by whatever tells it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from packaging.specifiers import SpecifierSet

from gpuenv.artifacts.required import Required
from gpuenv.binaries.cuda_names import cuda_library
from gpuenv.facts.toolkits import load_toolkits
from gpuenv.versions import CudaVersion

__all__ = [
    "NVIDIA_PREFIXES",
    "CudaLine",
    "conda_cuda_line",
    "cuda_in_text",
    "cuda_line",
    "exact_line",
    "is_runtime",
    "line_from_text",
    "line_in_build",
    "line_in_name",
    "line_of_file",
    "newest_minor",
    "runtime_line",
]

NVIDIA_PREFIXES = ("nvidia-", "cuda-")
"""How the names of NVIDIA's own wheels begin."""

_OF_RUNTIME = re.compile(r"nvidia-cuda-runtime(?:-cu(?P<major>\d+))?|cuda-toolkit")
# NVRTC is numbered like the runtime, and a requirement on it tells as much.
_OF_CUDA = re.compile(r"nvidia-cuda-(?:runtime|nvrtc)(?:-cu(?P<major>\d+))?|cuda-toolkit")
_OF_MAJOR = re.compile(r"nvidia-[a-z-]+-cu(?P<major>\d{2})|cupy-cuda(?P<cupy>\d{2})x|jax-cuda(?P<jax>\d{2})-plugin")
# Conda packages whose version is a CUDA version, the most exact first.
_CONDA_OF_CUDA = ("cuda-version", "cudatoolkit", "cuda-cudart", "cuda-toolkit", "pytorch-cuda", "cuda-nvrtc")
# `cu126`, `cuda12x`, `cuda-12.4`, `_cuda117`; not the `cu` of `cublas` nor a longer number.
_IN_NAME = re.compile(r"(?:^|(?<=[-_.+/])|(?<=lib))cu(?:da)?[-_]?(?P<digits>\d{1,2}\.\d|\d{2,3})x?(?![\d.]\d|[a-z0-9])")
# Build strings run on without a sign between: `cuda112py39h…`, `py3.10_cuda12.1_cudnn8`, `gpu_cuda118…`.
_IN_BUILD = re.compile(r"(?:^|[^a-z])cu(?:da)?_?(?P<digits>\d{1,2}\.\d|\d{2,3})(?!\d)")
_WITH_MKL = re.compile(r"(?<=\d)mkl\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class CudaLine:
    """The CUDA runtimes that a build can be used with, `oldest` to `newest` (the same when it is pinned)."""

    oldest: CudaVersion
    newest: CudaVersion

    @property
    def label(self) -> str:
        """As build strings write it: `128` for CUDA 12.8, `12` for any of 12."""
        return f"{self.oldest.major}{self.oldest.minor}" if self.oldest == self.newest else str(self.oldest.major)

    @property
    def conda_spec(self) -> str:
        """As a version spec for `cuda-version`."""
        if self.oldest == self.newest:
            return f"{self.oldest}.*"
        return f">={self.oldest},<{self.newest.major + 1}"

    @property
    def is_exact(self) -> bool:
        """Whether it is one CUDA version."""
        return self.oldest == self.newest

    def __str__(self) -> str:
        return str(self.oldest) if self.is_exact else f"{self.oldest} to {self.newest}"


def is_runtime(wheel: str) -> bool:
    """Whether the version of this wheel is a CUDA version."""
    return _OF_RUNTIME.fullmatch(wheel) is not None


@cache
def newest_minor(major: int) -> CudaVersion:
    """The newest toolkit of a CUDA major that is known."""
    known = [toolkit.version for toolkit in load_toolkits() if toolkit.version.major == major]
    return max(known, default=CudaVersion(f"{major}.9"))


def exact_line(cuda: CudaVersion) -> CudaLine:
    """The line of that one CUDA."""
    return CudaLine(oldest=cuda, newest=cuda)


def line_from_text(text: str) -> CudaLine:
    """The line that a catalog file writes: `12` for any of 12, `11.2` for that one."""
    if "." in text:
        return exact_line(CudaVersion(text))
    return _from(CudaVersion(f"{text}.0"))


def _from(oldest: CudaVersion) -> CudaLine:
    return CudaLine(oldest=oldest, newest=max(oldest, newest_minor(oldest.major)))


def cuda_line(requirements: Iterable[Required]) -> CudaLine | None:
    """The CUDA line that requirements on NVIDIA's libraries amount to; None where they name none."""
    majors: list[int] = []
    for requirement in requirements:
        runtime = _OF_RUNTIME.fullmatch(requirement.name)
        if runtime and (line := _line_of_specifier(requirement.specifier, runtime["major"])):
            return line
        of_major = _OF_MAJOR.fullmatch(requirement.name)
        if of_major:
            majors.append(int(of_major["major"] or of_major["cupy"] or of_major["jax"]))
    return line_from_text(str(max(majors))) if majors else None


def runtime_line(requirement: Required) -> CudaLine | None:
    """The CUDA line that bounds on the CUDA runtime, NVRTC or the whole toolkit amount to; None for another wheel."""
    found = _OF_CUDA.fullmatch(requirement.name)
    return _line_of_specifier(requirement.specifier, found["major"]) if found else None


def _line_of_specifier(specifier: SpecifierSet, major: str | None) -> CudaLine | None:
    floors = [one.version for one in specifier if one.operator in {"==", ">=", "~="}]
    if not floors:
        return line_from_text(major) if major else None
    numbers = re.findall(r"\d+", floors[0])
    if not numbers or len(numbers[0]) > 2 or len("".join(numbers[1:2])) > 2:
        return None
    if any(one.operator == "==" for one in specifier) and len(numbers) > 1:
        return exact_line(CudaVersion(f"{numbers[0]}.{numbers[1]}"))
    return _from(CudaVersion(f"{numbers[0]}.{numbers[1] if len(numbers) > 1 else 0}"))


def conda_cuda_line(requirements: Iterable[Required]) -> tuple[CudaLine, str] | None:
    """The CUDA line that conda requirements amount to, and the package whose bounds tell it."""
    by_name = {requirement.name: requirement for requirement in requirements}
    for name in _CONDA_OF_CUDA:
        requirement = by_name.get(name)
        line = _line_of_specifier(requirement.specifier, None) if requirement else None
        if requirement and line:
            return _bounded(line, requirement.specifier), name
    return None


def _bounded(line: CudaLine, specifier: SpecifierSet) -> CudaLine:
    """The line without toolkits that an upper bound leaves out."""
    known = [toolkit.version for toolkit in load_toolkits() if line.oldest <= toolkit.version <= line.newest]
    # A bound such as >=12.6.77 admits 12.6, of which a later patch exists.
    admitted = [version for version in known if specifier.contains(f"{version}.999")]
    return CudaLine(oldest=line.oldest, newest=max(admitted)) if admitted else line


def line_in_name(name: str) -> CudaLine | None:
    """The line that a name of a wheel, build or library tells: `cu12` is all of CUDA 12, `cu126` 12.6; None for none.

    Of several (`cuda12x`, `cu126`) the most exact counts.
    """
    found = [match["digits"] for match in _IN_NAME.finditer(_WITH_MKL.sub("", name.lower()))]
    lines = [line for digits in found if (line := _line_of_digits(digits))]
    return min(lines, key=lambda line: not line.is_exact, default=None)


def line_in_build(build: str) -> CudaLine | None:
    """The line that a conda build string tells (`cuda126_py311h…` is 12.6); None for none."""
    found = _IN_BUILD.search(build.lower())
    return _line_of_digits(found["digits"]) if found else None


def cuda_in_text(text: str) -> list[tuple[int, int]]:
    """Where the numbers stand in a path that a CUDA version is written with."""
    return [match.span("digits") for match in _IN_NAME.finditer(text.lower())]


def _line_of_digits(digits: str) -> CudaLine | None:
    if "." in digits:
        return exact_line(CudaVersion(digits))
    if len(digits) == 3:
        return exact_line(CudaVersion(f"{digits[:2]}.{digits[2]}")) if digits[0] in "12" else None
    if digits >= "50":
        return exact_line(CudaVersion(f"{digits[0]}.{digits[1]}"))
    return line_from_text(digits) if "10" <= digits < "40" else None


def line_of_file(file: str) -> CudaLine | None:
    """The line that a file asks for when it is linked with a CUDA library of this name; None where that tells none.

    `libcudart.so.12` is any of 12, `libcudart.so.11.0` any of 11 (minor version compatibility begins there),
    `libcudart.so.10.2` that one. Most other libraries are numbered on their own.
    """
    library = cuda_library(file)
    if library is None or library.version is None:
        return None
    numbers = library.version.split(".")
    # Longer ones are of no CUDA that there is.
    if max(map(len, numbers[:2])) > 2:
        return None
    name = library.name.lower()
    if name in {"cudart", "nvrtc"} and len(numbers) > 1:
        cuda = CudaVersion(f"{numbers[0]}.{numbers[1]}")
        # The name of NVRTC changed with every version up to 11.2 and stayed from there on.
        moves = cuda.major >= 11 and (name == "cudart" or cuda.minor >= 2)
        return _from(cuda) if moves else exact_line(cuda)
    counts_by_major = {"cudart": 11, "nvrtc": 12, "cublas": 10, "cublaslt": 10, "nvjitlink": 12, "nvblas": 10}
    if int(numbers[0]) >= counts_by_major.get(name, 99) and len(numbers[0]) == 2:
        return line_from_text(numbers[0])
    return None
