"""What a record says about GPUs: its bounds on `__cuda` and `__cuda_arch`, requirements on CUDA, its build string."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from gpuenv.artifacts.cuda_lines import CudaLine, conda_cuda_line, line_in_build
from gpuenv.artifacts.required import Required, parse_match_spec
from gpuenv.audits.repodata import Record
from gpuenv.errors import FormatError
from gpuenv.facts.libraries import find_library

if TYPE_CHECKING:
    from rattler import MatchSpec

__all__ = [
    "BuildKind",
    "admits",
    "bounds_on",
    "brings_cuda",
    "build_kind",
    "cuda_requirements",
    "is_on_gpu_build",
    "is_satisfied_by",
    "name_of",
    "said_lines",
    "says_gpu",
]

_NAME = re.compile(r"(?:[^\s\[\]]*::)?([\w.-]+)", re.ASCII)
_OF_CUDA = frozenset({"cuda", "cuda-version", "cudatoolkit", "pytorch-cuda", "cudatoolkit-dev", "nvidia-cuda"})
# Of these packages without files one build goes with GPU builds.
_SELECTORS = {"pytorch-mutex": "cuda", "_tflow_select": "gpu"}
_FOR_GPU = re.compile(r"(?:^|[-_.])(?:gpu|cuda|cu\d{2,3})(?![a-z])|cuda\d", re.ASCII)
_FOR_CPU = re.compile(r"(?:^|[-_.])(?:cpu|nocuda|cpuonly|mkl|eigen)(?![a-z])|cpu(?:_|only|$)", re.ASCII)
_FOR_OTHERS = re.compile(r"rocm|hip(?=\d|_|$)|xpu|sycl|metal|mps", re.ASCII)


@dataclass(frozen=True, slots=True)
class BuildKind:
    """What a record calls itself: for the GPU, for the CPU, or neither; and by which words."""

    gpu: bool = False
    cpu: bool = False
    words: str = ""


def name_of(spec: str) -> str:
    """The name of the package that a MatchSpec is on, empty for what is none."""
    found = _NAME.match(spec.strip())
    return found[1].lower() if found else ""


@lru_cache(maxsize=1 << 14)
def _parsed(spec: str) -> MatchSpec | None:
    """A MatchSpec as clients read it, None for one that they refuse."""
    from rattler import MatchSpec

    try:
        return MatchSpec(spec)
    except Exception:  # noqa: BLE001  (rattler has an exception for each way of being wrong)
        return None


def admits(specs: Sequence[str], version: str) -> bool:
    """Whether a virtual package of this version satisfies all of the specs; one that nobody can read bounds nothing."""
    return all(_admits(spec, version) for spec in specs)


@lru_cache(maxsize=1 << 16)
def _admits(spec: str, version: str) -> bool:
    return is_satisfied_by(spec, name=name_of(spec), version=version, build="0", number=0)


def is_satisfied_by(spec: str, *, name: str, version: str, build: str, number: int) -> bool:
    """Whether a package of these words satisfies a MatchSpec; one that nobody can read is satisfied by any."""
    from rattler import PackageRecord, VersionWithSource
    from rattler.package import BuildString

    parsed = _parsed(spec)
    if parsed is None:
        return True
    try:
        record = PackageRecord(name, VersionWithSource(version), BuildString(build), number, "noarch")
    except Exception:  # noqa: BLE001  (as above; a version that is none)
        return False
    return bool(parsed.matches(record))


def bounds_on(name: str, specs: Iterable[str]) -> tuple[str, ...]:
    """The specs on one virtual package."""
    return tuple(spec for spec in specs if name_of(spec) == name)


def brings_cuda(spec: str) -> bool:
    """Whether a requirement is on CUDA: on one of NVIDIA's packages, or on the GPU build of a package that selects."""
    name = name_of(spec)
    words = spec.split()
    selects = _SELECTORS.get(name)
    if selects:
        return len(words) > 2 and selects in words[-1]
    return name in _OF_CUDA or name.startswith("cuda-") or find_library(name) is not None


def says_gpu(record: Record) -> bool:
    """Whether anything but the build string says that a package is for machines with a GPU of NVIDIA's."""
    specs = (*record.depends, *record.constrains)
    is_flagged = any(flag.partition(":")[0] in {"cuda", "gpu"} for flag in record.flags)
    return is_flagged or any(name_of(spec) in {"__cuda", "__cuda_arch"} or brings_cuda(spec) for spec in specs)


def build_kind(record: Record) -> BuildKind:
    """By the build string, and by flags (CEP 45)."""
    build = record.build.lower()
    flags = {flag.partition(":")[0] for flag in record.flags}
    gpu = _FOR_GPU.search(build)
    if "cuda" in flags or (gpu and not _FOR_OTHERS.search(build)):
        return BuildKind(gpu=True, words=gpu[0].strip("-_.") if gpu else "the flag cuda")
    cpu = _FOR_CPU.search(build)
    if "cpu" in flags or cpu:
        return BuildKind(cpu=True, words=cpu[0].strip("-_.") if cpu else "the flag cpu")
    return BuildKind()


def is_on_gpu_build(spec: str) -> bool:
    """Whether a requirement is on builds for the GPU of another package, by a build string: `libvectors * cuda*`."""
    words = spec.split()
    return len(words) > 2 and not brings_cuda(spec) and _FOR_GPU.search(words[2].lower()) is not None


def cuda_requirements(record: Record) -> Iterator[str]:
    """The requirements on packages that may bound `__cuda` themselves."""
    for spec in record.depends:
        if name_of(spec) in {"cuda-version", "cudatoolkit", "pytorch-cuda", "cuda-runtime", "cuda-toolkit"}:
            yield spec


def said_lines(record: Record) -> Iterator[tuple[CudaLine, str]]:
    """The CUDA lines that a record tells, each with what tells it."""
    if line := line_in_build(record.build):
        yield line, f"the build string {record.build}"
    if told := conda_cuda_line(_required(record.depends)):
        spec = next(spec for spec in record.depends if name_of(spec) == told[1])
        yield told[0], spec
    if told := conda_cuda_line(_required(record.constrains)):
        spec = next(spec for spec in record.constrains if name_of(spec) == told[1])
        yield told[0], f"{spec} (constrains)"


def _required(specs: Iterable[str]) -> Iterator[Required]:
    for spec in specs:
        try:
            yield parse_match_spec(spec)
        except FormatError:
            continue
