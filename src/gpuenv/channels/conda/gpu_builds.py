"""Records of conda channels as builds that the rules judge: which are for GPUs, for which CUDA, and what they ask."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec
from packaging.specifiers import SpecifierSet

from gpuenv.artifacts.conda_index import glibc_of, platforms_of
from gpuenv.artifacts.cuda_lines import line_in_build
from gpuenv.artifacts.needs import needs_of
from gpuenv.artifacts.required import parse_match_spec
from gpuenv.channels.catalog import Build
from gpuenv.errors import FormatError
from gpuenv.facts.frameworks import find_framework
from gpuenv.facts.libraries import find_library
from gpuenv.facts.plain_packages import carries_no_gpu_code
from gpuenv.model import Artifact, ArtifactKind, GpuSupport, Jit, Needs, Reading

if TYPE_CHECKING:
    from rattler import RepoDataRecord

__all__ = ["builds_of_records", "gpu_builds", "is_cuda_package", "plain_spec"]

_OF_CUDA = frozenset({"cuda", "cuda-version", "cudatoolkit", "pytorch-cuda", "cudatoolkit-dev", "nvidia-cuda"})
_MARKED = re.compile(
    r"(?<!no)(?<!non)(?<!without)(?<!no[-_])(?<!non[-_])(?<!without[-_])"
    r"(?:(?:^|(?<=[-_.]))(?:gpu|cuda|cu\d{2,3})(?![a-z])|cuda\d|(?<=\d)cu\d{2,3}(?!\d))",
    re.ASCII | re.MULTILINE,
)
_CONDITION = re.compile(r"\[.*\bwhen\s*=", re.DOTALL)
_OTHER_PACKAGES = re.compile(r"hip|hip-.*|rocm|rocm-.*|amdhip.*|rocblas|miopen.*|intel-sycl-rt|dpcpp.*", re.ASCII)
_OTHER_GPU = re.compile(
    r"(?:^|(?<=[-_.]))(?:rocm|hip(?![a-gi-z])|xpu(?![a-z])|sycl|mps(?![a-z]))", re.ASCII | re.MULTILINE
)
_FOR_CPU = re.compile(r"(?:^|[-_.])(?:cpu|mkl|eigen)(?![a-z])|cpu", re.ASCII)
# `_py311h0a1b2c3` in `cuda126_py311h0a1b2c3_200`: of which Python a build is, and its hash.
_OF_PYTHON = re.compile(r"(?:(?:^|_)py\d[\d.]*)?(?:(?<=\d)|_|^)h[0-9a-f]{7}(?=_|$)|(?:^|_)py\d[\d.]*(?=_|$)", re.ASCII)
_WORD = re.compile(r"[\w.-]+", re.ASCII)
_SELECTORS = {"pytorch-mutex": "cuda", "_tflow_select": "gpu"}
"""Packages without files of which one build goes with CPU builds and another with GPU builds."""


@lru_cache(maxsize=1 << 14)
def is_cuda_package(name: str) -> bool:
    """Whether a conda package of this name is CUDA itself, one of its libraries, or stands for a version of it."""
    return name in _OF_CUDA or name.startswith("cuda-") or find_library(name) is not None


def gpu_builds(name: str, records: Sequence[RepoDataRecord]) -> tuple[Build, ...] | None:
    """The records of one package as builds; None where none of them has to do with GPUs by its metadata.

    Beside builds that are marked as such (`__cuda`, `cuda-version`, `cudatoolkit`, a build string such as `cuda126_…`)
    the others count as builds for the CPU.
    """
    if is_cuda_package(name) or _may_be_marked(name, records):
        return builds_of_records(records)
    return None


def _may_be_marked(name: str, records: Sequence[RepoDataRecord]) -> bool:
    """Whether any of the records is marked. A large request meets fifty thousand, most of which ask for the same."""
    depends: set[str] = set()
    for record in records:
        depends.update(record.depends)
    if any(_asks_for_cuda(text) or _selects_gpu(text) or _is_of_others(text) for text in depends):
        return True
    builds = "\n".join(record.file_name[len(name) :].rpartition("-")[2] for record in records).lower()
    return bool(_OTHER_GPU.search(builds)) or (bool(_MARKED.search(builds)) and any(map(_is_marked, records)))


def builds_of_records(records: Iterable[RepoDataRecord]) -> tuple[Build, ...]:
    """The records as builds, whether they have to do with GPUs or not. What is native and not known to carry no GPU
    code is to be looked into.
    """
    # Builds that differ in their Python only ask the same of a machine, and are judged once.
    known: dict[tuple[object, ...], Needs] = {}
    built = (_build(record, known) for record in records)
    return tuple(build for build in built if build is not None)


@lru_cache(maxsize=1 << 16)
def plain_spec(text: str) -> str | None:
    """A requirement of a record as name, version and build between spaces, without the channel; None for what is none.

    A record with such a requirement is one that no solver can take.
    """
    from rattler import MatchSpec
    from rattler.exceptions import InvalidMatchSpecError

    try:
        MatchSpec(text)
    except InvalidMatchSpecError:
        return None
    plain = text.rpartition("::")[2].strip()
    found = _WORD.match(plain)
    return f"{found[0]} {plain[found.end() :].strip()}".strip() if found else None


def _is_marked(record: RepoDataRecord) -> bool:
    build = str(record.build).lower()
    if any(flag.partition(":")[0] == "cuda" for flag in record.flags or ()):
        return True
    depends = record.depends
    if any(_asks_for_cuda(text) or _selects_gpu(text) for text in depends):
        return True
    return bool(_MARKED.search(build)) and not _OTHER_GPU.search(build)


def _selects_gpu(text: str) -> bool:
    words = text.split()
    return _SELECTORS.get(words[0]) == words[-1] if words else False


def _asks_for_cuda(text: str) -> bool:
    name = _first_word(text)
    # What is asked for under a condition is not asked of every machine.
    return (name.startswith("__cuda") or is_cuda_package(name)) and not _CONDITION.search(text)


def _is_of_others(text: str) -> bool:
    return _OTHER_PACKAGES.fullmatch(_first_word(text)) is not None


def _other_vendors(record: RepoDataRecord) -> tuple[str, ...]:
    """Whose GPUs a build is for, where these are not NVIDIA's, by its build string and what it depends on."""
    build = str(record.build).lower()
    if not (_OTHER_GPU.search(build) or any(map(_is_of_others, record.depends))):
        return ()
    return ("SYCL",) if re.search(r"xpu|sycl", build) else ("Metal",) if "mps" in build else ("ROCm",)


