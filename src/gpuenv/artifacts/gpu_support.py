"""How a package uses a GPU, and what says so: its code and links, its requirements, its imports, its name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gpuenv.artifacts.carried_code import CarriedCode
from gpuenv.artifacts.cuda_lines import line_in_build, line_in_name
from gpuenv.artifacts.native_files import file_name
from gpuenv.artifacts.passing_through import MOST_SAID, NAMES_A_GPU, find_through, is_through
from gpuenv.artifacts.sorted_reading import (
    DRIVER,
    MANAGEMENT,
    METADATA,
    Asked,
    SortedReading,
    canonical,
    is_compiler,
    is_other_program,
    known_library,
)
from gpuenv.binaries.cuda_names import jit_compilers
from gpuenv.facts.libraries import find_library
from gpuenv.model import ArtifactKind, Evidence, GpuSupport, Jit, NativeFile

__all__ = [
    "OPENCL",
    "GpuUse",
    "handed_over",
    "is_linked_with_opencl",
    "judge_gpu_use",
    "run_time_compilers",
]

OPENCL = "OpenCL"
"""What code for GPUs through OpenCL is called: any maker's GPU may run it, and no rule judges that."""

_OF_OPENCL = re.compile(r"libOpenCL\b.*|OpenCL(?:-[0-9a-f]{8,32})?\.dll", re.IGNORECASE)
_OTHER_BUILD = re.compile(r"(?:^|[-_.+])(?P<rocm>rocm|hip(?=[-_.\d]|$))|(?:^|[-_.+])(?P<sycl>xpu|sycl|dpcpp)")


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuUse:
    """The class of GPU support, whether this very build computes on NVIDIA's GPUs, and the evidence for both.

    `other_vendors` are those whose GPUs the build as a whole is made for, by its name or requirements.
    """

    support: GpuSupport
    uses_gpu: bool
    other_vendors: tuple[str, ...]
    evidence: tuple[Evidence, ...]


def judge_gpu_use(seen: SortedReading, code: CarriedCode) -> GpuUse:
    """What a reading amounts to; see `model.GpuSupport` for the classes."""
    own = (*_own_use(seen),)
    vendors = _built_for_others(seen)
    row, named = seen.framework, (*_named_as_gpu_build(seen),)
    if (
        not own
        and not code.is_there
        and code.libraries is None
        and (named or (row and row.gpu_support is not GpuSupport.THROUGH))
    ):
        # What is known as a GPU package and could not be read is not taken for a CPU build.
        own = (Evidence(what="known package, not read", value=seen.artifact.name, source="table of GPU packages"),)
    if own or code.is_there:
        support = row.gpu_support if row else GpuSupport.COMPILE_TIME if named else GpuSupport.RUN_TIME
        return GpuUse(support=support, uses_gpu=True, other_vendors=vendors, evidence=(*own, *named))
    if vendors:
        support = row.gpu_support if row else GpuSupport.COMPILE_TIME
        return GpuUse(support=support, uses_gpu=False, other_vendors=vendors, evidence=named)
    if row and not seen.loaded:
        known = Evidence(what="known package", value=seen.artifact.name, source="table of GPU packages")
        return GpuUse(
            support=row.gpu_support,
            uses_gpu=False,
            other_vendors=(),
            evidence=(known, *find_through(seen, strict=False)),
        )
    through = (*find_through(seen, strict=bool(seen.loaded)),)
    if opencl := (*_opencl(seen),):
        return GpuUse(support=GpuSupport.RUN_TIME, uses_gpu=False, other_vendors=vendors, evidence=(*opencl, *through))
    support = GpuSupport.THROUGH if through else GpuSupport.NONE
    said = (*through, *(() if through else _mentions(seen)))
    return GpuUse(support=support, uses_gpu=False, other_vendors=(), evidence=said)


def run_time_compilers(file: NativeFile) -> tuple[str, ...]:
    """The run-time compilers that a file is linked with or calls; one that it only names is not among them."""
    opened = tuple(library for one in file.opened if (library := known_library(one)))
    named = jit_compilers(opened, (), file.tools)
    return tuple(one for one in file.jit if one not in named or (file.hands_over and one not in file.tools))


def _own_use(seen: SortedReading) -> Iterator[Evidence]:
    """What beside GPU code in it shows that the package itself computes on an NVIDIA GPU."""
    name = seen.artifact.name
    if seen.library:
        yield Evidence(what="NVIDIA's own library", value=name, source="table of NVIDIA's libraries")
    # What works through another package needs none of them: Chainer's are of a part that is built on demand.
    if seen.reading.cuda_sources and not is_through(seen.framework):
        value = f"{seen.reading.cuda_sources} files, of which the code depends on how it is built"
        yield Evidence(what="CUDA sources", value=value, source=seen.artifact.filename or name)
    yield from _links(seen)
    for file in seen.loaded:
        yield from _compiles_or_calls(file)
    yield from _brings_compiler(seen)
    yield from _required_libraries(seen.always_asked)
    if seen.framework and (seen.framework.jit or seen.framework.opens_driver):
        what = "compiles kernels when it runs" if seen.framework.jit else "opens the driver when it runs"
        yield Evidence(what=what, value=name, source="table of GPU packages")


