"""What the tests of rules are made of: small machines, needs and libraries, and cases that name a rule's verdict."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from gpuenv.facts.toolkits import driver_cuda
from gpuenv.model import (
    Cpu,
    Driver,
    DriverState,
    Finding,
    Gpu,
    Jit,
    LibraryCode,
    Machine,
    Needs,
    OperatingSystem,
    System,
    UnitGroup,
    Verdict,
)
from gpuenv.rules import RULES
from gpuenv.versions import CodeImage, ComputeCapability, CudaVersion, DriverVersion, LibcVersion

GIB = 2**30

BOARDS = {
    "K80": ("Tesla K80", "3.7", 12),
    "GTX 1080 Ti": ("NVIDIA GeForce GTX 1080 Ti", "6.1", 11),
    "P100": ("Tesla P100-PCIE-16GB", "6.0", 16),
    "V100": ("Tesla V100-SXM2-16GB", "7.0", 16),
    "T4": ("Tesla T4", "7.5", 15),
    "A100": ("NVIDIA A100-SXM4-80GB", "8.0", 80),
    "RTX 3090": ("NVIDIA GeForce RTX 3090", "8.6", 24),
    "RTX A6000": ("NVIDIA RTX A6000", "8.6", 48),
    "Orin": ("Orin (nvgpu)", "8.7", None),
    "RTX 4090": ("NVIDIA GeForce RTX 4090", "8.9", 24),
    "H100": ("NVIDIA H100 80GB HBM3", "9.0", 80),
    "B200": ("NVIDIA B200", "10.0", 180),
    "B300": ("NVIDIA B300 SXM6 AC", "10.3", 268),
    "Thor": ("NVIDIA Thor", "11.0", None),
    "RTX 5090": ("NVIDIA GeForce RTX 5090", "12.0", 32),
    "mystery": ("NVIDIA Board of Tomorrow", None, 64),
}
"""Names as `nvidia-smi` prints them, compute capability and memory in GiB."""


def gpu(board: str = "V100", **changes: Any) -> Gpu:
    """One of `BOARDS`, with changes."""
    name, capability, memory = BOARDS[board]
    known: dict[str, Any] = {
        "name": name,
        "compute_capability": ComputeCapability(capability) if capability else None,
        "memory_bytes": memory * GIB if memory else None,
    }
    return Gpu(**known | changes)


def gpu_of(capability: str) -> Gpu:
    """A GPU of this compute capability."""
    return Gpu(name=f"GPU of {capability}", compute_capability=ComputeCapability(capability))


def machine(
    *gpus: Gpu,
    driver: str | None = "580.65.06",
    cuda: str | None = "",
    module: str | None = None,
    state: DriverState = DriverState.LOADED,
    kernel: str | None = None,
    error: str | None = None,
    os: str = "linux",
    arch: str = "x86_64",
    system: dict[str, Any] | None = None,
    **changes: Any,
) -> Machine:
    """A computer with these GPUs, whose driver serves the CUDA of its branch unless `cuda` says another, or None."""
    about = System(os=OperatingSystem(os), arch=arch, **system or {})
    version = DriverVersion(driver) if driver else None
    numbering = OperatingSystem.WINDOWS if about.wsl else about.os
    of_branch = driver_cuda(version, numbering) if version else None
    known: dict[str, Any] = {
        "system": about,
        "gpus": gpus,
        "driver": Driver(
            state=state,
            version=version,
            kernel_version=DriverVersion(kernel) if kernel else None,
            cuda=of_branch if cuda == "" else CudaVersion(cuda) if cuda else None,
            module=module,
            error=error,
        ),
        "cpu": Cpu(cores=8),
        "memory_bytes": 256 * GIB,
    }
    return Machine(**known | changes)


_PARSED = {
    "cuda": CudaVersion,
    "cuda_newest": CudaVersion,
    "driver_floor": DriverVersion,
    "glibc": LibcVersion,
    "lowest_capability": ComputeCapability,
    "jit": Jit,
}


def needs(**fields: Any) -> Needs:
    """Needs of something that uses a GPU and has no code of its own; versions are given as text."""
    parsed = {name: _PARSED[name](value) if name in _PARSED and value else value for name, value in fields.items()}
    known: dict[str, Any] = {"subject": "made 1.0", "uses_gpu": True, "libraries": ()}
    return Needs(**known | parsed)


def library(
    *groups: str, name: str = "libmade.so", size: int = GIB, selects: bool = False, loaded_for: str | None = None
) -> LibraryCode:
    """A library from groups such as `40: sm_70 sm_80 compute_80/ptx7.8`: units, then their images."""
    return LibraryCode(
        name=name,
        groups=tuple(_group(text) for text in groups),
        size_bytes=size,
        selects_at_run_time=selects,
        loaded_for=CudaVersion(loaded_for) if loaded_for else None,
    )


def _group(text: str) -> UnitGroup:
    units, _, images = text.partition(":")
    return UnitGroup(units=int(units), images=tuple(CodeImage.parse(image) for image in images.split()))


@dataclass(frozen=True, kw_only=True)
class Case:
    """One rule on one need and one machine: its worst verdict (works where it has no word, too) and what it says.

    `says` is a part of one of its messages; `hint` a part of one of its hints; `silent` that it has no word at all.
    """

    rule: str
    verdict: Verdict
    needs: Needs
    machine: Machine
    says: str = ""
    hint: str = ""
    silent: bool = False

    def __str__(self) -> str:
        return f"{self.rule} {self.verdict.value} {self.says or self.hint}".strip()

    def check(self) -> None:
        """The rule says so, each of its findings is well made, and nobody else speaks in its name."""
        (rule,) = (rule for rule in RULES if rule.id == self.rule)
        found = tuple(rule.check(self.needs, self.machine))
        assert verdict_of(found) is self.verdict, found
        assert bool(found) is not self.silent, found
        for finding in found:
            assert (finding.rule, finding.subject) == (self.rule, self.needs.subject)
            assert finding.message
            assert not finding.message.endswith("."), finding.message
            assert "None" not in finding.message, finding.message
            assert all(evidence.what and evidence.value not in {"", "None"} for evidence in finding.evidence), finding
            assert not (finding.hints and finding.verdict is Verdict.WORKS), finding
        assert any(self.says in finding.message for finding in found) or not self.says, found
        assert any(self.hint in hint for finding in found for hint in finding.hints) or not self.hint, found


def verdict_of(findings: Iterable[Finding]) -> Verdict:
    """The worst verdict of findings."""
    return Verdict.worst(finding.verdict for finding in findings)


def words_of(rule: str, asked: Needs, here: Machine) -> list[tuple[Verdict, str]]:
    """What one rule says, finding by finding."""
    (row,) = (row for row in RULES if row.id == rule)
    return [(finding.verdict, finding.message) for finding in row.check(asked, here)]
