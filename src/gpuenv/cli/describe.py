"""A machine in words, as every verb that speaks of one describes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from gpuenv.model import DriverState, Gpu, Machine, OperatingSystem

__all__ = ["driver_in_words", "gpus_in_words", "machine_line", "system_in_words"]

_SYSTEMS = {OperatingSystem.LINUX: "Linux", OperatingSystem.WINDOWS: "Windows", OperatingSystem.MACOS: "macOS"}
_MODULES = {"nouveau": "Nouveau", "nova": "Nova", "nova_core": "Nova", "vfio-pci": "vfio-pci", "nvgpu": "nvgpu"}


def machine_line(machine: Machine) -> str:
    """The machine in one line: `2 x Tesla V100-SXM2-16GB (7.0), driver 535.129.03 (CUDA 12.2), Linux x86_64`."""
    gpus = gpus_in_words(machine)
    return ", ".join([" + ".join(gpus) if gpus else "no GPU", driver_in_words(machine), system_in_words(machine)])


def gpus_in_words(machine: Machine) -> list[str]:
    """One text per kind of GPU, with how many there are of it."""
    if machine.gpus is None:
        return ["GPUs not known"]
    counted = Counter(_gpu_in_words(gpu) for gpu in machine.gpus)
    return [text if count == 1 else f"{count} x {text}" for text, count in counted.items()]


def _gpu_in_words(gpu: Gpu) -> str:
    mig = f" MIG {gpu.mig}" if gpu.mig and gpu.mig not in gpu.name else ""
    return f"{gpu.name}{mig} ({gpu.compute_capability})" if gpu.compute_capability else f"{gpu.name}{mig}"


def driver_in_words(machine: Machine) -> str:
    """NVIDIA's driver and the CUDA it serves."""
    driver = machine.driver
    if driver.module in {"nouveau", "nova", "nova_core", "vfio-pci"}:
        return f"{_MODULES[driver.module]} in place of NVIDIA's driver"
    if driver.state is DriverState.UNKNOWN and not (driver.version or driver.cuda):
        return "driver not known"
    if driver.state is DriverState.MISSING:
        return "no NVIDIA driver"
    name = f"driver {driver.version}" if driver.version else "driver of unknown version"
    serves = f" (CUDA {driver.cuda})" if driver.cuda else ""
    return f"{name}{serves}{', not loaded' if driver.state is DriverState.INSTALLED else ''}"


def system_in_words(machine: Machine) -> str:
    """System, architecture and where it runs."""
    system = machine.system
    return " ".join([_SYSTEMS[system.os], system.arch, *_surroundings(machine)])


def _surroundings(machine: Machine) -> Iterator[str]:
    system = machine.system
    if system.wsl:
        yield "under WSL"
    if system.container:
        yield f"in a container ({system.container})"
    if system.jetson:
        yield f"on a Jetson ({system.jetson})"