def _links(seen: SortedReading) -> Iterator[Evidence]:
    """The CUDA libraries that its files are linked with, each once."""
    users: dict[str, list[str]] = {}
    for file, library in seen.linked():
        if library.name.lower() not in MANAGEMENT:
            users.setdefault(library.file, []).append(file.path)
    for library_file, paths in sorted(users.items()):
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        yield Evidence(what="linked with", value=library_file, source=paths[0] + more)


def _compiles_or_calls(file: NativeFile) -> Iterator[Evidence]:
    if file.static_runtime:
        value = str(file.static_runtime_version or "version unknown")
        yield Evidence(what="CUDA runtime linked in", value=value, source=file.path)
    if compilers := run_time_compilers(file):
        yield Evidence(what="run-time compiler", value=", ".join(compilers), source=file.path)
    opened = {library.name.lower() for one in file.opened if (library := known_library(one))}
    # The driver's name alone is in many files; together with a compiler for its GPUs it is there to be used.
    named = [one for one in file.jit if one not in run_time_compilers(file)]
    if opened & DRIVER and named:
        value = f"opens the driver, and names {', '.join(named)}"
        yield Evidence(what="run-time compiler", value=value, source=file.path)


def _brings_compiler(seen: SortedReading) -> Iterator[Evidence]:
    """A compiler of NVIDIA's in the package that a library of it names, to have it compile for a GPU."""
    compilers = [file for file in seen.loaded if is_compiler(file)]
    for file in seen.loaded:
        if file.jit and compilers and file not in compilers and not is_other_program(file):
            value = f"{', '.join(file.jit)}, and brings {file_name(compilers[0].path)}"
            yield Evidence(what="run-time compiler", value=value, source=file.path)


def _required_libraries(asked: Iterable[Asked]) -> Iterator[Evidence]:
    for one in asked:
        # Packages of NVIDIA's that hold no library (tools, bindings) are not in the table.
        if find_library(one.name) or one.name in {"cuda-version", "-cuda"}:
            yield Evidence(what="requires", value=one.text, source=METADATA)


def _named_as_gpu_build(seen: SortedReading) -> Iterator[Evidence]:
    """What of its own name or build says that it is one of several builds, for a GPU."""
    artifact = seen.artifact
    if artifact.kind is ArtifactKind.FILE or seen.library:
        return
    name = canonical(artifact.name)
    local = (artifact.version or "").partition("+")[2]
    for what, text in (("name", name), ("local version", local), ("build", artifact.build or "")):
        built = what != "name" and (text.startswith(("gpu", "cuda")) or line_in_build(text))
        if built or NAMES_A_GPU.search(text) or line_in_name(text):
            yield Evidence(what=what, value=text, source=artifact.filename or artifact.location)


def _built_for_others(seen: SortedReading) -> tuple[str, ...]:
    artifact = seen.artifact
    if artifact.kind is ArtifactKind.FILE:
        return ()
    texts = [canonical(artifact.name), (artifact.version or "").partition("+")[2], artifact.build or ""]
    texts += [one.name for one in seen.always_asked]
    found = [match for text in texts if (match := _OTHER_BUILD.search(text.lower()))]
    return tuple(sorted({"ROCm" if match["rocm"] else "SYCL" for match in found}))


def is_linked_with_opencl(file: NativeFile) -> bool:
    """Whether a file needs OpenCL's loader; one that only opens it can do without."""
    return any(_OF_OPENCL.fullmatch(file_name(needed)) for needed in file.needed or ())


def _opencl(seen: SortedReading) -> Iterator[Evidence]:
    users = [file for file in seen.loaded if is_linked_with_opencl(file)]
    for file in users[:1]:
        yield Evidence(what="linked with", value=OPENCL, source=file.path)


def _mentions(seen: SortedReading) -> Iterator[Evidence]:
    """What could be taken for GPU use and is none: CUDA libraries that are only named."""
    for file in seen.loaded[:MOST_SAID]:
        names = [file_name(one) for one in file.opened if (cuda := known_library(one)) and cuda.name not in MANAGEMENT]
        if names:
            yield Evidence(what="only names", value=", ".join(names[:MOST_SAID]), source=file.path)


def handed_over(compilers: Iterable[str]) -> Jit | None:
    """What compilers of these names hand to the driver, where no symbol tells; None without any."""
    names = set(compilers)
    if names & {"nvrtc", "nvjitlink", "nvptxcompiler", "ptxas"}:
        return Jit.SASS
    return Jit.PTX if names & {"nvvm", "libdevice", "llvm-nvptx"} else None
