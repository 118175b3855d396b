"""The CUDA that metadata name against the CUDA that the binary was made for, and what it is linked with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gpuenv.artifacts.cuda_lines import CudaLine, exact_line, line_of_file
from gpuenv.artifacts.native_files import file_name
from gpuenv.artifacts.needs import needs_of, without_system_cuda
from gpuenv.artifacts.outside_libraries import in_words, out_of_words
from gpuenv.artifacts.sorted_reading import known_library, plain_name
from gpuenv.audits.facts import Facts
from gpuenv.audits.finding import error, evidence
from gpuenv.audits.saying import build_kind, is_on_gpu_build, said_lines
from gpuenv.audits.surroundings import Surroundings
from gpuenv.facts.architectures import find_capability
from gpuenv.facts.libraries import Library, find_holder
from gpuenv.model import AuditFinding, GpuSupport
from gpuenv.targets.cuda_constraints import images_of

__all__ = ["line_findings", "missing_libraries", "requirement_for"]

_FIRST_COMPATIBLE_MAJOR = 11


def line_findings(facts: Facts, around: Surroundings) -> Iterator[AuditFinding]:
    """Contradictions between what the record says about CUDA and what the binary shows."""
    yield from _of_cuda(facts)
    yield from _of_libraries(facts, around)
    yield from _of_build_string(facts)


def _of_cuda(facts: Facts) -> Iterator[AuditFinding]:
    said = list(said_lines(facts.record))
    wrong = [(line, source) for line, source in said if any(_contradict(line, one) for one, _, _ in _shown(facts))]
    if wrong:
        shown, what, path = next(one for one in _shown(facts) if _contradict(wrong[0][0], one[0]))
        yield error(
            "cuda-line",
            f"it says that it is for CUDA {wrong[0][0]}, and its binary is for CUDA {shown}",
            *(evidence("says", source, facts.said_in) for _, source in wrong),
            evidence("shows", what, path),
            hints=("build it again with the CUDA that it names, or name the one that it was built with",),
        )
    else:
        yield from _of_newer_code(facts, said)


def _shown(facts: Facts) -> Iterator[tuple[CudaLine, str, str]]:
    """The CUDA lines that its files are linked with."""
    for file in facts.sorted.loaded:
        if version := file.static_runtime_version:
            yield exact_line(version), f"the runtime of CUDA {version}, linked in", file.path
        for needed in file.needed or ():
            if line := line_of_file(plain_name(needed)):
                yield line, file_name(needed), file.path


def _contradict(said: CudaLine, shown: CudaLine) -> bool:
    """Whether no CUDA is of both lines. Within a major from 11 on a program runs with the libraries of any minor."""
    if said.newest.major >= _FIRST_COMPATIBLE_MAJOR or shown.newest.major >= _FIRST_COMPATIBLE_MAJOR:
        return said.newest.major < shown.oldest.major or shown.newest.major < said.oldest.major
    return said.newest < shown.oldest or shown.newest < said.oldest


def _of_newer_code(facts: Facts, said: Sequence[tuple[CudaLine, str]]) -> Iterator[AuditFinding]:
    """Code for a GPU that no toolkit of a line makes code for."""
    for line, source in said:
        for library in facts.binary.libraries or ():
            for image in reversed(images_of(library)):
                row = find_capability(image.capability)
                if row and row.first_cuda > line.newest and image.capability == row.capability:
                    yield error(
                        "cuda-line",
                        f"it says that it is for CUDA {line}, and has code for {image.target}, which no CUDA before "
                        f"{row.first_cuda} makes",
                        evidence("says", source, facts.said_in),
                        evidence("shows", image, library.name),
                    )
                    return


# ---- libraries ---------------------------------------------------------------------------------------------------


def missing_libraries(facts: Facts, depends: tuple[str, ...], around: Surroundings) -> tuple[str, ...]:
    """The CUDA libraries that it is linked with and that neither it nor these requirements bring."""
    subdir = facts.subdir.name if facts.subdir else facts.record.subdir or "noarch"
    needs = needs_of(facts.reading_with(tuple(dict.fromkeys((*depends, *around.required(depends, subdir))))))
    if needs.system_cuda:
        needs = without_system_cuda(needs, around.brought(depends, subdir))
    return out_of_words(needs.system_cuda)


def requirement_for(library: str, around: Surroundings) -> str | None:
    """A requirement on a package of the channel that holds a library (`libcublas.so.12`), None where it has none."""
    row = _row(library)
    names = (*(row.conda if row else ()), "cudatoolkit")
    name = next((one for one in names if around.has(one)), None)
    line = line_of_file(library)
    if name is None:
        return None
    numbered = name == "cudatoolkit" or (row is not None and line is not None and row.is_numbered_by(line.oldest.major))
    if not numbered or line is None:
        return name
    return f"{name} >={line.oldest.major}.0,<{line.oldest.major + 1}" if not line.is_exact else f"{name} {line}.*"


def _row(library: str) -> Library | None:
    known = known_library(library)
    return find_holder(known.name) if known else None


def _of_libraries(facts: Facts, around: Surroundings) -> Iterator[AuditFinding]:
    missing = missing_libraries(facts, facts.record.depends, around) if facts.has_gpu_code else ()
    if not missing:
        return
    users = {plain_name(linked): path for path, linked in reversed(facts.linked)}
    wanted = {library: requirement_for(library, around) for library in missing}
    rows = (_row(library) for library in missing)
    names = dict.fromkeys(
        spec or (row.conda[0] if row and row.conda else "") for spec, row in zip(wanted.values(), rows, strict=True)
    )
    listed = in_words(f"`{one}`" for one in missing)
    yield error(
        "library-missing",
        f"it is linked with {listed}, and neither holds nor requires {'it' if len(missing) == 1 else 'them'}",
        *(evidence("linked with", library, users.get(library, facts.file)) for library in missing),
        evidence("requires", ", ".join(facts.record.depends) or "nothing", facts.said_in),
        hints=tuple(f"require `{name}`" for name in names if name),
        mendable=facts.mendable and any(wanted.values()),
    )


# ---- build strings -----------------------------------------------------------------------------------------------


def _of_build_string(facts: Facts) -> Iterator[AuditFinding]:
    kind = build_kind(facts.record)
    if kind.cpu and facts.code_libraries:
        yield error(
            "cpu-build-with-gpu-code",
            f"its build string says `{kind.words}`, and it has GPU code",
            evidence("build", facts.record.build, facts.said_in),
            evidence("GPU code", ", ".join(facts.code_libraries), facts.file),
            hints=("build it anew without CUDA, or under another build string; a patch cannot rename it",),
        )
    elif kind.cpu and facts.needs_toolkit:
        path, library = facts.linked[0]
        yield error(
            "cpu-build-with-gpu-code",
            f"its build string says `{kind.words}`, and it is linked with CUDA",
            evidence("build", facts.record.build, facts.said_in),
            evidence("linked with", library, path),
            hints=("build it anew without CUDA, or under another build string; a patch cannot rename it",),
        )
    if kind.gpu and _is_without_gpu(facts):
        native = len(facts.sorted.loaded)
        yield error(
            "gpu-build-without-gpu-code",
            f"its build string says `{kind.words}`, and nothing in it uses a GPU",
            evidence("build", facts.record.build, facts.said_in),
            evidence("native files without GPU code", native, facts.file),
            hints=("was it built without CUDA?",),
        )


def _is_without_gpu(facts: Facts) -> bool:
    """Whether it has native files, and neither they nor a package that it works through have to do with a GPU."""
    if facts.has_gpu_code or not facts.sorted.loaded or facts.binary.uses_gpu or facts.told.other_vendors:
        return False
    if facts.told.gpu_support is GpuSupport.THROUGH or any(file.opened for file in facts.sorted.loaded):
        return False
    # One of several packages of a build may have no kernels of its own, and requires the one that has.
    return not any(is_on_gpu_build(spec) for spec in facts.record.depends)
