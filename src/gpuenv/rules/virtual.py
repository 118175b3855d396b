"""The rule on what conda packages ask of the machine by themselves, through virtual packages."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from gpuenv.model import DriverState, Evidence, Finding, Machine, Needs, Verdict
from gpuenv.rules.reading import cuda_gpus, driver_evidence, gpu_evidence, gpu_label, served_cuda

__all__ = ["virtual_package"]


def virtual_package(needs: Needs, machine: Machine) -> Iterator[Finding]:
    """A conda package says in its metadata which driver and GPU it asks for: `__cuda >=12.4` is a driver that serves
    CUDA 12.4, `__cuda_arch >=8.0` that the oldest GPU has that compute capability. conda and mamba install it nowhere
    else, even where minor version compatibility would let it run. A bound among its constraints counts only where the
    machine has a driver.
    """
    asked = [*needs.virtual_packages.items()]
    asked += [one for one in needs.virtual_constraints.items() if one not in asked and _offers(one[0], machine)]
    for name, bounds in asked:
        if name == "__cuda":
            yield _judge_cuda(needs, bounds, machine)
        elif name == "__cuda_arch":
            yield _judge_capability(needs, bounds, machine)


def _offers(name: str, machine: Machine) -> bool:
    """Whether the machine has a virtual package: what is constrained need not be there."""
    if name == "__cuda_arch":
        return any(gpu.compute_capability for gpu in cuda_gpus(machine))
    absent = machine.driver.state in {DriverState.MISSING, DriverState.INSTALLED} or machine.gpus == ()
    return not absent and served_cuda(machine) is not None


def _judge_cuda(needs: Needs, bounds: str, machine: Machine) -> Finding:
    absent = machine.driver.state in {DriverState.MISSING, DriverState.INSTALLED} or machine.gpus == ()
    serves = None if absent else served_cuda(machine)
    asked = f"asks for `__cuda{f' {bounds}' if bounds else ''}`"
    if absent:
        verdict, message = Verdict.FAILS, f"{asked}, and here is no driver of NVIDIA's that is loaded"
    elif serves is None:
        verdict, message = Verdict.UNKNOWN, f"{asked}; which CUDA the driver serves is not known"
    elif _admits(bounds, str(serves)):
        verdict, message = Verdict.WORKS, f"{asked}; the driver serves CUDA {serves}"
    else:
        verdict, message = Verdict.FAILS, f"{asked}; the driver serves CUDA {serves}"
    return _finding(needs, verdict, message, f"__cuda {bounds}", driver_evidence(machine))


def _judge_capability(needs: Needs, bounds: str, machine: Machine) -> Finding:
    asked = f"asks for `__cuda_arch{f' {bounds}' if bounds else ''}`"
    kinds = cuda_gpus(machine)
    known = [gpu for gpu in kinds if gpu.compute_capability]
    if machine.gpus is None or len(known) < len(kinds):
        verdict, message = Verdict.UNKNOWN, f"{asked}; the compute capability of the GPUs is not known"
    elif not kinds:
        verdict, message = Verdict.FAILS, f"{asked}, and here is no GPU of NVIDIA's"
    else:
        oldest = min(known, key=lambda gpu: gpu.compute_capability.numbers if gpu.compute_capability else ())
        verdict = Verdict.WORKS if _admits(bounds, str(oldest.compute_capability)) else Verdict.FAILS
        message = f"{asked}; here is {gpu_label(oldest)}"
    evidence = tuple(gpu_evidence(gpu, machine) for gpu in kinds)
    return _finding(needs, verdict, message, f"__cuda_arch {bounds}", evidence)


def _admits(bounds: str, version: str) -> bool:
    try:
        return SpecifierSet(bounds).contains(version)
    except InvalidSpecifier:
        # Bounds that cannot be read exclude nothing here; the solver reads them once more.
        return True


def _finding(needs: Needs, verdict: Verdict, message: str, asked: str, evidence: tuple[Evidence, ...]) -> Finding:
    own = Evidence(what="asked for by its metadata", value=asked.strip(), source=needs.subject)
    return Finding(
        rule="virtual-package", verdict=verdict, subject=needs.subject, message=message, evidence=(own, *evidence)
    )
