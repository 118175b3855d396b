"""What in a conda record shows that it has to do with GPUs: its requirements, its build string, its flags."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from gpuenv.artifacts.required import is_conditional
from gpuenv.facts.libraries import find_library

if TYPE_CHECKING:
    from rattler import RepoDataRecord

__all__ = [
    "asks_for_cuda",
    "is_cuda_package",
    "is_for_cpu",
    "is_marked",
    "is_metapackage",
    "is_selector",
    "may_be_marked",
    "other_vendors",
]

_OF_CUDA = frozenset({"cuda", "cuda-version", "cudatoolkit", "pytorch-cuda", "cudatoolkit-dev", "nvidia-cuda"})
_MARKED = re.compile(
    r"(?<!no)(?<!non)(?<!without)(?<!no[-_])(?<!non[-_])(?<!without[-_])"
    r"(?:(?:^|(?<=[-_.]))(?:gpu|cuda|cu\d{2,3})(?![a-z])|cuda\d|(?<=\d)cu\d{2,3}(?!\d))",
    re.ASCII | re.MULTILINE,
)
_OTHER_PACKAGES = re.compile(r"hip|hip-.*|rocm|rocm-.*|amdhip.*|rocblas|miopen.*|intel-sycl-rt|dpcpp.*", re.ASCII)
_OTHER_GPU = re.compile(
    r"(?:^|(?<=[-_.]))(?:rocm|hip(?![a-gi-z])|xpu(?![a-z])|sycl|mps(?![a-z]))", re.ASCII | re.MULTILINE
)
_OTHER_WORDS = ("rocm", "hip", "xpu", "sycl", "mps")
_FOR_CPU = re.compile(r"(?:^|[-_.])(?:cpu|mkl|eigen)(?![a-z])|cpu", re.ASCII)
_WORD = re.compile(r"[\w.-]+", re.ASCII)
_SELECTING = frozenset({"cuda", "gpu"})
_SELECTORS = _SELECTING | {"cpu", "mkl", "eigen"}
"""Builds of packages without files, of which one goes with CPU builds and another with GPU builds of something else:
`pytorch-mutex 1.0 cuda`, `_tflow_select 2.1.0 gpu`.
"""
_SMALL = 1 << 16


@lru_cache(maxsize=1 << 14)
def is_cuda_package(name: str) -> bool:
    """Whether a conda package of this name is CUDA itself, one of its libraries, or stands for a version of it."""
    return name in _OF_CUDA or name.startswith("cuda-") or find_library(name) is not None


def is_selector(record: RepoDataRecord) -> bool:
    """Whether a package only keeps CPU and GPU builds of others apart: it is small, and its build is a bare word."""
    return str(record.build) in _SELECTORS and (record.size is None or record.size < _SMALL)


def is_for_cpu(build: str) -> bool:
    """Whether a build string says that the build is for the CPU."""
    return _FOR_CPU.search(build.lower()) is not None


def may_be_marked(records: Sequence[RepoDataRecord], stems: Sequence[str]) -> bool:
    """Whether any of the records is marked, or for other GPUs. `stems` are their file names without endings.

    A large request meets sixty thousand records, most of which ask for the same.
    """
    depends: set[str] = set()
    for record in records:
        depends.update(record.depends)
    if any(asks_for_cuda(text) or _selects_gpu(text) or _is_of_others(text) for text in depends):
        return True
    builds = "\n".join(stem.rpartition("-")[2] for stem in stems).lower()
    # Most build strings have none of these letters in a row; the patterns take longer.
    if any(word in builds for word in _OTHER_WORDS) and _OTHER_GPU.search(builds):
        return True
    return ("cu" in builds or "gpu" in builds) and bool(_MARKED.search(builds)) and any(map(is_marked, records))


def is_marked(record: RepoDataRecord) -> bool:
    """Whether a record says that it is for NVIDIA's GPUs, or chooses such a build of another package."""
    build = str(record.build).lower()
    if any(flag.partition(":")[0] == "cuda" for flag in record.flags or ()):
        return True
    depends = record.depends
    if any(asks_for_cuda(text) or _selects_gpu(text) for text in depends):
        return True
    return bool(_MARKED.search(build)) and not _OTHER_GPU.search(build)


def _selects_gpu(text: str) -> bool:
    words = text.split()
    return len(words) == 3 and words[2] in _SELECTING


@lru_cache(maxsize=1 << 16)
def asks_for_cuda(text: str) -> bool:
    """Whether a requirement is one on CUDA, one of its libraries, or the driver, whatever the machine."""
    name = _first_word(text)
    return (name.startswith("__cuda") or is_cuda_package(name)) and not is_conditional(text)


@lru_cache(maxsize=1 << 16)
def _is_of_others(text: str) -> bool:
    return _OTHER_PACKAGES.fullmatch(_first_word(text)) is not None


def other_vendors(record: RepoDataRecord) -> tuple[str, ...]:
    """Whose GPUs a build is for, where these are not NVIDIA's, by its build string and what it depends on."""
    build = str(record.build).lower()
    if not (_OTHER_GPU.search(build) or any(map(_is_of_others, record.depends))):
        return ()
    return ("SYCL",) if re.search(r"xpu|sycl", build) else ("Metal",) if "mps" in build else ("ROCm",)


def _first_word(text: str) -> str:
    found = _WORD.match(text.rpartition("::")[2])
    return found[0].lower() if found else ""


def is_metapackage(record: RepoDataRecord) -> bool:
    """Whether a package only pulls in the GPU builds of others, as `tensorflow-gpu` does by `_tflow_select 2.1.0 gpu`:
    nothing but such a choice speaks of a GPU.
    """
    is_named = bool(_MARKED.search(str(record.build).lower()) or record.flags)
    return not is_named and not any(map(asks_for_cuda, record.depends))
