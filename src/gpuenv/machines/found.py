"""What the parts of a probe hand to each other: pieces with their origin, before they are put together."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from gpuenv.errors import FormatError
from gpuenv.model import Cpu, System, Vendor
from gpuenv.versions import ComputeCapability, DriverVersion

__all__ = [
    "FoundGpu",
    "KernelModule",
    "Surroundings",
    "core_count",
    "normal_bus",
    "read_capability",
    "read_driver_version",
    "size",
]

_BUS = re.compile(r"(?:([0-9a-f]{1,8}):)?([0-9a-f]{1,2}):([0-9a-f]{1,2})\.?([0-7]?)", re.IGNORECASE | re.ASCII)
_SIZE_LIMIT = 1 << 63


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundGpu:
    """One GPU as one source shows it. `bus` is its PCI address, `module` the kernel driver bound to it."""

    vendor: Vendor = Vendor.NVIDIA
    name: str | None = None
    bus: str | None = None
    device_id: str | None = None
    uuid: str | None = None
    capability: ComputeCapability | None = None
    memory_bytes: int | None = None
    mig: str | None = None
    module: str | None = None
    usable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelModule:
    """The kernel's side of the driver. `is_loaded` None: this system does not show it (Windows, WSL).

    `gpus` are those that the module itself lists.
    """

    is_loaded: bool | None = None
    name: str | None = None
    name_source: str = ""
    version: DriverVersion | None = None
    version_source: str = ""
    gpus: tuple[FoundGpu, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """All that one operating system tells without the driver's help.

    `bus_gpus` None means that nothing could be listed. `driver_version` is what an installed driver says of itself
    elsewhere than in its libraries (the Windows registry).
    """

    system: System
    cpu: Cpu
    memory_bytes: int | None = None
    kernel: KernelModule = KernelModule()
    bus_gpus: tuple[FoundGpu, ...] | None = None
    bus_source: str = ""
    driver_version: DriverVersion | None = None
    sources: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def normal_bus(text: str | None) -> str | None:
    """A PCI address as `/sys` spells it, `0000:65:00.0`, whoever wrote it; None when it is none."""
    found = _BUS.fullmatch(text.strip()) if text else None
    if not found:
        return None
    domain, bus, device, function = found.groups()
    return f"{int(domain or '0', 16):04x}:{int(bus, 16):02x}:{int(device, 16):02x}.{function or 0}"


def read_capability(text: str | None) -> ComputeCapability | None:
    """The compute capability in a text of the driver; None for anything else, and for 0.0, which is no GPU's."""
    try:
        capability = ComputeCapability(text.strip()) if text else None
    except FormatError:
        return None
    return capability if capability and capability.major else None


def read_driver_version(text: str | None) -> DriverVersion | None:
    """The driver version in a text; None for anything else."""
    try:
        return DriverVersion(text) if text else None
    except FormatError:
        return None


def size(value: int | None) -> int | None:
    """A size in bytes that can be one; None for nothing, for zero and for nonsense."""
    return value if value and 0 < value < _SIZE_LIMIT else None


def core_count(value: int | None) -> int | None:
    """A number of processors that can be one; None for nothing and for nonsense."""
    return value if value and 0 < value < 1 << 20 else None
