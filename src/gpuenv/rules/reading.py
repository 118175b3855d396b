"""What several rules read off a machine: its distinct GPUs, and its values with where they came from."""

from __future__ import annotations

from gpuenv.facts.architectures import find_capability
from gpuenv.model import Evidence, Gpu, Machine, OperatingSystem

__all__ = ["cuda_gpus", "driver_evidence", "driver_system", "gpu_evidence", "gpu_label", "is_tegra"]


def cuda_gpus(machine: Machine) -> tuple[Gpu, ...]:
    """One of each kind of NVIDIA GPU that CUDA can open, in the machine's order."""
    kinds = {(gpu.name, gpu.compute_capability, gpu.mig): gpu for gpu in reversed(machine.nvidia_gpus) if gpu.usable}
    return tuple(reversed(kinds.values()))


def gpu_label(gpu: Gpu) -> str:
    """The GPU as messages name it: `Tesla V100-SXM2-16GB (7.0)`."""
    return f"{gpu.name} ({gpu.compute_capability})" if gpu.compute_capability else gpu.name


def gpu_evidence(gpu: Gpu, machine: Machine) -> Evidence:
    """The compute capability of a GPU and where it was read."""
    value = str(gpu.compute_capability) if gpu.compute_capability else "unknown"
    return Evidence(what=f"compute capability of {gpu.name}", value=value, source=machine.sources.get("gpus", ""))


def driver_evidence(machine: Machine) -> tuple[Evidence, ...]:
    """The driver's version and the CUDA it serves, as far as they are known, each with where it was read."""
    values = (
        ("driver.version", "driver", machine.driver.version),
        ("driver.cuda", "driver's CUDA", machine.driver.cuda),
    )
    return tuple(
        Evidence(what=what, value=str(value), source=machine.sources.get(field, ""))
        for field, what, value in values
        if value
    )


def driver_system(machine: Machine) -> OperatingSystem:
    """The system whose driver numbers count. Under WSL the driver is the one of Windows (CUDA on WSL User Guide)."""
    return OperatingSystem.WINDOWS if machine.system.wsl else machine.system.os


def is_tegra(gpu: Gpu) -> bool:
    """Whether the GPU is part of a Tegra chip, for which NVIDIA does not promise binary compatibility."""
    row = find_capability(gpu.compute_capability) if gpu.compute_capability else None
    return bool(row and row.tegra)
