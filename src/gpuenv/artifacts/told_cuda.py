"""Everything in a reading that tells the CUDA line of a build, the most exact first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gpuenv.artifacts.carried_code import CarriedCode
from gpuenv.artifacts.cuda_lines import (
    CudaLine,
    conda_cuda_line,
    cuda_line,
    exact_line,
    line_from_text,
    line_in_build,
    line_in_name,
    line_of_file,
    runtime_line,
)
from gpuenv.artifacts.native_files import file_name
from gpuenv.artifacts.required import Required, parse_match_spec
from gpuenv.artifacts.sorted_reading import (
    METADATA,
    Asked,
    SortedReading,
    canonical,
    is_compiler,
    is_from_conda,
    known_library,
)
from gpuenv.errors import FormatError
from gpuenv.facts.libraries import library_cuda
from gpuenv.facts.toolkits import load_toolkits
from gpuenv.model import Artifact, ArtifactKind
from gpuenv.versions import CudaVersion

__all__ = ["Told", "tell_cuda"]

# Which of the libraries that a file is linked with tells the most about the toolkit.
_TELLING = ("cudart", "nvrtc", "nvjitlink", "cublas", "cublaslt", "nvblas")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A CUDA line and what tells it."""

    line: CudaLine
    source: str


def tell_cuda(seen: SortedReading, code: CarriedCode) -> Iterator[Told]:
    """What tells the CUDA line; the first counts, the others are told as evidence."""
    artifact = seen.artifact
    always = seen.always_asked
    with_extra = [one for one in seen.asked if one.extras and not one.is_for_developers]
    if seen.library and (own := library_cuda(artifact.name, artifact.version)):
        major, exact = own
        line = exact_line(exact) if exact else line_from_text(str(major))
        yield Told(line=line, source=f"the name and version of {artifact.subject}")
    if seen.framework and seen.framework.cuda_major_in_version:
        major_text = (artifact.version or "").partition(".")[0]
        if re.fullmatch(r"1\d", major_text):
            yield Told(line=line_from_text(major_text), source=f"the version {artifact.version}")
    for_each = [library.loaded_for for library in code.libraries or () if library.loaded_for]
    yield from _by_versions(for_each, "libraries for each CUDA")
    yield from _by_runtime(always)
    if not code.is_there:
        yield from _by_versions(_compilers(seen), "compiler inside")
    yield from _by_versions([file.static_runtime_version for file in seen.loaded], "CUDA runtime linked in")
    yield from _by_build(seen)
    yield from _by_extras(one for one in _by_runtime(with_extra) if one.line.is_exact)
    named = [*_by_name(artifact)]
    yield from (one for one in named if one.line.is_exact)
    yield from _by_files(file_name(needed) for file in seen.loaded for needed in file.needed or ())
    yield from _by_majors(always)
    yield from (one for one in named if not one.line.is_exact)
    yield from _by_extras(one for one in _by_runtime(with_extra) if not one.line.is_exact)
    yield from _by_majors(with_extra)
    yield from _by_files(opened for file in seen.loaded for opened in file.opened)
    yield from _by_ptx(code)


def _by_name(artifact: Artifact) -> Iterator[Told]:
    if artifact.kind is not ArtifactKind.FILE and (line := line_in_name(canonical(artifact.name))):
        yield Told(line=line, source=f"the name {artifact.name}")


def _by_versions(versions: Iterable[CudaVersion | None], source: str) -> Iterator[Told]:
    """From the oldest of several versions to the newest."""
    known = [version for version in versions if version]
    if known:
        yield Told(line=CudaLine(oldest=min(known), newest=max(known)), source=source)


def _compilers(seen: SortedReading) -> Iterator[CudaVersion | None]:
    return (file.compiler for file in seen.loaded if is_compiler(file))


def _by_runtime(asked: Iterable[Asked]) -> Iterator[Told]:
    for one in asked:
        if line := runtime_line(one.required):
            yield Told(line=line, source=one.text)


def _by_extras(told: Iterable[Told]) -> Iterator[Told]:
    """Extras for different CUDA (`cu12`, `cu13`) are a choice: the build can be used with each."""
    found = list(told)
    if len({one.line for one in found}) > 1:
        line = CudaLine(oldest=min(one.line.oldest for one in found), newest=max(one.line.newest for one in found))
        yield Told(line=line, source=f"its extras: {found[0].source}, and {len(found) - 1} more")
    yield from found


def _by_majors(asked: Iterable[Asked]) -> Iterator[Told]:
    """By requirements on libraries that are published for each CUDA major."""
    asked = [one for one in asked if not runtime_line(one.required)]
    if line := cuda_line(one.required for one in asked):
        named = (one.text for one in asked if cuda_line([one.required]))
        yield Told(line=line, source=next(named, METADATA))


def _by_build(seen: SortedReading) -> Iterator[Told]:
    """By a local version (`+cu126`), and for conda packages by the build string and what it depends on."""
    artifact = seen.artifact
    local = (artifact.version or "").partition("+")[2]
    if local and (line := line_in_name(local)):
        yield Told(line=line, source=f"the version {artifact.version}")
    if not is_from_conda(artifact):
        return
    built = line_in_build(artifact.build or "")
    if built and built.is_exact:
        yield Told(line=built, source=f"the build {artifact.build}")
    if depends := conda_cuda_line(one.required for one in seen.asked):
        yield Told(line=depends[0], source=f"its dependency on {depends[1]}")
    if built and not built.is_exact:
        yield Told(line=built, source=f"the build {artifact.build}")
    if bounds := conda_cuda_line(_constraints(seen)):
        yield Told(line=bounds[0], source=f"its bounds on {bounds[1]}")


def _constraints(seen: SortedReading) -> Iterator[Required]:
    for text in seen.reading.constrains:
        try:
            yield parse_match_spec(text)
        except FormatError:
            continue


def _by_files(names: Iterable[str]) -> Iterator[Told]:
    """By the names of the libraries that it is linked with or opens; the runtime tells most, then NVRTC."""
    lines: dict[int, tuple[CudaLine, str]] = {}
    for name in names:
        library, line = known_library(name), line_of_file(name)
        if library and line and library.name.lower() in _TELLING:
            lines.setdefault(_TELLING.index(library.name.lower()), (line, name))
    for _, (line, name) in sorted(lines.items()):
        yield Told(line=line, source=name)
        return


def _by_ptx(code: CarriedCode) -> Iterator[Told]:
    """By the newest PTX that was compiled together with SASS, whose version tells the toolkit that wrote both; the
    weakest word of all.
    """
    groups = (group for library in code.libraries or () for group in library.groups)
    compiled = (group.images for group in groups if any(not image.is_ptx for image in group.images))
    newest = max((image.ptx_isa for images in compiled for image in images if image.ptx_isa), default=None)
    wrote = [toolkit.version for toolkit in load_toolkits() if newest and toolkit.ptx_isa == newest]
    if wrote:
        yield Told(line=CudaLine(oldest=min(wrote), newest=max(wrote)), source=f"PTX {newest} in it")
