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
from gpuenv.artifacts.required import is_conditional, parse_match_spec
from gpuenv.channels.catalog import Build
from gpuenv.channels.conda.gpu_marks import (
    asks_for_cuda,
    is_cuda_package,
    is_for_cpu,
    is_marked,
    is_metapackage,
    is_selector,
    may_be_marked,
    other_vendors,
)
from gpuenv.errors import FormatError
from gpuenv.facts.frameworks import find_framework
from gpuenv.facts.plain_packages import carries_no_gpu_code
from gpuenv.model import Artifact, ArtifactKind, GpuSupport, Jit, Needs, Reading

if TYPE_CHECKING:
    from rattler import RepoDataRecord

__all__ = ["builds_of_records", "gpu_builds", "plain_spec"]

# `_py311h0a1b2c3` in `cuda126_py311h0a1b2c3_200`: of which Python a build is, and its hash.
_OF_PYTHON = re.compile(r"(?:(?:^|_)py\d[\d.]*)?(?:(?<=\d)|_|^)h[0-9a-f]{7}(?=_|$)|(?:^|_)py\d[\d.]*(?=_|$)", re.ASCII)
_OF_NUMBER = re.compile(r"_\d+$", re.ASCII)
_WORD = re.compile(r"[\w.-]+", re.ASCII)


def gpu_builds(
    name: str, records: Sequence[RepoDataRecord], stems: Sequence[str] | None = None
) -> tuple[Build, ...] | None:
    """The records of one package as builds; None where none of them has to do with GPUs by its metadata.

    Beside builds that are marked as such (`__cuda`, `cuda-version`, `cudatoolkit`, a build string such as `cuda126_…`)
    the others count as builds for the CPU. `stems` are the records' file names without endings, where they are known.
    """
    if is_cuda_package(name) or may_be_marked(records, stems or [record.file_name for record in records]):
        return builds_of_records(records)
    return None


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


def _build(record: RepoDataRecord, known: dict[tuple[object, ...], Needs]) -> Build | None:
    name = record.name.normalized
    depends, constrains = [*map(plain_spec, record.depends)], [*map(plain_spec, record.constrains)]
    if None in depends or None in constrains:
        return None
    is_library = is_cuda_package(name) or is_selector(record)
    gpu = not is_library and is_marked(record) and not is_metapackage(record)
    told = tuple(text for text in record.depends if asks_for_cuda(text) or text.startswith("__glibc"))
    label = _OF_NUMBER.sub("", _OF_PYTHON.sub("", str(record.build))).strip("_")
    bounds = tuple(text for text in record.constrains if asks_for_cuda(text))
    others = () if gpu or is_library else other_vendors(record)
    version = str(record.version)
    key = (version, label, record.subdir, gpu, is_library, told, bounds, others)
    if key not in known:
        known[key] = _needs(record, label, gpu=gpu, is_library=is_library, others=others)
    needs = known[key]
    framework = find_framework(name)
    is_plain = name == "python" or carries_no_gpu_code(name)
    may_hold_code = not (gpu or is_library or is_plain or framework) and record.subdir != "noarch"
    return Build(
        project=name,
        version=version,
        build=str(record.build),
        number=record.build_number,
        gpu=gpu,
        library=is_library,
        needs=needs,
        depends=tuple(text for text in depends if text and not is_conditional(text)),
        constrains=tuple(filter(None, constrains)),
        size_bytes=record.size,
        channel=record.channel,
        record=record,
        look_inside=may_hold_code and not is_for_cpu(str(record.build)),
    )


def _needs(record: RepoDataRecord, label: str, *, gpu: bool, is_library: bool, others: tuple[str, ...]) -> Needs:
    artifact = Artifact(
        kind=ArtifactKind.CONDA,
        name=record.name.normalized,
        version=str(record.version),
        build=label,
        platforms=platforms_of(record.subdir),
    )
    glibc = glibc_of(record.depends)
    if not gpu and (not is_library or is_selector(record)):
        framework = find_framework(artifact.name)
        return Needs(
            subject=artifact.subject,
            gpu_support=framework.gpu_support if framework and not is_marked(record) else GpuSupport.NONE,
            libraries=(),
            platforms=artifact.platforms,
            glibc=glibc,
            other_vendors=others,
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
        if text.startswith("__cuda") and not is_conditional(text):
            try:
                required = parse_match_spec(text)
            except FormatError:
                continue
            yield required.name, str(required.specifier or SpecifierSet())