def _first_word(text: str) -> str:
    found = _WORD.match(text.rpartition("::")[2])
    return found[0].lower() if found else ""


def _build(record: RepoDataRecord, known: dict[tuple[object, ...], Needs]) -> Build | None:
    name = record.name.normalized
    depends, constrains = [*map(plain_spec, record.depends)], [*map(plain_spec, record.constrains)]
    if None in depends or None in constrains:
        return None
    is_library = is_cuda_package(name) or name in _SELECTORS
    gpu = not is_library and _is_marked(record) and not _is_metapackage(record)
    told = tuple(text for text in record.depends if _asks_for_cuda(text) or text.startswith("__glibc"))
    label = _OF_PYTHON.sub("", str(record.build)).strip("_")
    key = (str(record.version), label, record.subdir, gpu, told, tuple(record.constrains))
    if key not in known:
        known[key] = _needs(record, label, gpu=gpu, is_library=is_library)
    needs = known[key]
    framework = find_framework(name)
    is_plain = name == "python" or carries_no_gpu_code(name)
    may_hold_code = not (gpu or is_library or is_plain or framework) and record.subdir != "noarch"
    return Build(
        project=name,
        version=str(record.version),
        build=str(record.build),
        number=record.build_number,
        gpu=gpu,
        library=is_library,
        needs=needs,
        depends=tuple(text for text in depends if text and not _CONDITION.search(text)),
        constrains=tuple(filter(None, constrains)),
        size_bytes=record.size,
        channel=record.channel,
        record=record,
        look_inside=may_hold_code and not _FOR_CPU.search(str(record.build).lower()),
    )


def _is_metapackage(record: RepoDataRecord) -> bool:
    """Whether a package only pulls in the GPU builds of others, as `tensorflow-gpu` does by `_tflow_select 2.1.0 gpu`:
    nothing but such a choice speaks of a GPU.
    """
    is_named = bool(_MARKED.search(str(record.build).lower()) or record.flags)
    return not is_named and not any(map(_asks_for_cuda, record.depends))


def _needs(record: RepoDataRecord, label: str, *, gpu: bool, is_library: bool) -> Needs:
    artifact = Artifact(
        kind=ArtifactKind.CONDA,
        name=record.name.normalized,
        version=str(record.version),
        build=label,
        platforms=platforms_of(record.subdir),
    )
    glibc = glibc_of(record.depends)
    if not gpu and (not is_library or artifact.name in _SELECTORS):
        framework = find_framework(artifact.name)
        return Needs(
            subject=artifact.subject,
            gpu_support=framework.gpu_support if framework and not _is_marked(record) else GpuSupport.NONE,
            libraries=(),
            platforms=artifact.platforms,
            glibc=glibc,
            other_vendors=_other_vendors(record),
            virtual_packages=dict(_virtual_packages(record.depends)),
            virtual_constraints=dict(_virtual_packages(record.constrains)),
        )
    reading = Reading(
        artifact=artifact, requires=tuple(record.depends), constrains=tuple(record.constrains), complete=False
    )
    needs = needs_of(reading)
    line = line_in_build(artifact.build or "") if needs.cuda is None else None
    return msgspec.structs.replace(
        needs,
        gpu_support=GpuSupport.NONE if is_library else needs.gpu_support,
        uses_gpu=gpu or needs.cuda is not None,
        cuda=line.oldest if line else needs.cuda,
        cuda_newest=line.newest if line else needs.cuda_newest,
        # What its libraries are, other packages say: CUDA's own are held to what their toolkit makes code for.
        libraries=() if is_library or record.subdir == "noarch" else needs.libraries,
        jit=Jit.SASS if is_library else needs.jit,
        # A channel brings what its packages are linked with.
        system_cuda=None,
        pythons=None,
        glibc=glibc,
        virtual_packages=dict(_virtual_packages(record.depends)),
        virtual_constraints=dict(_virtual_packages(record.constrains)),
    )


def _virtual_packages(requirements: Iterable[str]) -> Iterator[tuple[str, str]]:
    for text in requirements:
        if text.startswith(("__cuda", "__cuda_arch")) and not _CONDITION.search(text):
            try:
                required = parse_match_spec(text)
            except FormatError:
                continue
            yield required.name, str(required.specifier or SpecifierSet())
