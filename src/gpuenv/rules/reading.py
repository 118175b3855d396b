"""What several rules read off a machine: its distinct GPUs, and its values with where they came from."""

from __future__ import annotations

from gpuenv.facts.architectures import find_capability
from gpuenv.facts.toolkits import driver_cuda
from gpuenv.model import DriverState, Evidence, Gpu, GpuSupport, Machine, Needs, OperatingSystem
from gpuenv.versions import CudaVersion, DriverVersion

__all__ = [
    "cuda_gpus",
    "driver_evidence",
    "driver_system",
    "gpu_evidence",
    "gpu_label",
    "is_tegra",
    "names_no_package",
    "numbered_driver",
    "opens",
    "served_cuda",
]


def cuda_gpus(machine: Machine) -> tuple[Gpu, ...]:
    """One of each kind of NVIDIA GPU that CUDA can open, in the machine's order."""
    kinds = {(gpu.name, gpu.compute_capability, gpu.mig): gpu for gpu in reversed(machine.nvidia_gpus) if opens(gpu)}
    return tuple(reversed(kinds.values()))


def opens(gpu: Gpu) -> bool:
    """Whether CUDA can open the GPU: of a board in MIG mode only the MIG devices, which are GPUs of their own."""
    return gpu.usable and gpu.mig != "enabled"


def gpu_label(gpu: Gpu) -> str:
    """The GPU as messages name it: `Tesla V100-SXM2-16GB (7.0)`."""
    return f"{gpu.name} ({gpu.compute_capability})" if gpu.compute_capability else gpu.name


def gpu_evidence(gpu: Gpu, machine: Machine) -> Evidence:
    """The compute capability of a GPU and where it was read."""
    value = str(gpu.compute_capability) if gpu.compute_capability else "unknown"
    return Evidence(what=f"compute capability of {gpu.name}", value=value, source=machine.sources.get("gpus", ""))


def numbered_driver(machine: Machine) -> DriverVersion | None:
    """The driver's version where it compares with NVIDIA's tables: a Jetson's driver has numbers of its own."""
    on_tegra = machine.system.jetson is not None or machine.driver.module == "nvgpu"
    return None if on_tegra else machine.driver.version


def served_cuda(machine: Machine) -> CudaVersion | None:
    """The newest CUDA that the driver serves: what was read, else what the branch of its version serves at least."""
    driver = machine.driver
    if driver.cuda or driver.version is None or driver.state is DriverState.MISSING:
        return driver.cuda
    return driver_cuda(driver.version, driver_system(machine))


def driver_evidence(machine: Machine) -> tuple[Evidence, ...]:
    """The driver's version and the CUDA it serves, as far as they are known, each with where it was read."""
    driver, sources = machine.driver, machine.sources
    concluded = "" if driver.cuda else "table of driver versions"
    values = (
        ("driver", driver.version, sources.get("driver.version", "")),
        ("driver's CUDA", served_cuda(machine), concluded or sources.get("driver.cuda", "")),
    )
    return tuple(Evidence(what=what, value=str(value), source=source) for what, value, source in values if value)


def driver_system(machine: Machine) -> OperatingSystem:
    """The system whose driver numbers count. Under WSL the driver is the one of Windows (CUDA on WSL User Guide)."""
    return OperatingSystem.WINDOWS if machine.system.wsl else machine.system.os


def is_tegra(gpu: Gpu) -> bool:
    """Whether the GPU is part of a Tegra chip, for which NVIDIA does not promise binary compatibility."""
    row = find_capability(gpu.compute_capability) if gpu.compute_capability else None
    return bool(row and row.tegra)


def names_no_package(needs: Needs) -> bool:
    """Whether the needs are those of GPU work in general and say nothing that a package would say."""
    no_code = not needs.libraries and needs.jit is None and needs.gpu_support is GpuSupport.NONE
    return needs.uses_gpu and needs.cuda is None and no_code
