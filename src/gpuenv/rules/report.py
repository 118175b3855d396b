"""The machine judged as a whole: what the rules say of GPU work on it, and of each CUDA line."""

from __future__ import annotations

from gpuenv.facts.toolkits import load_toolkits
from gpuenv.model import CudaLineReport, Jit, Machine, MachineReport, Needs, Verdict
from gpuenv.rules.table import check
from gpuenv.versions import CudaVersion

__all__ = ["report_machine"]


def report_machine(machine: Machine) -> MachineReport:
    """The machine judged for GPU packages in general and for each toolkit that is known, oldest first."""
    findings = check(Needs(subject="GPU packages", uses_gpu=True, libraries=()), machine)
    return MachineReport(
        machine=machine,
        verdict=Verdict.worst(finding.verdict for finding in findings),
        findings=findings,
        cuda_lines=tuple(_judge_line(toolkit.version, machine) for toolkit in load_toolkits()),
    )


def _judge_line(cuda: CudaVersion, machine: Machine) -> CudaLineReport:
    needs = Needs(subject=f"CUDA {cuda} packages", uses_gpu=True, cuda=cuda, libraries=(), jit=Jit.SASS)
    findings = check(needs, machine)
    return CudaLineReport(
        cuda=cuda,
        verdict=Verdict.worst(finding.verdict for finding in findings),
        findings=tuple(finding for finding in findings if finding.verdict is not Verdict.WORKS),
    )
