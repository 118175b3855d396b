"""From facts to conclusions: what the artifact of a `Reading` asks of a machine, with evidence for each statement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from gpuenv.artifacts.alternatives import family_of, find_alternatives, not_loaded, settle_alternatives
from gpuenv.artifacts.carried_code import read_code
from gpuenv.artifacts.gpu_support import (
    OPENCL,
    GpuUse,
    handed_over,
    is_linked_with_opencl,
    judge_gpu_use,
    run_time_compilers,
)
from gpuenv.artifacts.native_files import file_name
from gpuenv.artifacts.outside_libraries import brought_files, find_outside, in_words, without_system_cuda
from gpuenv.artifacts.sorted_reading import (
    METADATA,
    SortedReading,
    canonical,
    is_compiler,
    is_from_conda,
    known_library,
    sort_reading,
)
from gpuenv.artifacts.told_cuda import Told, tell_cuda
from gpuenv.binaries.cuda_names import other_vendor
from gpuenv.facts.libraries import documented_lowest, holds
from gpuenv.model import Evidence, GpuSupport, Jit, NativeFile, Needs, Reading
from gpuenv.versions import ComputeCapability, CudaVersion, LibcVersion

__all__ = ["needs_of", "needs_together", "settle_alternatives", "without_system_cuda"]

_COMPILERS = ("nvrtc", "nvvm", "nvJitLink", "nvptxcompiler")
_MOST_EVIDENCE = 300


def needs_of(reading: Reading, *, cuda: CudaVersion | None = None) -> Needs:
    """What an artifact asks of a machine, from what was read in it. Any reading gives an answer, without a look at
    anything else. `cuda` is the CUDA in use beside it, which decides among libraries that are there for several.
    """
    seen = sort_reading(reading)
    alternatives = find_alternatives(file.path for file in seen.loaded if file.code)
    if cuda:
        dropped = not_loaded(alternatives, cuda)
        seen = replace(seen, loaded=tuple(file for file in seen.loaded if file.path not in dropped))
    code = read_code(seen, alternatives)
    use = judge_gpu_use(seen, code)
    told = [*tell_cuda(seen, code)] if use.uses_gpu else []
    line = told[0].line if told else None
    jit = _jit(seen) if use.uses_gpu and not code.is_there else None
    outside = find_outside(seen) if use.uses_gpu else {}
    glibc, glibc_evidence = _glibc(seen, alternatives)
    lowest = documented_lowest(seen.artifact.name, seen.artifact.version) if seen.library else None
    evidence = (
        *use.evidence,
        *code.evidence,
        *(Evidence(what="CUDA line", value=str(one.line), source=one.source) for one in told),
        *_said_of_compilers(seen, jit, use),
        *_said_of_driver(seen),
        *(Evidence(what="expects on the machine", value=file, source=user) for file, user in outside.items()),
        *_said_of_limits(seen, lowest, told),
        *_said_of_builds(seen),
        *glibc_evidence,
    )
    return Needs(
        subject=seen.artifact.subject,
        gpu_support=use.support,
        uses_gpu=use.uses_gpu,
        runs_without_gpu=use.support is GpuSupport.RUN_TIME or bool(seen.framework and seen.framework.runs_without_gpu),
        cuda=line.oldest if line else None,
        cuda_newest=line.newest if line else None,
        libraries=code.libraries,
        jit=jit,
        platforms=seen.artifact.platforms,
        glibc=glibc,
        system_cuda=in_words(outside),
        lowest_capability=lowest,
        pythons=seen.artifact.pythons,
        other_vendors=tuple(sorted({*use.other_vendors, *_vendors_of(seen.loaded)})),
        evidence=evidence[:_MOST_EVIDENCE],
    )


def needs_together(readings: Sequence[Reading], *, cuda: CudaVersion | None = None) -> tuple[Needs, ...]:
    """The needs of artifacts that are installed side by side, in their order.

    Of alternatives only the one counts that the CUDA in use loads: `cuda`, or else that of the torch among them. CUDA
    libraries that one brings are not expected on the machine by another.
    """
    cuda = cuda or next(filter(None, map(_cuda_in_use, readings)), None)
    provided = frozenset(name for reading in readings for name in brought_files(reading.files) if known_library(name))
    return tuple(without_system_cuda(needs_of(reading, cuda=cuda), provided) for reading in readings)


def _cuda_in_use(reading: Reading) -> CudaVersion | None:
    return needs_of(reading).cuda_newest if canonical(reading.artifact.name) in {"torch", "pytorch"} else None


def _jit(seen: SortedReading) -> Jit | None:
    """What it hands to the driver when all its kernels are compiled at run time; None when it compiles nothing."""
    if seen.framework and seen.framework.jit:
        return seen.framework.jit
    if seen.library and any(holds(seen.library, name) for name in _COMPILERS if "*" not in seen.library.holds):
        return Jit.SASS
    handed = {file.hands_over for file in seen.loaded if file.hands_over}
    if handed:
        return Jit.SASS if Jit.SASS in handed else Jit.PTX
    compilers = {one for file in seen.loaded for one in run_time_compilers(file)}
    compilers |= {one for file in seen.loaded if _opens_driver(file) for one in file.jit}
    brings = [file for file in seen.loaded if is_compiler(file)]
    compilers |= {one for file in seen.loaded if brings and file not in brings for one in file.jit}
    compilers |= {"ptxas" for _ in brings if compilers}
    return handed_over(compilers)


def _opens_driver(file: NativeFile) -> bool:
    return any((library := known_library(one)) and library.name == "cuda" for one in file.opened)


def _said_of_compilers(seen: SortedReading, jit: Jit | None, use: GpuUse) -> Iterator[Evidence]:
    if jit:
        yield Evidence(what="hands to the driver", value=jit.value, source=seen.artifact.name)
    if use.uses_gpu:
        for file in seen.loaded:
            if file.compiler and is_compiler(file):
                yield Evidence(what="compiler inside", value=f"of CUDA {file.compiler}", source=file.path)


def _said_of_driver(seen: SortedReading) -> Iterator[Evidence]:
    """The driver that a conda package asks for by itself; the CUDA line has a floor of its own."""
    if is_from_conda(seen.artifact):
        for text in (*seen.reading.requires, *seen.reading.constrains):
            if text.startswith("__cuda"):
                yield Evidence(what="driver", value=text, source=METADATA)


def _said_of_limits(seen: SortedReading, lowest: ComputeCapability | None, told: list[Told]) -> Iterator[Evidence]:
    if lowest:
        source = "NVIDIA's documents, facts/libraries.toml"
        yield Evidence(what="lowest compute capability", value=str(lowest), source=source)
        return
    for file in seen.loaded:
        library = known_library(file.path)
        if library and library.name == "cudnn" and told and library.version:
            limit = documented_lowest(f"nvidia-cudnn-cu{told[0].line.oldest.major}", library.version)
            if limit:
                value = f"serves GPUs from {limit} on"
                yield Evidence(what=f"cuDNN {library.version}", value=value, source=file.path)


def _said_of_builds(seen: SortedReading) -> Iterator[Evidence]:
    artifact = seen.artifact
    source = artifact.filename or artifact.name
    if artifact.platforms:
        yield Evidence(what="built for", value=", ".join(artifact.platforms), source=source)
    if artifact.pythons is not None:
        yield Evidence(what="for Python", value=", ".join(artifact.pythons), source=source)


def _vendors_of(files: Sequence[NativeFile]) -> set[str]:
    found = {vendor for file in files for vendor in file.other_vendors}
    return found | ({OPENCL} if any(map(is_linked_with_opencl, files)) else set())


def _glibc(
    seen: SortedReading, alternatives: Mapping[str, CudaVersion]
) -> tuple[LibcVersion | None, tuple[Evidence, ...]]:
    """The GNU C library that it needs: the promise of its tag, or a later version that a file asks for.

    Of alternatives the one that asks for least counts, since it is enough that one of them loads. What is linked for
    GPUs of another maker is not loaded beside one of NVIDIA's.
    """
    is_for_nvidia = any(file.code for file in seen.loaded)
    promised = seen.artifact.glibc
    families: dict[str, list[NativeFile]] = {}
    for file in seen.loaded:
        if file.kind == "elf" and not (is_for_nvidia and _is_linked_for_others(file)):
            family = family_of(file.path) if file.path in alternatives else file.path
            families.setdefault(family, []).append(file)
    needed = max((min(members, key=_asked_of) for members in families.values()), key=_asked_of, default=None)
    evidence = []
    if promised:
        source = seen.artifact.filename or seen.artifact.name
        evidence.append(Evidence(what="GNU C library promised", value=str(promised), source=source))
    if needed and needed.glibc:
        evidence.append(Evidence(what="GNU C library symbols", value=str(needed.glibc), source=needed.path))
    found = [one for one in (promised, needed.glibc if needed else None) if one]
    return max(found, default=None), tuple(evidence)


def _is_linked_for_others(file: NativeFile) -> bool:
    return not file.code and any(other_vendor(file_name(needed)) for needed in file.needed or ())


def _asked_of(file: NativeFile) -> tuple[int, ...]:
    return file.glibc.numbers if file.glibc else ()
