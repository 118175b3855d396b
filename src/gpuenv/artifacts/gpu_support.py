"""How a package uses a GPU, and what says so: its code and links, its requirements, its imports, its name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gpuenv.artifacts.carried_code import CarriedCode
from gpuenv.artifacts.cuda_lines import line_in_build, line_in_name
from gpuenv.artifacts.imports import is_aside
from gpuenv.artifacts.native_files import file_name
from gpuenv.artifacts.sorted_reading import DRIVER, MANAGEMENT, Asked, SortedReading, canonical, known_library
from gpuenv.binaries.cuda_names import jit_compilers
from gpuenv.facts.frameworks import find_framework, gpu_modules
from gpuenv.facts.libraries import find_library
from gpuenv.model import ArtifactKind, Evidence, GpuSupport, Jit, NativeFile

__all__ = ["METADATA", "GpuUse", "handed_over", "judge_gpu_use", "run_time_compilers"]

METADATA = "its requirements"
"""What evidence from requirements names as its source."""

_NAMES_A_GPU = re.compile(r"(?:^|[-_.])(?:gpu|cuda)(?=[-_.]|$)")
_OTHER_BUILD = re.compile(r"(?:^|[-_.+])(?P<rocm>rocm|hip(?=[-_.\d]|$))|(?:^|[-_.+])(?P<sycl>xpu|sycl|dpcpp)")
_MOST_SAID = 20


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
            support=row.gpu_support, uses_gpu=False, other_vendors=(), evidence=(known, *_through(seen, strict=False))
        )
    through = (*_through(seen, strict=bool(seen.loaded)),)
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
    if seen.reading.cuda_sources:
        value = f"{seen.reading.cuda_sources} files, of which the code depends on how it is built"
        yield Evidence(what="CUDA sources", value=value, source=seen.artifact.filename or name)
    yield from _links(seen)
    for file in seen.loaded:
        yield from _compiles_or_calls(file)
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
        if built or _NAMES_A_GPU.search(text) or line_in_name(text):
            yield Evidence(what=what, value=text, source=artifact.filename or artifact.location)


def _built_for_others(seen: SortedReading) -> tuple[str, ...]:
    artifact = seen.artifact
    if artifact.kind is ArtifactKind.FILE:
        return ()
    texts = [canonical(artifact.name), (artifact.version or "").partition("+")[2], artifact.build or ""]
    texts += [one.name for one in seen.always_asked]
    found = [match for text in texts if (match := _OTHER_BUILD.search(text.lower()))]
    return tuple(sorted({"ROCm" if match["rocm"] else "SYCL" for match in found}))


def _through(seen: SortedReading, *, strict: bool) -> Iterator[Evidence]:
    """The GPU packages that it works through. A package that computes in machine code of its own (`strict`) and only
    imports one, say to take its arrays, computes without it.
    """
    said = 0
    for one in seen.asked:
        row = find_framework(one.name)
        if row is None or row is seen.framework or row.depends_for_cpu or one.is_for_developers:
            continue
        if (said := said + 1) > _MOST_SAID:
            return
        yield Evidence(what="requires", value=one.text, source=METADATA)
    if strict and not said:
        return
    for module, path in seen.reading.imports.items():
        if _is_foreign(module, path, seen) and said < _MOST_SAID:
            said += 1
            yield Evidence(what="imports", value=module, source=path)


def _is_foreign(module: str, path: str, seen: SortedReading) -> bool:
    """Whether an import is of another GPU package and from a file that counts."""
    row = gpu_modules().get(module)
    own = _package_of(path, seen.artifact.kind)
    return row is not None and row is not seen.framework and own != module.partition(".")[0] and not is_aside(path)


def _package_of(path: str, kind: ArtifactKind) -> str:
    """The top package that a source lies in."""
    inside = path.rpartition("site-packages/")[2]
    if kind is ArtifactKind.SDIST:
        # Below `name-version/`, and there perhaps in `src`.
        inside = re.sub(r"^(?:src|lib|python)/", "", inside.partition("/")[2])
    return inside.partition("/")[0].removesuffix(".py")


def _mentions(seen: SortedReading) -> Iterator[Evidence]:
    """What could be taken for GPU use and is none: CUDA libraries that are only named."""
    for file in seen.loaded[:_MOST_SAID]:
        names = [file_name(one) for one in file.opened if (cuda := known_library(one)) and cuda.name not in MANAGEMENT]
        if names:
            yield Evidence(what="only names", value=", ".join(names[:_MOST_SAID]), source=file.path)


def handed_over(compilers: Iterable[str]) -> Jit | None:
    """What compilers of these names hand to the driver, where no symbol tells; None without any."""
    names = set(compilers)
    if names & {"nvrtc", "nvjitlink", "nvptxcompiler", "ptxas"}:
        return Jit.SASS
    return Jit.PTX if names & {"nvvm", "libdevice", "llvm-nvptx"} else None
