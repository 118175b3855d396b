"""The bounds of a record on `__cuda` and `__cuda_arch` against those that follow from its binary (CEP 46)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gpuenv.audits.facts import Facts
from gpuenv.audits.finding import error, evidence, warning
from gpuenv.audits.saying import admits, bounds_on, cuda_requirements, says_gpu
from gpuenv.audits.surroundings import Surroundings
from gpuenv.facts.architectures import find_capability
from gpuenv.facts.toolkits import find_toolkit, load_toolkits
from gpuenv.model import AuditFinding, Evidence
from gpuenv.targets.cuda_constraints import known_capabilities
from gpuenv.versions import ComputeCapability, CudaVersion

__all__ = ["bounds_findings", "is_only_for_gpus"]

_LATER_DRIVER = CudaVersion("99.0")
_LATER_GPU = ComputeCapability("99.0")
_MOST_NAMED = 6


def bounds_findings(facts: Facts, around: Surroundings, *, has_cpu: bool) -> Iterator[AuditFinding]:
    """Where the record says nothing, too little or too much. `has_cpu` tells whether there is a CPU build beside it."""
    if not facts.has_gpu_code:
        return
    if facts.constraints.spans == ():
        yield error("runs-nowhere", f"its code runs on no GPU that there is for {facts.platform}", *_of_code(facts))
        return
    if not says_gpu(facts.record):
        yield _undeclared(facts)
        return
    if facts.is_library:
        return
    yield from _given_without_gpu(facts, has_cpu=has_cpu)
    yield from _of_driver(facts, around)
    yield from _of_capability(facts)
    yield from _doubts(facts)


def is_only_for_gpus(facts: Facts, *, has_cpu: bool) -> bool:
    """Whether a machine without a GPU is to be given another build, so that `__cuda` belongs into `depends`."""
    return has_cpu or facts.constraints.must_have_gpu


def _of_code(facts: Facts) -> tuple[Evidence, ...]:
    """What shows that it has to do with a GPU: its libraries with code and what for, or what it is linked with."""
    found = []
    for library in sorted(facts.binary.libraries or (), key=lambda one: -one.size_bytes):
        images = dict.fromkeys(str(image) for group in library.groups for image in sorted(group.images))
        if images:
            found.append(evidence("GPU code", ", ".join(images), library.name))
    if not found:
        found = [evidence("linked with", library, path) for path, library in facts.linked]
    return tuple(found[:_MOST_NAMED])


def _undeclared(facts: Facts) -> AuditFinding:
    wants = " and ".join(facts.constraints.specs) or "no bound can be told"
    return error(
        "gpu-undeclared",
        "it has GPU code, and nothing in its metadata says so: machines without a GPU, or with a driver or a GPU that "
        "is too old, are given it",
        *_of_code(facts),
        evidence("its binary asks for", wants),
        mendable=facts.mendable and bool(facts.constraints.specs),
    )


def _given_without_gpu(facts: Facts, *, has_cpu: bool) -> Iterator[AuditFinding]:
    if has_cpu and not bounds_on("__cuda", facts.record.depends):
        yield warning(
            "gpu-not-required",
            "there is a CPU build beside it, and nothing keeps it from machines without a GPU",
            evidence("depends", "no `__cuda`", facts.said_in),
            *_of_code(facts),
            mendable=facts.mendable and facts.constraints.cuda is not None,
        )


# ---- drivers -----------------------------------------------------------------------------------------------------


def _of_driver(facts: Facts, around: Surroundings) -> Iterator[AuditFinding]:
    constraints, record = facts.constraints, facts.record
    if constraints.oldest is None or constraints.cuda is None:
        return
    own = bounds_on("__cuda", (*record.depends, *record.constrains))
    via = tuple(cuda_requirements(record))
    known = [*(toolkit.version for toolkit in load_toolkits()), _LATER_DRIVER]
    subdir = facts.subdir.name if facts.subdir else record.subdir or "noarch"
    through = {version: around.admits_driver(via, str(version), subdir) for version in known}
    tells = any(answer is not None for answer in through.values())
    if not own and not tells:
        if via or not facts.needs_toolkit:
            # What it requires is in another channel, which bounds the driver there.
            return
    elif via and not tells and all(admits(own, str(version)) for version in known):
        return
    admitted = [one for one in known if admits(own, str(one)) and through[one] is not False]
    words = ", ".join(own) or (f"no `__cuda`, and what {', '.join(via)} brings" if via else "no `__cuda`")
    said = evidence("asks for", words, facts.said_in)
    wants = evidence("its binary asks for", constraints.cuda)
    can_mend = facts.mendable
    first = constraints.oldest_for_any or constraints.oldest
    if loose := [one for one in admitted if one < first]:
        yield error(
            "cuda-too-loose",
            f"drivers that serve CUDA {_span(loose)} are let in, and none of its code runs with them",
            said,
            wants,
            mendable=can_mend,
        )
    elif half := [one for one in admitted if one < constraints.oldest]:
        yield warning(
            "cuda-too-loose",
            f"drivers that serve CUDA {_span(half)} are let in, and do not run it on all the GPUs that it is for",
            said,
            wants,
            mendable=can_mend,
        )
    if tight := [one for one in known if one >= constraints.oldest and not admits(own, str(one))]:
        yield warning(
            "cuda-too-tight",
            f"drivers that serve CUDA {_span(tight)} would run it, and are not let in",
            said,
            wants,
            mendable=can_mend,
        )


def _span(versions: Sequence[CudaVersion]) -> str:
    first = "" if versions[0] == load_toolkits()[0].version else str(versions[0])
    if versions[-1] == _LATER_DRIVER:
        return f"{versions[0]} and later" if len(versions) > 1 else "later than any today"
    if len(versions) == 1:
        return str(versions[0])
    return f"{first} to {versions[-1]}" if first else f"{versions[-1]} and older"


# ---- capabilities ------------------------------------------------------------------------------------------------


def _of_capability(facts: Facts) -> Iterator[AuditFinding]:
    constraints, record = facts.constraints, facts.record
    if not constraints.spans:
        return
    own = bounds_on("__cuda_arch", (*record.depends, *record.constrains))
    known = [row.capability for row in known_capabilities(facts.platform)]
    judged = [one for one in (*known, _LATER_GPU) if one not in constraints.unsure]
    met = [one for one in judged if _is_met(one, constraints.oldest)]
    runs = {one: constraints.admits(one) for one in judged}
    admitted = {one: admits(own, str(one)) for one in judged}
    wants = evidence("its binary asks for", constraints.cuda_arch)
    loose = [one for one in met if admitted[one] and not runs[one]]
    if loose and not own:
        yield warning(
            "arch-undeclared",
            f"no bound on `__cuda_arch`: machines with GPUs of {_named(loose)} are given it, and it has no code for "
            "them",
            *_of_code(facts),
            wants,
            mendable=facts.mendable,
        )
        return
    said = evidence("asks for", ", ".join(own), facts.said_in)
    if loose:
        rule, why = ("arch-too-loose", "it has no code for them")
        if loose == [_LATER_GPU]:
            rule, why = ("arch-without-end", "it has no PTX that they could compile")
        yield error(
            rule,
            f"GPUs of {_named(loose)} are let in, and {why}",
            said,
            *_of_code(facts),
            wants,
            mendable=facts.mendable,
        )
    if tight := [one for one in judged if runs[one] and not admitted[one]]:
        yield warning(
            "arch-too-tight",
            f"GPUs of {_named(tight)} would run it, and are not let in",
            said,
            *_of_code(facts),
            wants,
            mendable=facts.mendable,
        )


def _is_met(capability: ComputeCapability, oldest: CudaVersion | None) -> bool:
    """Whether a driver that may run the package still serves such GPUs; others are on no machine that could get it."""
    row = find_capability(capability)
    toolkit = find_toolkit(oldest) if oldest else None
    last = row.last_driver_branch if row else None
    return last is None or toolkit is None or toolkit.driver_branch <= last


def _named(capabilities: Sequence[ComputeCapability]) -> str:
    plain = [str(one) for one in capabilities if one != _LATER_GPU]
    shown = plain if len(plain) <= _MOST_NAMED else [plain[0], "…", *plain[-2:]]
    if _LATER_GPU in capabilities:
        shown.append("generations to come")
    return ", ".join(shown)


def _doubts(facts: Facts) -> Iterator[AuditFinding]:
    for doubt in facts.constraints.doubts:
        hints = (doubt.remedy,) if doubt.remedy else ()
        yield warning(doubt.rule, doubt.text, *_of_code(facts)[:1], hints=hints)
