"""Rules on the GPU machine code that an artifact carries: whether there is a kernel image for the GPU."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from gpuenv.facts.toolkits import load_toolkits
from gpuenv.model import Evidence, Finding, Gpu, LibraryCode, Machine, Needs, Verdict
from gpuenv.rules.coverage import LARGE, TINY, Coverage, Way, breadth, measure_coverage
from gpuenv.rules.reading import cuda_gpus, driver_evidence, gpu_evidence, gpu_label, served_cuda
from gpuenv.versions import ComputeCapability, CudaVersion


def kernel_image(needs: Needs, machine: Machine) -> Iterator[Finding]:
    """The library with most GPU code must have SASS for the GPU, or PTX that the driver can compile. Otherwise the
    first kernel fails with `no kernel image is available`. Code that nobody read gives unknown. Of libraries that do
    the same for different CUDA versions, of which one is loaded, the one that fits the GPU best counts.
    """
    if not needs.uses_gpu and needs.libraries is None:
        yield _finding("kernel-image", needs, Verdict.UNKNOWN, "not all of it could be read, so it may use a GPU", ())
    if not needs.uses_gpu or not cuda_gpus(machine):
        return
    if needs.libraries is None:
        if needs.jit is None:
            yield _finding(
                "kernel-image", needs, Verdict.UNKNOWN, "nobody has read which GPUs its machine code is for", ()
            )
        return
    judged = [
        (gpu, main, _measure(main, gpu, needs, machine))
        for gpu in cuda_gpus(machine)
        if (main := main_library(_loaded(needs, gpu, machine)))
    ]
    without = sum(coverage.way is Way.NONE for _, _, coverage in judged)
    some_runs = any(coverage.way in {Way.SASS, Way.JIT} for _, _, coverage in judged)
    for gpu, main, coverage in judged:
        evidence = (_units(coverage), gpu_evidence(gpu, machine), *driver_evidence(machine))
        if coverage.way is Way.SASS:
            message = f"carries code for {gpu_label(gpu)}{_if_loaded(main)}"
            yield _finding("kernel-image", needs, Verdict.WORKS, message, evidence)
        elif coverage.way is Way.JIT:
            message = f"carries only PTX that fits {gpu_label(gpu)}: the driver compiles it at first use"
            yield _finding("kernel-image", needs, Verdict.DEGRADED, message, evidence)
        elif coverage.way is Way.NONE:
            verdict = Verdict.FAILS if without == len(judged) else Verdict.DEGRADED
            message, *hints = _nothing_runs(main, gpu, needs, machine)
            yield _finding("kernel-image", needs, verdict, message, evidence, *hints)
        else:
            # Beside a GPU on which it runs this is no worse than a GPU on which it does not.
            verdict = Verdict.DEGRADED if some_runs else Verdict.UNKNOWN
            message, *hints = _perhaps_runs(main, coverage, gpu, needs, machine)
            yield _finding("kernel-image", needs, verdict, message, evidence, *hints)


def side_library(needs: Needs, machine: Machine) -> Iterator[Finding]:
    """A library beside the main one, made for as many GPU generations, may still lack code for this GPU: then a part
    of the package has no kernel image there. Libraries made for few GPUs on purpose are only remarked on, and those
    with next to no code (units without kernels) are passed over.
    """
    if not needs.uses_gpu:
        return
    for gpu in cuda_gpus(machine):
        loaded = _loaded(needs, gpu, machine)
        main = main_library(loaded)
        if main is None or (measured := _measure(main, gpu, needs, machine)).way in {Way.NONE, None}:
            continue
        for library in loaded:
            coverage = _measure(library, gpu, needs, machine)
            is_tiny = library.size_bytes < TINY * main.size_bytes
            if library is not main and not is_tiny and coverage.way not in {Way.SASS, Way.JIT}:
                verdict, message = _judge_side(coverage, measured, gpu)
                evidence = (_units(coverage), gpu_evidence(gpu, machine))
                yield _finding("side-library", needs, verdict, message, evidence)


def _judge_side(side: Coverage, main: Coverage, gpu: Gpu) -> tuple[Verdict, str]:
    units = f"in {side.runs} of {side.general} units" if side.runs else f"in none of {side.general} units"
    message = f"`{side.library}` has code for {gpu_label(gpu)} {units}"
    if side.breadth < (main.breadth + 1) // 2:
        return Verdict.WORKS, f"{message}, since it is for other GPUs on purpose"
    if side.way is Way.UNKNOWN:
        return Verdict.UNKNOWN, f"whether `{side.library}` runs on {gpu_label(gpu)} cannot be told"
    return Verdict.DEGRADED, message


def _loaded(needs: Needs, gpu: Gpu, machine: Machine) -> tuple[LibraryCode, ...]:
    """The libraries with GPU code that are loaded on a machine. Of those that do the same for different CUDA versions
    it is the one for the CUDA in use; where nobody knows that, the one that fits best, since it can be chosen.
    """
    families: dict[str, list[LibraryCode]] = {}
    for library in needs.libraries or ():
        if library.groups:
            families.setdefault(_family(library), []).append(library)
    return tuple(_best(members, gpu, needs, machine) for members in families.values())


def _family(library: LibraryCode) -> str:
    return re.sub(r"\d+", "#", library.name) if library.loaded_for else library.name


def _best(members: list[LibraryCode], gpu: Gpu, needs: Needs, machine: Machine) -> LibraryCode:
    serves = served_cuda(machine)

    def fitness(library: LibraryCode) -> tuple[float, bool, tuple[int, ...]]:
        way, can_load = _measure(library, gpu, needs, machine).way, not _is_too_new(library, serves)
        return 0.5 if way is None else float(way), can_load, library.loaded_for.numbers if library.loaded_for else ()

    return max(members, key=fitness) if len(members) > 1 else members[0]


def _is_too_new(library: LibraryCode, serves: CudaVersion | None) -> bool:
    """Whether a library is only loaded with a CUDA that the driver does not serve."""
    return library.loaded_for is not None and serves is not None and library.loaded_for.major > serves.major


def _if_loaded(library: LibraryCode) -> str:
    return f" in `{library.name}`, which CUDA {library.loaded_for} loads" if library.loaded_for else ""


def main_library(libraries: tuple[LibraryCode, ...]) -> LibraryCode | None:
    """The library that decides: of the general ones the one with most GPU code, in bytes and then in units; None where
    there is no code.

    General are those that are made for at least half as many GPU generations as the widest of those that have a tenth
    of the code of the largest: vLLM's largest library is attention for Ampere and Hopper alone. NVIDIA's own libraries
    stand back: where a wheel brings them along, they are larger than the package's code.
    """
    with_code = [library for library in libraries if library.groups]
    own = [library for library in with_code if not library.selects_at_run_time] or with_code
    enough = LARGE * max((library.size_bytes for library in own), default=0)
    large = [library for library in own if library.size_bytes >= enough]
    widest = max(map(_widest, large), default=0)
    general = [library for library in large if _widest(library) >= (widest + 1) // 2]
    return max(general, key=lambda one: (one.size_bytes, sum(group.units for group in one.groups)), default=None)


def _widest(library: LibraryCode) -> int:
    return max((breadth(group) for group in library.groups), default=0)


def targets_in_words(library: LibraryCode) -> str:
    """What a library's units, or its general ones, were made for: `it has code for 7.5 to 12.0 and PTX for 12.0`."""
    widest = _widest(library)
    general = [group for group in library.groups if breadth(group) >= (widest + 1) // 2]
    # One that chooses among its units serves all that any of them is for.
    told = library.groups if library.selects_at_run_time else (max(general, key=lambda group: group.units),)
    images = [image for group in told for image in group.images]
    machine_code = sorted({image.capability for image in images if not image.is_ptx})
    portable = sorted({image.capability for image in images if image.is_ptx})
    parts = [f"code for {_span(machine_code)}"] if machine_code else []
    parts += [f"PTX for {_span(portable)}"] if portable else []
    return "it has " + " and ".join(parts)


def _span(capabilities: list[ComputeCapability]) -> str:
    return str(capabilities[0]) if len(capabilities) == 1 else f"{capabilities[0]} to {capabilities[-1]}"


def _nothing_runs(library: LibraryCode, gpu: Gpu, needs: Needs, machine: Machine) -> tuple[str, ...]:
    """Why none of it runs, and what to do: its PTX may only be too new for the driver."""
    serves = served_cuda(machine)
    if _is_too_new(library, serves):
        update = f"update the driver to one that serves CUDA {library.loaded_for}"
        return f"`{library.name}` is for CUDA {library.loaded_for}; here is a driver of CUDA {serves}", update
    first = _first_driver_cuda(library, gpu, needs)
    if serves is None or first is None:
        return (f"carries no code for {gpu_label(gpu)}: {targets_in_words(library)}",)
    return (
        f"carries only PTX that fits {gpu_label(gpu)}, for drivers of CUDA {first} or later; here is one of {serves}",
        f"update the driver to one that serves CUDA {first}",
    )


def _perhaps_runs(
    library: LibraryCode, coverage: Coverage, gpu: Gpu, needs: Needs, machine: Machine
) -> tuple[str, ...]:
    """Why nobody can tell whether it runs, and what to do: a part of it may be PTX that is too new for the driver."""
    serves, first = served_cuda(machine), _first_driver_cuda(library, gpu, needs)
    if serves is None or first is None or first <= serves:
        return (f"whether its code runs on {gpu_label(gpu)} cannot be told: {targets_in_words(library)}",)
    run = f"{coverage.runs} of {coverage.general} units run on {gpu_label(gpu)}"
    return (
        f"{run}; the others are PTX for drivers of CUDA {first} or later, and here is one of {serves}",
        f"update the driver to one that serves CUDA {first}",
    )


def _first_driver_cuda(library: LibraryCode, gpu: Gpu, needs: Needs) -> CudaVersion | None:
    """The oldest CUDA that a driver has to serve for the library to run on a GPU; None where no driver helps."""

    def runs(cuda: CudaVersion) -> bool:
        measured = measure_coverage(library, gpu, driver_cuda=cuda, built_with=_writer(needs))
        return measured.way in {Way.SASS, Way.JIT}

    known = [toolkit.version for toolkit in load_toolkits()]
    # What no driver of today runs, no older one does.
    return next(filter(runs, known), None) if runs(known[-1]) else None


def _measure(library: LibraryCode, gpu: Gpu, needs: Needs, machine: Machine) -> Coverage:
    serves, writer = served_cuda(machine), _writer(needs)
    # Where several toolkits come into question, a driver between them tells nothing.
    between = needs.cuda and serves and writer and needs.cuda <= serves < writer
    measured = measure_coverage(library, gpu, driver_cuda=serves, built_with=None if between else writer)
    return replace(measured, sass=0, jit=0, unknown=0) if _is_too_new(library, serves) else measured


def _writer(needs: Needs) -> CudaVersion | None:
    """The CUDA that wrote PTX whose ISA nobody read."""
    return needs.cuda_newest or needs.cuda


def _units(coverage: Coverage) -> Evidence:
    return Evidence(what=f"units of {coverage.library} that run", value=f"{coverage.runs} of {coverage.general}")


def _finding(
    rule: str, needs: Needs, verdict: Verdict, message: str, evidence: tuple[Evidence, ...], *hints: str
) -> Finding:
    return Finding(rule=rule, verdict=verdict, subject=needs.subject, message=message, evidence=evidence, hints=hints)
